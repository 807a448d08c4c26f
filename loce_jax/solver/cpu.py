"""The paper's recipe on a CPU core, compiled by Numba: one image stays in cache for all the steps.

XLA's CPU code reaches about a third of what the machine allows here (benchmarks/LIMITS.md), and this file most of it:
the two taps of the resize and of its transpose are written as such, the slope is written by hand, and all concepts of
an image share one reading of its activations.  `loce_jax.solver.sample` is the same mathematics in JAX, for every
other device and for use inside `jit`; a test holds the two together.
Letters: k concepts, h x w grid cells of the layer, p = h * w, c channels, H x W the target's grid, t steps.
"""

import functools as ft
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float
from numba import types
from numba.extending import intrinsic

from loce_jax.resampling import Taps, bilinear_matrix, two_taps
from loce_jax.solver.adamw import BETA1, BETA2, corrections
from loce_jax.solver.compiling import compiled, kept
from loce_jax.solver.devices import Samples
from loce_jax.solver.losses import OBJECTIVES
from loce_jax.solver.options import SolverOptions
from loce_jax.solver.sample import judge
from loce_jax.solver.solution import Solution, Status

ROWS_IN_CACHE = 8  # of the target, worked on from logit to slope in the first-level cache
ZERO, ONE, HALF = np.float32(0), np.float32(1), np.float32(0.5)
FRESH1, KEEP2, FRESH2 = np.float32(1 - BETA1), np.float32(BETA2), np.float32(1 - BETA2)

# 2**f is its Taylor series for |f| <= 1/2: six terms are within 1.2e-7
SERIES = tuple(np.float32(math.log(2) ** power / math.factorial(power)) for power in range(7))
LOG2_E, HIGHEST_POWER = np.float32(1 / math.log(2)), np.float32(126)
ROUNDER = np.float32(1.5 * 2**23)  # adding it rounds a float32 to an integer, which its lowest bits then hold

COMPILED = ("bce", "mse", "mae")  # the objectives of `pixel`; XLA solves for others
BCE, MSE, MAE = range(len(COMPILED))
(bce_value, bce_slope), (mse_value, mse_slope), (mae_value, mae_slope) = (
    (compiled(OBJECTIVES[name].value), compiled(OBJECTIVES[name].slope)) for name in COMPILED
)


class Recipe(NamedTuple):
    """The numbers of `SolverOptions` that the compiled code reads, and which of its branches it takes."""

    corrections: Float[np.ndarray, "t 2"]
    rate: np.float32
    shrink: np.float32
    epsilon: np.float32
    objective: int
    averaged: bool
    penalised: bool
    drawn_from: np.float32


@ft.lru_cache(maxsize=256)
def taps(n_in: int, n_out: int) -> Taps:
    """The two taps of every row of `bilinear_matrix`."""
    return two_taps(bilinear_matrix(n_in, n_out))


@ft.lru_cache(maxsize=64)
def recipe(options: SolverOptions) -> Recipe:
    """What the compiled code needs of `options`."""
    objective = OBJECTIVES[options.objective]
    return Recipe(
        corrections(options.num_steps),
        np.float32(options.learning_rate),
        np.float32(1 - options.learning_rate * options.weight_decay),
        np.float32(options.epsilon),
        COMPILED.index(options.objective),
        objective.averaged,
        objective.penalised,
        np.float32(128 / 255) if options.iou == "paper" else np.nextafter(HALF, ONE),
    )


def serves(options: SolverOptions) -> bool:
    """Whether `solve_on_cores` knows the recipe."""
    return options.objective in COMPILED and not options.couples_batch


