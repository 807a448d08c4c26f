"""Numbers over numbers, and numbers side by side: curves, points and bars with the palette's colors.

Letters: x places.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Num
from matplotlib.axes import Axes

from loce_jax.checks import check_shape
from loce_jax.plots.legends import list_names
from loce_jax.plots.names import plain
from loce_jax.plots.palette import concept_style

_TOGETHER = 0.8  # of the room of a place that is taken


def draw_curves(axes: Axes, places: Num[np.ndarray, " x"], curves: Mapping[str, Num[np.ndarray, " _"]]) -> Axes:
    """A line over `places`, which are numbers, for each name in `curves`.

    Where the names are the concepts of a map, in its order, each looks as it does there.
    """
    for index, (name, values) in enumerate(curves.items()):
        check_shape(name, values, (len(places),), meaning="one value a place", fix="")
        color, marker = concept_style(index)
        axes.plot(places, values, color=color, marker=marker, markersize=4, linewidth=1.4, label=plain(name))
    return _tidy(axes)


def draw_points(
    axes: Axes,
    places: Sequence[str],
    points: Mapping[str, Num[np.ndarray, " _"]],
    *,
    spreads: Mapping[str, Num[np.ndarray, " _"]] | None = None,
) -> Axes:
    """At each of `places`, which have no order, a point for each name in `points`, side by side.

    `spreads` hold, for some of the names, how far a thin line reaches to both sides of each point.
    """
    for index, (name, offsets) in enumerate(_side_by_side(places, points)):
        color, marker = concept_style(index)
        axes.errorbar(
            *(offsets, points[name], (spreads or {}).get(name)),
            **{"color": color, "marker": marker, "markersize": 4, "linestyle": "", "elinewidth": 0.7},
            label=plain(name),
        )
    return _name_places(axes, places)


def draw_bars(axes: Axes, places: Sequence[str], bars: Mapping[str, Num[np.ndarray, " _"]]) -> Axes:
    """At each of `places` a bar for each name in `bars`, side by side."""
    width = _TOGETHER / max(len(bars), 1)
    for index, (name, offsets) in enumerate(_side_by_side(places, bars)):
        axes.bar(offsets, bars[name], width, color=concept_style(index)[0], label=plain(name))
    return _name_places(axes, places)


def _side_by_side(places, named):
    """Each name and where its values stand."""
    for index, (name, values) in enumerate(named.items()):
        check_shape(name, values, (len(places),), meaning="one value a place", fix="")
        yield name, np.arange(len(places)) + ((index + 0.5) / len(named) - 0.5) * _TOGETHER


def _name_places(axes, places):
    many = len(places) > 24
    axes.set_xticks(
        range(len(places)),
        [plain(place) for place in places],
        rotation=90 if len(places) > 4 else 0,
        fontsize=7 if many else 10,
    )
    axes.set_xlim(-0.6, len(places) - 0.4)
    return _tidy(axes)


def _tidy(axes):
    axes.spines[["top", "right"]].set_visible(False)
    list_names(axes)
    return axes
