"""Layers and runs side by side, on the (image, concept) pairs that all of them have."""

from collections.abc import Callable, Mapping

import numpy as np

from loce_jax.analysis.clustering.repeats import repeat_clustering
from loce_jax.analysis.comparison.alignment import align_rows
from loce_jax.analysis.comparison.cka import linear_cka
from loce_jax.analysis.comparison.distance_agreement import distance_agreement
from loce_jax.analysis.comparison.neighbor_agreement import neighbor_agreement
from loce_jax.analysis.comparison.rank_agreement import rank_agreement
from loce_jax.analysis.metrics.quality import describe_quality
from loce_jax.analysis.metrics.retrieval import precision_at
from loce_jax.analysis.metrics.separation import category_separation, pairwise_separation
from loce_jax.analysis.neighbors.interclass import interclass_distances
from loce_jax.analysis.short_names import short_names
from loce_jax.analysis.tables import Table
from loce_jax.checks import InputError
from loce_jax.plots.figures import NamedMatrix, plot_matrices
from loce_jax.study.options import Clustering
from loce_jax.study.results.figures import Figures
from loce_jax.study.results.step_result import StepResult
from loce_jax.study.selection.embeddings import Embeddings
from loce_jax.study.selection.layer_analysis import clustering_options
from loce_jax.study.selection.rows import pairs_of_all

_K = 10
_CUT_OFFS = (1, _K)


def study_compare(
    views: Mapping[str, Embeddings], options: Clustering, *, repeats: int = 50, seed: int = 0
) -> StepResult:
    """The same numbers for every view, and how far every two agree: in IoU, distances, geometry and neighbors.

    Args:
        views: LoCEs by name, such as "run: layer"; at least two.
        options: how they are clustered.
        repeats: how often purity is measured, on random LoCEs that are the same of every view.
        seed: of everything else random.

    Raises:
        InputError: fewer than two views, or no pair that all have.
    """
    if len(views) < 2:
        raise InputError(f"`views` must be at least two layers or runs to compare, but got {len(views)}. Name another.")
    views, missing = _on_common_pairs(views)
    names = list(views)
    agreements: dict[str, Callable[[Embeddings, Embeddings], float]] = {
        "IoU rank (Spearman)": lambda a, b: rank_agreement(a.iou, b.iou).spearman,
        "IoU rank (Kendall)": lambda a, b: rank_agreement(a.iou, b.iou).kendall,
        "distances (RSA, Spearman)": lambda a, b: distance_agreement(a.vectors, b.vectors, seed=seed).spearman,
        "CKA (linear, unbiased)": lambda a, b: linear_cka(a.vectors, b.vectors, unbiased=True),
        f"{_K} neighbors (Jaccard)": lambda a, b: neighbor_agreement(a.vectors, b.vectors, _K),
    }
    matrices = {title: _pairwise(list(views.values()), measure) for title, measure in agreements.items()}
    side_by_side = {name: _numbers(embeddings, seed) for name, embeddings in views.items()}
    numbers = {name: found for name, (found, _) in side_by_side.items()}
    by_concept = {name: found for name, (_, found) in side_by_side.items()}
    first = next(iter(views.values()))
    vectors = {name: embeddings.vectors for name, embeddings in views.items()}
    repeated = repeat_clustering(
        vectors, first.labels, clustering_options(options), seeds=repeats, max_per_concept=options.max_per_concept
    )
    for row, purity, clusters, spread in zip(numbers.values(), *repeated.mean(), repeated.std()[0], strict=True):
        row |= {"purity": float(purity), "purity std": float(spread), "clusters": float(clusters)}
    columns = tuple(next(iter(numbers.values())))
    table = Table("Side by side", ("view", *columns), tuple((name, *row.values()) for name, row in numbers.items()))
    pairs = tuple(
        (names[i], names[j], *(float(matrix[i, j]) for matrix in matrices.values()))
        for i in range(len(names))
        for j in range(i)
    )
    metrics = {
        "pairs": len(first.rows),
        "missing": missing,
        "views": numbers,
        "concepts": by_concept,
        "agreement": {title: {"views": names, "matrix": matrix} for title, matrix in matrices.items()},
    }
    agreement = Table("Agreement of every two", ("view", "with", *matrices), pairs)
    return StepResult(
        metrics,
        {"side_by_side": table, "agreement": agreement, **_concept_tables(first, by_concept)},
        Figures({"agreement": lambda: plot_matrices(_named(matrices, names))}),
        data={"iou_by_pair": _iou_by_pair(views)},
        headline={"pairs": len(first.rows), "missing": missing, **_headline(numbers)},
    )