def solve_on_cores(samples: Samples, options: SolverOptions) -> Solution:
    """Solve for every target, a thread a core, by a recipe that it `serves`.

    Args:
        samples: activations, targets, which of them are real, and start vectors.
        options: the recipe.
    """
    activations, targets, start = (np.ascontiguousarray(samples[part], np.float32) for part in (0, 1, 3))
    valid = np.asarray(samples[2])
    (n, h, w, c), (k, H, W) = activations.shape, targets.shape[1:]
    resize = taps(h, H), taps(w, W)
    vectors, losses = np.array(np.broadcast_to(start, (n, k, c))), np.empty((n, k, options.num_steps), np.float32)
    responses, ious = np.empty((n, k, h, w), np.float32), np.empty((n, k), np.float32)
    every = vectors, losses, responses, ious

    def solve_row(row):
        real = np.flatnonzero(valid[row])
        found = tuple(part[row][real] for part in every)
        solve_image(activations[row], targets[row][real], resize, recipe(options), found)
        for part, values in zip(every, found, strict=True):
            part[row, real] = values

    longest_first = np.argsort(-valid.sum(axis=1), kind="stable")
    with ThreadPoolExecutor(min(max(n, 1), os.cpu_count() or 1)) as cores:
        for _ in cores.map(solve_row, longest_first):
            pass
    finite = np.isfinite(vectors).all(axis=-1)
    highest, lowest = targets.max(axis=(2, 3)), targets.min(axis=(2, 3))
    status = judge(valid, finite, highest, lowest, numpy=np)
    for part in every:
        part[status != Status.OK] = np.nan
    return jax.device_put(Solution(vectors, losses, responses, ious, status))  # `jnp.asarray` compiles for each shape


@kept
def solve_image(activations, targets, resize, recipe, found):
    """One image and its k concepts; `found` holds the start vectors, and is filled.

    Args:
        activations: [h w c].
        targets: [k H W].
        resize: the taps of both axes.
        recipe: the numbers of the options.
        found: vectors [k c], losses [k t], responses [k h w], IoUs [k].
    """
    vectors, losses, responses, ious = found
    h, w, c = activations.shape
    k, H, W = targets.shape
    cells = activations.reshape(h * w, c)
    response, pull = responses.reshape(k, h * w), np.empty((k, h * w), np.float32)
    gradient = np.empty((k, c), np.float32)
    first, second = np.zeros((k, c), np.float32), np.zeros((k, c), np.float32)
    down, across = resize
    room = Room(
        down,
        across,
        np.zeros((w + 1, h), np.float32),
        np.empty((W, h), np.float32),
        np.zeros((h + 1, W), np.float32),
        np.empty((h + 1, W), np.float32),
        np.empty((ROWS_IN_CACHE, W), np.float32),
    )
    unit = ONE / np.float32(H * W) if recipe.averaged else ONE
    backgrounds = np.empty(k, np.float32)
    for j in range(k):
        backgrounds[j] = background_share(targets[j])
    for step in range(len(recipe.corrections)):
        respond(cells, vectors, response)
        for j in range(k):
            slopes = pull[j].reshape(h, w)
            total = redraw(responses[j], targets[j], backgrounds[j], room, recipe.objective, slopes)
            losses[j, step] = total * unit
        gather(cells, pull, unit, gradient)
        for j in range(k):
            if recipe.penalised:
                losses[j, step] += penalise(vectors[j], gradient[j])
            adamw(vectors[j], gradient[j], first[j], second[j], recipe, step)
    respond(cells, vectors, response)
    for j in range(k):
        ious[j] = overlap(responses[j], targets[j], room, recipe.drawn_from)


@compiled
def background_share(target):
    """Share of pixels where the target is 0."""
    count = 0
    for y in range(target.shape[0]):
        for x in range(target.shape[1]):
            count += target[y, x] <= ZERO
    return np.float32(count) / np.float32(target.size)


@compiled
def descend(logits, target, background, objective):
    """The objective's sum; its derivatives with respect to the logits take the logits' place."""
    total = ZERO
    for i in range(logits.size):
        p = sigmoid(logits[i])
        value, slope = pixel(p, target[i], background, objective)
        total += value
        logits[i] = slope * p * (ONE - p)
    return total


@compiled
def pixel(p, target, background, objective):
    """Value and slope of one pixel; the branch is the same for all pixels and leaves the loop."""
    if objective == BCE:
        return bce_value(p, target, background), bce_slope(p, target, background)
    if objective == MSE:
        return mse_value(p, target, background), mse_slope(p, target, background)
    return mae_value(p, target, background), mae_slope(p, target, background)


class Room(NamedTuple):
    """Where one concept's response is enlarged and its slopes are brought back: the taps of both axes, and space.

    `columns` is the response on its side, `stretched` and `rows` the same after its columns were resized, `pulled`
    the slopes of `rows`, and `band` some rows of the whole.  Where there is one row more than the grid has, the last
    one's second tap lies there, with weight 0.
    """

    down: Taps
    across: Taps
    columns: Float[np.ndarray, "w_plus_1 h"]
    stretched: Float[np.ndarray, "W h"]
    rows: Float[np.ndarray, "h_plus_1 W"]
    pulled: Float[np.ndarray, "h_plus_1 W"]
    band: Float[np.ndarray, "r W"]


