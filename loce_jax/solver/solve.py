"""Solve for local concept embeddings: one vector per (activations, mask).

`solve` optimizes a 1x1-convolution filter whose response on a layer's activations, resized to the mask's grid, segments
the concept.
Bilinear resizing commutes with the sum over channels, so only the one response map is resized, never the
activations.  Samples are independent: the maths is written for one sample (`loce_jax.solver.paper.sample`)
and mapped over concepts and images in one place (`loce_jax.solver.xla`); a CPU has a twin of it
(`loce_jax.solver.cpu.solve`).
Shapes: n images, k concepts per image, h x w grid cells of the layer, c channels, H x W the target's grid.
"""

from dataclasses import replace

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Num

from loce_jax.recipes import PaperRecipe, Recipe, RidgeRecipe
from loce_jax.solver.backend import uses_cpu_threads
from loce_jax.solver.cpu.dispatch import cpu_supports
from loce_jax.solver.inputs import check_inputs, is_traced
from loce_jax.solver.paper.init import initial_vector
from loce_jax.solver.ridge.cpu_threads import solve_rows
from loce_jax.solver.ridge.objective import Config
from loce_jax.solver.rows import mark_degenerate, nans_allowed
from loce_jax.solver.solution import Solution
from loce_jax.solver.xla import solve_by_xla, solve_on_all_devices
from loce_jax.statistics import Statistics


def solve(  # noqa: PLR0913 - two arrays, the recipe, and four rarer ones
    activations: Float[Array | np.ndarray, "n h w c"],
    masks: Num[Array | np.ndarray, "n *k H W"] | Bool[Array | np.ndarray, "n *k H W"],
    recipe: Recipe = PaperRecipe(),  # noqa: B008 - frozen
    *,
    valid: Bool[Array | np.ndarray, "n k"] | None = None,
    initial: Float[Array | np.ndarray, "n *k c"] | None = None,
    statistics: Statistics | None = None,
    channels_last: bool | None = None,
) -> Solution:
    """Find one concept vector per mask.

    Args:
        activations: one layer's activations at the layer's own resolution; float32, bfloat16 or float16, all
            arithmetic is float32.  Tensors of PyTorch are accepted, from any device.
        masks: targets in [0, 1] on any grid (the paper's is 100 x 100, see `loce_jax.resampling.resize_mask`):
            ``[n, H, W]``, one per sample, or ``[n, k, H, W]``, k concepts that share the sample's activations.  A last
            axis of length 1 is refused.
        recipe: `PaperRecipe`, the default, or `RidgeRecipe`.
        valid: with ``[n, k, H, W]`` masks, False marks padding: no result, status `Status.PADDING`.
        initial: initial vectors; override ``PaperRecipe.init``.
        statistics: of the layer's pixels over the whole data set, for the ridge recipe; it defines the vectors'
            coordinates, so vectors are comparable only if they were solved with the same.
        channels_last: False if `activations` are ``[n c h w]``, as PyTorch has them; they are transposed.  If left out,
            such activations are refused where the masks' grid, or the channels of `statistics` or `initial`, show them;
            on masks of another grid nothing shows them, and h counts as channels.  True skips that check.

    Returns:
        The `Solution`; its fields have the leading axes of `masks`.  Rows that cannot be solved (non-finite numbers,
        an empty or a full mask, a degenerate vector) are flagged in ``status`` and hold NaN; they never touch
        other rows.

    Raises:
        InputError: what is no array, shapes that do not fit, a dtype that is not floating, targets outside [0, 1].

    >>> activations = np.stack([np.eye(2), -np.eye(2)]).reshape(2, 2, 2, 1).astype("float32")
    >>> masks = np.stack([np.eye(2), np.eye(2)]).astype("float32")
    >>> solution = solve(activations, masks)
    >>> solution.vectors.shape, solution.ok.tolist(), bool(solution.vectors[0, 0] > 0 > solution.vectors[1, 0])
    ((2, 1), [True, True], True)
    >>> statistics = Statistics.of(activations)  # of all your images
    >>> solution = solve(activations, masks, RidgeRecipe(), statistics=statistics)
    >>> solution.convergence.converged.tolist(), bool(solution.vectors[0, 0] > 0 > solution.vectors[1, 0])
    ([True, True], True)
    """
    optional = {"valid": valid, "initial": initial, "statistics": statistics}
    activations, masks, arrays = check_inputs(activations, masks, recipe, optional, channels_last=channels_last)
    valid, initial = arrays["valid"], arrays["initial"]
    with nans_allowed():
        k = masks.shape[1:-2]
        targets = masks.astype(np.float32, copy=False).reshape(len(masks), *(k or (1,)), *masks.shape[-2:])
        if valid is None:
            valid = np.ones(targets.shape[:2], bool)
        if isinstance(recipe, RidgeRecipe):
            solution = _solve_ridge((activations, targets, valid), recipe, statistics)
        else:
            if initial is None:
                start = initial_vector(recipe, activations.shape[-1])
            else:
                start = initial.astype(np.float32).reshape(*targets.shape[:2], -1)
            solution = _solve_paper((activations, targets, valid, start), recipe)
        solution = mark_degenerate(solution, activations)
        return solution if k else jax.tree.map(lambda leaf: leaf[:, 0], solution)


def _solve_ridge(samples, recipe, statistics):
    """By the ridge recipe; one program serves all values of its options but the tolerance."""
    config, program = Config.of(statistics, recipe), RidgeRecipe(tolerance=recipe.tolerance)
    samples = *samples, np.zeros(samples[0].shape[-1], np.float32)  # an initial vector, which is not read
    if is_traced(samples):
        solution = solve_by_xla(samples, program, config)
    elif uses_cpu_threads():
        solution = solve_rows(samples, recipe.tolerance, config)
    else:
        solution = solve_on_all_devices(samples, program, config)
    return replace(solution, whitening=statistics.whitening(recipe.whitening))


def _solve_paper(samples, recipe):
    """By the fastest implementation: compiled for the cores of a CPU, a GPU kernel, or XLA on the available devices."""
    if is_traced(samples):
        return solve_by_xla(samples, recipe)
    if uses_cpu_threads() and cpu_supports(recipe, samples[0].dtype):
        from loce_jax.solver.cpu.solve import solve_on_cpu  # noqa: PLC0415 - Numba

        return solve_on_cpu(samples, recipe)
    if jax.default_backend() == "gpu" and jax.local_device_count() == 1 and not recipe.couples_batch:
        from loce_jax.solver.gpu.dispatch import kernel_supports, solve_by_kernel  # noqa: PLC0415 - Pallas, a quarter of a second

        if kernel_supports(samples, recipe):
            return solve_by_kernel(samples, recipe)
    return solve_on_all_devices(samples, recipe)
