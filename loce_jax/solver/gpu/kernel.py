"""One program of `loce_jax.solver.gpu.resident`: all steps for one (sample, concept), with explicit gradients.

The sides of Triton's arrays are powers of two.  So a sample is cut into strips of 16 cells, a strip into parts of at
most 2048 channels, the target into bands of rows; elements beyond the sample are padding lanes, masked to 0.
The loop over the strips is not unrolled: their addresses alone would fill the registers.
Shapes: h x w grid cells, c channels, H x W the target's grid, t steps.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from loce_jax.recipes import PaperRecipe
from loce_jax.solver.losses import OBJECTIVES
from loce_jax.solver.paper.adamw import BETA1, BETA2

CELLS, BAND = 16, 16  # a strip's cells; rows of the target at a time
SMALLEST, CHANNELS = 16, 2048  # sides that Triton multiplies; that 256 threads cover with 8 channels each


class KernelConfig(NamedTuple):
    """What is the same for all programs and known at compile time: the grid's height and width, and the recipe."""

    grid: tuple[int, int]
    recipe: PaperRecipe


def spans(channels: int) -> list[tuple[int, int]]:
    """Powers of two that cover the channels one after the other, as (first, length); the last may exceed them.

    >>> spans(768), spans(50)
    ([(0, 512), (512, 256)], [(0, 32), (32, 16), (48, 16)])
    """
    found, first = [], 0
    while first < channels:
        width = max(SMALLEST, min(CHANNELS, 1 << (channels - first).bit_length() - 1))
        found.append((first, width))
        first += width
    return found


def solve_one(config: KernelConfig, cells_ref, target_ref, background_ref, start_ref, *refs) -> None:
    """All steps of one program.

    Args:
        config: what is the same for all programs.
        cells_ref: activations ``[h*w, c]``.
        target_ref: ``[H, W]``.
        background_ref: the share of the target that is 0.
        start_ref: the first vector ``[c]``.
        refs: resize matrices ``[H, h]`` and ``[W, w]``, AdamW's corrections ``[t, 2]``; then, to write, vector ``[c]``
            and losses ``[t]``.
    """
    rows_ref, columns_ref, corrections_ref, vector_ref, losses_ref = refs
    cells, channels = cells_ref.shape
    parts = spans(channels)
    shape = tuple(max(SMALLEST, pl.next_power_of_2(length)) for length in config.grid)

    def over_strips(work, carry):
        """``carry = work(carry, strip, its parts)`` for all strips."""

        def body(strip, carry):
            return work(carry, strip, [_read(cells_ref, ((strip * CELLS, CELLS), part)) for part in parts])

        return jax.lax.fori_loop(0, pl.cdiv(cells, CELLS), body, carry)

    def step(t, state):
        vector, first, second = state

        def add_response(response, strip, values):
            along = jnp.zeros(CELLS, jnp.float32)
            for a, v in zip(values, vector, strict=True):
                along += jnp.sum(a.astype(jnp.float32) * v[None], axis=1)
            row, column = _one_hot_cells(strip, config.grid, shape)
            return response + _dot(row * along[None], column, (1, 1))

        def add_grad(grad, strip, values):
            row, column = _one_hot_cells(strip, config.grid, shape)
            along = jnp.sum(row * _dot(response_grad, column, (1, 0)), axis=0)
            grads = (jnp.sum(a.astype(jnp.float32) * along[:, None], axis=0) for a in values)
            return [before + more for before, more in zip(grad, grads, strict=True)]

        response = over_strips(add_response, jnp.zeros(shape, jnp.float32))
        loss, response_grad = _loss_and_grad(response, target_ref, background_ref[...], (rows_ref, columns_ref), config)
        grad = over_strips(add_grad, [jnp.zeros_like(v) for v in vector])
        if config.recipe.penalized:
            loss, grad = _add_penalty(loss, grad, vector)
        losses_ref[t] = loss  # written in the loop, so that no compiler may take the reads of the activations out of it
        correction = corrections_ref[t, 0], corrections_ref[t, 1]
        moved = [_adamw(*values, correction, config.recipe) for values in zip(vector, grad, first, second, strict=True)]
        vector, first, second = map(list, zip(*moved, strict=True))
        return [_cut(part, channels, values) for part, values in zip(parts, vector, strict=True)], first, second

    start = [_read(start_ref, (part,)) for part in parts]
    zeros = [jnp.zeros_like(values) for values in start]
    vector, *_ = jax.lax.fori_loop(0, config.recipe.num_steps, step, (start, zeros, zeros))
    for (first, width), values in zip(parts, vector, strict=True):
        indices = first + _iota(width)
        triton.store(vector_ref.at[indices], values, mask=indices < channels)


