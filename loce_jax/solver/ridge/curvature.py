"""The curvature of a loss on the target's grid, seen from the layer's grid.

Bilinear resizing mixes neighboring cells only, so ``U.T @ diag(curvature) @ U``, with U the resize of the flattened
grid, couples a cell with itself and its eight neighbors: five maps hold all of it, since it is symmetric.  Applying
them costs nine products per cell instead of four matrix products and a pass over the target's pixels.
Shapes: h x w grid cells of the layer, H x W the target's grid.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from loce_jax.solver.paper.sample import Resize


class Bands(NamedTuple):
    """What couples the cell in row y, column x with itself, and with those to its right, below, and beside below."""

    own: Float[Array, "h w"]
    right: Float[Array, "h w"]
    below_left: Float[Array, "h w"]
    below: Float[Array, "h w"]
    below_right: Float[Array, "h w"]


def couple(curvature: Float[Array, "H W"], resize: Resize) -> Bands:
    """The bands of ``U.T @ diag(curvature) @ U``; of two rows of taps, ``a * b`` is what both have in common."""
    rows, columns = resize
    across = columns * columns, columns * _next(columns)
    level, down = (rows * rows).T @ curvature, (rows * _next(rows)).T @ curvature
    below_left = jnp.roll(across[1], 1, axis=1)  # its first column is 0: there is nothing left of the first cell
    return Bands(level @ across[0], level @ across[1], down @ below_left, down @ across[0], down @ across[1])


def apply_bands(bands: Bands, values: Float[Array, "h w"]) -> Float[Array, "h w"]:
    """``U.T @ diag(curvature) @ U`` applied to a map of the layer's grid.

    >>> resize = jnp.array([[1.0, 0.0], [0.5, 0.5]]), jnp.ones((1, 1))
    >>> apply_bands(couple(jnp.array([[2.0], [4.0]]), resize), jnp.array([[1.0], [0.0]])).ravel().tolist()
    [3.0, 1.0]
    """
    out = bands.own * values
    for band, down, across in zip(bands[1:], (0, 1, 1, 1), (1, -1, 0, 1), strict=True):
        out += band * _moved(values, -down, -across) + _moved(band * values, down, across)
    return out


def _next(taps):
    """Each column's right neighbor, beyond the last one 0."""
    return jnp.pad(taps[:, 1:], ((0, 0), (0, 1)))


def _moved(values, down, across):
    """The map moved by at most a cell each way; what moves in is 0."""
    h, w = values.shape
    padded = jnp.pad(values, 1)
    return padded[1 - down : 1 - down + h, 1 - across : 1 - across + w]
