"""One concept's pixels on a CPU core, compiled by Numba: from its response to the objective and back.

Columns are resized by a small product, forth and back; between two rows of its outcome the target's rows are
interpolated, squashed, compared and their slopes dealt back without leaving the registers.
Letters: h x w grid cells of the layer, H x W the target's grid.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from loce_jax.resampling import Taps, bilinear_matrix, two_taps
from loce_jax.solver.cpu.compiling import clear, compiled
from loce_jax.solver.cpu.simd import (
    HALF,
    LANES,
    ONE,
    ZERO,
    add_product,
    compiled_lanes,
    every,
    load,
    on_lines,
    power_of_two,
    store,
    sum_of,
    whole,
    within,
)
from loce_jax.solver.losses import OBJECTIVES

# 2**f is its Taylor series for |f| <= 1/2: six terms are within 1.2e-7
SERIES = tuple(np.float32(math.log(2) ** power / math.factorial(power)) for power in range(7))
LOG2_E, HIGHEST_POWER = np.float32(1 / math.log(2)), np.float32(126)
ROUNDER = np.float32(1.5 * 2**23)  # adding it rounds a float32 to an integer, which its lowest bits then hold

COMPILED = ("bce", "mse", "mae")  # the objectives of `descend`; XLA solves for others
BCE, MSE, MAE = range(len(COMPILED))
(bce_value, bce_slope), (mse_value, mse_slope), (mae_value, mae_slope) = (
    (compiled_lanes(OBJECTIVES[name].value), compiled_lanes(OBJECTIVES[name].slope)) for name in COMPILED
)


class Band(NamedTuple):
    """A matrix to multiply with, its columns filled up to whole registers; beyond its band it is 0.

    Attributes:
        matrix: the numbers.
        begin, end: for each register of columns, the rows that are not all 0 there.
    """

    matrix: Float[np.ndarray, "a b"]
    begin: Int[np.ndarray, " r"]
    end: Int[np.ndarray, " r"]


class Room(NamedTuple):
    """Where one concept's response is enlarged and its slopes are brought back: both resizes, and space.

    Attributes:
        across, back: the resize of the columns, and its transpose.
        down: the two taps of the resize of the rows.
        starts: the target's rows from ``starts[i]`` to ``starts[i + 1]`` have row i as their first tap.
        inside: 1 for the target's columns, 0 for those that fill up a register.
        rows: the response, its columns resized; the last row's second tap may lie beyond, with weight 0.
        pulled: the slopes of `rows`.
    """

    across: Band
    back: Band
    down: Taps
    starts: Int[np.ndarray, " h_plus_1"]
    inside: Float[np.ndarray, " whole_W"]
    rows: Float[np.ndarray, "h_plus_1 whole_W"]
    pulled: Float[np.ndarray, "h_plus_1 whole_W"]


def make_room(grid: tuple[int, int], size: tuple[int, int]) -> Room:
    """`Room` to enlarge responses on `grid` to `size`."""
    (h, w), (H, W) = grid, size
    down, across = two_taps(bilinear_matrix(h, H)), bilinear_matrix(w, W)
    return Room(
        across=band(across.T),
        back=band(across),
        down=down,
        starts=np.searchsorted(down.first, np.arange(h + 1)),
        inside=(np.arange(whole(W)) < W).astype(np.float32),
        rows=on_lines(h + 1, whole(W)),
        pulled=on_lines(h + 1, whole(W)),
    )


def band(matrix: Float[np.ndarray, "a b"]) -> Band:
    """Where `matrix` is not 0."""
    rows, columns = matrix.shape
    padded = on_lines(rows, whole(columns))
    padded[:, :columns] = matrix
    present = np.any(padded.reshape(rows, -1, LANES), axis=2)
    return Band(padded, present.argmax(axis=0), rows - present[::-1].argmax(axis=0))


@compiled_lanes
def redraw(response, target, background, room, objective, out):
    """The objective of one concept's response; its derivatives with respect to the response go to `out`."""
    multiply(response, room.across, room.rows)
    clear(room.pulled[:1])
    total = descend(target, background, room, objective)
    multiply(room.pulled[: len(response)], room.back, out)
    return total