def _on_common_pairs(views):
    """Every view's rows of the pairs that all have, in the first one's order; and how many each has besides."""
    keys = {
        name: list(zip(embeddings.images.tolist(), embeddings.labels.tolist(), strict=True))
        for name, embeddings in views.items()
    }
    common = pairs_of_all(list(keys.values()))
    if not common:
        raise InputError(
            "`views` must share (image, concept) pairs, because rows are compared one by one, but no pair is in all of "
            f"{', '.join(views)}. Fit them on the same images."
        )
    views = {name: embeddings.take(align_rows(common, keys[name]).second) for name, embeddings in views.items()}
    return views, {name: len(mine) - len(common) for name, mine in keys.items()}


def _numbers(embeddings, seed):
    """One view's row of the table, and the same by measure and concept."""
    retrieved = precision_at(embeddings.vectors, embeddings.labels, _CUT_OFFS)
    interclass = interclass_distances(embeddings.vectors, embeddings.labels)
    separation = pairwise_separation(embeddings.vectors, embeddings.labels, interclass=interclass).matrix
    k = len(separation)
    quality = describe_quality(embeddings.vectors, embeddings.labels, seed=seed)
    numbers = {
        "mean IoU": float(embeddings.iou.mean()),
        "failures": float((embeddings.iou == 0).mean()),
        **{f"precision@{n}": float(value) for n, value in zip(_CUT_OFFS, retrieved.precision.macro, strict=True)},
        "mean separation": float(separation[np.triu_indices(k, 1)].mean()) if k > 1 else np.nan,
        "separability": quality.centroids.separability,
        "silhouette": quality.silhouette,
    }
    precision = dict(zip(retrieved.concepts, retrieved.precision.per_concept, strict=True))
    apart = category_separation(embeddings.vectors, embeddings.labels, interclass=interclass)
    ratio = dict(zip(apart.concepts, apart.index.tolist(), strict=True))
    by_concept = {
        "mean IoU": {name: float(embeddings.iou[embeddings.positions_of(name)].mean()) for name in embeddings.concepts},
        **{
            f"precision@{n}": {name: float(precision[name][i]) for name in embeddings.concepts}
            for i, n in enumerate(_CUT_OFFS)
        },
        "separation": {name: ratio[name] for name in embeddings.concepts},
    }
    return numbers, by_concept


def _concept_tables(first, by_concept):
    """For each measure a row per concept and a column per view, the best in bold."""
    tables, names = {}, list(by_concept)
    for measure in next(iter(by_concept.values())):
        rows = [[float(by_concept[name][measure][concept]) for name in names] for concept in first.concepts]
        best = {
            (i, 2 + j) for i, row in enumerate(rows) for j, value in enumerate(row) if value == np.nanmax([*row, -1.0])
        }
        lines = (
            (concept, len(first.positions_of(concept)), *row) for concept, row in zip(first.concepts, rows, strict=True)
        )
        title = f"{measure[0].upper()}{measure[1:]} by concept"
        file = f"concepts_{measure.replace('mean ', '').replace('@', '_').lower()}"
        tables[file] = Table(title, ("concept", "pairs", *names), tuple(lines), best=frozenset(best))
    return tables


def _headline(numbers):
    """Mean IoU and purity of every view."""
    return {name: {view: row[name] for view, row in numbers.items()} for name in ("mean IoU", "purity")}


def _iou_by_pair(views):
    first = next(iter(views.values()))
    columns = (first.images, first.labels, *(embeddings.iou for embeddings in views.values()))
    rows = tuple(zip(*(column.tolist() for column in columns), strict=True))
    return Table("IoU of each pair", ("image", "concept", *views), rows)


def _pairwise(views, measure):
    matrix = np.ones((len(views), len(views)))
    for i, first in enumerate(views):
        for j in range(i):
            matrix[i, j] = matrix[j, i] = measure(first, views[j])
    return matrix


def _named(matrices, names):
    short = _labels(names)
    return [
        NamedMatrix(title, matrix, short, low=-1.0 if np.nanmin(matrix) < 0 else 0.0)
        for title, matrix in matrices.items()
    ]


def _labels(names):
    """Short names of views for a figure; of "run: layer" each part is shortened, a run to the end of its path."""
    runs, layers = zip(*(name.rpartition(": ")[::2] for name in names), strict=True)
    ends = {run: run.rpartition("/")[2] for run in runs}
    if len(set(ends.values())) < len(ends):
        ends = {run: run for run in runs}
    short = dict(zip(dict.fromkeys(layers), short_names(list(dict.fromkeys(layers))), strict=True))
    return [f"{ends[run]}: {short[layer]}" if run else short[layer] for run, layer in zip(runs, layers, strict=True)]
