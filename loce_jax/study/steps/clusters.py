"""Clusters of the LoCEs: the tree and its cut, their members, the stability of their purity, dense regions."""

import numpy as np

from loce_jax.analysis.clustering.cluster_table import ClusterTable, strongest_channels, tabulate_clusters
from loce_jax.analysis.clustering.cut import max_cluster_size
from loce_jax.analysis.clustering.density import density_clusters
from loce_jax.analysis.clustering.repeats import repeat_clustering
from loce_jax.analysis.metrics.purity import cluster_purity
from loce_jax.analysis.tables import Table
from loce_jax.plots.figures import plot_tree
from loce_jax.study.results.figures import Figures
from loce_jax.study.results.step_result import StepResult
from loce_jax.study.selection.layer_analysis import LayerAnalysis, clustering_options
from loce_jax.study.steps.cluster_examples import plot_clusters

_TRAINED_ON, _NEIGHBORS = 0.8, (3, 5, 7, 9, 11)  # the paper's


def study_clusters(analysis: LayerAnalysis) -> StepResult:
    """Purity and number of clusters, of one draw and of many; concepts and means of the clusters; the tree."""
    embeddings, options, common = analysis.embeddings, analysis.options.clusters, analysis.common_positions
    positions, found = analysis.clusters
    labels, clustering = embeddings.labels[positions], clustering_options(options)
    dense = density_clusters(embeddings.vectors[positions], options.dense_size)
    kept = dense.labels >= 0
    repeats = repeat_clustering(
        {embeddings.name: embeddings.vectors[common]},
        embeddings.labels[common],
        clustering,
        seeds=options.repeats,
        max_per_concept=options.max_per_concept,
    )
    (purity, clusters), (purity_std, clusters_std) = repeats.mean(), repeats.std()
    metrics = {
        "purity": cluster_purity(found.labels, labels),
        "clusters": len(found.nodes),
        "of": len(positions),
        "max_cluster_size": max_cluster_size(clustering.share, len(common)),
        "repeated": {
            "seeds": options.repeats,
            "drawn_from": len(common),
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
        "predictions": _predictions(analysis),
    }
    table = tabulate_clusters(embeddings.vectors[positions], labels, found.labels, widths=embeddings.widths)
    return StepResult(
        metrics,
        {"clusters": _clusters(embeddings, positions, found, table)},
        Figures(
            {
                "tree": lambda: _tree(analysis, positions, found, metrics),
                "clusters": lambda: plot_clusters(analysis, positions, found),
            }
        ),
        data={
            "cluster_probabilities": _probabilities(table),
            "cluster_members": _members(embeddings, positions, found.labels, dense.labels),
        },
        arrays={"cluster_centroids": _centroids(table)},
        headline=metrics,
    )


def _predictions(analysis):
    """Share of a fifth of each concept's drawn LoCEs, put aside, whose concept is predicted rightly from the others.

    Predictions by centroid are those of adaptive clusters, with the group size of all, not of the four fifths.
    """
    from sklearn.neighbors import KNeighborsClassifier  # noqa: PLC0415 - a second, as the next

    from loce_jax.analysis.clustering.estimators import AdaptiveClusterer, CentroidClassifier  # noqa: PLC0415

    positions, _ = analysis.clusters
    vectors, labels = analysis.embeddings.vectors[positions], analysis.embeddings.labels[positions]
    order = np.empty(len(positions))
    for concept in np.unique(labels):
        mine = np.flatnonzero(labels == concept)
        order[np.random.default_rng(analysis.seed).permutation(mine)] = np.arange(len(mine)) / len(mine)
    known = order < _TRAINED_ON
    if known.all() or known.sum() <= max(_NEIGHBORS):
        return {}
    clustering = clustering_options(analysis.options.clusters)
    how = clustering.share, clustering.purity, clustering.method, clustering.metric
    clusterer = AdaptiveClusterer(*how, n_total=len(analysis.common_positions), precluster=clustering.precluster)
    models = {"centroids": CentroidClassifier(clusterer, metric="cosine", widths=analysis.embeddings.widths)}
    models |= {f"{k} neighbors": KNeighborsClassifier(k, metric="cosine") for k in _NEIGHBORS}
    return {
        name: model.fit(vectors[known], labels[known]).score(vectors[~known], labels[~known])
        for name, model in models.items()
    }


def _clusters(embeddings, positions, found, table: ClusterTable):
    lines = []
    for i, cluster in enumerate(table.clusters):
        members = positions[found.labels == cluster]
        nearest = members[np.linalg.norm(embeddings.vectors[members] - table.raw[i], axis=1).argmin()]
        lines.append(
            (
                int(cluster) + 1,
                int(table.counts[i].sum()),
                table.top[i],
                float(table.probabilities[i].max()),
                str(embeddings.images[nearest]),
                _strongest(embeddings, table.raw[i]),
                *map(int, table.counts[i]),
            )
        )
    head = ("cluster", "LoCEs", "mostly", "share", "most central image", "strongest channels")
    return Table("Clusters", (*head, *map(str, table.concepts)), tuple(lines), 2)


def _strongest(embeddings, centroid):
    """Three channels of each layer, the strongest first, in words."""
    layers = np.split(centroid, np.cumsum(embeddings.widths)[:-1])
    return "; ".join(" ".join(map(str, strongest_channels(layer[None])[0])) for layer in layers)


def _probabilities(table: ClusterTable):
    rows = zip((table.clusters + 1).tolist(), table.probabilities.tolist(), strict=True)
    columns = ("cluster", *map(str, table.concepts))
    return Table("Share of each concept in each cluster", columns, tuple((number, *shares) for number, shares in rows))


def _members(embeddings, positions, clusters, regions):
    rows = zip(
        embeddings.rows[positions].tolist(),
        embeddings.images[positions].tolist(),
        embeddings.labels[positions].tolist(),
        (clusters + 1).tolist(),
        (regions + 1).tolist(),
        strict=True,
    )
    columns = ("row", "image", "concept", "cluster", "dense region, 0 for none")
    return Table("The cluster of each LoCE", columns, tuple(rows))


def _centroids(table: ClusterTable):
    """Row i of every array belongs to one cluster."""
    return {"cluster": table.clusters + 1, "raw": table.raw, "normalized": table.normalized}


def _tree(analysis, positions, found, metrics):
    first = found.first_of_leaves
    labels = analysis.embeddings.labels[positions[first]]
    title = f"purity {metrics['purity']:.3f} with {metrics['clusters']} clusters"
    return plot_tree(found.tree, found.labels[first], labels, styles=analysis.styles, title=title)
