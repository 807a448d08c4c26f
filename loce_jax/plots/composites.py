"""The map of the LoCEs in several panels: its points, mixtures of the concepts, a mixture without labels, and the tree.

Shapes: n embeddings, t drawn embeddings of the tree, m = t - 1 merges.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loce_jax.analysis.mixtures.fit import Mixture
from loce_jax.plots.legends import list_names
from loce_jax.plots.maps import draw_map
from loce_jax.plots.mixtures import draw_component_regions, draw_concept_regions
from loce_jax.plots.palette import Style
from loce_jax.plots.trees import draw_tree


@dataclass(frozen=True, eq=False)
class MapPanels:
    """What the panels of a map show.

    Attributes:
        points: two coordinates for each embedding.
        labels: the concept of each.
        mixtures: mixtures of the concepts whose regions are drawn.
        unlabeled_mixture: the mixture of all points.
        styles: color and marker of each concept to name.
        method: how the map was computed.
        runs: of pooled runs, the run of each embedding; its marker says it.
    """

    points: Float[np.ndarray, "n 2"]
    labels: Shaped[np.ndarray, " n"]
    mixtures: Mapping[str, Mixture]
    unlabeled_mixture: Mixture
    styles: Mapping[str, Style]
    method: str
    runs: Shaped[np.ndarray, " n"] | None = None


def plot_map(panels: MapPanels) -> Figure:
    """A map three times: with its points alone, with a mixture of each concept, and with a mixture without labels."""
    figure = Figure(figsize=(13, 13 * _ratio(panels.points) + 1), layout="constrained")
    (alone, regions), (components, names) = figure.subplots(2, 2)
    _draw_panels(panels, alone, regions, components)
    list_names(alone, names)
    names.set_axis_off()
    return figure


def plot_composite(
    panels: MapPanels,
    links: Float[np.ndarray, "m 4"],
    clusters: Int[np.ndarray, " t"],
    labels: Shaped[np.ndarray, " t"],
    *,
    title: str,
) -> Figure:
    """The panels of a map in a row, above the merge tree of the LoCEs; one legend for all of it.

    After the composite figures of Mikriukov et al., "Local Concept Embeddings", IJCV 2025.

    Args:
        panels: the map.
        links: SciPy's linkage matrix.
        clusters: the cluster of each leaf.
        labels: the concept of each leaf.
        title: above the tree.
    """
    high = 6 * _ratio(panels.points) + 0.5
    figure = Figure(figsize=(18, high + 4), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(high, 4))
    above, below = parts
    alone, regions, components = above.subplots(1, 3)
    _draw_panels(panels, alone, regions, components)
    tree, names = below.subplots(1, 2, width_ratios=(8, 1))
    names.set_axis_off()
    draw_tree(tree, links, clusters, labels, styles=panels.styles)
    tree.set(title=title, ylabel="height of the merge")
    _without_legend(tree)
    list_names(alone, names)
    return figure


def _without_legend(axes):
    if legend := axes.get_legend():
        legend.remove()


def _ratio(points):
    """Height of a map by its width, within what a panel can have."""
    wide, high = np.ptp(points, axis=0)
    return float(np.clip(high / wide if wide else 1, 0.35, 1))


def _draw_panels(panels: MapPanels, alone: Axes, regions: Axes, components: Axes):
    """Draw the map on each of three Axes, without their legends."""
    for axes, named in ((alone, panels.styles), (regions, panels.styles), (components, {})):
        draw_map(axes, panels.points, panels.labels, styles=named, runs=panels.runs)
        _without_legend(axes)
    draw_concept_regions(regions, panels.points, panels.mixtures, styles=panels.styles)
    draw_component_regions(components, panels.points, panels.unlabeled_mixture)
    alone.set(xlim=components.get_xlim(), ylim=components.get_ylim(), adjustable="box")
    alone.set_title(f"LoCEs ({panels.method})")
    regions.set_title("mixture of each concept: the most likely concept")
    components.set_title("mixture without labels: its components")
