"""A scatter map of embeddings, colored by concept.

Shapes: n embeddings.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from loce_jax.checks import check_shape
from loce_jax.foreign_text import for_picture, text_array
from loce_jax.plots.legends import list_names
from loce_jax.plots.names import count_others
from loce_jax.plots.palette import OTHERS, Style


def draw_map(
    axes: Axes, points: Float[np.ndarray, "n 2"], labels: Sequence[str] | np.ndarray, *, styles: Mapping[str, Style]
) -> Axes:
    """Scatter `points` (see `loce_jax.analysis.embedding`), one collection per concept that occurs.

    The concepts in `styles` (see `loce_jax.plots.palette.concept_styles`) are named and have these colors and markers.
    Points of other concepts are pale and behind.  The axes have no ticks, because the coordinates have no unit.
    """
    labels = np.asarray(labels)
    check_shape("labels", labels, (len(points),), meaning="one per point", fix="")
    unnamed = ~np.isin(labels, text_array(styles))
    for concept, (color, marker) in styles.items():
        mine = points[labels == concept]
        if len(mine):
            axes.scatter(
                *mine.T, s=22, c=color, marker=marker, edgecolors="white", linewidths=0.4, label=for_picture(concept)
            )
    if unnamed.any():
        axes.scatter(*points[unnamed].T, s=9, c=OTHERS, label=count_others(labels[unnamed]), zorder=0.9, linewidths=0)
    axes.set(xticks=[], yticks=[], aspect="equal")
    axes.set_adjustable("datalim")
    list_names(axes)
    return axes
