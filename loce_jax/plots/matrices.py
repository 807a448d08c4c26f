"""A concept-by-concept matrix as a heat map with its numbers.

Letters: r rows, k columns.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

from loce_jax.analysis.separation import Separation
from loce_jax.plots.names import plain
from loce_jax.plots.palette import SEQUENTIAL

_MOST_NUMBERS = 24  # concepts up to which the numbers in the cells can be read


def draw_matrix(
    axes: Axes,
    matrix: Float[np.ndarray, "r k"],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    low: float = 0.0,
    high: float = 1.0,
) -> Axes:
    """Draw values from `low` (dark) to `high` (bright); NaN stays empty."""
    axes.imshow(matrix, cmap=LinearSegmentedColormap.from_list("matrix", SEQUENTIAL), vmin=low, vmax=high)
    few = max(matrix.shape) <= _MOST_NUMBERS
    size = 10 if few else 6
    axes.set_xticks(range(len(columns)), [plain(name) for name in columns], rotation=90, fontsize=size)
    axes.set_yticks(range(len(rows)), [plain(name) for name in rows], fontsize=size)
    if few:
        for (i, j), value in np.ndenumerate(matrix):
            if np.isfinite(value):
                ink = "black" if value > low + 0.45 * (high - low) else "white"
                axes.text(j, i, f"{value:.2f}", ha="center", va="center", color=ink, fontsize=8)
    return axes


def side_of(names: int) -> float:
    """Inches a side in which a matrix of so many names can be read."""
    return max(4.0, 1.8 + (0.36 if names <= _MOST_NUMBERS else 0.12) * names)


def draw_separation(axes: Axes, separation: Separation) -> Axes:
    """Draw `Separation.matrix`: dark pairs are easily confused.  The diagonal, 0 by definition, stays empty."""
    names = [str(concept) for concept in separation.concepts]
    return draw_matrix(axes, without_diagonal(separation.matrix), names, names)


def without_diagonal(matrix: Float[np.ndarray, "k k"]) -> Float[np.ndarray, "k k"]:
    """A copy with NaN where a concept meets itself.

    >>> without_diagonal(np.ones((2, 2))).tolist()
    [[nan, 1.0], [1.0, nan]]
    """
    copy = matrix.astype(np.float64)
    np.fill_diagonal(copy, np.nan)
    return copy