@compiled
def stretch(response, room):
    """``room.rows = response @ columns.T``, turned on its side and back, so that every loop runs along memory."""
    transpose(response, room.columns)
    interpolate(room.columns, room.across, 0, room.stretched)
    transpose(room.stretched, room.rows)


@compiled
def contract(room, out):
    """``out = room.pulled @ columns``, the transpose of `stretch`."""
    transpose(room.pulled[: out.shape[0]], room.stretched)
    clear(room.columns)
    deal(room.stretched, room.across, 0, room.columns)
    transpose(room.columns[: out.shape[1]], out)


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
def clear(values):
    """Set a matrix to 0."""
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            values[i, j] = ZERO


@compiled
def transpose(source, out):
    """``out[: source.shape[1], : source.shape[0]] = source.T``, as far as both reach."""
    for i in range(min(source.shape[0], out.shape[1])):
        for j in range(min(source.shape[1], out.shape[0])):
            out[j, i] = source[i, j]


@compiled
def respond(cells, vectors, out):
    """``out = vectors @ cells.T``, [k p]; four cells at a time, so that they are in cache for all concepts."""
    p = len(cells)
    for i in range(0, p - 3, 4):
        a, b, d, e = cells[i], cells[i + 1], cells[i + 2], cells[i + 3]
        for j in range(len(vectors)):
            vector = vectors[j]
            on_a, on_b, on_d, on_e = ZERO, ZERO, ZERO, ZERO
            for q in range(vector.size):
                on_a += a[q] * vector[q]
                on_b += b[q] * vector[q]
                on_d += d[q] * vector[q]
                on_e += e[q] * vector[q]
            out[j, i], out[j, i + 1], out[j, i + 2], out[j, i + 3] = on_a, on_b, on_d, on_e
    for i in range(p - p % 4, p):
        for j in range(len(vectors)):
            cell, vector, total = cells[i], vectors[j], ZERO
            for q in range(vector.size):
                total += cell[q] * vector[q]
            out[j, i] = total


@compiled
def gather(cells, slopes, scale, out):
    """``out = scale * slopes @ cells``, [k c]; backwards: the cells that `respond` read last are still in cache."""
    p = len(cells)
    clear(out)
    for i in range(p - 4, -1, -4):
        a, b, d, e = cells[i], cells[i + 1], cells[i + 2], cells[i + 3]
        for j in range(len(slopes)):
            on_a, on_b = scale * slopes[j, i], scale * slopes[j, i + 1]
            on_d, on_e = scale * slopes[j, i + 2], scale * slopes[j, i + 3]
            total = out[j]
            for q in range(total.size):
                total[q] += on_a * a[q] + on_b * b[q] + on_d * d[q] + on_e * e[q]
    for i in range(p % 4):
        for j in range(len(slopes)):
            total, cell, on = out[j], cells[i], scale * slopes[j, i]
            for q in range(total.size):
                total[q] += on * cell[q]


@compiled
def penalise(vector, gradient):
    """``||v||_1 + ||v||_2``; its slope is added to `gradient`, 0 where a weight or the vector is 0."""
    squares, total = ZERO, ZERO
    for q in range(vector.size):
        squares += vector[q] * vector[q]
    norm = np.sqrt(squares)
    inverse = ONE / norm if norm > ZERO else ZERO
    for q in range(vector.size):
        total += abs(vector[q])
        gradient[q] += np.sign(vector[q]) + vector[q] * inverse
    return total + norm


@compiled
def adamw(vector, gradient, first, second, recipe, step):
    """One step of `loce_jax.solver.adamw.adamw_step`."""
    rate, root = recipe.rate / recipe.corrections[step, 0], ONE / recipe.corrections[step, 1]
    for q in range(vector.size):
        first[q] += FRESH1 * (gradient[q] - first[q])
        second[q] = KEEP2 * second[q] + FRESH2 * (gradient[q] * gradient[q])
        vector[q] = vector[q] * recipe.shrink - rate * first[q] / (np.sqrt(second[q]) * root + recipe.epsilon)


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
