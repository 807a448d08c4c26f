"""Measures of layers over relative depth, many networks side by side, with bands and published values.

Shapes: l layers, q cut-offs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure

from loce_jax.foreign_text import for_picture
from loce_jax.plots.legends import list_names
from loce_jax.plots.palette import NEUTRAL, SEQUENTIAL, Style, category_style

_BRIGHTEST = 0.82  # of the scale; brighter lines cannot be seen on white
_COLUMNS = 3
_BAND = 0.15


@dataclass(frozen=True, eq=False)
class Curve:
    """A line of a panel.

    Attributes:
        xs: positions, ascending.
        values: one per position.
        low, high: ends of the band.
        published: published values at the same positions, NaN where there is none; drawn as hollow markers.
    """

    xs: Float[np.ndarray, " l"]
    values: Float[np.ndarray, " l"]
    low: Float[np.ndarray, " l"]
    high: Float[np.ndarray, " l"]
    published: Float[np.ndarray, " l"]


def draw_bands(axes: Axes, curves: Mapping[str, Curve], *, styles: Mapping[str, Style]) -> Axes:
    """A line with its band for each name in `curves`; published values are hollow, joined by dots."""
    for name, curve in curves.items():
        color, marker = styles[name]
        axes.fill_between(curve.xs, curve.low, curve.high, color=color, alpha=_BAND, linewidth=0)
        look = {"color": color, "marker": marker, "markersize": 5, "linewidth": 1.6}
        axes.plot(curve.xs, curve.values, **look, label=for_picture(name))
        there = np.isfinite(curve.published)
        hollow = {**look, "markerfacecolor": "white", "linestyle": ":", "markersize": 6.5, "zorder": 3}
        if there.any():
            axes.plot(curve.xs[there], curve.published[there], **hollow)
    if any(np.isfinite(curve.published).any() for curve in curves.values()):
        axes.plot([], [], color=NEUTRAL, marker="o", markerfacecolor="white", linestyle=":", label="published")
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def plot_panels(
    panels: Mapping[str, Mapping[str, Curve]],
    *,
    styles: Mapping[str, Style] | None = None,
    xlabel: str,
    ylabel: str,
    title: str,
    xs: tuple[float, float] | None = None,
) -> Figure:
    """A panel for each name in `panels`, at most three in a row, all on one vertical axis.

    Args:
        panels: curves, by the panel's title.
        styles: color and marker of each curve, listed once for all panels; without, each lists its own.
        xlabel: of the horizontal axes.
        ylabel: of the vertical axes.
        title: above all.
        xs: ends of the horizontal axes.
    """
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    width = 4.2 if styles else 5.0
    figure = Figure(figsize=(max(6.5, width * columns + 1.2), 3.4 * rows + 0.6), layout="constrained")
    every = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for axes, (name, curves) in zip(every, panels.items(), strict=False):
        own = styles or {curve: category_style(place) for place, curve in enumerate(curves)}
        draw_bands(axes, curves, styles=own)
        axes.set_title(for_picture(name), fontsize=10)
        axes.set_xlabel(xlabel)
        axes.tick_params(labelleft=True)
        if xs:
            axes.set_xlim(*xs)
        if not styles:
            list_names(axes)
    for axes in every[len(panels) :]:
        axes.set_axis_off()
    if styles:
        listed = {name: line for axes in every for line, name in zip(*axes.get_legend_handles_labels(), strict=True)}
        figure.legend([*listed.values()], [*listed], loc="outside right center", frameon=False, fontsize=8)
    every[0].set_ylim(bottom=0)
    for axes in every[::columns]:
        axes.set_ylabel(ylabel)
    figure.suptitle(title, fontsize=11)
    return figure


def sequential_styles(names: Sequence[str]) -> dict[str, Style]:
    """Colors from dark to bright for names that have an order, such as cut-offs.

    >>> sequential_styles(["k = 1", "k = 5"])
    {'k = 1': ('#440154', 'o'), 'k = 5': ('#8ad446', 'o')}
    """
    scale = LinearSegmentedColormap.from_list("depth", SEQUENTIAL)
    places = np.linspace(0, _BRIGHTEST, max(len(names), 1))
    return {name: (to_hex(scale(float(place))), "o") for name, place in zip(names, places, strict=False)}
