"""The paper's recipe on a CPU core, compiled by Numba: one image stays in cache for all the steps.

XLA's CPU code reaches about a third of what the machine allows here (benchmarks/LIMITS.md), and this file with
`loce_jax.solver.pixels` most of it: all concepts of an image share one reading of its activations, and what lies
beside them begins with a cache line.  `loce_jax.solver.sample` is the same mathematics in JAX, for every other device
and for use inside `jit`; a test holds the two together.
Letters: n images, k concepts, h x w grid cells of the layer, p = h * w, c channels, H x W the target's grid, t steps.
"""

import functools as ft
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from loce_jax.resampling import Taps, bilinear_matrix, two_taps
from loce_jax.solver.adamw import BETA1, BETA2, corrections
from loce_jax.solver.compiling import compiled, kept, widens_half
from loce_jax.solver.devices import Samples
from loce_jax.solver.losses import OBJECTIVES
from loce_jax.solver.options import SolverOptions
from loce_jax.solver.pixels import (
    COMPILED,
    HALF,
    ONE,
    ROWS_IN_CACHE,
    ZERO,
    Room,
    clear,
    copy,
    look,
    overlap,
    redraw,
    transpose,
)
from loce_jax.solver.sample import judge
from loce_jax.solver.solution import Solution, Status

SHARES = 16  # of a core's images: between two of them Python is asked for the next, which takes 0.1 ms
LINE = 16  # float32 numbers of a cache line
FRESH1, KEEP2, FRESH2 = np.float32(1 - BETA1), np.float32(BETA2), np.float32(1 - BETA2)


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


class Found(NamedTuple):
    """What is found for every concept of every image; the vectors begin as the start vectors.

    Attributes:
        extremes: a target's lowest and highest number.
    """

    vectors: Float[np.ndarray, "n k c"]
    losses: Float[np.ndarray, "n k t"]
    responses: Float[np.ndarray, "n k h w"]
    ious: Float[np.ndarray, "n k"]
    extremes: Float[np.ndarray, "n k 2"]


