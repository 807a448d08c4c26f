"""Enlarge, threshold and count in one pass, compiled: a photo has many more pixels than its projection.

Letters: h x w the projection's grid, H x W pixels of the photo.
"""

import numpy as np

from loce_jax.solver.cpu.compiling import kept

NEARLY_HALF = 0.5 - 1e-9  # of values up to here, no two are enlarged to more than one half, whatever is rounded


@kept
def count_enlarged(values, mask, resize, starts):
    """Pixels of the enlarged projection, above one half, and those of them that the mask has too.

    Only where a row has such values, or one of its neighbors, is anything enlarged.

    Args:
        values: the projection, [h w] float64.
        mask: [H W] bool, C-contiguous.
        resize: `loce_jax.resampling.Taps` of both axes, float64.
        starts: of both axes, from where on the first tap is a value, or one after it, [h + 1] and [w + 1].
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
