"""What one program of `loce_jax.solver.gpu.resident` does: every step for one (sample, concept), slopes by hand.

Triton's arrays have powers of two for sides.  So a sample is cut into strips of 16 cells, a strip into parts of at
most 2048 channels, the maps into bands of rows; what any of them holds beyond the sample is 0, is not read, and adds
nothing.  A loop, not unrolled, goes over the strips: else their addresses alone would fill the registers.
Letters: h x w grid cells, c channels, H x W the target's grid, t steps.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from loce_jax.recipes import PaperRecipe
from loce_jax.solver.paper.adamw import BETA1, BETA2

CELLS, BAND = 16, 16  # a strip's cells; rows of the target at a time
SMALLEST, CHANNELS = 16, 2048  # sides that Triton multiplies; that 256 threads cover with 8 channels each


class Recipe(NamedTuple):
    """What is fixed for all programs: the grid's height and width, and the options."""

    grid: tuple[int, int]
    options: PaperRecipe


def spans(channels: int) -> list[tuple[int, int]]:
    """Powers of two that cover the channels one after the other, as (first, how many); the last may reach beyond.

    >>> spans(768), spans(50)
    ([(0, 512), (512, 256)], [(0, 32), (32, 16), (48, 16)])
    """
    found, first = [], 0
    while first < channels:
        width = max(SMALLEST, min(CHANNELS, 1 << (channels - first).bit_length() - 1))
        found.append((first, width))
        first += width
    return found


def solve_one(recipe: Recipe, cells_ref, target_ref, weight_ref, start_ref, *refs) -> None:
    """All steps of one program.

    Args:
        recipe: what is fixed.
        cells_ref: activations ``[h*w, c]``.
        target_ref: ``[H, W]``.
        weight_ref: the share of the target that is 0.
        start_ref: the first vector ``[c]``.
        refs: resize matrices ``[H, h]`` and ``[W, w]``, AdamW's corrections ``[t, 2]``; then, to write, vector ``[c]``
            and losses ``[t]``.
    """
    rows_ref, columns_ref, corrections_ref, vector_ref, losses_ref = refs
    cells, channels = cells_ref.shape
    parts = spans(channels)
    shape = tuple(max(SMALLEST, pl.next_power_of_2(length)) for length in recipe.grid)

    def every_strip(work, carry):
        """``carry = work(carry, strip, its parts)`` for all strips."""

        def visit(strip, carry):
            return work(carry, strip, [_read(cells_ref, ((strip * CELLS, CELLS), part)) for part in parts])

        return jax.lax.fori_loop(0, pl.cdiv(cells, CELLS), visit, carry)

    def step(t, state):
        vector, first, second = state

        def respond(response, strip, values):
            along = jnp.zeros(CELLS, jnp.float32)
            for a, v in zip(values, vector, strict=True):
                along += jnp.sum(a.astype(jnp.float32) * v[None], axis=1)
            row, column = _places(strip, recipe.grid, shape)
            return response + _dot(row * along[None], column, (1, 1))

        def descend(slope, strip, values):
            row, column = _places(strip, recipe.grid, shape)
            along = jnp.sum(row * _dot(back, column, (1, 0)), axis=0)
            slopes = (jnp.sum(a.astype(jnp.float32) * along[:, None], axis=0) for a in values)
            return [before + more for before, more in zip(slope, slopes, strict=True)]

        response = every_strip(respond, jnp.zeros(shape, jnp.float32))
        loss, back = _compare_maps(response, target_ref, weight_ref[...], (rows_ref, columns_ref), recipe)
        slope = every_strip(descend, [jnp.zeros_like(v) for v in vector])
        if recipe.options.penalized:
            loss, slope = _penalize(loss, slope, vector)
        losses_ref[t] = loss  # written in the loop, so that no compiler may take the reads of the activations out of it
        correction = corrections_ref[t, 0], corrections_ref[t, 1]
        moved = [
            _adamw(*values, correction, recipe.options) for values in zip(vector, slope, first, second, strict=True)
        ]
        vector, first, second = map(list, zip(*moved, strict=True))
        return [_cut(part, channels, values) for part, values in zip(parts, vector, strict=True)], first, second

    start = [_read(start_ref, (part,)) for part in parts]
    still = [jnp.zeros_like(values) for values in start]
    vector, *_ = jax.lax.fori_loop(0, recipe.options.num_steps, step, (start, still, still))
    for (first, width), values in zip(parts, vector, strict=True):
        places = first + _count(width)
        triton.store(vector_ref.at[places], values, mask=places < channels)


