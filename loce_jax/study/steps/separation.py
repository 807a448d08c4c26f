"""Separation of concepts: separation of pairs and of each from all, overlap, and a robust separation."""

import numpy as np

from loce_jax.analysis.metrics.overlap import overlap_ratio
from loce_jax.analysis.metrics.separation import category_separation, pairwise_separation
from loce_jax.analysis.tables import Table
from loce_jax.plots.figures import NamedMatrix, plot_matrices
from loce_jax.plots.matrices import without_diagonal
from loce_jax.study.results.figures import Figures
from loce_jax.study.results.step_result import StepResult, listed
from loce_jax.study.selection.layer_analysis import LayerAnalysis

_MAX_PAIRS = 10_000  # pairs of concepts that the table lists; the matrices hold all
_MAX_SORTED = 10_000  # LoCEs up to which all distances are sorted for the robust separation


def study_separation(analysis: LayerAnalysis) -> StepResult:
    """Matrices, a row per concept, and every pair of concepts, the closest first."""
    embeddings, options = analysis.embeddings, analysis.options.separation
    interclass = analysis.interclass
    matrices = {
        "separation": analysis.separation.matrix,
        "overlap": overlap_ratio(embeddings.vectors, embeddings.labels, interclass=interclass).matrix,
    }
    by_concept = category_separation(embeddings.vectors, embeddings.labels, interclass=interclass)
    columns = {"mean distance inside": by_concept.intra, "least distance to others": by_concept.inter}
    columns["ratio"] = by_concept.index
    too_many = len(embeddings.rows) > _MAX_SORTED
    if not too_many:
        trimmed = category_separation(embeddings.vectors, embeddings.labels, percentile=options.percentile)
        columns[f"ratio, {options.percentile:g} % trimmed"] = trimmed.index
        robust = pairwise_separation(embeddings.vectors, embeddings.labels, percentile=options.percentile)
        matrices[f"separation, {options.percentile:g} % trimmed"] = robust.matrix
    said = f"not measured: {len(embeddings.rows)} LoCEs are more than {_MAX_SORTED}, whose distances can be sorted"
    names = [str(concept) for concept in by_concept.concepts]
    concepts = Table(
        f"Separation of each concept from all others{f' (trimmed: {said})' if too_many else ''}",
        ("concept", *columns),
        tuple((name, *map(float, row)) for name, *row in zip(names, *columns.values(), strict=True)),
    )
    in_metrics, arrays = listed(matrices, "separation")
    metrics = {
        "concepts": names,
        "of_each": columns,
        **in_metrics,
        "trimmed": said if too_many else f"{options.percentile:g} %",
        **{f"mean {name}": _mean(matrix) for name, matrix in matrices.items()},
    }
    pictures = [NamedMatrix(title, without_diagonal(matrix), names) for title, matrix in matrices.items()]
    return StepResult(
        metrics,
        {"separation": concepts, "pairs": _pairs(names, matrices)},
        Figures({"separation": lambda: plot_matrices(pictures)}),
        arrays=arrays,
        headline={name: value for name, value in metrics.items() if name == "trimmed" or name.startswith("mean ")},
    )


def _mean(matrix):
    values = without_diagonal(matrix)
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def _pairs(names, matrices):
    """Every two concepts, the least separated first."""
    separation = matrices["separation"]
    i, j = np.tril_indices(len(names), -1)
    order = np.argsort(separation[i, j], kind="stable")[:_MAX_PAIRS]
    i, j = i[order], j[order]
    columns = [((matrix[i, j] + matrix[j, i]) / 2).tolist() for matrix in matrices.values()]
    rows = tuple(
        (names[first], names[second], *numbers)
        for first, second, *numbers in zip(i.tolist(), j.tolist(), *columns, strict=True)
    )
    every = len(names) * (len(names) - 1) // 2
    title = f"Pairs of concepts{f' (the {_MAX_PAIRS:,} least separated of {every:,})' if every > _MAX_PAIRS else ''}"
    return Table(title, ("concept", "and", *matrices), rows)
