"""What `solve` accepts: arrays of shapes that fit, and a recipe with what it needs.

Shapes: n images, k concepts per image, h x w grid cells of the layer, c channels, H x W the target's grid.
"""

from typing import Any

import jax.numpy as jnp
from jax.core import Tracer

from loce_jax.arrays import MASK_KINDS, as_array, has_channels_first, with_channels_last
from loce_jax.checks import InputError, check_shape
from loce_jax.recipes import PaperRecipe, Recipe, RidgeRecipe
from loce_jax.statistics import Statistics

ACTIVATION_DTYPES = ("float32", "bfloat16", "float16")


def check_inputs(
    activations: Any, masks: Any, recipe: Recipe, optional: dict[str, Any], *, channels_last: bool | None
) -> tuple[Any, Any, dict[str, Any]]:
    """Activations ``[n h w c]``, masks and optional arrays as NumPy or JAX arrays that fit each other.

    Args:
        activations: as given to `solve`.
        masks: as given.
        recipe: as given.
        optional: "valid", "initial" and "statistics", as given; None where left out.
        channels_last: as given.

    Raises:
        InputError: as `solve` does.
    """
    if not isinstance(recipe, PaperRecipe | RidgeRecipe):
        raise InputError(
            f"`recipe` must be a `PaperRecipe` or a `RidgeRecipe`, but got {recipe!r}. Make one: `RidgeRecipe()`."
        )
    if not isinstance(channels_last, bool | None):
        raise InputError(f"`channels_last` must be True, False or None, but got {channels_last!r}. Leave it out.")
    statistics = optional["statistics"]
    if statistics is not None and not isinstance(statistics, Statistics):
        raise InputError(
            f"`statistics` must be `Statistics`, but got a {type(statistics).__name__}. `Statistics.of(activations)` "
            "of all images makes it."
        )
    arrays = {name: optional[name] for name in ("valid", "initial")}
    arrays = {name: value if value is None else as_array(name, value) for name, value in arrays.items()}
    activations, masks = as_array("activations", activations), as_array("masks", masks)
    activations = with_channels_last(activations, channels_last=channels_last)
    _check_arrays(activations, masks, arrays["valid"])
    _check_axes(activations, masks, arrays["initial"], statistics, channels_last)
    if arrays["initial"] is not None:
        shape = (*masks.shape[:-2], activations.shape[-1])
        fix = "`PaperRecipe.init` needs none."
        check_shape("initial", arrays["initial"], shape, meaning="one start vector per mask", fix=fix)
    _check_range(masks)
    _check_recipe(activations, recipe, arrays["initial"], statistics)
    return activations, masks, arrays


def is_traced(arrays: Any) -> bool:
    """Whether we are inside a caller's `jit` or `vmap`, where there are shapes but no values."""
    return any(isinstance(array, Tracer) for array in arrays)


def _check_arrays(activations, masks, valid):
    if activations.ndim != 4:
        raise InputError(
            f"`activations` must have 4 axes [n h w c] (samples, height, width, channels), but got shape "
            f"{tuple(activations.shape)}. PyTorch's [n c h w] becomes ours by `channels_last=False`."
        )
    if str(activations.dtype) not in ACTIVATION_DTYPES:
        raise InputError(
            f"`activations` must be one of {', '.join(ACTIVATION_DTYPES)}, but got {activations.dtype}. "
            "Convert first: `activations.astype('float32')`."
        )
    if masks.dtype.kind not in MASK_KINDS and not jnp.issubdtype(masks.dtype, jnp.floating):
        raise InputError(
            f"`masks` must be numbers or booleans, but got {masks.dtype}. Convert first: `masks.astype('float32')`."
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
        check_shape("valid", valid, masks.shape[:2], meaning="one flag per mask", fix="True where the mask is real.")


def _check_axes(activations, masks, initial, statistics, channels_last):
    """Refuse what has the axes of another library, as far as shapes show it."""
    shape, channels = tuple(activations.shape), None
    if statistics is not None:
        channels = len(statistics.mean)
    elif initial is not None:
        channels = initial.shape[-1] if initial.ndim else None
    if channels_last is None and has_channels_first(shape, grid=tuple(masks.shape[-2:]), channels=channels):
        raise InputError(
            f"`activations` must be [n h w c], the channels last, but shape {shape} is [n c h w], as "
            f"{'the masks' if channels is None else 'the channels'} show. Say `channels_last=False` to have them "
            "transposed, or `channels_last=True` if they are right."
        )
    if masks.ndim == 4 and masks.shape[-1] == 1 and shape[2] > 1:
        raise InputError(
            f"`masks` must have shape [n H W] or [n k H W], but {tuple(masks.shape)} ends with an axis of length 1, "
            "which would be masks one pixel wide. Drop it: `masks[..., 0]`."
        )
    if masks.ndim == 4 and masks.shape[1:3] == shape[1:3] != masks.shape[2:]:
        raise InputError(
            "`masks` must have shape [n k H W], the k concepts of a sample on the second axis, but "
            f"{tuple(masks.shape)} has them last. Move them: `masks.transpose(0, 3, 1, 2)`."
        )


def _check_range(masks):
    if not masks.size or is_traced([masks]):
        return
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
            "`statistics` must be given for the ridge recipe, whose vectors are in coordinates of the whole data set, "
            "but got none. `Statistics.of(activations)` of all images makes it; parts `merge`."
        )
    if statistics.mean.shape != activations.shape[-1:]:
        raise InputError(
            f"`statistics` must be of the same layer as `activations`, which have {activations.shape[-1]} channels, "
            f"but is of {len(statistics.mean)}. Gather it from this layer."
        )
    if initial is not None:
        raise InputError("`initial` has no meaning in the ridge recipe, whose optimum is unique. Leave it out.")
