"""Confusion as numbers: what each concept is taken for, by four kinds of evidence."""

import numpy as np

from loce_jax.analysis.metrics.confusion import (
    centroid_confusion,
    cluster_confusion,
    component_confusion,
    neighbor_confusion,
)
from loce_jax.analysis.mixtures.density import responsibilities
from loce_jax.analysis.tables import Table
from loce_jax.plots.matrices import draw_matrix, lay_out
from loce_jax.study.results.step_result import StepResult
from loce_jax.study.selection.layer_analysis import LayerAnalysis

_MOST_PAIRS = 20


def study_confusion(analysis: LayerAnalysis) -> StepResult:
    """A matrix by neighbors, class means, clusters and components of the map; their errors and most confused pairs."""
    embeddings, options = analysis.embeddings, analysis.options.confusion
    groups = embeddings.images if options.other_images else None
    places, clusters = analysis.clusters
    components = responsibilities(analysis.unlabeled_mixture.full, analysis.map.points)
    found = (
        neighbor_confusion(embeddings.vectors, embeddings.labels, options.k, groups=groups),
        centroid_confusion(embeddings.vectors, embeddings.labels),
        cluster_confusion(clusters.labels, embeddings.labels[places]),
        component_confusion(components, embeddings.labels),
    )
    pairs = tuple(
        (confusion.kind, concept, other, share)
        for confusion in found
        for concept, other, share in confusion.pairs[:_MOST_PAIRS]
    )
    table = Table("Most confused pairs", ("by", "concept", "taken for", "share"), pairs)
    metrics = {
        confusion.kind: {"error": confusion.error, "concepts": confusion.concepts, "matrix": confusion.matrix}
        for confusion in found
    }
    figure, places = lay_out(len(found), len(embeddings.concepts))
    for axes, confusion in zip(places, found, strict=True):
        names = [str(concept) for concept in confusion.concepts]
        most = float(np.nanmax(confusion.matrix, initial=0)) or 1.0  # among many concepts, every share is small
        draw_matrix(axes, confusion.matrix, names, names, high=most)
        axes.set_title(f"{confusion.kind}: error {confusion.error:.2f}", fontsize=10)
    return StepResult(metrics, {"confusion": table}, {"confusion": figure}, short=tuple(metrics))
