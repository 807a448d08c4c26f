"""The paper's recipe on a CPU core, compiled by Numba: one image stays in cache for all the steps.

XLA's CPU code reaches a fifth of what the machine allows here, and this file with `loce_jax.solver.cpu.matvec` and
`loce_jax.solver.cpu.loss_and_grad` more than a third (benchmarks/LIMITS.md): all concepts of an image share one reading
of its activations, and what lies beside them begins with a cache line.  `loce_jax.solver.paper.sample` is the same
mathematics in JAX, for every other device and for use inside `jit`; a test holds the two together.
Letters: n images, k concepts, h x w grid cells of the layer, p = h * w, c channels, H x W the target's grid, t steps.
"""

import functools as ft
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int, Num
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from loce_jax.recipes import PaperRecipe
from loce_jax.solver.cpu.compiling import clear, compiled, copy, fill, kept
from loce_jax.solver.cpu.loss_and_grad import COMPILED, copy_target, make_room, overlap, redraw
from loce_jax.solver.cpu.matvec import as_read, gather, respond
from loce_jax.solver.cpu.simd import LANES, ONE, ZERO, on_lines, whole
from loce_jax.solver.losses import OBJECTIVES
from loce_jax.solver.paper.adamw import BETA1, BETA2, corrections
from loce_jax.solver.paper.sample import EIGHT_BIT_HALF, judge
from loce_jax.solver.solution import Solution, Status
from loce_jax.solver.xla import Samples

FRESH1, KEEP2, FRESH2 = np.float32(1 - BETA1), np.float32(BETA2), np.float32(1 - BETA2)


class Recipe(NamedTuple):
    """The numbers of `PaperRecipe` that the compiled code reads, and which of its branches it takes."""

    corrections: Float[np.ndarray, "t 2"]
    rate: np.float32
    shrink: np.float32
    epsilon: np.float32
    objective: int
    averaged: bool
    penalized: bool
    drawn_from: np.float32


@ft.lru_cache(maxsize=64)
def recipe(options: PaperRecipe) -> Recipe:
    """What the compiled code needs of `options`."""
    objective = OBJECTIVES[options.objective]
    return Recipe(
        corrections(options.num_steps),
        np.float32(options.learning_rate),
        np.float32(1 - options.learning_rate * options.weight_decay),
        np.float32(options.epsilon),
        COMPILED.index(options.objective),
        objective.averaged,
        options.penalized,
        np.float32(EIGHT_BIT_HALF),
    )


def serves(options: PaperRecipe) -> bool:
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


def solve_on_cores(samples: Samples, options: PaperRecipe) -> Solution:
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
    longest_first, taken = np.argsort(-valid.sum(axis=1), kind="stable"), np.zeros(1, np.int64)

    def solve_some(_):
        room, work = make_room((h, w), (H, W)), make_work(activations, targets)
        solve_images((longest_first, taken), given, room, work, numbers, found)

    with ThreadPoolExecutor() as cores:
        try:
            list(cores.map(solve_some, range(min(n, os.cpu_count() or 1))))
        finally:
            taken[0] = n  # interrupted, the cores end with the image they have
    finite = np.isfinite(found.vectors).all(axis=-1)
    lowest, highest = np.moveaxis(found.extremes, -1, 0)
    status = judge(valid, finite, highest, lowest, numpy=np)
    for part in found:
        part[status != Status.OK] = np.nan
    return jax.device_put(Solution(*found[:4], status))  # `jnp.asarray` compiles for each shape


class Work(NamedTuple):
    """What is at hand of the k concepts of one image; channels and columns are filled up to whole registers.

    Attributes:
        cells: the activations, where their channels are to be filled up.
        first, second: AdamW's moments.
        places: of the cells, in `slopes`.
        real: the concepts, by their place among those of the image.
    """

    cells: Num[np.ndarray, "p c"]
    vectors: Float[np.ndarray, "k c"]
    gradient: Float[np.ndarray, "k c"]
    first: Float[np.ndarray, "k c"]
    second: Float[np.ndarray, "k c"]
    responses: Float[np.ndarray, "k h w"]
    slopes: Float[np.ndarray, "k h whole_w"]
    targets: Float[np.ndarray, "k H whole_W"]
    backgrounds: Float[np.ndarray, " k"]
    places: Int[np.ndarray, " p"]
    real: Int[np.ndarray, " k"]