@compiled_lanes
def multiply(source, by, out):
    """``out = source @ by.matrix``; four rows of `source` share a reading of the matrix."""
    fours = len(source) - len(source) % 4
    for register in range(by.begin.size):
        x, begin, end = register * LANES, by.begin[register], by.end[register]
        for i in range(0, fours, 4):
            a, b, c, d = every(ZERO), every(ZERO), every(ZERO), every(ZERO)
            for j in range(begin, end):
                line = load(by.matrix[j], x)
                a, b = add_product(a, source[i, j], line), add_product(b, source[i + 1, j], line)
                c, d = add_product(c, source[i + 2, j], line), add_product(d, source[i + 3, j], line)
            store(out[i], x, a)
            store(out[i + 1], x, b)
            store(out[i + 2], x, c)
            store(out[i + 3], x, d)
        for i in range(fours, len(source)):
            a = every(ZERO)
            for j in range(begin, end):
                a = add_product(a, source[i, j], load(by.matrix[j], x))
            store(out[i], x, a)


@compiled_lanes
def descend(target, background, room, objective):
    """The objective's sum over the enlarged response; its derivatives with respect to `rows` go to `pulled`."""
    if objective == BCE:
        return descend_by(bce_value, bce_slope, target, background, room)
    if objective == MSE:
        return descend_by(mse_value, mse_slope, target, background, room)
    return descend_by(mae_value, mae_slope, target, background, room)


@compiled_lanes
def descend_by(value, slope, target, background, room):
    """`descend` by one objective's functions; all that lies between two rows stays in registers."""
    total = every(ZERO)
    for i in range(room.starts.size - 1):
        for x in range(0, target.shape[1], LANES):
            one, other, inside = load(room.rows[i], x), load(room.rows[i + 1], x), load(room.inside, x)
            on_one, on_other, here = load(room.pulled[i], x), every(ZERO), every(ZERO)
            for y in range(room.starts[i], room.starts[i + 1]):
                near, far, wanted = room.down.near[y], room.down.far[y], load(target[y], x)
                p = sigmoid(add_product(far * other, near, one))
                here = here + value(p, wanted, background)
                pull = slope(p, wanted, background) * (p * (ONE - p))
                on_one, on_other = add_product(on_one, near, pull), add_product(on_other, far, pull)
            store(room.pulled[i], x, on_one)
            store(room.pulled[i + 1], x, on_other)
            total = add_product(total, inside, here)
    return sum_of(total)


@compiled_lanes
def overlap(response, target, room, drawn_from):
    """IoU of the projection, "on" from `drawn_from`, and the target, on above one half."""
    multiply(response, room.across, room.rows)
    both, either = every(ZERO), every(ZERO)
    for i in range(room.starts.size - 1):
        for x in range(0, target.shape[1], LANES):
            one, other, inside = load(room.rows[i], x), load(room.rows[i + 1], x), load(room.inside, x)
            for y in range(room.starts[i], room.starts[i + 1]):
                p = sigmoid(add_product(room.down.far[y] * other, room.down.near[y], one))
                drawn, wanted = p >= drawn_from, load(target[y], x) > HALF
                shared = drawn * wanted * inside
                both = both + shared
                either = either + (drawn + wanted) * inside - shared
    return sum_of(both) / max(sum_of(either), ONE)


@compiled_lanes
def sigmoid(x):
    """``1 / (1 + exp(-x))``, relative error 3e-7 near 0 and below 1e-5 anywhere; a NaN stays one."""
    power = within(x * -LOG2_E, -HIGHEST_POWER, HIGHEST_POWER)
    rounded = power + ROUNDER
    f = power - (rounded - ROUNDER)
    _, a, b, c, d, e, g = SERIES
    series = add_product(c, f, add_product(d, f, add_product(e, f, g)))
    series = add_product(ONE, f, add_product(a, f, add_product(b, f, series)))
    return ONE / add_product(ONE, power_of_two(rounded), series)


@compiled
def copy_target(target, out, extremes):
    """Copy a target; the share of its pixels that are 0, and to `extremes` its lowest and highest number."""
    count, lowest, highest = 0, target[0, 0], target[0, 0]
    for y in range(target.shape[0]):
        for x in range(target.shape[1]):
            out[y, x] = target[y, x]
            count += target[y, x] <= ZERO
            lowest, highest = min(lowest, target[y, x]), max(highest, target[y, x])
    extremes[0], extremes[1] = lowest, highest
    return np.float32(count) / np.float32(target.size)
