"""The pixels that a projection, resized to a photo's size and thresholded, shares with a mask, in one pass by Numba.

A photo has many more pixels than the projection, so only pixels that may be above the threshold are computed.
Shapes: h x w the projection's grid, H x W pixels of the photo.
"""

import functools as ft

import numpy as np
from jaxtyping import Bool, Float

from loce_jax.resampling import antialias_matrix, two_taps
from loce_jax.solver.cpu.compiling import cached_njit, read_only

NEARLY_HALF = 0.5 - 1e-9  # interpolating values up to here gives none above one half, whatever is rounded


def count_overlap(values: Float[np.ndarray, "h w"], mask: Bool[np.ndarray, "H W"]) -> tuple[int, int]:
    """Pixels of the resized projection above one half that the mask has too, and all that are above one half.

    Args:
        values: the projection, float64; no side is longer than the mask's.
        mask: the mask.
    """
    axes = [_taps(*lengths) for lengths in zip(values.shape, mask.shape, strict=True)]
    resize, starts = zip(*axes, strict=True)
    return count_pixels(read_only(values), read_only(mask), resize, starts)


@ft.lru_cache(maxsize=1024)
def _taps(n_in, n_out):
    """The resize of an axis, and for each value the first pixel whose first tap is that value or a later one."""
    taps = two_taps(antialias_matrix(n_in, n_out), np.float64)
    return taps, np.searchsorted(taps.first, np.arange(n_in + 1))


@cached_njit
def count_pixels(values, mask, resize, starts):
    """See `count_overlap`; a row is interpolated only where it or a neighbor has a value above one half.

    Args:
        values: the projection, [h w] float64.
        mask: [H W] bool.
        resize: `loce_jax.resampling.Taps` of both axes, float64.
        starts: `_taps`'s of both axes, [h + 1] and [w + 1].
    """
    (down, across), (h, w) = resize, values.shape
    rows, columns = starts
    begin, end = np.full(h + 2, mask.shape[1]), np.zeros(h + 2, np.int64)  # of row y at y + 1
    for y in range(h):
        for x in range(w):
            if values[y, x] > NEARLY_HALF:
                begin[y + 1], end[y + 1] = min(begin[y + 1], columns[max(x - 1, 0)]), columns[x + 1]
    wide = np.empty((h + 1, mask.shape[1]))
    both, drawn = 0, 0
    for y in range(h + 1):
        source, line = values[min(y, h - 1)], wide[y]
        for x in range(begin[y : y + 3].min(), end[y : y + 3].max()):
            left = across.first[x]
            line[x] = across.near[x] * source[left] + across.far[x] * source[min(left + 1, w - 1)]
    for i in range(h):
        some = slice(begin[i + 1 : i + 3].min(), end[i + 1 : i + 3].max())
        above, below = wide[i, some], wide[i + 1, some]
        for y in range(rows[i], rows[i + 1]):
            near, far, wanted = down.near[y], down.far[y], mask[y, some]
            for x in range(wanted.size):
                on = near * above[x] + far * below[x] > 0.5
                both += on & wanted[x]
                drawn += on
    return both, drawn
