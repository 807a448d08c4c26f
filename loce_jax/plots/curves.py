"""Numbers over numbers, and numbers side by side: curves and bars with the palette's colours.

Letters: x places.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Num
from matplotlib.axes import Axes

from loce_jax.checks import check_shape
from loce_jax.plots.names import plain
from loce_jax.plots.palette import concept_style

_FADED = 0.15


def draw_curves(
    axes: Axes,
    places: Num[np.ndarray, " x"],
    curves: Mapping[str, Num[np.ndarray, " _"]],
    *,
    spreads: Mapping[str, Num[np.ndarray, " _"]] | None = None,
    concepts: Sequence[str] = (),
) -> Axes:
    """A line for each name in `curves`; in `spreads`, half the height of a band around some of them.

    `concepts` are all concepts of the data set in its order, where the names are some of them: each then looks as on
    the map.
    """
    for index, (name, values) in enumerate(curves.items()):
        check_shape(name, values, (len(places),), meaning="one value a place", fix="")
        colour, marker = concept_style(list(concepts).index(name) if name in concepts else index)
        axes.plot(places, values, color=colour, marker=marker, markersize=4, linewidth=1.4, label=plain(name))
        if spreads and name in spreads:
            axes.fill_between(
                places, values - spreads[name], values + spreads[name], color=colour, alpha=_FADED, linewidth=0
            )
    return _tidy(axes, curves)


def draw_bars(axes: Axes, places: Sequence[str], bars: Mapping[str, Num[np.ndarray, " _"]]) -> Axes:
    """At each of `places` a bar for each name in `bars`, side by side."""
    width = 0.8 / max(len(bars), 1)
    for index, (name, values) in enumerate(bars.items()):
        check_shape(name, values, (len(places),), meaning="one value a place", fix="")
        offsets = np.arange(len(places)) + (index + 0.5) * width - 0.4
        axes.bar(offsets, values, width, color=concept_style(index)[0], label=plain(name))
    axes.set_xticks(range(len(places)), [plain(place) for place in places], rotation=90 if len(places) > 4 else 0)
    return _tidy(axes, bars)


def _tidy(axes, named):
    axes.spines[["top", "right"]].set_visible(False)
    if named:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, ncols=1 + len(named) // 24)
    return axes
