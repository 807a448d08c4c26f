"""One image's cells on a CPU core, compiled by Numba: the responses of its concepts' vectors, and their gradients.

Each is one reading of the activations, which is half of the work: all concepts share it, two of them in registers.
What is added up for a concept, and in which order, does not depend on the others.
Letters: k concepts, p cells, c channels, filled up to whole registers.
"""

import numpy as np

from loce_jax.solver.cpu.compiling import clear, widens_half
from loce_jax.solver.cpu.simd import LANES, ZERO, add_product, compiled_lanes, every, load, store, store_sums, sum_of


@compiled_lanes
def respond(cells, vectors, out):
    """``out = vectors @ cells.T``; four cells at a time, in cache for all concepts; two concepts share a reading."""
    (p, c), k, zero = cells.shape, len(vectors), every(ZERO)
    for i in range(0, p - 3, 4):
        for j in range(0, k - 1, 2):
            ones, others = (zero, zero, zero, zero), (zero, zero, zero, zero)
            for q in range(0, c, LANES):
                four = four_cells(cells, i, q)
                ones = add_to_each(ones, four, load(vectors[j], q))
                others = add_to_each(others, four, load(vectors[j + 1], q))
            store_sums(out[j], i, ones)
            store_sums(out[j + 1], i, others)
        if k % 2:
            ones = zero, zero, zero, zero
            for q in range(0, c, LANES):
                ones = add_to_each(ones, four_cells(cells, i, q), load(vectors[k - 1], q))
            store_sums(out[k - 1], i, ones)
    for i in range(p - p % 4, p):
        for j in range(k):
            total = zero
            for q in range(0, c, LANES):
                total = add_product(total, load(cells[i], q), load(vectors[j], q))
            out[j, i] = sum_of(total)


@compiled_lanes
def gather(cells, slopes, places, scale, out):
    """``out = scale * slopes[:, places] @ cells``; backwards: the cells that `respond` read last are still in cache."""
    (p, c), k = cells.shape, len(slopes)
    clear(out)
    for i in range(p - 4, -1, -4):
        for j in range(0, k - 1, 2):
            ones, others = four_slopes(slopes[j], places, i, scale), four_slopes(slopes[j + 1], places, i, scale)
            for q in range(0, c, LANES):
                four = four_cells(cells, i, q)
                store(out[j], q, add_all(load(out[j], q), four, ones))
                store(out[j + 1], q, add_all(load(out[j + 1], q), four, others))
        if k % 2:
            ones = four_slopes(slopes[k - 1], places, i, scale)
            for q in range(0, c, LANES):
                store(out[k - 1], q, add_all(load(out[k - 1], q), four_cells(cells, i, q), ones))
    for i in range(p % 4):
        for j in range(k):
            slope = every(scale * slopes[j, places[i]])
            for q in range(0, c, LANES):
                store(out[j], q, add_product(load(out[j], q), slope, load(cells[i], q)))


@compiled_lanes
def four_cells(cells, i, q):
    """The channels from `q` on of four cells."""
    return load(cells[i], q), load(cells[i + 1], q), load(cells[i + 2], q), load(cells[i + 3], q)


@compiled_lanes
def four_slopes(slopes, places, i, scale):
    """What to multiply four cells with."""
    return (
        every(scale * slopes[places[i]]),
        every(scale * slopes[places[i + 1]]),
        every(scale * slopes[places[i + 2]]),
        every(scale * slopes[places[i + 3]]),
    )


@compiled_lanes
def add_to_each(totals, four, by):
    """Four totals, each with its product added."""
    (a, b, d, e), (on_a, on_b, on_d, on_e) = four, totals
    return add_product(on_a, a, by), add_product(on_b, b, by), add_product(on_d, d, by), add_product(on_e, e, by)


@compiled_lanes
def add_all(total, four, by):
    """One total with four products added."""
    (a, b, d, e), (by_a, by_b, by_d, by_e) = four, by
    return add_product(add_product(total, by_b, b), by_e, e) + add_product(by_a * a, by_d, d)


def as_read(activations):
    """The activations as `load` reads them: what has 16 bits as whole numbers, since Numba knows no such float."""
    bits = {"bfloat16": np.uint16} | ({"float16": np.int16} if widens_half() else {})
    whole = np.ascontiguousarray(activations)
    return whole.view(bits[whole.dtype.name]) if whole.dtype.name in bits else whole.astype(np.float32, copy=False)
