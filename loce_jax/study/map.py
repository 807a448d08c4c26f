"""The map of the LoCEs, with a Gaussian mixture of each concept and one of all without labels."""

import numpy as np
from matplotlib.figure import Figure

from loce_jax.analysis.mixtures import fewest_points, fit_mixtures
from loce_jax.analysis.tables import Table
from loce_jax.plots.legends import list_names
from loce_jax.plots.maps import draw_map
from loce_jax.plots.mixtures import draw_component_regions, draw_concept_regions
from loce_jax.study.options import MapOptions
from loce_jax.study.outcome import Outcome
from loce_jax.study.subject import Subject


def study_map(subject: Subject, options: MapOptions) -> Outcome:
    """Coordinates, components of each concept with their shares, outlier components, and the picture."""
    cloud = subject.cloud
    flat = subject.map(options.neighbours)
    mixtures = fit_mixtures(flat.points, cloud.labels, options.components, seed=subject.seed)
    blind = subject.components(options.neighbours)
    rows = []
    for concept, mixture in mixtures.items():
        members = cloud.of(concept)
        for component, share in enumerate(mixture.populations):
            mine = members[mixture.assignments == component]
            kept = component in mixture.components
            rows.append(
                (concept, component + 1, float(share), "yes" if kept else "outlier", _nearest(cloud, flat, mine))
            )
    table = Table("Mixture components", ("concept", "component", "share", "kept", "most central image"), tuple(rows))
    metrics = {
        "method": flat.method,
        "components": {concept: len(mixture.components) for concept, mixture in mixtures.items()},
        "populations": {concept: mixture.populations for concept, mixture in mixtures.items()},
        "components_without_labels": len(blind.full.weights),
    }
    return Outcome(metrics, {"components": table}, {"map": _draw(subject, flat, mixtures, blind)})


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
    told = {concept: mixture for concept, mixture in mixtures.items() if len(cloud.of(concept)) >= fewest_points(2)}
    draw_concept_regions(concepts, flat.points, told, concepts=cloud.shown)
    draw_component_regions(components, flat.points, blind)
    plain.set(xlim=components.get_xlim(), ylim=components.get_ylim(), adjustable="box")
    list_names(plain, names)
    names.set_axis_off()
    plain.set_title(f"LoCEs ({flat.method})")
    concepts.set_title("mixture of each concept: who is likeliest where")
    components.set_title("mixture without labels: its components")
    return figure
