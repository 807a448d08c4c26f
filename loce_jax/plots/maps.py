"""A scatter map of embeddings, colored by concept.

Shapes: n embeddings.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from loce_jax.checks import check_shape
from loce_jax.foreign_text import for_picture, text_array
from loce_jax.plots.legends import list_names
from loce_jax.plots.names import count_others
from loce_jax.plots.palette import NEUTRAL, OTHERS, Style, run_markers

_POINT: dict[str, Any] = {"s": 22, "edgecolors": "white", "linewidths": 0.4}


def draw_map(
    axes: Axes,
    points: Float[np.ndarray, "n 2"],
    labels: Sequence[str] | np.ndarray,
    *,
    styles: Mapping[str, Style],
    runs: Sequence[str] | np.ndarray | None = None,
) -> Axes:
    """Scatter `points` (see `loce_jax.analysis.embedding`), one collection per concept that occurs.

    The concepts in `styles` (see `loce_jax.plots.palette.concept_styles`) are named and have these colors and markers.
    Points of other concepts are pale and behind.  With `runs`, the run of each point, the marker says the run, and the
    color alone the concept.  The axes have no ticks, because the coordinates have no unit.
    """
    labels = np.asarray(labels)
    check_shape("labels", labels, (len(points),), meaning="one per point", fix="")
    unnamed = ~np.isin(labels, text_array(styles))
    if runs is not None:
        _scatter_by_run(axes, points, labels, np.asarray(runs), styles)
    for concept, (color, marker) in styles.items() if runs is None else ():
        mine = points[labels == concept]
        if len(mine):
            axes.scatter(*mine.T, **_POINT, c=color, marker=marker, label=for_picture(concept))
    if unnamed.any():
        axes.scatter(*points[unnamed].T, s=9, c=OTHERS, label=count_others(labels[unnamed]), zorder=0.9, linewidths=0)
    axes.set(xticks=[], yticks=[], aspect="equal")
    axes.set_adjustable("datalim")
    list_names(axes)
    return axes


def _scatter_by_run(axes, points, labels, runs, styles):
    """Colors by concept, markers by run; the legend has a line for each concept, and a gray marker for each run."""
    check_shape("runs", runs, (len(points),), meaning="one per point", fix="")
    markers = run_markers(runs.tolist())
    for concept, (color, _) in styles.items():
        for run in dict.fromkeys(runs[labels == concept].tolist()):
            mine = points[(labels == concept) & (runs == run)]
            axes.scatter(*mine.T, **_POINT, c=color, marker=markers[run])
        if concept in labels:
            axes.plot([], [], color=color, linewidth=5, label=for_picture(concept))
    for run, marker in markers.items() if styles else ():
        axes.scatter([], [], **_POINT, c=NEUTRAL, marker=marker, label=for_picture(run))