def make_work(activations: Num[np.ndarray, "n h w c"], targets: Float[np.ndarray, "n k H W"]) -> Work:
    """Space for one image of these and its concepts."""
    (_, h, w, c), (_, k, H, W) = activations.shape, targets.shape
    return Work(
        cells=np.zeros((h * w, whole(c)) if c % LANES else (0, 0), activations.dtype),
        vectors=on_lines(k, whole(c)),
        gradient=on_lines(k, whole(c)),
        first=on_lines(k, whole(c)),
        second=on_lines(k, whole(c)),
        responses=on_lines(k, h, w),
        slopes=on_lines(k, h, whole(w)),
        targets=on_lines(k, H, whole(W)),
        backgrounds=np.zeros(k, np.float32),
        places=(np.arange(h)[:, None] * whole(w) + np.arange(w)).ravel(),
        real=np.zeros(k, int),
    )


@kept
def solve_images(queue, samples, room, work, recipe, found):
    """The images that no other core has taken, and all their concepts; `found` is filled for them.

    Args:
        queue: all images, by their places in what follows, and how many of them some core has taken.
        samples: activations [n h w c], targets [n k H W], and which of them are real [n k].
        room: to enlarge in, see `Room`.
        work: to work in, see `Work`.
        recipe: the numbers of the options.
        found: see `Found`.
    """
    (images, taken), (activations, targets, valid) = queue, samples
    vectors, losses, responses, ious, extremes = found
    turn = take_one(taken)
    while turn < images.size:
        image, count = images[turn], 0
        for j in range(valid.shape[1]):
            if valid[image, j]:
                work.real[count] = j
                count += 1
        here = Found(vectors[image], losses[image], responses[image], ious[image], extremes[image])
        solve_image((activations[image], targets[image]), count, room, work, recipe, here)
        turn = take_one(taken)


def taking(typing_context, taken):  # noqa: ARG001 - how Numba calls it
    """``taken[0]``, which is one more afterwards; no two cores get the same."""

    def build(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, *arguments).data
        return builder.atomic_rmw("add", data, ir.Constant(ir.IntType(64), 1), "monotonic")

    return types.int64(taken), build


take_one: Callable = intrinsic(taking)


@compiled
def solve_image(image, count, room, work, recipe, found):
    """One image, its activations and targets, and the first `count` of its concepts that are real."""
    activations, targets = image
    h, w, c = activations.shape
    _, H, W = targets.shape
    cells = activations.reshape(h * w, c)
    if c % LANES:
        fill(cells, work.cells)
        cells = work.cells
    vectors, gradient, real = work.vectors[:count], work.gradient[:count], work.real
    responses = work.responses[:count].reshape(count, h * w)
    slopes = work.slopes[:count].reshape(count, h * work.slopes.shape[2])
    unit = ONE / np.float32(H * W) if recipe.averaged else ONE
    clear(vectors)  # where the image before it left a NaN, also in what fills up the channels
    for j in range(count):
        copy(found.vectors[real[j]], vectors[j])
        work.backgrounds[j] = copy_target(targets[real[j]], work.targets[j], found.extremes[real[j]])
    clear(work.first)
    clear(work.second)
    for step in range(len(recipe.corrections)):
        respond(cells, vectors, responses)
        for j in range(count):
            target, background = work.targets[j], work.backgrounds[j]
            total = redraw(work.responses[j], target, background, room, recipe.objective, work.slopes[j])
            found.losses[real[j], step] = total * unit
        gather(cells, slopes, work.places, unit, gradient)
        for j in range(count):
            if recipe.penalized:
                found.losses[real[j], step] += penalize(vectors[j, :c], gradient[j])
            adamw(vectors[j, :c], gradient[j], work.first[j], work.second[j], recipe, step)
    respond(cells, vectors, responses)
    for j in range(count):
        copy(vectors[j, :c], found.vectors[real[j]])
        fill(work.responses[j], found.responses[real[j]])
        found.ious[real[j]] = overlap(work.responses[j], work.targets[j], room, recipe.drawn_from)


@compiled
def penalize(vector, gradient):
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
    """One step of `loce_jax.solver.paper.adamw.adamw_step`."""
    rate, root = recipe.rate / recipe.corrections[step, 0], ONE / recipe.corrections[step, 1]
    for q in range(vector.size):
        first[q] += FRESH1 * (gradient[q] - first[q])
        second[q] = KEEP2 * second[q] + FRESH2 * (gradient[q] * gradient[q])
        vector[q] = vector[q] * recipe.shrink - rate * first[q] / (np.sqrt(second[q]) * root + recipe.epsilon)
