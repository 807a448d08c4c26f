"""A grid cut into square windows and put together again: inside them, the attention of Swin transformers stays local.

Every second block rolls the grid by half a window first, so that neighbors on both sides of a border meet; cells from
opposite edges that come to lie in one window must not attend to each other.
Shapes: b images, gh x gw cells, c channels, n x m windows of t = w * w cells each.
"""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

MASKED = -100.0  # added before the softmax, where one cell must not attend to another


@dataclass(frozen=True)
class Windows:
    """How a grid is cut.

    Attributes:
        grid: rows and columns; zeros below and on the right fill up the last windows.
        side: rows, and columns, of a window, w.
        shift: cells that the filled grid is rolled up and to the left before it is cut, fewer than `side`.
    """

    grid: tuple[int, int]
    side: int
    shift: int = 0

    @property
    def counts(self) -> tuple[int, int]:
        """The number of windows along each axis."""
        rows, columns = (-(-n // self.side) for n in self.grid)
        return rows, columns

    def cut(self, x: Float[Array, "b gh gw c"]) -> Float[Array, "b n m t c"]:
        """The windows of `x`, each one's cells row by row."""
        (n, m), w = self.counts, self.side
        x = jnp.pad(x, [(0, 0), *((0, -size % w) for size in self.grid), (0, 0)])
        if self.shift:
            x = jnp.roll(x, (-self.shift, -self.shift), (1, 2))
        return x.reshape(len(x), n, w, m, w, -1).swapaxes(2, 3).reshape(len(x), n, m, w * w, -1)

    def join(self, x: Float[Array, "b n m t c"]) -> Float[Array, "b gh gw c"]:
        """The grid whose windows `x` are: undoes `cut`."""
        (n, m), w = self.counts, self.side
        x = x.reshape(len(x), n, m, w, w, -1).swapaxes(2, 3).reshape(len(x), n * w, m * w, -1)
        if self.shift:
            x = jnp.roll(x, (self.shift, self.shift), (1, 2))
        rows, columns = self.grid
        return x[:, :rows, :columns]

    def add_shift_mask(self, scores: Float[Array, "b n m heads t t"]) -> Float[Array, "b n m heads t t"]:
        """The scores, with `MASKED` added between cells that are neighbors only by the roll."""
        if not self.shift:
            return scores
        rows, columns = (_axis_mask(count, self.side, self.shift) for count in self.counts)
        rows = rows.repeat(self.side, 1).repeat(self.side, 2)
        columns = np.tile(columns, (1, self.side, self.side))
        return scores + rows[:, None, None].astype(scores.dtype) + columns[:, None].astype(scores.dtype)


def _axis_mask(count: int, side: int, shift: int) -> Float[np.ndarray, "count w w"]:
    """What to add between positions of the same window along one axis."""
    from_other_edge = (np.arange(count * side) >= count * side - shift).reshape(count, side)
    return MASKED * (from_other_edge[:, :, None] != from_other_edge[:, None, :])


def relative_positions(side: int) -> Int[np.ndarray, "t t"]:
    """For each pair of cells in a window of side w, which of the (2 w - 1)² displacements leads from one to the other.

    They are counted row by row, from up and left to down and right.

    >>> relative_positions(2)
    array([[4, 3, 1, 0],
           [5, 4, 2, 1],
           [7, 6, 4, 3],
           [8, 7, 5, 4]])
    """
    row, column = np.divmod(np.arange(side * side), side)
    down, right = (index[:, None] - index[None, :] + side - 1 for index in (row, column))
    return down * (2 * side - 1) + right
