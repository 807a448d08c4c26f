"""The bilinear resize of one concept's response to the target's grid, and its transpose, on a CPU core.

Columns are resized by a product with a banded matrix; rows are interpolated in `loss_and_grad`.
Shapes: h x w grid cells of the layer, H x W the target's grid.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from loce_jax.resampling import Taps, bilinear_matrix, two_taps
from loce_jax.solver.cpu.simd import (
    LANES,
    ZERO,
    aligned_zeros,
    broadcast,
    fma,
    inline_simd,
    load,
    padded_length,
    store,
)


class BandMatrix(NamedTuple):
    """A matrix that is 0 outside a band; its columns are padded to a multiple of `LANES`.

    Attributes:
        matrix: the numbers.
        begin, end: for each group of `LANES` columns, the range of rows that are not all 0 there.
    """

    matrix: Float[np.ndarray, "a b"]
    begin: Int[np.ndarray, " g"]
    end: Int[np.ndarray, " g"]


class ResizeBuffers(NamedTuple):
    """The resize of both axes, and the buffers that the response and its gradient pass on their way.

    Attributes:
        columns, columns_transposed: the resize of the columns, and its transpose.
        rows: the two taps of the resize of the rows.
        row_starts: the target's rows from ``row_starts[i]`` to ``row_starts[i + 1]`` have row i as their first tap.
        column_mask: 1 for the target's columns, 0 for padding lanes.
        resized: the response, its columns resized; the last row's second tap may be the row after it, with weight 0.
        resized_grad: the gradient with respect to `resized`.
    """

    columns: BandMatrix
    columns_transposed: BandMatrix
    rows: Taps
    row_starts: Int[np.ndarray, " h_plus_1"]
    column_mask: Float[np.ndarray, " padded_W"]
    resized: Float[np.ndarray, "h_plus_1 padded_W"]
    resized_grad: Float[np.ndarray, "h_plus_1 padded_W"]


def make_resize_buffers(grid: tuple[int, int], size: tuple[int, int]) -> ResizeBuffers:
    """`ResizeBuffers` from responses on `grid` to `size`."""
    (h, w), (H, W) = grid, size
    rows, columns = two_taps(bilinear_matrix(h, H)), bilinear_matrix(w, W)
    return ResizeBuffers(
        columns=band_matrix(columns.T),
        columns_transposed=band_matrix(columns),
        rows=rows,
        row_starts=np.searchsorted(rows.first, np.arange(h + 1)),
        column_mask=(np.arange(padded_length(W)) < W).astype(np.float32),
        resized=aligned_zeros(h + 1, padded_length(W)),
        resized_grad=aligned_zeros(h + 1, padded_length(W)),
    )


def band_matrix(matrix: Float[np.ndarray, "a b"]) -> BandMatrix:
    """`matrix` with padded columns, and where it is not 0."""
    rows, columns = matrix.shape
    padded = aligned_zeros(rows, padded_length(columns))
    padded[:, :columns] = matrix
    present = np.any(padded.reshape(rows, -1, LANES), axis=2)
    return BandMatrix(padded, present.argmax(axis=0), rows - present[::-1].argmax(axis=0))


@inline_simd
def multiply_band(source, by, out):
    """``out = source @ by.matrix``; four rows of `source` share each load of the matrix."""
    fours = len(source) - len(source) % 4
    for group in range(by.begin.size):
        x, begin, end = group * LANES, by.begin[group], by.end[group]
        for i in range(0, fours, 4):
            a, b, c, d = broadcast(ZERO), broadcast(ZERO), broadcast(ZERO), broadcast(ZERO)
            for j in range(begin, end):
                line = load(by.matrix[j], x)
                a, b = fma(a, source[i, j], line), fma(b, source[i + 1, j], line)
                c, d = fma(c, source[i + 2, j], line), fma(d, source[i + 3, j], line)
            store(out[i], x, a)
            store(out[i + 1], x, b)
            store(out[i + 2], x, c)
            store(out[i + 3], x, d)
        for i in range(fours, len(source)):
            a = broadcast(ZERO)
            for j in range(begin, end):
                a = fma(a, source[i, j], load(by.matrix[j], x))
            store(out[i], x, a)
