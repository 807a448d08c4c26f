"""Rows without a usable vector: NaN by design, and vectors that say nothing.

Letters: c channels, h x w grid cells of the layer.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from loce_jax.solver.solution import Solution, Status


@contextmanager
def nans_allowed() -> Iterator[None]:
    """Where rows that cannot be solved hold NaN: JAX's search for NaN (``JAX_DEBUG_NANS``) is off, in this thread."""
    with jax.debug_nans(False), jax.debug_infs(False):
        yield


def mark_degenerate(solution: Solution) -> Solution:
    """The solution, its rows whose vectors say nothing marked `Status.DEGENERATE`; all other rows as they are."""
    on_host = isinstance(solution.vectors, jax.Array) and not isinstance(solution.vectors, jax.core.Tracer)
    if not on_host or any(device.platform != "cpu" for device in solution.vectors.devices()):
        return _mark_on_device(solution)
    found = _says_nothing(jax.tree.map(np.asarray, solution), np)
    if not found.any():
        return solution
    return jax.device_put(_mark(jax.tree.map(np.asarray, solution), found, np))


@jax.jit
def _mark_on_device(solution):
    return _mark(solution, _says_nothing(solution, jnp), jnp)


def _says_nothing(solution, xp):
    """Whether a solved row's vector is zero, or its responses vanish or overflow."""
    zero = ~xp.any(solution.vectors != 0, axis=-1)
    if solution.bias is None:
        zero |= ~xp.any(solution.responses != 0, axis=(-2, -1))
    return (solution.status == Status.OK) & (zero | ~xp.all(xp.isfinite(solution.responses), axis=(-2, -1)))


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
