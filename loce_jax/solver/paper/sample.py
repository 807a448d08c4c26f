"""The mathematics for ONE sample in JAX: any device, inside `jit`, `vmap` and `shard_map`.

Shapes: h x w grid cells of the layer, c channels, H x W the target's grid, t steps.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from loce_jax.recipes import PaperRecipe
from loce_jax.solver.losses import OBJECTIVES, background_share, loss, magnitude
from loce_jax.solver.paper.adamw import Moments, adamw_step, corrections
from loce_jax.solver.precision import matmul
from loce_jax.solver.solution import Solution, Status

EIGHT_BIT_HALF = 128 / 255
Resize = tuple[Float[Array, "H h"], Float[Array, "W w"]]


def solve_one(
    activations: Float[Array, "h w c"],
    target: Float[Array, "H W"],
    valid: Bool[Array, ""],
    start: Float[Array, " c"],
    *,
    resize: Resize,
    recipe: PaperRecipe,
) -> Solution:
    """One sample: AdamW on the vector `start`, ``recipe.num_steps`` times.

    A recipe that couples samples needs to be mapped under the axis names "images" and "concepts".
    """
    finite = jnp.all(jnp.isfinite(activations)) & jnp.all(jnp.isfinite(target))
    given = jnp.where(finite, activations, 0)
    target = jnp.where(finite, target, 0)
    objective, background = OBJECTIVES[recipe.objective], background_share(target)

    def penalized_loss(vector, activations):
        value = loss(objective, upsample(matvec(activations, vector), resize), target, background)
        return _penalize(value, vector, valid & finite, recipe) if recipe.penalized else value

    def step(carry, correction):
        vector, moments = carry
        # without it XLA converts half-precision activations to float32 once, before the loop, and reads those
        vector, activations = jax.lax.optimization_barrier((vector, given))
        value, gradient = jax.value_and_grad(penalized_loss)(vector, activations)
        return adamw_step(vector, gradient, moments, correction, recipe), value

    moments = Moments(jnp.zeros_like(start), jnp.zeros_like(start))
    (vector, _), losses = jax.lax.scan(step, (start, moments), jnp.asarray(corrections(recipe.num_steps)))
    vector = jnp.where(finite, vector, jnp.nan)
    return make_solution((given, target), valid, (vector, losses), resize=resize)


def matvec(activations: Float[Array, "h w c"], vector: Float[Array, " c"]) -> Float[Array, "h w"]:
    """``activations @ vector`` in float32; half-precision activations are converted as they are read."""
    wide = activations.astype(jnp.float32)
    return matmul(wide, vector) if activations.dtype == jnp.float32 else jnp.sum(wide * vector, axis=-1)


def upsample(response: Float[Array, "h w"], resize: Resize) -> Float[Array, "H W"]:
    """The response on the target's grid."""
    rows, columns = resize
    return matmul(matmul(rows, response), columns.T)


def make_solution(sample, valid, found, *, resize: Resize) -> Solution:
    """The `Solution` of one sample (activations, target) from its vector and losses."""
    (activations, target), (vector, losses) = sample, found
    response = matvec(activations, vector)
    status = find_status(valid, jnp.all(jnp.isfinite(vector)), target.max(), target.min())
    found = vector, losses, response, _iou(upsample(response, resize), target)
    vector, losses, response, iou = (jnp.where(status == Status.OK, leaf, jnp.nan) for leaf in found)
    return Solution(vector, losses, response, iou, status)


def _penalize(value, vector, counts, recipe):
    """Add ``||v||_1 + ||v||_2``; coupled, the second norm is the whole batch's, and the gradient that of its mean."""
    squares, samples = jnp.sum(vector**2), 1.0
    if recipe.couples_batch:
        batch = jnp.where(counts, squares, 0), counts.astype(jnp.float32)
        squares, samples = jax.lax.psum(batch, ("images", "concepts"))
    norm = jax.lax.stop_gradient(jnp.sqrt(squares))
    share = jnp.sum(vector**2) / (2 * jnp.where(norm > 0, norm, 1))  # its gradient is the norm's: v / norm
    value = value + jnp.sum(magnitude(vector)) + share
    level = norm / samples - share + (1 - 1 / samples) * value
    return value / samples + jax.lax.stop_gradient(level)


def find_status(valid, finite, highest, lowest, *, numpy=jnp):
    """Rows' `Status`, from the extremes of their targets, by JAX or by the library given as `numpy`.

    Empty and full allow for the rounding of the resize that made the target.
    """
    conditions = (
        (~valid, Status.PADDING),
        (~finite, Status.NONFINITE),
        (highest <= 1e-6, Status.MASK_EMPTY),
        (lowest >= 1 - 1e-6, Status.MASK_FULL),
    )
    choices = [numpy.int8(status) for _, status in conditions]
    return numpy.select([condition for condition, _ in conditions], choices, numpy.int8(Status.OK))


def _iou(logits, target):
    """IoU on the target's grid.  Truncated to 8 bits, a projection exceeds one half from 128 of 255."""
    segmented, mask = jax.nn.sigmoid(logits) >= EIGHT_BIT_HALF, target > 0.5
    return jnp.sum(segmented & mask) / jnp.maximum(jnp.sum(segmented | mask), 1)
