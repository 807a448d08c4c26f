"""The map of the LoCEs, with a Gaussian mixture of each concept and one of all without labels."""

import numpy as np
from matplotlib.figure import Figure

from loce_jax.analysis.mixtures.gaussian import Mixture, likeliest_component, min_points
from loce_jax.analysis.tables import Table
from loce_jax.plots.legends import list_names
from loce_jax.plots.maps import draw_map
from loce_jax.plots.mixtures import draw_component_regions, draw_concept_regions
from loce_jax.study.results.step_result import Outcome
from loce_jax.study.selection.layer_analysis import Subject


def study_map(subject: Subject) -> Outcome:
    """Coordinates, components of each concept with their shares, outlier components, and the picture."""
    flat, mixtures, blind = subject.map, subject.mixtures, subject.blind
    metrics = {
        "method": flat.method,
        "concepts": {concept: _describe(mixture) for concept, mixture in mixtures.items()},
        "without_labels": _describe(blind),
    }
    return Outcome(
        metrics,
        {"components": _components(subject)},
        {"map": _draw(subject, flat, mixtures, blind)},
        data={"map": _points(subject)},
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


def _components(subject):
    cloud, rows = subject.cloud, []
    for concept, mixture in subject.mixtures.items():
        members, likeliest = cloud.of(concept), _likeliest(subject, mixture, concept)
        for component, share in enumerate(mixture.populations):
            kept = "yes" if component in mixture.components else "outlier"
            nearest = _nearest(cloud, subject.map, members[likeliest == component])
            rows.append((concept, component + 1, float(share), kept, nearest))
    return Table("Mixture components", ("concept", "component", "share", "kept", "most central image"), tuple(rows))


def _likeliest(subject, mixture, concept):
    """Component of each of the concept's LoCEs, outliers too."""
    return likeliest_component(mixture.full, subject.map.points[subject.cloud.of(concept)])


def _points(subject):
    """Where each LoCE lies, and in which component of its concept and of all."""
    cloud, own, kept = subject.cloud, np.zeros(len(subject.cloud.rows), int), np.zeros(len(subject.cloud.rows), bool)
    for concept, mixture in subject.mixtures.items():
        mine = cloud.of(concept)
        own[mine], kept[mine] = _likeliest(subject, mixture, concept), mixture.assignments >= 0
    rows = zip(
        cloud.rows.tolist(),
        cloud.images.tolist(),
        cloud.labels.tolist(),
        *subject.map.points.T.tolist(),
        (own + 1).tolist(),
        ("yes" if each else "outlier" for each in kept),
        (subject.blind.assignments + 1).tolist(),
        strict=True,
    )
    columns = ("row", "image", "concept", "x", "y", "component", "kept", "component without labels")
    return Table("The map", columns, tuple(rows))


def _nearest(cloud, flat, members):
    if not len(members):
        return ""
    away = np.linalg.norm(flat.points[members] - flat.points[members].mean(axis=0), axis=1)
    return str(cloud.images[members[away.argmin()]])


def _draw(subject, flat, mixtures, blind):
    cloud = subject.cloud
    wide, high = np.ptp(flat.points, axis=0)
    figure = Figure(figsize=(13, 13 * float(np.clip(high / wide if wide else 1, 0.5, 1)) + 1), layout="constrained")
    (plain, concepts), (components, names) = figure.subplots(2, 2)
    for axes, named in ((plain, cloud.shown), (concepts, cloud.shown), (components, ())):
        draw_map(axes, flat.points, cloud.labels, concepts=named)
        axes.get_legend().remove()
    told = {concept: mixture for concept, mixture in mixtures.items() if len(cloud.of(concept)) >= min_points(2)}
    draw_concept_regions(concepts, flat.points, told, concepts=cloud.shown)
    draw_component_regions(components, flat.points, blind)
    plain.set(xlim=components.get_xlim(), ylim=components.get_ylim(), adjustable="box")
    list_names(plain, names)
    names.set_axis_off()
    plain.set_title(f"LoCEs ({flat.method})")
    concepts.set_title("mixture of each concept: who is likeliest where")
    components.set_title("mixture without labels: its components")
    return figure
