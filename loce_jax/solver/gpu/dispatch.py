"""When the GPU kernel of `loce_jax.solver.gpu.resident` solves: where it fits on chip and agrees with XLA."""

import functools as ft

import jax
import jax.numpy as jnp
import numpy as np

from loce_jax.foreign_text import logger
from loce_jax.recipes import PaperRecipe
from loce_jax.solver.gpu.resident import chip_of, fits_on_chip, solve_resident
from loce_jax.solver.paper.sample import make_solution
from loce_jax.solver.solution import Solution
from loce_jax.solver.xla import Samples, resize_matrices, solve_by_xla

log = logger(__name__)


@ft.partial(jax.jit, static_argnames=("recipe", "interpret"))
def solve_by_kernel(samples: Samples, recipe: PaperRecipe, *, interpret: bool = False) -> Solution:
    """As `solve_by_xla`, by a GPU kernel that keeps each sample on chip (`loce_jax.solver.gpu.resident`)."""
    activations, targets, valid, start = (jnp.asarray(part) for part in samples)
    n, k = targets.shape[:2]
    starts = jnp.broadcast_to(start, (n, k, activations.shape[-1]))
    vectors, losses = solve_resident(activations, targets, starts, recipe, interpret=interpret)
    one = ft.partial(make_solution, resize=resize_matrices(activations.shape[1:3], targets.shape[2:]))
    image = jax.vmap(lambda cells, *rest: one((cells, rest[0]), rest[1], rest[2:]), in_axes=(None, 0, 0, 0, 0))
    return jax.vmap(image)(activations, targets, valid, vectors, losses)


def kernel_supports(samples, recipe):
    """Whether the GPU kernel fits these samples, and, tried on the first image, agrees with XLA."""
    activations, targets = samples[:2]
    _, h, w, c = activations.shape
    if not fits_on_chip(h, w, c, str(activations.dtype), chip_of(jax.local_devices()[0]), targets.shape[2:]):
        return False
    key = activations.shape[1:], str(activations.dtype), targets.shape[1:], recipe
    if key not in _agrees:
        _agrees[key] = agrees_with_xla(tuple(part[:1] if part.ndim > 1 else part for part in samples), recipe)
    return _agrees[key]


_agrees: dict = {}  # shapes and recipes for which the kernel was compared with XLA, and whether it agreed


def agrees_with_xla(samples: Samples, recipe: PaperRecipe, *, interpret: bool = False) -> bool:
    """Whether the GPU kernel runs here and gives XLA's vectors to 1e-3; if not, a warning says what happened."""
    try:
        found = np.asarray(solve_by_kernel(samples, recipe, interpret=interpret).vectors)
    except Exception as error:  # noqa: BLE001 - compilers of GPU code have no common error
        log.warning("The GPU kernel does not run here, XLA solves instead: %s", str(error).partition("\n")[0])
        return False
    expected = np.asarray(solve_by_xla(samples, recipe).vectors)
    if np.allclose(found, expected, rtol=1e-3, atol=1e-3 * np.nanmax(np.abs(expected), initial=0), equal_nan=True):
        return True
    log.warning("The GPU kernel disagrees with XLA by %.1e; XLA solves instead.", np.nanmax(np.abs(found - expected)))
    return False
