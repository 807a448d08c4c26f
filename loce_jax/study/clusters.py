"""Clusters of the LoCEs: the tree and its cut, what lies in each cluster, how stable their purity is, dense regions."""

import numpy as np
from matplotlib.figure import Figure

from loce_jax.analysis.cluster_table import tabulate
from loce_jax.analysis.clustering import (
    RELAXED,
    STRICT,
    Clusters,
    Recipe,
    cut_adaptive,
    cut_height,
    cut_size,
    group_size,
)
from loce_jax.analysis.density import density_clusters
from loce_jax.analysis.linkage import check_height, link
from loce_jax.analysis.purity import cluster_purity
from loce_jax.analysis.repeats import repeat
from loce_jax.analysis.subsets import subset
from loce_jax.analysis.tables import Table
from loce_jax.plots.trees import draw_tree
from loce_jax.study.cloud import Cloud
from loce_jax.study.members import draw_members
from loce_jax.study.options import ClusterOptions
from loce_jax.study.outcome import Outcome
from loce_jax.study.subject import Subject

_TRAINED_ON, _NEIGHBOURS = 0.8, (3, 5, 7, 9, 11)  # the paper's
_PRESETS = {"strict": STRICT, "relaxed": RELAXED}


def study_clusters(subject: Subject, options: ClusterOptions) -> Outcome:
    """Purity and number of clusters, once and over many draws; the clusters' concepts; the tree."""
    cloud, recipe = subject.cloud, recipe_of(options)
    rows, found = find_clusters(cloud, options, seed=subject.seed)
    labels = cloud.labels[rows]
    repeats = repeat(
        {cloud.name: cloud.vectors}, cloud.labels, recipe, seeds=options.repeats, per_concept=options.per_concept
    )
    (purity, clusters), (purity_std, clusters_std) = repeats.mean(), repeats.std()
    size = group_size(recipe.share, len(cloud.rows))
    dense = density_clusters(cloud.vectors[rows], max(size, 2))
    kept = dense.labels >= 0
    metrics = {
        "purity": cluster_purity(found.labels, labels),
        "clusters": len(found.nodes),
        "of": len(rows),
        "group_size": size,
        "adaptive_repeated": {
            "seeds": options.repeats,
            "purity_mean": purity[0],
            "purity_std": purity_std[0],
            "clusters_mean": clusters[0],
            "clusters_std": clusters_std[0],
        },
        "dense_regions": {
            "clusters": len(np.unique(dense.labels[kept])),
            "noise": float((~kept).mean()),
            "purity": cluster_purity(dense.labels[kept], labels[kept]),
        },
    }
    metrics["predictions"] = _predictions(cloud, rows, recipe, subject.seed)
    return Outcome(
        metrics,
        {"clusters": _table(cloud, rows, found)},
        {"tree": _draw(subject, rows, found, metrics), "clusters": draw_members(subject, rows, found)},
    )


def find_clusters(cloud: Cloud, options: ClusterOptions, *, seed: int) -> tuple[np.ndarray, Clusters]:
    """Places in `cloud` that were drawn, and their clusters."""
    if options.cut == "height":
        check_height(options.height, options.metric)
    recipe = recipe_of(options)
    rows = subset(cloud.labels, options.per_concept, seed)
    tree = link(cloud.vectors[rows], method=recipe.method, metric=recipe.metric)
    size = group_size(recipe.share, len(cloud.rows))
    if options.cut == "size":
        return rows, cut_size(tree, size)
    if options.cut == "height":
        return rows, cut_height(tree, options.height)
    return rows, cut_adaptive(tree, cloud.labels[rows], size=size, purity=recipe.purity)


def recipe_of(options: ClusterOptions) -> Recipe:
    """The preset with the chosen linkage."""
    preset = _PRESETS[options.preset]
    return Recipe(preset.share, preset.purity, options.method, options.metric)


def _predictions(cloud, rows, recipe, seed):
    """Share of a fifth of each concept's LoCEs, put aside, whose concept is predicted rightly from the others."""
    from sklearn.neighbors import KNeighborsClassifier  # noqa: PLC0415 - a second, as the next

    from loce_jax.analysis.estimators import AdaptiveClusterer, CentroidClassifier  # noqa: PLC0415

    vectors, labels = cloud.vectors[rows], cloud.labels[rows]
    place = np.empty(len(rows))
    for concept in np.unique(labels):
        mine = np.flatnonzero(labels == concept)
        place[np.random.default_rng(seed).permutation(mine)] = np.arange(len(mine)) / len(mine)
    known = place < _TRAINED_ON
    if known.all() or known.sum() <= max(_NEIGHBOURS):
        return {}
    clusterer = AdaptiveClusterer(recipe.share, recipe.purity, recipe.method, recipe.metric)
    models = {"centroids": CentroidClassifier(clusterer, metric="cosine", widths=cloud.widths)}
    models |= {f"{k} neighbours": KNeighborsClassifier(k, metric="cosine") for k in _NEIGHBOURS}
    return {
        name: model.fit(vectors[known], labels[known]).score(vectors[~known], labels[~known])
        for name, model in models.items()
    }


def _table(cloud, rows, found):
    table = tabulate(cloud.vectors[rows], cloud.labels[rows], found.labels, widths=cloud.widths)
    lines = []
    for cluster, top, counts, probabilities, centroid in zip(
        table.clusters, table.top, table.counts, table.probabilities, table.raw, strict=True
    ):
        members = rows[found.labels == cluster]
        nearest = members[np.linalg.norm(cloud.vectors[members] - centroid, axis=1).argmin()]
        image = str(cloud.images[nearest])
        lines.append((int(cluster) + 1, int(counts.sum()), top, float(probabilities.max()), image, *map(int, counts)))
    columns = ("cluster", "LoCEs", "mostly", "share", "most central image", *map(str, table.concepts))
    return Table("Clusters", columns, tuple(lines), 2)


def _draw(subject, rows, found, metrics):
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    axes = figure.subplots()
    draw_tree(axes, found.tree, found.labels, subject.cloud.labels[rows], concepts=subject.cloud.shown)
    axes.set(title=f"purity {metrics['purity']:.3f} with {metrics['clusters']} clusters", ylabel="height of the merge")
    return figure
