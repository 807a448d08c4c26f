"""Position embeddings: stored ones, resampled to the input's grid, and rotary ones.

Shapes: n stored positions, t tokens, gh x gw grid cells, c channels, d channels of one attention head.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Grid = tuple[int, ...]  # rows, columns


def bicubic_matrix(n_in: int, n_out: int, *, antialias: bool = False) -> Float[np.ndarray, "n_out n_in"]:
    """Bicubic interpolation of one axis as a matrix, with Keys' kernel (1981).

    The convention of ``torch.nn.functional.interpolate(mode="bicubic", align_corners=False)``: four taps per row,
    clamped at the border, with a = -3/4.  With `antialias`, a = -1/2, the kernel is as wide as the new cells where
    these are the wider ones, and samples beyond the border have no weight.

    >>> bicubic_matrix(3, 3)
    array([[1., 0., 0.],
           [0., 1., 0.],
           [0., 0., 1.]])
    """
    step = n_in / n_out
    center = (np.arange(n_out) + 0.5) * step
    if antialias:
        matrix = _cubic((np.arange(n_in) + 0.5 - center[:, None]) / max(step, 1.0), -0.5)
        return matrix / matrix.sum(axis=1, keepdims=True)
    matrix, left = np.zeros((n_out, n_in)), np.floor(center - 0.5).astype(int)
    for tap in (-1, 0, 1, 2):
        share = _cubic(center - 0.5 - left - tap, -0.75)
        np.add.at(matrix, (np.arange(n_out), np.clip(left + tap, 0, n_in - 1)), share)
    return matrix


def _cubic(x: np.ndarray, a: float) -> np.ndarray:
    x = np.abs(x)
    near, far = ((a + 2) * x - (a + 3)) * x**2 + 1, a * (((x - 5) * x + 8) * x - 4)
    return np.where(x <= 1, near, np.where(x < 2, far, 0))


def resample(
    stored: Float[Array, "n c"], old: Grid, new: Grid, *, before: int = 0, after: int = 0, antialias: bool = False
) -> Float[Array, "t c"]:
    """Positions stored for an `old` grid, with `before` and `after` tokens around it, for a `new` grid.

    Computed in float32, returned in the precision they are stored in.
    """
    if old == new:
        return stored
    first, cells, last = jnp.split(stored, [before, len(stored) - after])
    rows, columns = (
        bicubic_matrix(n_in, n_out, antialias=antialias).astype(np.float32)
        for n_in, n_out in zip(old, new, strict=True)
    )
    cells = cells.reshape(*old, -1).astype(jnp.float32)
    cells = jnp.einsum("ys,xr,src->yxc", rows, columns, cells, precision="highest")
    return jnp.concatenate([first, cells.reshape(-1, cells.shape[-1]).astype(stored.dtype), last])


def rotations(grid: Grid, channels: int, theta: float, prefix: int) -> Float[np.ndarray, "2 t d"]:
    """Cosine and signed sine of each token's rotary angles, after Heo et al., "Rotary Position Embedding", 2024.

    The centers of the cells lie between -1 and 1 on both axes.  A quarter of the channels holds the rows' angles, at
    wavelengths from 1 to nearly `theta`, a quarter the columns'; the second half repeats the first.  The `prefix`
    tokens before the grid's are not rotated.
    """
    centers = np.meshgrid(*((np.arange(n) + 0.5) / n * 2 - 1 for n in grid), indexing="ij")
    frequencies = 2 * np.pi * theta ** -np.arange(0, 1, 4 / channels)
    half = (np.stack(centers, -1)[..., None] * frequencies).reshape(-1, channels // 2)
    turned = np.stack([np.cos([half, half]), np.sin([-half, half])])  # 2, halves, cells, channels / 2
    turned = turned.transpose(0, 2, 1, 3).reshape(2, -1, channels)
    still = np.stack([np.ones((prefix, channels)), np.zeros((prefix, channels))])
    return np.concatenate([still, turned], axis=1)


def rotate(x: Float[Array, "b heads t d"], turns: Float[Array, "2 t d"]) -> Float[Array, "b heads t d"]:
    """Each pair of channels, d / 2 apart, rotated by its token's angle."""
    return x * turns[0] + jnp.roll(x, x.shape[-1] // 2, axis=-1) * turns[1]
