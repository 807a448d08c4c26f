"""Arrays that callers give, of any library, as NumPy or JAX arrays with the channels last."""

from typing import Any

import numpy as np

from loce_jax.checks import InputError

MASK_KINDS = "biuf"  # NumPy's letters for booleans, integers and floating-point numbers


def as_array(name: str, value: Any) -> Any:
    """`value` if it is a NumPy or JAX array; a tensor of PyTorch, on any device, as a NumPy array.

    bfloat16 tensors, which NumPy does not have, become float32, with the same numbers.

    Raises:
        InputError: anything else, such as a list; a masked array, whose mask nothing here would heed.

    >>> as_array("masks", [[0, 1]])
    Traceback (most recent call last):
    ...
    loce_jax.checks.InputError: `masks` must be an array, but got a list. Make it one: `np.asarray(masks)`.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise InputError(
            f"`{name}` must be a plain array, but got a masked one, whose mask would be ignored. Say what stands for "
            f"masked entries: `{name}.filled(0)`, or `{name}.filled(np.nan)` to have their rows marked."
        )
    if isinstance(value, np.ndarray) or all(hasattr(value, attribute) for attribute in ("ndim", "dtype", "astype")):
        return value
    if all(hasattr(value, attribute) for attribute in ("detach", "cpu", "numpy")):
        tensor = value.detach().cpu()
        return (tensor.float() if "bfloat16" in str(tensor.dtype) else tensor).numpy()
    if hasattr(value, "__array__"):
        return np.asarray(value)
    raise InputError(f"`{name}` must be an array, but got a {type(value).__name__}. Make it one: `np.asarray({name})`.")


def with_channels_last(activations: Any, *, channels_last: bool | None) -> Any:
    """Activations ``[n h w c]``: those given, or, where `channels_last` is False, ``[n c h w]`` transposed.

    >>> with_channels_last(np.zeros((2, 64, 7, 9)), channels_last=False).shape
    (2, 7, 9, 64)
    """
    if channels_last is not False or activations.ndim != 4:
        return activations
    moved = activations.transpose(0, 2, 3, 1)
    return np.ascontiguousarray(moved) if isinstance(moved, np.ndarray) else moved


def has_channels_first(shape: tuple[int, ...], *, grid: tuple[int, ...] = (), channels: int | None = None) -> bool:
    """Whether activations of `shape`, 4 axes, are ``[n c h w]``, as far as a mask's grid or the channels show it.

    The grid shows it where it is that of the last two axes, but not that of the middle two, or where it has the
    proportions of the last two, and the middle two are more than twice as wide or as narrow; a number of channels,
    where it is that of the second axis, but not that of the last.  Otherwise nothing is known: the answer is False.

    >>> has_channels_first((6, 16, 14, 14), grid=(14, 14)), has_channels_first((6, 14, 14, 16), grid=(14, 14))
    (True, False)
    >>> has_channels_first((6, 16, 7, 7), channels=16), has_channels_first((6, 16, 7, 7), grid=(100, 100))
    (True, True)
    >>> has_channels_first((6, 7, 8, 8), grid=(100, 100))
    False
    """
    by_grid = bool(grid) and shape[1:3] != grid and (shape[2:] == grid or _has_proportions_last(shape, grid))
    return by_grid or (channels is not None and shape[1] == channels and shape[3] != channels)


def _has_proportions_last(shape: tuple[int, ...], grid: tuple[int, ...]) -> bool:
    height, width = grid
    by_middle, by_last = shape[1] * width, shape[2] * height
    return shape[2] * width == shape[3] * height and not by_middle <= 2 * by_last <= 4 * by_middle
