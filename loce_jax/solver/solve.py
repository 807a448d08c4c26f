"""Solve for local concept embeddings: one vector per (activations, mask).

We look for the 1x1 filter whose response on a layer's activations, resized to the mask's grid, best redraws the mask.
Bilinear resizing commutes with the sum over channels, so only the one response map is resized, never the
activations.  Samples do not know of each other: the maths is written for one sample and mapped over concepts and
images in one place.
Letters: n images, k concepts an image, h x w grid cells of the layer, c channels, H x W the target's grid, t steps.
"""

import functools as ft
import os
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Num

from loce_jax.checks import InputError, check_shape
from loce_jax.resampling import bilinear_matrix
from loce_jax.solver.adamw import Moments, adamw_step, corrections
from loce_jax.solver.losses import OBJECTIVES, magnitude
from loce_jax.solver.options import SolverOptions
from loce_jax.solver.solution import Solution, Status

ACTIVATION_DTYPES = ("float32", "bfloat16", "float16")


def solve(
    activations: Float[Array | np.ndarray, "n h w c"],
    masks: Num[Array | np.ndarray, "n *k H W"] | Bool[Array | np.ndarray, "n *k H W"],
    options: SolverOptions = SolverOptions(),  # noqa: B008 - frozen
    *,
    valid: Bool[Array | np.ndarray, "n k"] | None = None,
    initial: Float[Array | np.ndarray, "n *k c"] | None = None,
) -> Solution:
    """Find one concept vector per mask.

    Args:
        activations: one layer's activations at the layer's own resolution; float32, bfloat16 or float16, all
            arithmetic is float32.
        masks: targets in [0, 1] on any grid (the paper's is 100 x 100, see `loce_jax.resampling.soft_target`):
            ``[n, H, W]``, one a sample, or ``[n, k, H, W]``, k concepts that share the sample's activations.
        options: the recipe; default is the paper's.
        valid: with ``[n, k, H, W]`` masks, False marks padding: no result, status `Status.PADDING`.
        initial: start vectors; overrides ``options.start``.

    Returns:
        The `Solution`; its fields have the leading axes of `masks`.  Rows that cannot be solved (non-finite numbers,
        an empty or a full mask) are flagged in ``status`` and hold NaN; they never touch other rows.

    Raises:
        InputError: shapes that do not fit, a dtype that is not floating, targets outside [0, 1].

    >>> activations = np.stack([np.eye(2), -np.eye(2)]).reshape(2, 2, 2, 1).astype("float32")
    >>> masks = np.stack([np.eye(2), np.eye(2)]).astype("float32")
    >>> solution = solve(activations, masks)
    >>> solution.vectors.shape, solution.ok.tolist(), bool(solution.vectors[0, 0] > 0 > solution.vectors[1, 0])
    ((2, 1), [True, True], True)
    """
    single = masks.ndim == 3
    _check(activations, masks, valid, initial)
    acts, targets = jnp.asarray(activations), jnp.asarray(masks, jnp.float32)
    if single:
        targets = targets[:, None]
    n, k = targets.shape[:2]
    keep = jnp.ones((n, k), bool) if valid is None else jnp.asarray(valid)
    if initial is None:
        start = jnp.broadcast_to(options.start_vector(acts.shape[-1]), (n, k, acts.shape[-1]))
    else:
        start = jnp.asarray(initial, jnp.float32).reshape(n, k, acts.shape[-1])
    solution = _solve_all((acts, targets, keep, start), options)
    return jax.tree.map(lambda leaf: leaf[:, 0], solution) if single else solution


def _check(activations, masks, valid, initial):
    if activations.ndim != 4:
        raise InputError(
            f"`activations` must have 4 axes [n h w c] (samples, height, width, channels), but got shape "
            f"{tuple(activations.shape)}. PyTorch's [n c h w] becomes ours by `activations.transpose(0, 2, 3, 1)`."
        )
    if str(activations.dtype) not in ACTIVATION_DTYPES:
        raise InputError(
            f"`activations` must be one of {', '.join(ACTIVATION_DTYPES)}, but got {activations.dtype}. "
            "Convert first: `activations.astype('float32')`."
        )
    if masks.ndim not in (3, 4) or len(masks) != len(activations):
        raise InputError(
            f"`masks` must have shape [n H W] or [n k H W] with n = {len(activations)} as in `activations`, but got "
            f"{tuple(masks.shape)}. Put the masks of one sample side by side on the second axis."
        )
    if masks.ndim == 3 and valid is not None:
        raise InputError("`valid` marks padding among k concepts, but `masks` is [n H W]. Leave `valid` out.")
    if valid is not None:
        check_shape("valid", valid, masks.shape[:2], meaning="one flag a mask", fix="True where the mask is real.")
    if initial is not None:
        shape = (*masks.shape[:-2], activations.shape[-1])
        check_shape(
            "initial", initial, shape, meaning="one start vector a mask", fix="`SolverOptions.start` needs none."
        )
    if masks.size and not _is_traced([masks]):
        low, high = float(masks.min()), float(masks.max())
        if low < 0 or high > 1:
            raise InputError(
                f"`masks` must lie in [0, 1], but got values from {low:g} to {high:g}. "
                "Divide 8-bit masks by 255, or compare: `masks > 0`."
            )


