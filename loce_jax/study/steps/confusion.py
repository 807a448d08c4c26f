"""Confusion matrices of the concepts: by neighbors, class means, clusters and mixture components."""

import numpy as np

from loce_jax.analysis.metrics.confusion import (
    centroid_confusion,
    cluster_confusion,
    component_confusion,
    neighbor_confusion,
)
from loce_jax.analysis.mixtures.density import responsibilities
from loce_jax.analysis.tables import Table
from loce_jax.plots.figures import NamedMatrix, plot_matrices
from loce_jax.study.results.figures import Figures
from loce_jax.study.results.step_result import StepResult, listed
from loce_jax.study.selection.layer_analysis import LayerAnalysis

_MAX_PAIRS = 20


def study_confusion(analysis: LayerAnalysis) -> StepResult:
    """Four matrices: by neighbors, class means, clusters and map components; their errors and most confused pairs."""
    embeddings, options = analysis.embeddings, analysis.options.confusion
    groups = embeddings.images if options.other_images else None
    positions, clusters = analysis.clusters
    components = responsibilities(analysis.unlabeled_mixture.full, analysis.map.points)
    found = (
        neighbor_confusion(embeddings.vectors, embeddings.labels, options.k, groups=groups),
        centroid_confusion(embeddings.vectors, embeddings.labels),
        cluster_confusion(clusters.labels, embeddings.labels[positions]),
        component_confusion(components, embeddings.labels),
    )
    pairs = tuple(
        (confusion.kind, concept, other, share)
        for confusion in found
        for concept, other, share in confusion.pairs[:_MAX_PAIRS]
    )
    table = Table("Most confused pairs", ("by", "concept", "taken for", "share"), pairs)
    in_metrics, arrays = listed({confusion.kind: confusion.matrix for confusion in found}, "confusion")
    metrics = {
        confusion.kind: {
            "error": confusion.error,
            "concepts": confusion.concepts,
            "matrix": in_metrics[confusion.kind],
        }
        for confusion in found
    }
    matrices = [
        NamedMatrix(
            f"{confusion.kind}: error {confusion.error:.2f}",
            confusion.matrix,
            [str(concept) for concept in confusion.concepts],
            high=float(np.nanmax(confusion.matrix, initial=0)) or 1.0,  # among many concepts, every share is small
        )
        for confusion in found
    ]
    return StepResult(
        metrics,
        {"confusion": table},
        Figures({"confusion": lambda: plot_matrices(matrices)}),
        arrays=arrays,
        headline=metrics,
    )
