"""Enlarge, threshold and count in one pass, compiled: a photo has many more pixels than its projection.

Letters: h x w the projection's grid, H x W pixels of the photo.
"""

import numpy as np

from loce_jax.solver.compiling import kept


@kept
def count_enlarged(values, mask, resize):
    """Pixels that the enlarged projection and the mask both have, and that either has.

    Args:
        values: the projection, [h w] float64.
        mask: [H W] bool, C-contiguous.
        resize: `loce_jax.resampling.Taps` of both axes, float64.
    """
    down, across = resize
    h, w = values.shape
    wide = np.zeros((h + 1, mask.shape[1]))
    for y in range(h):
        line, source = wide[y], values[y]
        for x in range(line.size):
            left = across.first[x]
            line[x] = across.near[x] * source[left] + across.far[x] * source[min(left + 1, w - 1)]
    both, either = 0, 0
    for y in range(len(mask)):
        near, far, wanted = down.near[y], down.far[y], mask[y]
        above, below = wide[down.first[y]], wide[down.first[y] + 1]
        for x in range(wanted.size):
            drawn = near * above[x] + far * below[x] > 0.5
            both += drawn & wanted[x]
            either += drawn | wanted[x]
    return both, either
