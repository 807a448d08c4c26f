"""The paper's recipe on a CPU, one thread per core: prepares the arrays, solves, and sets each row's status.

XLA's CPU code reaches a fifth of the machine's peak on this problem, the compiled `loce_jax.solver.cpu.kernel` more
than a third (benchmarks/LIMITS.md).  `loce_jax.solver.paper.sample` is the same mathematics in JAX, for every other
device and for use inside `jit`; a test compares the two.
Shapes: n images, k concepts, h x w grid cells of the layer, c channels, H x W the target's grid.
"""

import functools as ft
import os
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np

from loce_jax.recipes import PaperRecipe
from loce_jax.solver.cpu.compiling import read_only
from loce_jax.solver.cpu.kernel import KernelConfig, Results, make_workspace, solve_images
from loce_jax.solver.cpu.loss_and_grad import COMPILED_OBJECTIVES
from loce_jax.solver.cpu.matvec import as_loadable
from loce_jax.solver.cpu.resize_buffers import make_resize_buffers
from loce_jax.solver.losses import OBJECTIVES
from loce_jax.solver.paper.adamw import corrections
from loce_jax.solver.paper.sample import EIGHT_BIT_HALF, find_status
from loce_jax.solver.solution import Solution, Status
from loce_jax.solver.xla import Samples


def solve_on_cpu(samples: Samples, recipe: PaperRecipe) -> Solution:
    """Solve for every target, by a recipe that `loce_jax.solver.cpu.dispatch.cpu_supports`.

    Args:
        samples: activations, targets, which of them are not padding, and start vectors.
        recipe: the recipe.
    """
    activations = read_only(as_loadable(samples[0]))
    targets, valid = read_only(np.asarray(samples[1]), np.float32), read_only(np.asarray(samples[2]), bool)
    (n, h, w, c), (k, H, W) = activations.shape, targets.shape[1:]
    results = Results(
        np.array(np.broadcast_to(np.asarray(samples[3], np.float32), (n, k, c)), order="C"),
        *(np.empty((n, k, *shape), np.float32) for shape in ((recipe.num_steps,), (h, w), (), (2,))),
    )
    config = kernel_config(recipe)
    longest_first, taken = np.argsort(-valid.sum(axis=1), kind="stable"), np.zeros(1, np.int64)

    def solve_some(_):
        buffers, work = make_resize_buffers((h, w), (H, W)), make_workspace(activations, targets)
        solve_images((longest_first, taken), (activations, targets, valid), buffers, work, config, results)

    with ThreadPoolExecutor() as threads:
        try:
            list(threads.map(solve_some, range(min(n, os.cpu_count() or 1))))
        finally:
            taken[0] = n  # interrupted, each thread ends after its current image
    finite = np.isfinite(results.vectors).all(axis=-1)
    lowest, highest = np.moveaxis(results.extremes, -1, 0)
    status = find_status(valid, finite, highest, lowest, numpy=np)
    for part in results:
        part[status != Status.OK] = np.nan
    return jax.device_put(Solution(*results[:4], status))  # `jnp.asarray` compiles for each shape


def compile_for(dtype: np.dtype) -> None:
    """Compile the solver for activations of `dtype`, or read it from disk, by solving for one pixel.

    Raises:
        Exception: of any kind, when the installed Numba does not fit.
    """
    pixel = np.zeros((1, 1, 1, 1), np.float32)
    solve_on_cpu((pixel.astype(dtype), pixel, np.ones((1, 1), bool), pixel[0, 0, 0]), PaperRecipe(num_steps=1))


@ft.lru_cache(maxsize=64)
def kernel_config(recipe: PaperRecipe) -> KernelConfig:
    """What the compiled code reads of a recipe."""
    objective = OBJECTIVES[recipe.objective]
    return KernelConfig(
        corrections(recipe.num_steps),
        np.float32(recipe.learning_rate),
        np.float32(1 - recipe.learning_rate * recipe.weight_decay),
        np.float32(recipe.epsilon),
        COMPILED_OBJECTIVES.index(recipe.objective),
        objective.averaged,
        recipe.penalized,
        np.float32(EIGHT_BIT_HALF),
    )
