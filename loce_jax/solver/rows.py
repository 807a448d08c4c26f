"""Rows without a usable vector: NaN by design, and degenerate vectors.

Shapes: n images, k concepts per image, c channels, h x w grid cells of the layer.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from loce_jax.solver.solution import Solution, Status

OVERFLOWING = 1e14  # activations beyond which squares of a gradient, a sum over pixels, may leave float32
VANISHING = math.log(128 / 127)  # responses of less are 127 of 255 everywhere in the paper's projection: no mask, IoU 0
ROUNDING = 1e-6  # by how much, relatively, equal responses may differ


@contextmanager
def nans_allowed() -> Iterator[None]:
    """Where rows that cannot be solved hold NaN: JAX's search for NaN (``JAX_DEBUG_NANS``) is off, in this thread."""
    with jax.debug_nans(False), jax.debug_infs(False):
        yield


def mark_degenerate(solution: Solution, activations: Float[Array | np.ndarray, "n h w c"]) -> Solution:
    """The solution, its degenerate rows marked `Status.DEGENERATE`; all other rows as they are.

    Args:
        solution: its leading axes are [n k].
        activations: what was solved on.
    """
    vectors = solution.vectors
    if isinstance(vectors, Tracer | np.ndarray) or any(device.platform != "cpu" for device in vectors.devices()):
        return _mark_on_device(solution, activations)
    on_host = jax.tree.map(np.asarray, solution)
    found = _is_degenerate(on_host, np) | _overlooks_on_host(on_host, np.asarray(activations))
    return jax.device_put(_mark(on_host, found, np)) if found.any() else solution


@jax.jit
def _mark_on_device(solution, activations):
    candidates = _overlooked(solution)

    def overflows(activations):
        return jnp.any(candidates & (jnp.abs(activations).max(axis=(1, 2)) > OVERFLOWING)[:, None], axis=-1)

    def skip(_):
        return jnp.zeros(candidates.shape[:2], bool)

    overlooks = jax.lax.cond(candidates.any(), overflows, skip, jnp.asarray(activations))
    return _mark(solution, _is_degenerate(solution, jnp) | overlooks, jnp)


def _is_degenerate(solution, xp):
    """Whether a solved row's vector is zero, or its responses vanish, overflow, or are equal at all cells.

    The ridge recipe's responses have a bias, and its vector is zero where all cells are equal.
    """
    nothing = ~xp.any(solution.vectors != 0, axis=-1)
    if solution.bias is None:
        low, high = (reduced(solution.responses, axis=(-2, -1)) for reduced in (xp.min, xp.max))
        size = xp.maximum(-low, high)
        nothing |= (size < VANISHING) | (high - low <= ROUNDING * size)
    return (solution.status == Status.OK) & (nothing | ~xp.all(xp.isfinite(solution.responses), axis=(-2, -1)))


def _overlooked(solution):
    """Entries of solved vectors that are exactly 0: of channels that are 0, or whose squared gradient overflowed.

    The ridge recipe has none of the latter: it solves on whitened activations.
    """
    by_paper = solution.bias is None
    return (solution.vectors == 0) & (solution.status == Status.OK)[..., None] & by_paper


def _overlooks_on_host(solution, activations):
    """Whether a row's vector is 0 at a channel so large that its squared gradient overflowed; few are looked at."""
    candidates, found = _overlooked(solution), np.zeros(solution.status.shape, bool)
    for image in np.flatnonzero(candidates.any(axis=(1, 2))):
        channels = np.flatnonzero(candidates[image].any(axis=0))
        large = np.abs(activations[image][..., channels].astype(np.float32)).max(axis=(0, 1)) > OVERFLOWING
        found[image] = (candidates[image][:, channels] & large).any(axis=-1)
    return found


def _mark(solution, degenerate, xp):
    def blank(leaf):
        rows = degenerate.reshape(degenerate.shape + (1,) * (leaf.ndim - degenerate.ndim))
        return xp.where(rows, xp.asarray(np.nan, leaf.dtype), leaf)

    floats = {name: getattr(solution, name) for name in ("vectors", "losses", "responses", "iou", "bias")}
    floats = {name: leaf if leaf is None else blank(leaf) for name, leaf in floats.items()}
    status = xp.where(degenerate, xp.asarray(Status.DEGENERATE, solution.status.dtype), solution.status)
    convergence = solution.convergence
    if convergence is not None:
        converged, norm = convergence.converged & ~degenerate, blank(convergence.gradient_norm)
        convergence = replace(convergence, converged=converged, gradient_norm=norm)
    return replace(solution, **floats, status=status, convergence=convergence)
