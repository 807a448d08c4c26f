"""A concept-by-concept matrix as a heat map with its numbers."""

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

from loce_jax.analysis.separation import Separation
from loce_jax.plots.palette import SEQUENTIAL

_MOST_NUMBERS = 24  # concepts up to which the numbers in the cells can be read


def draw_separation(axes: Axes, separation: Separation) -> Axes:
    """Draw `Separation.matrix`: dark pairs are easily confused.  The diagonal, 0 by definition, stays empty."""
    matrix, names = separation.matrix.copy(), [str(concept) for concept in separation.concepts]
    matrix[range(len(names)), range(len(names))] = float("nan")
    axes.imshow(matrix, cmap=LinearSegmentedColormap.from_list("separation", SEQUENTIAL), vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_yticks(range(len(names)), names)
    if len(names) <= _MOST_NUMBERS:
        for i in range(len(names)):
            for j in range(len(names)):
                if i != j:
                    ink = "black" if matrix[i, j] > 0.45 else "white"
                    axes.text(j, i, f"{matrix[i, j]:.2f}", ha="center", va="center", color=ink, fontsize=8)
    return axes