def _is_traced(arrays):
    """Whether we are inside a caller's `jit` or `vmap`, where there are shapes but no values."""
    return any(isinstance(array, Tracer) for array in arrays)


def _solve_all(samples, options):
    """All samples; on a CPU with a thread a core, since XLA keeps one sample's small products on one core."""
    n = len(samples[0])
    alone = jax.default_backend() != "cpu" or options.couples_batch or _is_traced(samples)
    shares = 1 if alone else max(1, min(n, os.cpu_count() or 1))
    length = -(-n // shares)
    rows = np.minimum(np.arange(shares * length).reshape(shares, length), n - 1)
    if shares == 1:
        return _solve_rows(*samples, rows[0], options=options)
    with ThreadPoolExecutor(shares) as threads:
        parts = threads.map(lambda share: jax.block_until_ready(_solve_rows(*samples, share, options=options)), rows)
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves)[:n], *parts)


@ft.partial(jax.jit, static_argnames="options")
def _solve_rows(activations, targets, valid, start, rows, *, options):
    """The samples numbered `rows`; the one place where the maths for one sample is mapped."""
    grids = zip(activations.shape[1:3], targets.shape[-2:], strict=True)
    resize = tuple(jnp.asarray(bilinear_matrix(*lengths), jnp.float32) for lengths in grids)
    one = ft.partial(_solve_one, resize=resize, options=options)
    image = jax.vmap(one, in_axes=(None, 0, 0, 0), axis_name="concepts")
    if options.couples_batch:
        return jax.vmap(image, axis_name="images")(activations, targets, valid, start)

    def solve_row(row):
        return image(activations[row], targets[row], valid[row], start[row])

    return jax.lax.map(solve_row, rows, batch_size=_group_size())


def _group_size():
    """Samples solved side by side.  On a CPU one: its activations stay in cache for all the steps."""
    return 1 if jax.default_backend() == "cpu" else 256


def _solve_one(activations, target, valid, start, *, resize, options):
    """One sample: AdamW on the vector `start`, ``options.num_steps`` times."""
    h, w, c = activations.shape
    rows, columns = resize
    finite = jnp.all(jnp.isfinite(activations)) & jnp.all(jnp.isfinite(target))
    cells = jnp.where(finite, activations.astype(jnp.float32), 0).reshape(h * w, c)
    target = jnp.where(finite, target, 0)
    objective = OBJECTIVES[options.objective]

    def logits(vector):
        return rows @ (cells @ vector).reshape(h, w) @ columns.T

    def loss(vector):
        value = objective.loss(logits(vector), target)
        return _penalise(value, vector, valid & finite, options) if objective.penalised else value

    def step(carry, correction):
        vector, moments = carry
        value, slope = jax.value_and_grad(loss)(vector)
        return adamw_step(vector, slope, moments, correction, options), value

    still = Moments(jnp.zeros_like(start), jnp.zeros_like(start))
    (vector, _), losses = jax.lax.scan(step, (start, still), jnp.asarray(corrections(options.num_steps)))
    status = _judge(valid, finite & jnp.all(jnp.isfinite(vector)), target)
    found = vector, losses, (cells @ vector).reshape(h, w), _overlap(logits(vector), target, options)
    vector, losses, response, iou = (jnp.where(status == Status.OK, leaf, jnp.nan) for leaf in found)
    return Solution(vector, losses, response, iou, status)


def _penalise(value, vector, counts, options):
    """Add ``||v||_1 + ||v||_2``; coupled, the second norm is the whole batch's, the slope that of the batch's mean."""
    squares, samples = jnp.sum(vector**2), 1.0
    if options.couples_batch:
        batch = jnp.where(counts, squares, 0), counts.astype(jnp.float32)
        squares, samples = jax.lax.psum(batch, ("images", "concepts"))
    norm = jax.lax.stop_gradient(jnp.sqrt(squares))
    share = jnp.sum(vector**2) / (2 * jnp.where(norm > 0, norm, 1))  # its slope is the norm's: v / norm
    value = value + jnp.sum(magnitude(vector)) + share
    level = norm / samples - share + (1 - 1 / samples) * value
    return value / samples + jax.lax.stop_gradient(level)


def _judge(valid, finite, target):
    """The row's `Status`.  Empty and full allow for the rounding of the resize that made the target."""
    verdicts = (
        (~valid, Status.PADDING),
        (~finite, Status.NONFINITE),
        (target.max() <= 1e-6, Status.MASK_EMPTY),
        (target.min() >= 1 - 1e-6, Status.MASK_FULL),
    )
    return jnp.select([when for when, _ in verdicts], [jnp.int8(status) for _, status in verdicts], jnp.int8(Status.OK))


def _overlap(logits, target, options):
    """IoU on the target's grid; a projection truncated to 8 bits is "on" from 128 of 255."""
    share, mask = jax.nn.sigmoid(logits), target > 0.5
    drawn = share >= 128 / 255 if options.iou == "paper" else share > 0.5
    return jnp.sum(drawn & mask) / jnp.maximum(jnp.sum(drawn | mask), 1)
