"""The map of the LoCEs, with a Gaussian mixture of each concept and one of all without labels."""

import numpy as np

from loce_jax.analysis.metrics.purity import cluster_purity
from loce_jax.analysis.mixtures.density import likeliest_component
from loce_jax.analysis.mixtures.fit import Mixture, min_points
from loce_jax.analysis.tables import Table
from loce_jax.checks import InputError
from loce_jax.plots.composites import MapPanels, plot_composite, plot_map
from loce_jax.study.results.figures import Figures
from loce_jax.study.results.step_result import StepResult
from loce_jax.study.selection.layer_analysis import LayerAnalysis


def study_map(analysis: LayerAnalysis) -> StepResult:
    """Coordinates, components of each concept with their shares, outliers among them, and two pictures."""
    flat, mixtures, unlabeled = analysis.map, analysis.mixtures, analysis.unlabeled_mixture
    metrics = {
        "method": flat.method,
        "concepts": {concept: _describe(mixture) for concept, mixture in mixtures.items()},
        "without_labels": _describe(unlabeled),
    }
    figures = {"map": lambda: plot_map(_panels(analysis)), "composite": lambda: _composite(analysis)}
    try:
        analysis.clusters  # noqa: B018 - before a picture of them is promised
    except InputError as error:
        del figures["composite"]
        metrics["composite"] = f"not drawn: {error}"
    return StepResult(
        metrics,
        {"components": _components(analysis)},
        Figures(figures),
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
    where = [embeddings.rows.tolist(), embeddings.images.tolist()]
    if embeddings.runs is not None:
        runs, rows = embeddings.runs.tolist(), analysis.run.table["row"][embeddings.rows].tolist()
        images = [image.removeprefix(f"{run}: ") for run, image in zip(runs, where[1], strict=True)]
        where = [runs, rows, images]
    rows = zip(
        *where,
        embeddings.labels.tolist(),
        *analysis.map.points.T.tolist(),
        (own + 1).tolist(),
        ("yes" if each else "outlier" for each in kept),
        (analysis.unlabeled_mixture.assignments + 1).tolist(),
        strict=True,
    )
    named = ("row", "image") if embeddings.runs is None else ("run", "row", "image")
    columns = (*named, "concept", "x", "y", "component", "kept", "component without labels")
    return Table("The map", columns, tuple(rows))


def _nearest(embeddings, flat, members):
    if not len(members):
        return ""
    away = np.linalg.norm(flat.points[members] - flat.points[members].mean(axis=0), axis=1)
    return str(embeddings.images[members[away.argmin()]])


def _panels(analysis):
    embeddings = analysis.embeddings
    drawn = {
        concept: mixture
        for concept, mixture in analysis.mixtures.items()
        if len(embeddings.positions_of(concept)) >= min_points(2)
    }
    flat = analysis.map
    shown = drawn, analysis.unlabeled_mixture, analysis.styles, flat.method
    return MapPanels(flat.points, embeddings.labels, *shown, embeddings.runs)


def _composite(analysis):
    positions, found = analysis.clusters
    first, leaves = found.first_of_leaves, analysis.embeddings.labels[positions]
    purity = cluster_purity(found.labels, leaves)
    title = f"tree of {len(positions)} LoCEs: purity {purity:.3f} with {len(found.nodes)} clusters"
    return plot_composite(_panels(analysis), found.tree, found.labels[first], leaves[first], title=title)