def solve_on_cores(samples: Samples, options: SolverOptions) -> Solution:
    """Solve for every target, a thread a core, by a recipe that it `serves`.

    Args:
        samples: activations, targets, which of them are real, and start vectors.
        options: the recipe.
    """
    activations = as_read(samples[0])
    targets, start = (np.ascontiguousarray(samples[part], np.float32) for part in (1, 3))
    valid = np.asarray(samples[2])
    (n, h, w, c), (k, H, W) = activations.shape, targets.shape[1:]
    found = Found(
        np.array(np.broadcast_to(start, (n, k, c))),
        *(np.empty((n, k, *shape), np.float32) for shape in ((options.num_steps,), (h, w), (), (2,))),
    )
    given, numbers = (activations, targets, valid), recipe(options)
    longest_first = np.argsort(-valid.sum(axis=1), kind="stable")
    threads = os.cpu_count() or 1
    several = max(1, n // (threads * SHARES))

    def solve_share(first):
        room, work = make_room((h, w), (H, W)), make_work((h, w), k, c)
        solve_images(longest_first[first : first + several], given, room, work, numbers, found)

    with ThreadPoolExecutor(threads) as cores:
        for _ in cores.map(solve_share, range(0, n, several)):
            pass
    finite = np.isfinite(found.vectors).all(axis=-1)
    lowest, highest = np.moveaxis(found.extremes, -1, 0)
    status = judge(valid, finite, highest, lowest, numpy=np)
    for part in found:
        part[status != Status.OK] = np.nan
    return jax.device_put(Solution(*found[:4], status))  # `jnp.asarray` compiles for each shape


def make_room(grid: tuple[int, int], size: tuple[int, int]) -> Room:
    """`Room` to enlarge responses on `grid` to `size`."""
    (h, w), (H, W) = grid, size
    return Room(
        down=taps(h, H),
        across=taps(w, W),
        stretched=on_lines(W, h),
        rows=on_lines(h + 1, W),
        pulled=on_lines(h + 1, W),
        band=on_lines(ROWS_IN_CACHE, W),
    )


class Work(NamedTuple):
    """What is at hand of the k concepts of one image; responses, and their slopes, lie on their side.

    Attributes:
        first, second: AdamW's moments.
        places: of the cells, in a response on its side.
        real: the concepts, by their place among those of the image.
    """

    vectors: Float[np.ndarray, "k c"]
    gradient: Float[np.ndarray, "k c"]
    first: Float[np.ndarray, "k c"]
    second: Float[np.ndarray, "k c"]
    responses: Float[np.ndarray, "k w_plus_1 h"]
    slopes: Float[np.ndarray, "k w_plus_1 h"]
    backgrounds: Float[np.ndarray, " k"]
    places: Int[np.ndarray, " p"]
    real: Int[np.ndarray, " k"]


def make_work(grid: tuple[int, int], k: int, c: int) -> Work:
    """Space for up to `k` concepts."""
    h, w = grid
    return Work(
        vectors=on_lines(k, c),
        gradient=on_lines(k, c),
        first=on_lines(k, c),
        second=on_lines(k, c),
        responses=on_lines(k, w + 1, h),
        slopes=on_lines(k, w + 1, h),
        backgrounds=np.zeros(k, np.float32),
        places=np.arange(w * h).reshape(w, h).T.ravel(),
        real=np.zeros(k, int),
    )


def on_lines(*shape: int) -> Float[np.ndarray, "..."]:
    """Zeros that begin with a cache line; sums over them are a fifth faster."""
    size = math.prod(shape)
    room = np.zeros(size + LINE, np.float32)
    skip = -(room.ctypes.data // room.itemsize) % LINE
    return room[skip : skip + size].reshape(shape)


@kept
def solve_images(images, samples, room, work, recipe, found):
    """Some images and all their concepts; `found` is filled for them.

    Args:
        images: their places in what follows.
        samples: activations [n h w c], targets [n k H W], and which of them are real [n k].
        room: to enlarge in, see `Room`.
        work: to work in, see `Work`.
        recipe: the numbers of the options.
        found: see `Found`.
    """
    activations, targets, valid = samples
    vectors, losses, responses, ious, extremes = found
    for image in images:
        count = 0
        for j in range(valid.shape[1]):
            if valid[image, j]:
                work.real[count] = j
                count += 1
        here = Found(vectors[image], losses[image], responses[image], ious[image], extremes[image])
        solve_image((activations[image], targets[image]), count, room, work, recipe, here)


@compiled
def solve_image(image, count, room, work, recipe, found):
    """One image, its activations and targets, and the first `count` of its concepts that are real."""
    activations, targets = image
    h, w, c = activations.shape
    _, H, W = targets.shape
    cells, side = activations.reshape(h * w, c), (w + 1) * h
    vectors, gradient, real = work.vectors[:count], work.gradient[:count], work.real
    responses, slopes = work.responses[:count].reshape(count, side), work.slopes[:count].reshape(count, side)
    unit = ONE / np.float32(H * W) if recipe.averaged else ONE
    for j in range(count):
        copy(found.vectors[real[j]], vectors[j])
        work.backgrounds[j] = look(targets[real[j]], found.extremes[real[j]])
    clear(work.first)
    clear(work.second)
    for step in range(len(recipe.corrections)):
        respond(cells, vectors, work.places, responses)
        for j in range(count):
            target, background = targets[real[j]], work.backgrounds[j]
            total = redraw(work.responses[j], target, background, room, recipe.objective, work.slopes[j])
            found.losses[real[j], step] = total * unit
        gather(cells, slopes, work.places, unit, gradient)
        for j in range(count):
            if recipe.penalised:
                found.losses[real[j], step] += penalise(vectors[j], gradient[j])
            adamw(vectors[j], gradient[j], work.first[j], work.second[j], recipe, step)
    respond(cells, vectors, work.places, responses)
    for j in range(count):
        copy(vectors[j], found.vectors[real[j]])
        transpose(work.responses[j, :w], found.responses[real[j]])
        found.ious[real[j]] = overlap(work.responses[j], targets[real[j]], room, recipe.drawn_from)


@compiled
def respond(cells, vectors, places, out):
    """``out[:, places] = vectors @ cells.T``; four cells at a time, so that they are in cache for all concepts."""
    p = len(cells)
    for i in range(0, p - 3, 4):
        a, b, d, e = cells[i], cells[i + 1], cells[i + 2], cells[i + 3]
        for j in range(len(vectors)):
            vector = vectors[j]
            on_a, on_b, on_d, on_e = ZERO, ZERO, ZERO, ZERO
            for q in range(vector.size):
                on_a += widen(a[q]) * vector[q]
                on_b += widen(b[q]) * vector[q]
                on_d += widen(d[q]) * vector[q]
                on_e += widen(e[q]) * vector[q]
            out[j, places[i]], out[j, places[i + 1]] = on_a, on_b
            out[j, places[i + 2]], out[j, places[i + 3]] = on_d, on_e
    for i in range(p - p % 4, p):
        for j in range(len(vectors)):
            cell, vector, total = cells[i], vectors[j], ZERO
            for q in range(vector.size):
                total += widen(cell[q]) * vector[q]
            out[j, places[i]] = total


@compiled
def gather(cells, slopes, places, scale, out):
    """``out = scale * slopes[:, places] @ cells``; backwards: the cells that `respond` read last are still in cache."""
    p = len(cells)
    clear(out)
    for i in range(p - 4, -1, -4):
        a, b, d, e = cells[i], cells[i + 1], cells[i + 2], cells[i + 3]
        for j in range(len(slopes)):
            on_a, on_b = scale * slopes[j, places[i]], scale * slopes[j, places[i + 1]]
            on_d, on_e = scale * slopes[j, places[i + 2]], scale * slopes[j, places[i + 3]]
            total = out[j]
            for q in range(total.size):
                total[q] += on_a * widen(a[q]) + on_b * widen(b[q]) + on_d * widen(d[q]) + on_e * widen(e[q])
    for i in range(p % 4):
        for j in range(len(slopes)):
            total, cell, on = out[j], cells[i], scale * slopes[j, places[i]]
            for q in range(total.size):
                total[q] += on * widen(cell[q])


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


def as_read(activations):
    """The activations as `widen` reads them: what has 16 bits as whole numbers, since Numba knows no such float."""
    bits = {"bfloat16": np.uint16} | ({"float16": np.int16} if widens_half() else {})
    whole = np.ascontiguousarray(activations)
    return whole.view(bits[whole.dtype.name]) if whole.dtype.name in bits else whole.astype(np.float32, copy=False)


def widened(typing_context, number):  # noqa: ARG001 - how Numba calls it
    """An activation, or the bits of one, as a float32."""

    def build(context, builder, signature, arguments):  # noqa: ARG001
        (bits,) = arguments
        if number == types.int16:
            return builder.fpext(builder.bitcast(bits, ir.HalfType()), ir.FloatType())
        if number == types.uint16:
            whole = builder.shl(builder.zext(bits, ir.IntType(32)), ir.Constant(ir.IntType(32), 16))
            return builder.bitcast(whole, ir.FloatType())
        return bits

    return types.float32(number), build


widen: Callable = intrinsic(widened)
