"""The map of the LoCEs, with a Gaussian mixture of each concept and one of all without labels."""

import numpy as np
from matplotlib.figure import Figure

from loce_jax.analysis.mixtures import fit_mixtures
from loce_jax.analysis.tables import Table
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
    figure = Figure(figsize=(17, 5.4), layout="constrained")
    axes = figure.subplots(1, 3)
    for place in axes:
        draw_map(place, flat.points, cloud.labels, concepts=subject.run.concepts)
        if place is not axes[-1] and (legend := place.get_legend()):
            legend.remove()
    axes[0].set_aspect("equal", adjustable="box")
    draw_concept_regions(axes[1], flat.points, mixtures, concepts=subject.run.concepts)
    draw_component_regions(axes[2], flat.points, blind)
    titles = f"LoCEs ({flat.method})", "mixture of each concept", "mixture without labels"
    for place, title in zip(axes, titles, strict=True):
        place.set_title(title)
    return figure
