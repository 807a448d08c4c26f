"""The map of the LoCEs, with a Gaussian mixture of each concept and one of all without labels."""

import numpy as np
from matplotlib.figure import Figure

from loce_jax.analysis.mixtures.density import likeliest_component
from loce_jax.analysis.mixtures.fit import Mixture, min_points
from loce_jax.analysis.tables import Table
from loce_jax.plots.legends import list_names
from loce_jax.plots.maps import draw_map
from loce_jax.plots.mixtures import draw_component_regions, draw_concept_regions
from loce_jax.study.results.step_result import StepResult
from loce_jax.study.selection.layer_analysis import LayerAnalysis


def study_map(analysis: LayerAnalysis) -> StepResult:
    """Coordinates, components of each concept with their shares, outlier components, and the picture."""
    flat, mixtures, unlabeled = analysis.map, analysis.mixtures, analysis.unlabeled_mixture
    metrics = {
        "method": flat.method,
        "concepts": {concept: _describe(mixture) for concept, mixture in mixtures.items()},
        "without_labels": _describe(unlabeled),
    }
    return StepResult(
        metrics,
        {"components": _components(analysis)},
        {"map": _draw(analysis, flat, mixtures, unlabeled)},
        data={"map": _points(analysis)},
        short=("method", "without_labels"),
    )


def _describe(mixture: Mixture):
    """Components count from 1, as in the tables."""
    full = mixture.full
    return {
        "components": len(full.weights),
        "kept": mixture.components + 1,
        "kept_weights": mixture.kept.weights,
        "weights": full.weights,
        "populations": mixture.populations,
        "means": full.means,
        "covariances": full.covariances,
        "bic": mixture.bic,
    }


def _components(analysis):
    embeddings, rows = analysis.embeddings, []
    for concept, mixture in analysis.mixtures.items():
        members, likeliest = embeddings.of(concept), _likeliest(analysis, mixture, concept)
        for component, share in enumerate(mixture.populations):
            kept = "yes" if component in mixture.components else "outlier"
            nearest = _nearest(embeddings, analysis.map, members[likeliest == component])
            rows.append((concept, component + 1, float(share), kept, nearest))
    return Table("Mixture components", ("concept", "component", "share", "kept", "most central image"), tuple(rows))


def _likeliest(analysis, mixture, concept):
    """Component of each of the concept's LoCEs, outliers too."""
    return likeliest_component(mixture.full, analysis.map.points[analysis.embeddings.of(concept)])


def _points(analysis):
    """Where each LoCE lies, and in which component of its concept and of all."""
    embeddings, own, kept = (
        analysis.embeddings,
        np.zeros(len(analysis.embeddings.rows), int),
        np.zeros(len(analysis.embeddings.rows), bool),
    )
    for concept, mixture in analysis.mixtures.items():
        mine = embeddings.of(concept)
        own[mine], kept[mine] = _likeliest(analysis, mixture, concept), mixture.assignments >= 0
    rows = zip(
        embeddings.rows.tolist(),
        embeddings.images.tolist(),
        embeddings.labels.tolist(),
        *analysis.map.points.T.tolist(),
        (own + 1).tolist(),
        ("yes" if each else "outlier" for each in kept),
        (analysis.unlabeled_mixture.assignments + 1).tolist(),
        strict=True,
    )
    columns = ("row", "image", "concept", "x", "y", "component", "kept", "component without labels")
    return Table("The map", columns, tuple(rows))


def _nearest(embeddings, flat, members):
    if not len(members):
        return ""
    away = np.linalg.norm(flat.points[members] - flat.points[members].mean(axis=0), axis=1)
    return str(embeddings.images[members[away.argmin()]])


def _draw(analysis, flat, mixtures, unlabeled):
    embeddings = analysis.embeddings
    wide, high = np.ptp(flat.points, axis=0)
    figure = Figure(figsize=(13, 13 * float(np.clip(high / wide if wide else 1, 0.5, 1)) + 1), layout="constrained")
    (plain, concepts), (components, names) = figure.subplots(2, 2)
    for axes, named in ((plain, embeddings.shown), (concepts, embeddings.shown), (components, ())):
        draw_map(axes, flat.points, embeddings.labels, concepts=named)
        axes.get_legend().remove()
    told = {concept: mixture for concept, mixture in mixtures.items() if len(embeddings.of(concept)) >= min_points(2)}
    draw_concept_regions(concepts, flat.points, told, concepts=embeddings.shown)
    draw_component_regions(components, flat.points, unlabeled)
    plain.set(xlim=components.get_xlim(), ylim=components.get_ylim(), adjustable="box")
    list_names(plain, names)
    names.set_axis_off()
    plain.set_title(f"LoCEs ({flat.method})")
    concepts.set_title("mixture of each concept: who is likeliest where")
    components.set_title("mixture without labels: its components")
    return figure
