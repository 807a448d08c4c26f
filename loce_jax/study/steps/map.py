"""The map of the LoCEs, with a Gaussian mixture of each concept and one of all without labels."""

import numpy as np

from loce_jax.analysis.mixtures.density import likeliest_component
from loce_jax.analysis.mixtures.fit import Mixture, min_points
from loce_jax.analysis.tables import Table
from loce_jax.plots.figures import plot_map
from loce_jax.study.results.figures import Figures
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
        Figures({"map": lambda: _plot(analysis)}),
        data={"map": _points(analysis)},
        headline={"method": flat.method, "without_labels": metrics["without_labels"]},
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
        members, likeliest = embeddings.positions_of(concept), _likeliest(analysis, mixture, concept)
        for component, share in enumerate(mixture.populations):
            kept = "yes" if component in mixture.components else "outlier"
            nearest = _nearest(embeddings, analysis.map, members[likeliest == component])
            rows.append((concept, component + 1, float(share), kept, nearest))
    return Table("Mixture components", ("concept", "component", "share", "kept", "most central image"), tuple(rows))


def _likeliest(analysis, mixture, concept):
    """Component of each of the concept's LoCEs, outliers too."""
    return likeliest_component(mixture.full, analysis.map.points[analysis.embeddings.positions_of(concept)])


def _points(analysis):
    """Coordinates of each LoCE, and its component in the mixture of its concept and of all."""
    embeddings, own, kept = (
        analysis.embeddings,
        np.zeros(len(analysis.embeddings.rows), int),
        np.zeros(len(analysis.embeddings.rows), bool),
    )
    for concept, mixture in analysis.mixtures.items():
        mine = embeddings.positions_of(concept)
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


def _plot(analysis):
    embeddings = analysis.embeddings
    drawn = {
        concept: mixture
        for concept, mixture in analysis.mixtures.items()
        if len(embeddings.positions_of(concept)) >= min_points(2)
    }
    return plot_map(
        analysis.map.points,
        embeddings.labels,
        drawn,
        analysis.unlabeled_mixture,
        styles=analysis.styles,
        method=analysis.map.method,
    )