def _places(strip, grid, shape):
    """Where a strip's cells lie on the grid: ``[h 16]`` and ``[w 16]``, 1 in a cell's row and in its column."""
    cell = strip * CELLS + _count(CELLS)
    width = jnp.full_like(cell, grid[1])
    where = jax.lax.div(cell, width), jax.lax.rem(cell, width)
    return [(_count(n)[:, None] == place[None]).astype(jnp.float32) for n, place in zip(shape, where, strict=True)]


def _compare_maps(response, target_ref, weight, resize_refs, recipe):
    """The loss of a response map, and its slope for each cell of that map."""
    (height, width), (tall, wide) = target_ref.shape, response.shape
    long = max(SMALLEST, pl.next_power_of_2(width))

    def band(b, carry):
        loss, back = carry
        y, x = b * BAND + _count(BAND), _count(long)
        rows = _read(resize_refs[0], ((b * BAND, BAND), (0, tall)))
        columns = _read(resize_refs[1], ((0, long), (0, wide)))
        target = _read(target_ref, ((b * BAND, BAND), (0, long)))
        drawn = jax.nn.sigmoid(_dot(_dot(rows, response, (1, 0)), columns, (1, 1)))
        value, slope = _compare(drawn, target, weight, height * width, recipe.options.objective)
        real = (y < height)[:, None] & (x < width)[None]
        slope = slope * drawn * (1 - drawn)
        back += _dot(rows, _dot(slope, columns, (1, 0)), (0, 0))
        return loss + jnp.sum(jnp.where(real, value, 0)), back

    return jax.lax.fori_loop(0, pl.cdiv(height, BAND), band, (jnp.float32(0), jnp.zeros_like(response)))


def _dot(a, b, axes):
    """Sum over axis ``axes[0]`` of `a` and ``axes[1]`` of `b`.

    In full float32: split into parts that tensor cores know, the small matrices spilled registers.
    """
    return jax.lax.dot_general(a, b, (((axes[0],), (axes[1],)), ((), ())), precision=jax.lax.Precision.HIGHEST)


def _compare(drawn, target, weight, size, objective):
    """The pixels' shares of the loss, and its slope with respect to `drawn`."""
    if objective == "bce":
        on, off = weight * target, (1 - weight) * (1 - target)
        return -(on * drawn + off * (1 - drawn)), off - on
    error = drawn - target
    if objective == "mse":
        return error * error / size, 2 * error / size
    return jnp.abs(error) / size, jnp.sign(error) / size


def _penalize(loss, slope, vector):
    """Add ``||v||_1 + ||v||_2``, whose slopes are 0 at 0."""
    norm = jnp.sqrt(sum(jnp.sum(values * values) for values in vector))
    share = 1 / jnp.where(norm > 0, norm, 1)
    loss += norm + sum(jnp.sum(jnp.abs(values)) for values in vector)
    return loss, [s + jnp.sign(values) + values * share for s, values in zip(slope, vector, strict=True)]


def _adamw(vector, slope, first, second, correction, options):
    """As `loce_jax.solver.paper.adamw.adamw_step`, whose corrections are an array, which cannot be indexed here."""
    first = first + (1 - BETA1) * (slope - first)
    second = BETA2 * second + (1 - BETA2) * slope * slope
    step = first / (jnp.sqrt(second) / correction[1] + options.epsilon)
    shrunk = vector * (1 - options.learning_rate * options.weight_decay)
    return shrunk - options.learning_rate / correction[0] * step, first, second


def _cut(part, channels, values):
    """0 beyond the last channel, where an epsilon of 0 makes AdamW divide 0 by 0."""
    first, width = part
    return values if first + width <= channels else jnp.where(first + _count(width) < channels, values, 0)


def _read(ref, block):
    """The `block` of `ref`, a (first, how many) an axis, 0 beyond the end."""
    places = [first + _count(size) for first, size in block]
    inside = [place < length for place, length in zip(places, ref.shape, strict=True)]
    if len(block) == 2:
        places, inside = ([a[:, None], b[None]] for a, b in (places, inside))
    mask = inside[0] if len(block) == 1 else inside[0] & inside[1]
    return triton.load(ref.at[tuple(places)], mask=mask, other=0)


def _count(length):
    return jax.lax.iota(jnp.int32, length)
