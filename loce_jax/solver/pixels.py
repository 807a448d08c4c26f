"""One concept's pixels on a CPU core, compiled by Numba: from its response to the objective and back.

The two taps of the resize and of its transpose are written as such, the slope is written by hand, and some rows of the
target at a time go through all of it in the first-level cache.
Letters: h x w grid cells of the layer, H x W the target's grid.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numba import types
from numba.extending import intrinsic

from loce_jax.resampling import Taps
from loce_jax.solver.compiling import compiled
from loce_jax.solver.losses import OBJECTIVES

ROWS_IN_CACHE = 8
ZERO, ONE, HALF = np.float32(0), np.float32(1), np.float32(0.5)

# 2**f is its Taylor series for |f| <= 1/2: six terms are within 1.2e-7
SERIES = tuple(np.float32(math.log(2) ** power / math.factorial(power)) for power in range(7))
LOG2_E, HIGHEST_POWER = np.float32(1 / math.log(2)), np.float32(126)
ROUNDER = np.float32(1.5 * 2**23)  # adding it rounds a float32 to an integer, which its lowest bits then hold

COMPILED = ("bce", "mse", "mae")  # the objectives of `descend`; XLA solves for others
BCE, MSE, MAE = range(len(COMPILED))
(bce_value, bce_slope), (mse_value, mse_slope), (mae_value, mae_slope) = (
    (compiled(OBJECTIVES[name].value), compiled(OBJECTIVES[name].slope)) for name in COMPILED
)


class Room(NamedTuple):
    """Where one concept's response is enlarged and its slopes are brought back: the taps of both axes, and space.

    A response comes, and its slopes go, on its side: [w + 1, h].  `stretched` is the same after its columns were
    resized, `rows` that upright again, `pulled` the slopes of `rows`, and `band` some rows of the whole.  Where there
    is one row more than the grid has, the last one's second tap lies there, with weight 0.
    """

    down: Taps
    across: Taps
    stretched: Float[np.ndarray, "W h"]
    rows: Float[np.ndarray, "h_plus_1 W"]
    pulled: Float[np.ndarray, "h_plus_1 W"]
    band: Float[np.ndarray, "r W"]


@compiled
def redraw(response, target, background, room, objective, out):
    """The objective of one concept's response; its derivatives with respect to the response go to `out`."""
    H, W = target.shape
    stretch(response, room)
    clear(room.pulled)
    total = ZERO
    for low in range(0, H, len(room.band)):
        high = min(low + len(room.band), H)
        band = room.band[: high - low]
        interpolate(room.rows, room.down, low, band)
        total += descend(band.reshape(band.size), target[low:high].reshape(band.size), background, objective)
        deal(band, room.down, low, room.pulled)
    contract(room, out)
    return total


@compiled
def overlap(response, target, room, drawn_from):
    """IoU of the projection, "on" from `drawn_from`, and the target, on above one half."""
    stretch(response, room)
    both, either = 0, 0
    for y in range(len(target)):
        interpolate(room.rows, room.down, y, room.band[:1])
        for x in range(target.shape[1]):
            drawn, wanted = sigmoid(room.band[0, x]) >= drawn_from, target[y, x] > HALF
            both += drawn and wanted
            either += drawn or wanted
    return np.float32(both) / np.float32(max(either, 1))


@compiled
def stretch(response, room):
    """``room.rows = columns @ response``, upright: every loop but the turning runs along memory."""
    interpolate(response, room.across, 0, room.stretched)
    transpose(room.stretched, room.rows)


@compiled
def contract(room, out):
    """``out = columns.T @ room.pulled``, on its side, the transpose of `stretch`."""
    transpose(room.pulled[: room.stretched.shape[1]], room.stretched)
    clear(out)
    deal(room.stretched, room.across, 0, out)


@compiled
def interpolate(source, taps, start, out):
    """The rows from `start` on of `source` resized along its first axis."""
    for i in range(len(out)):
        near, far, line = taps.near[start + i], taps.far[start + i], out[i]
        one, other = source[taps.first[start + i]], source[taps.first[start + i] + 1]
        for j in range(line.size):
            line[j] = near * one[j] + far * other[j]


@compiled
def deal(source, taps, start, out):
    """Add to `out` what the transpose of `interpolate` makes of `source`."""
    for i in range(len(source)):
        near, far, line = taps.near[start + i], taps.far[start + i], source[i]
        one, other = out[taps.first[start + i]], out[taps.first[start + i] + 1]
        for j in range(line.size):
            one[j] += near * line[j]
            other[j] += far * line[j]


@compiled
def clear(values):
    """Set a matrix to 0."""
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            values[i, j] = ZERO


@compiled
def copy(source, out):
    """``out = source``, a vector; NumPy's own way takes seconds to compile."""
    for i in range(source.size):
        out[i] = source[i]


@compiled
def transpose(source, out):
    """``out[: source.shape[1]] = source.T``."""
    for i in range(source.shape[0]):
        for j in range(source.shape[1]):
            out[j, i] = source[i, j]


@compiled
def look(target, extremes):
    """Share of pixels where the target is 0; its lowest and highest number go to `extremes`."""
    count, lowest, highest = 0, target[0, 0], target[0, 0]
    for y in range(target.shape[0]):
        for x in range(target.shape[1]):
            count += target[y, x] <= ZERO
            lowest, highest = min(lowest, target[y, x]), max(highest, target[y, x])
    extremes[0], extremes[1] = lowest, highest
    return np.float32(count) / np.float32(target.size)


@compiled
def descend(logits, target, background, objective):
    """The objective's sum; its derivatives with respect to the logits take the logits' place."""
    if objective == BCE:
        return descend_by(bce_value, bce_slope, logits, target, background)
    if objective == MSE:
        return descend_by(mse_value, mse_slope, logits, target, background)
    return descend_by(mae_value, mae_slope, logits, target, background)


@compiled
def descend_by(value, slope, logits, target, background):
    """`descend` by one objective's functions; a choice within the loop would keep it from being fast."""
    total = ZERO
    for i in range(logits.size):
        p = sigmoid(logits[i])
        total += value(p, target[i], background)
        logits[i] = slope(p, target[i], background) * p * (ONE - p)
    return total


def sigmoid(x):
    """``1 / (1 + exp(-x))``, relative error 3e-7 near 0 and below 1e-5 anywhere; a NaN stays one."""
    power = -x * LOG2_E
    power = HIGHEST_POWER if power > HIGHEST_POWER else power
    power = -HIGHEST_POWER if power < -HIGHEST_POWER else power
    rounded = power + ROUNDER
    f = power - (rounded - ROUNDER)
    scale = float_of((bits_of(rounded) << np.int32(23)) + np.int32(127 << 23))
    _, a, b, c, d, e, g = SERIES
    return ONE / (ONE + scale * (ONE + f * (a + f * (b + f * (c + f * (d + f * (e + f * g)))))))


sigmoid = compiled(sigmoid, reorder=False)  # reordered, `rounded - ROUNDER` would be `power`


def reading(source, target):
    """A compiled function that reads the bits of a `source` as a `target`."""

    @intrinsic
    def read(typing_context, number):  # noqa: ARG001 - how Numba calls it
        def build(context, builder, signature, arguments):  # noqa: ARG001
            return builder.bitcast(arguments[0], context.get_value_type(target))

        return target(source), build

    return read


bits_of: Callable = reading(types.float32, types.int32)
float_of: Callable = reading(types.int32, types.float32)
