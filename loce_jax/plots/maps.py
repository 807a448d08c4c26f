"""A scatter map of embeddings, coloured by concept.

Letters: n embeddings.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from loce_jax.checks import check_known, check_shape
from loce_jax.plots.names import plain
from loce_jax.plots.palette import concept_style


def draw_map(
    axes: Axes, points: Float[np.ndarray, "n 2"], labels: Sequence[str] | np.ndarray, *, concepts: Sequence[str]
) -> Axes:
    """Scatter `points` (see `loce_jax.analysis.reduce`), one collection per concept that occurs.

    `concepts` are all concepts of the data set in its order: colour and marker follow it, so that a concept looks
    the same in every picture.  The axes carry no ticks, because coordinates of such maps have no unit.
    """
    labels = np.asarray(labels)
    check_shape("labels", labels, (len(points),), meaning="one per point", fix="")
    check_known("concept", dict.fromkeys(labels.tolist()), list(concepts))
    for index, concept in enumerate(concepts):
        mine = points[labels == concept]
        if len(mine):
            colour, marker = concept_style(index)
            axes.scatter(
                *mine.T, s=22, c=colour, marker=marker, edgecolors="white", linewidths=0.4, label=plain(concept)
            )
    axes.set(xticks=[], yticks=[], aspect="equal")
    axes.set_adjustable("datalim")
    if len(points):
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, ncols=1 + len(concepts) // 24)
    return axes