def _one_hot_cells(strip, grid, shape):
    """A strip's cells on the grid, as one-hot columns: ``[h 16]`` of their rows and ``[w 16]`` of their columns."""
    cell = strip * CELLS + _iota(CELLS)
    width = jnp.full_like(cell, grid[1])
    where = jax.lax.div(cell, width), jax.lax.rem(cell, width)
    return [(_iota(n)[:, None] == index[None]).astype(jnp.float32) for n, index in zip(shape, where, strict=True)]


def _loss_and_grad(response, target_ref, background, resize_refs, config):
    """The objective of a response on the layer's grid, and its gradient with respect to that response."""
    (height, width), (tall, wide) = target_ref.shape, response.shape
    long = max(SMALLEST, pl.next_power_of_2(width))
    objective = OBJECTIVES[config.recipe.objective]

    def band(b, carry):
        loss, grad = carry
        y, x = b * BAND + _iota(BAND), _iota(long)
        rows = _read(resize_refs[0], ((b * BAND, BAND), (0, tall)))
        columns = _read(resize_refs[1], ((0, long), (0, wide)))
        target = _read(target_ref, ((b * BAND, BAND), (0, long)))
        p = jax.nn.sigmoid(_dot(_dot(rows, response, (1, 0)), columns, (1, 1)))
        value, derivative = (function(p, target, background) for function in (objective.value, objective.derivative))
        inside = (y < height)[:, None] & (x < width)[None]
        derivative = derivative * p * (1 - p)
        grad += _dot(rows, _dot(derivative, columns, (1, 0)), (0, 0))
        return loss + jnp.sum(jnp.where(inside, value, 0)), grad

    loss, grad = jax.lax.fori_loop(0, pl.cdiv(height, BAND), band, (jnp.float32(0), jnp.zeros_like(response)))
    unit = 1 / (height * width) if objective.averaged else 1
    return loss * unit, grad * unit


def _dot(a, b, axes):
    """Sum over axis ``axes[0]`` of `a` and ``axes[1]`` of `b`.

    In full float32: split into parts that tensor cores know, the small matrices spilled registers.
    """
    return jax.lax.dot_general(a, b, (((axes[0],), (axes[1],)), ((), ())), precision=jax.lax.Precision.HIGHEST)


def _add_penalty(loss, grad, vector):
    """Add ``||v||_1 + ||v||_2``, whose gradients are 0 at 0."""
    norm = jnp.sqrt(sum(jnp.sum(values * values) for values in vector))
    share = 1 / jnp.where(norm > 0, norm, 1)
    loss += norm + sum(jnp.sum(jnp.abs(values)) for values in vector)
    return loss, [g + jnp.sign(values) + values * share for g, values in zip(grad, vector, strict=True)]


def _adamw(vector, grad, first, second, correction, recipe):
    """As `loce_jax.solver.paper.adamw.adamw_step`, whose corrections are an array, which cannot be indexed here."""
    first = first + (1 - BETA1) * (grad - first)
    second = BETA2 * second + (1 - BETA2) * grad * grad
    step = first / (jnp.sqrt(second) / correction[1] + recipe.epsilon)
    shrunk = vector * (1 - recipe.learning_rate * recipe.weight_decay)
    return shrunk - recipe.learning_rate / correction[0] * step, first, second


def _cut(part, channels, values):
    """Set padding lanes to 0: with an epsilon of 0, AdamW divides 0 by 0 there."""
    first, width = part
    return values if first + width <= channels else jnp.where(first + _iota(width) < channels, values, 0)


def _read(ref, block):
    """The `block` of `ref`, (first, length) per axis, 0 beyond the end."""
    indices = [first + _iota(size) for first, size in block]
    inside = [index < length for index, length in zip(indices, ref.shape, strict=True)]
    if len(block) == 2:
        indices, inside = ([a[:, None], b[None]] for a, b in (indices, inside))
    mask = inside[0] if len(block) == 1 else inside[0] & inside[1]
    return triton.load(ref.at[tuple(indices)], mask=mask, other=0)


def _iota(length):
    return jax.lax.iota(jnp.int32, length)
