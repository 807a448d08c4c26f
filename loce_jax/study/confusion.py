"""Confusion as numbers: what each concept is taken for, by four kinds of evidence."""

from matplotlib.figure import Figure

from loce_jax.analysis.confusion import (
    centroid_confusion,
    cluster_confusion,
    component_confusion,
    neighbour_confusion,
)
from loce_jax.analysis.mixtures import responsibilities
from loce_jax.analysis.tables import Table
from loce_jax.plots.matrices import draw_matrix, side_of
from loce_jax.study.outcome import Outcome
from loce_jax.study.subject import Subject

_MOST_PAIRS = 20


def study_confusion(subject: Subject) -> Outcome:
    """A matrix by neighbours, class means, clusters and components of the map; their errors and most confused pairs."""
    cloud, options = subject.cloud, subject.options.confusion
    groups = cloud.images if options.other_images else None
    places, clusters = subject.clusters
    components = responsibilities(subject.blind.full, subject.map.points)
    found = (
        neighbour_confusion(cloud.vectors, cloud.labels, options.k, groups=groups),
        centroid_confusion(cloud.vectors, cloud.labels),
        cluster_confusion(clusters.labels, cloud.labels[places]),
        component_confusion(components, cloud.labels),
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
    side = side_of(len(cloud.concepts))
    figure = Figure(figsize=(len(found) * side, side), layout="constrained")
    for axes, confusion in zip(figure.subplots(1, len(found)), found, strict=True):
        names = [str(concept) for concept in confusion.concepts]
        draw_matrix(axes, confusion.matrix, names, names)
        axes.set_title(f"{confusion.kind}: error {confusion.error:.2f}", fontsize=10)
    return Outcome(metrics, {"confusion": table}, {"confusion": figure}, short=tuple(metrics))
