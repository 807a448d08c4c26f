"""Solve for local concept embeddings: one vector per (activations, mask).

`solve` optimizes a 1x1-convolution filter whose response on a layer's activations, resized to the mask's grid, segments
the concept.
Bilinear resizing commutes with the sum over channels, so only the one response map is resized, never the
activations.  Samples are independent: the maths is written for one sample (`loce_jax.solver.paper.sample`)
and mapped over concepts and images in one place (`loce_jax.solver.xla`); a CPU has a twin of it
(`loce_jax.solver.cpu.solve`).
Letters: n images, k concepts an image, h x w grid cells of the layer, c channels, H x W the target's grid.
"""

from dataclasses import replace

import jax
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Num

from loce_jax.checks import InputError, check_shape
from loce_jax.recipes import PaperRecipe, Recipe, RidgeRecipe
from loce_jax.solver.backend import uses_cpu_threads
from loce_jax.solver.cpu.dispatch import cpu_supports
from loce_jax.solver.paper.init import initial_vector
from loce_jax.solver.ridge.cpu_threads import solve_rows
from loce_jax.solver.ridge.objective import Config
from loce_jax.solver.solution import Solution
from loce_jax.solver.xla import solve_by_xla, solve_on_all_devices
from loce_jax.statistics import Statistics

ACTIVATION_DTYPES = ("float32", "bfloat16", "float16")


def solve(
    activations: Float[Array | np.ndarray, "n h w c"],
    masks: Num[Array | np.ndarray, "n *k H W"] | Bool[Array | np.ndarray, "n *k H W"],
    recipe: Recipe = PaperRecipe(),  # noqa: B008 - frozen
    *,
    valid: Bool[Array | np.ndarray, "n k"] | None = None,
    initial: Float[Array | np.ndarray, "n *k c"] | None = None,
    statistics: Statistics | None = None,
) -> Solution:
    """Find one concept vector per mask.

    Args:
        activations: one layer's activations at the layer's own resolution; float32, bfloat16 or float16, all
            arithmetic is float32.
        masks: targets in [0, 1] on any grid (the paper's is 100 x 100, see `loce_jax.resampling.resize_mask`):
            ``[n, H, W]``, one a sample, or ``[n, k, H, W]``, k concepts that share the sample's activations.
        recipe: `PaperRecipe`, the default, or `RidgeRecipe`.
        valid: with ``[n, k, H, W]`` masks, False marks padding: no result, status `Status.PADDING`.
        initial: initial vectors; override ``PaperRecipe.init``.
        statistics: of the layer's pixels over the whole data set, for the ridge recipe; it tells the coordinates that
            the vectors live in, so vectors are comparable only if they were solved with the same.

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
    >>> statistics = Statistics.of(activations)  # of all your images
    >>> solution = solve(activations, masks, RidgeRecipe(), statistics=statistics)
    >>> solution.convergence.converged.tolist(), bool(solution.vectors[0, 0] > 0 > solution.vectors[1, 0])
    ([True, True], True)
    """
    _check(activations, masks, valid, initial)
    _check_recipe(activations, recipe, initial, statistics)
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
    return solution if k else jax.tree.map(lambda leaf: leaf[:, 0], solution)


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
    if 0 in (*activations.shape[1:], *masks.shape[-2:]):
        raise InputError(
            "`activations` must have cells and channels, and `masks` pixels, but got shapes "
            f"{tuple(activations.shape)} and {tuple(masks.shape)}. Leave such samples out."
        )
    if masks.ndim == 3 and valid is not None:
        raise InputError("`valid` marks padding among k concepts, but `masks` is [n H W]. Leave `valid` out.")
    if valid is not None:
        check_shape("valid", valid, masks.shape[:2], meaning="one flag a mask", fix="True where the mask is real.")
    if initial is not None:
        shape = (*masks.shape[:-2], activations.shape[-1])
        check_shape("initial", initial, shape, meaning="one start vector a mask", fix="`PaperRecipe.init` needs none.")
    if masks.size and not _is_traced([masks]):
        low, high = float(masks.min()), float(masks.max())
        if low < 0 or high > 1:
            raise InputError(
                f"`masks` must lie in [0, 1], but got values from {low:g} to {high:g}. "
                "Divide 8-bit masks by 255, or compare: `masks > 0`."
            )


def _check_recipe(activations, recipe, initial, statistics):
    if not recipe.needs_statistics:
        if statistics is not None:
            raise InputError(
                f"`statistics` belongs to the ridge recipe, but `recipe` is {recipe!r}. Leave it out, or choose "
                "`RidgeRecipe()`."
            )
        return
    if statistics is None:
        raise InputError(
            "`statistics` must be given for the ridge recipe, whose vectors live in coordinates of the whole data set, "
            "but got none. `Statistics.of(activations)` of all images makes it; parts `merge`."
        )
    if statistics.mean.shape != activations.shape[-1:]:
        raise InputError(
            f"`statistics` must be of the same layer as `activations`, which have {activations.shape[-1]} channels, "
            f"but is of {len(statistics.mean)}. Gather it from this layer."
        )
    if initial is not None:
        raise InputError("`initial` has no meaning in the ridge recipe, whose optimum is unique. Leave it out.")


def _is_traced(arrays):
    """Whether we are inside a caller's `jit` or `vmap`, where there are shapes but no values."""
    return any(isinstance(array, Tracer) for array in arrays)


def _solve_ridge(samples, recipe, statistics):
    """By the ridge recipe; one program serves all its numbers but the tolerance."""
    config, program = Config.of(statistics, recipe), RidgeRecipe(tolerance=recipe.tolerance)
    samples = *samples, np.zeros(samples[0].shape[-1], np.float32)  # an initial vector, which is not read
    if _is_traced(samples):
        solution = solve_by_xla(samples, program, config)
    elif uses_cpu_threads():
        solution = solve_rows(samples, recipe.tolerance, config)
    else:
        solution = solve_on_all_devices(samples, program, config)
    return replace(solution, whitening=statistics.whitening(recipe.whitening))


def _solve_paper(samples, options):
    """The samples by the shortest way: compiled for the cores of a CPU, or by XLA on the devices there are."""
    if _is_traced(samples):
        return solve_by_xla(samples, options)
    if uses_cpu_threads() and cpu_supports(options, samples[0].dtype):
        from loce_jax.solver.cpu.solve import solve_on_cpu  # noqa: PLC0415 - Numba

        return solve_on_cpu(samples, options)
    if jax.default_backend() == "gpu" and jax.local_device_count() == 1 and not options.couples_batch:
        from loce_jax.solver.gpu.dispatch import kernel_supports, solve_by_kernel  # noqa: PLC0415 - Pallas, a quarter of a second

        if kernel_supports(samples, options):
            return solve_by_kernel(samples, options)
    return solve_on_all_devices(samples, options)
