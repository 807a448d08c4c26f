"""A concept-by-concept matrix as a heat map with its numbers.

Shapes: r rows, k columns.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from loce_jax.analysis.metrics.separation import Separation
from loce_jax.foreign_text import for_picture
from loce_jax.plots.palette import SEQUENTIAL

_MAX_NUMBERED = 24  # concepts up to which the numbers in the cells can be read
_MAX_WIDTH = 17.0  # inches
MAX_NAMED = 120  # rows and columns whose names are drawn


def draw_matrix(  # noqa: PLR0913 - how a matrix is drawn
    axes: Axes,
    matrix: Float[np.ndarray, "r k"],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    low: float = 0.0,
    high: float = 1.0,
    numbered: bool = True,
) -> Axes:
    """Draw values from `low` (dark) to `high` (bright), with the scale beside them; NaN stays empty.

    Where `low` is below 0 the scale has two colors, and white is midway.  More than 120 rows or columns have no names,
    and more than 24 no numbers in the cells; nor have any if not `numbered`.
    """
    scale = LinearSegmentedColormap.from_list("matrix", SEQUENTIAL) if low >= 0 else colormaps["PuOr"]
    image = axes.imshow(matrix, cmap=scale, vmin=low, vmax=high)
    axes.figure.colorbar(image, ax=axes, fraction=0.046, pad=0.02).ax.tick_params(labelsize=7)
    few = max(matrix.shape) <= _MAX_NUMBERED
    size = 9 if few else 5
    if max(matrix.shape) > MAX_NAMED:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlabel(f"{len(columns):,} names")
        return axes
    axes.set_xticks(range(len(columns)), [for_picture(name) for name in columns], rotation=90, fontsize=size)
    axes.set_yticks(range(len(rows)), [for_picture(name) for name in rows], fontsize=size)
    if few and numbered:
        for (i, j), value in np.ndenumerate(matrix):
            if np.isfinite(value):
                color = "black" if _lightness(image.to_rgba(value)) > 0.5 else "white"
                axes.text(j, i, f"{value:.2f}", ha="center", va="center", color=color, fontsize=7)
    return axes


def _lightness(color):
    """Rough share of white, 0 to 1, of red, green, blue and opacity."""
    return np.dot([0.299, 0.587, 0.114], color[:3])


def lay_out(count: int, names: int, *, letters: int = 12, numbered: bool = True) -> tuple[Figure, list[Axes]]:
    """A figure with Axes for `count` matrices, in as few rows as fit, with at least two Axes per row.

    Its size grows with the number of names, up to 120, and with the letters of the longest; numbers in cells need room.
    """
    names = min(names, MAX_NAMED)
    cell = (0.31 if numbered else 0.17) if names <= _MAX_NUMBERED else 0.085
    side = max(3.2, cell * names) + 1.2 + 0.05 * letters
    rows = -(-count // max(2, int(_MAX_WIDTH / side)))
    columns = -(-count // rows)
    figure = Figure(figsize=(columns * side, rows * side), layout="constrained")
    every = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in every[count:]:
        axes.set_axis_off()
    return figure, list(every[:count])


def draw_separation(axes: Axes, separation: Separation) -> Axes:
    """Draw `Separation.matrix`: dark pairs are easily confused.  The diagonal, 0 by definition, stays empty."""
    names = [str(concept) for concept in separation.concepts]
    return draw_matrix(axes, without_diagonal(separation.matrix), names, names)


def without_diagonal(matrix: Float[np.ndarray, "k k"]) -> Float[np.ndarray, "k k"]:
    """A copy with NaN on the diagonal.

    >>> without_diagonal(np.ones((2, 2))).tolist()
    [[nan, 1.0], [1.0, nan]]
    """
    copy = matrix.astype(np.float64)
    np.fill_diagonal(copy, np.nan)
    return copy
