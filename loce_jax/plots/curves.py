"""Curves over numbers, points and bars over categories, in the palette's colors.

Shapes: x positions along the horizontal axis.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Num
from matplotlib.axes import Axes

from loce_jax.checks import check_shape
from loce_jax.foreign_text import for_picture
from loce_jax.plots.legends import list_names
from loce_jax.plots.palette import Style, category_style

_WIDTH = 0.8  # of a category, for all its points or bars together


def draw_curves(
    axes: Axes,
    xs: Num[np.ndarray, " x"],
    curves: Mapping[str, Num[np.ndarray, " _"]],
    *,
    styles: Mapping[str, Style],
) -> Axes:
    """A line over `xs` for each name in `curves`, with the color and marker that `styles` has for it."""
    for name, values in curves.items():
        check_shape(name, values, (len(xs),), meaning="one value per position", fix="Give as many values.")
        color, marker = styles[name]
        axes.plot(xs, values, color=color, marker=marker, markersize=4, linewidth=1.4, label=for_picture(name))
    return _tidy(axes)


def draw_points(
    axes: Axes,
    categories: Sequence[str],
    points: Mapping[str, Num[np.ndarray, " _"]],
    *,
    spreads: Mapping[str, Num[np.ndarray, "*ends _"]] | None = None,
) -> Axes:
    """At each of `categories` a point for each name in `points`, side by side.

    `spreads` gives, for some of the names, the half length of the line through each point, or its lengths ``[2 x]``
    below and above.
    """
    for index, (name, offsets) in enumerate(_side_by_side(categories, points)):
        color, marker = category_style(index)
        axes.errorbar(
            *(offsets, points[name], (spreads or {}).get(name)),
            **{"color": color, "marker": marker, "markersize": 4, "linestyle": "", "elinewidth": 0.7},
            label=for_picture(name),
        )
    return _name_categories(axes, categories)


def draw_bars(axes: Axes, categories: Sequence[str], bars: Mapping[str, Num[np.ndarray, " _"]]) -> Axes:
    """At each of `categories` a bar for each name in `bars`, side by side."""
    width = _WIDTH / max(len(bars), 1)
    for index, (name, offsets) in enumerate(_side_by_side(categories, bars)):
        axes.bar(offsets, bars[name], width, color=category_style(index)[0], label=for_picture(name))
    return _name_categories(axes, categories)


def _side_by_side(categories, named):
    """Each name and where its values stand."""
    for index, (name, values) in enumerate(named.items()):
        check_shape(name, values, (len(categories),), meaning="one value per position", fix="Give as many values.")
        yield name, np.arange(len(categories)) + ((index + 0.5) / len(named) - 0.5) * _WIDTH


def _name_categories(axes, categories):
    many = len(categories) > 24
    axes.set_xticks(
        range(len(categories)),
        [for_picture(category) for category in categories],
        rotation=90 if len(categories) > 4 else 0,
        fontsize=7 if many else 10,
    )
    axes.set_xlim(-0.6, len(categories) - 0.4)
    return _tidy(axes)


def _tidy(axes):
    axes.spines[["top", "right"]].set_visible(False)
    list_names(axes)
    return axes
