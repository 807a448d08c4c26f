"""The products of one image's activations with its concepts' vectors, and of the transpose with their gradients.

Each product is one reading of the activations, which takes half of the solver's time: all concepts share it, two of
them in registers.  The terms and the order of a concept's sums do not depend on the other concepts.
Shapes: k concepts, p cells, c channels, padded to a multiple of `LANES`.
"""

import numpy as np

from loce_jax.solver.cpu.compiling import set_zero, widens_half
from loce_jax.solver.cpu.simd import LANES, ZERO, broadcast, fma, inline_simd, load, store, store_lane_sums, sum_lanes


@inline_simd
def matvec(cells, vectors, out):
    """``out = vectors @ cells.T``; four cells stay in cache for all concepts, and two concepts share a load."""
    (p, c), k, zero = cells.shape, len(vectors), broadcast(ZERO)
    for i in range(0, p - 3, 4):
        for j in range(0, k - 1, 2):
            ones, others = (zero, zero, zero, zero), (zero, zero, zero, zero)
            for q in range(0, c, LANES):
                four = load_four_cells(cells, i, q)
                ones = fma_each(ones, four, load(vectors[j], q))
                others = fma_each(others, four, load(vectors[j + 1], q))
            store_lane_sums(out[j], i, ones)
            store_lane_sums(out[j + 1], i, others)
        if k % 2:
            ones = zero, zero, zero, zero
            for q in range(0, c, LANES):
                ones = fma_each(ones, load_four_cells(cells, i, q), load(vectors[k - 1], q))
            store_lane_sums(out[k - 1], i, ones)
    for i in range(p - p % 4, p):
        for j in range(k):
            total = zero
            for q in range(0, c, LANES):
                total = fma(total, load(cells[i], q), load(vectors[j], q))
            out[j, i] = sum_lanes(total)


@inline_simd
def matvec_transpose(cells, grads, index, scale, out):
    """``out = scale * grads[:, index] @ cells``.

    The last cells come first: `matvec` has read them last, so they are still in cache.
    """
    (p, c), k = cells.shape, len(grads)
    set_zero(out)
    for i in range(p - 4, -1, -4):
        for j in range(0, k - 1, 2):
            ones = broadcast_four_grads(grads[j], index, i, scale)
            others = broadcast_four_grads(grads[j + 1], index, i, scale)
            for q in range(0, c, LANES):
                four = load_four_cells(cells, i, q)
                store(out[j], q, fma_all(load(out[j], q), four, ones))
                store(out[j + 1], q, fma_all(load(out[j + 1], q), four, others))
        if k % 2:
            ones = broadcast_four_grads(grads[k - 1], index, i, scale)
            for q in range(0, c, LANES):
                store(out[k - 1], q, fma_all(load(out[k - 1], q), load_four_cells(cells, i, q), ones))
    for i in range(p % 4):
        for j in range(k):
            grad = broadcast(scale * grads[j, index[i]])
            for q in range(0, c, LANES):
                store(out[j], q, fma(load(out[j], q), grad, load(cells[i], q)))


@inline_simd
def load_four_cells(cells, i, q):
    """The channels from `q` on of four cells."""
    return load(cells[i], q), load(cells[i + 1], q), load(cells[i + 2], q), load(cells[i + 3], q)


@inline_simd
def broadcast_four_grads(grads, index, i, scale):
    """The scaled gradients of four cells, each in all lanes."""
    return (
        broadcast(scale * grads[index[i]]),
        broadcast(scale * grads[index[i + 1]]),
        broadcast(scale * grads[index[i + 2]]),
        broadcast(scale * grads[index[i + 3]]),
    )


@inline_simd
def fma_each(totals, four, by):
    """``totals + by * four``, for each of four cells."""
    (a, b, d, e), (on_a, on_b, on_d, on_e) = four, totals
    return fma(on_a, a, by), fma(on_b, b, by), fma(on_d, d, by), fma(on_e, e, by)


@inline_simd
def fma_all(total, four, by):
    """``total`` plus the products of all four cells."""
    (a, b, d, e), (by_a, by_b, by_d, by_e) = four, by
    return fma(fma(total, by_b, b), by_e, e) + fma(by_a * a, by_d, d)


def as_loadable(activations):
    """The activations as `load` reads them: 16-bit ones as integers of their bits, since Numba has no such float."""
    bits = {"bfloat16": np.uint16} | ({"float16": np.int16} if widens_half() else {})
    array = np.ascontiguousarray(activations)
    return array.view(bits[array.dtype.name]) if array.dtype.name in bits else array.astype(np.float32, copy=False)
