"""All steps of the paper's recipe for one image after the other on a CPU core, compiled by Numba.

The concepts of an image share each reading of its activations, and buffers begin with a cache line.
Shapes: n images, k concepts, h x w grid cells of the layer, p = h * w, c channels, H x W the target's grid, t steps.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Num
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from loce_jax.solver.cpu.compiling import cached_njit, copy_rows, copy_vector, inline_njit, set_zero
from loce_jax.solver.cpu.loss_and_grad import copy_target, forward_backward, response_iou
from loce_jax.solver.cpu.matvec import matvec, matvec_transpose
from loce_jax.solver.cpu.simd import LANES, ONE, ZERO, aligned_zeros, padded_length
from loce_jax.solver.paper.adamw import BETA1, BETA2

ONE_MINUS_BETA1, FLOAT_BETA2, ONE_MINUS_BETA2 = np.float32(1 - BETA1), np.float32(BETA2), np.float32(1 - BETA2)


class KernelConfig(NamedTuple):
    """`PaperRecipe` as the compiled code reads them; `decay` is ``1 - learning_rate * weight_decay``."""

    corrections: Float[np.ndarray, "t 2"]
    learning_rate: np.float32
    decay: np.float32
    epsilon: np.float32
    objective: int
    averaged: bool
    penalized: bool
    iou_threshold: np.float32


class Results(NamedTuple):
    """What is written for every concept of every image; `vectors` holds the start vectors before.

    Attributes:
        extremes: a target's lowest and highest number.
    """

    vectors: Float[np.ndarray, "n k c"]
    losses: Float[np.ndarray, "n k t"]
    responses: Float[np.ndarray, "n k h w"]
    ious: Float[np.ndarray, "n k"]
    extremes: Float[np.ndarray, "n k 2"]


class Workspace(NamedTuple):
    """A thread's buffers for the k concepts of one image; channels and columns are padded to multiples of `LANES`.

    Attributes:
        cells: the activations, where their channels need padding lanes.
        first, second: AdamW's moments.
        grads: the gradients with respect to the responses.
        grad_index: each cell's index in a row of `grads`.
        valid_index: the index of each concept that is not padding.
    """

    cells: Num[np.ndarray, "p c"]
    vectors: Float[np.ndarray, "k c"]
    gradient: Float[np.ndarray, "k c"]
    first: Float[np.ndarray, "k c"]
    second: Float[np.ndarray, "k c"]
    responses: Float[np.ndarray, "k h w"]
    grads: Float[np.ndarray, "k h padded_w"]
    targets: Float[np.ndarray, "k H padded_W"]
    backgrounds: Float[np.ndarray, " k"]
    grad_index: Int[np.ndarray, " p"]
    valid_index: Int[np.ndarray, " k"]


def make_workspace(activations: Num[np.ndarray, "n h w c"], targets: Float[np.ndarray, "n k H W"]) -> Workspace:
    """A `Workspace` for one image of these and its concepts."""
    (_, h, w, c), (_, k, H, W) = activations.shape, targets.shape
    return Workspace(
        cells=np.zeros((h * w, padded_length(c)) if c % LANES else (0, 0), activations.dtype),
        vectors=aligned_zeros(k, padded_length(c)),
        gradient=aligned_zeros(k, padded_length(c)),
        first=aligned_zeros(k, padded_length(c)),
        second=aligned_zeros(k, padded_length(c)),
        responses=aligned_zeros(k, h, w),
        grads=aligned_zeros(k, h, padded_length(w)),
        targets=aligned_zeros(k, H, padded_length(W)),
        backgrounds=np.zeros(k, np.float32),
        grad_index=(np.arange(h)[:, None] * padded_length(w) + np.arange(w)).ravel(),
        valid_index=np.zeros(k, int),
    )


@cached_njit
def solve_images(queue, samples, buffers, work, config, results):
    """Solve for the images that no other thread has taken, and all their concepts; `results` is written for them.

    Args:
        queue: the order of the images, and how many of them are taken.
        samples: activations [n h w c], targets [n k H W], and which of them are not padding [n k].
        buffers: `ResizeBuffers`.
        work: `Workspace`.
        config: `KernelConfig`.
        results: `Results`.
    """
    (order, taken), (activations, targets, valid) = queue, samples
    _, h, w, c = activations.shape
    unit = ONE / np.float32(targets.shape[2] * targets.shape[3]) if config.averaged else ONE
    turn = take_next(taken)
    while turn < order.size:
        image, count = order[turn], np.int64(0)
        for j in range(valid.shape[1]):
            if valid[image, j]:
                work.valid_index[count] = j
                count += 1
        cells = activations[image].reshape(h * w, c)
        if c % LANES:
            copy_rows(cells, work.cells)
            cells = work.cells
        vectors, gradient, index = work.vectors[:count], work.gradient[:count], work.valid_index
        responses = work.responses[:count].reshape(count, h * w)
        grads = work.grads[:count].reshape(count, h * work.grads.shape[2])
        set_zero(vectors)  # the image before it may have left a NaN, also in padding lanes
        for j in range(count):
            copy_vector(results.vectors[image, index[j]], vectors[j])
            extremes = results.extremes[image, index[j]]
            work.backgrounds[j] = copy_target(targets[image, index[j]], work.targets[j], extremes)
        set_zero(work.first)
        set_zero(work.second)
        for step in range(len(config.corrections)):
            matvec(cells, vectors, responses)
            for j in range(count):
                target, background = work.targets[j], work.backgrounds[j]
                total = forward_backward(
                    work.responses[j], target, background, buffers, config.objective, work.grads[j]
                )
                results.losses[image, index[j], step] = total * unit
            matvec_transpose(cells, grads, work.grad_index, unit, gradient)
            for j in range(count):
                if config.penalized:
                    results.losses[image, index[j], step] += add_penalty(vectors[j, :c], gradient[j])
                adamw(vectors[j, :c], gradient[j], work.first[j], work.second[j], config, step)
        matvec(cells, vectors, responses)
        for j in range(count):
            copy_vector(vectors[j, :c], results.vectors[image, index[j]])
            copy_rows(work.responses[j], results.responses[image, index[j]])
            iou = response_iou(work.responses[j], work.targets[j], buffers, config.iou_threshold)
            results.ious[image, index[j]] = iou
        turn = take_next(taken)


def _take_next(typing_context, taken):  # noqa: ARG001 - how Numba calls it
    """``taken[0]``, which is one more afterwards; no two threads get the same."""

    def build(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, *arguments).data
        return builder.atomic_rmw("add", data, ir.Constant(ir.IntType(64), 1), "monotonic")

    return types.int64(taken), build


take_next: Callable = intrinsic(_take_next)


@inline_njit
def add_penalty(vector, gradient):
    """``||v||_1 + ||v||_2``; its gradient is added to `gradient`, 0 where an entry or the vector is 0."""
    squares, total = ZERO, ZERO
    for q in range(vector.size):
        squares += vector[q] * vector[q]
    norm = np.sqrt(squares)
    inverse = ONE / norm if norm > ZERO else ZERO
    for q in range(vector.size):
        total += abs(vector[q])
        gradient[q] += np.sign(vector[q]) + vector[q] * inverse
    return total + norm


@inline_njit
def adamw(vector, gradient, first, second, config, step):
    """One step of `loce_jax.solver.paper.adamw.adamw_step`."""
    rate, root = config.learning_rate / config.corrections[step, 0], ONE / config.corrections[step, 1]
    for q in range(vector.size):
        first[q] += ONE_MINUS_BETA1 * (gradient[q] - first[q])
        second[q] = FLOAT_BETA2 * second[q] + ONE_MINUS_BETA2 * (gradient[q] * gradient[q])
        vector[q] = vector[q] * config.decay - rate * first[q] / (np.sqrt(second[q]) * root + config.epsilon)
