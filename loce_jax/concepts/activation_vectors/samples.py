"""Samples of a concept: rows of channels, pooled or of cells, in items such as images.

Shapes: n items, t samples of an item, gh x gw grid cells of the layer, c channels.
"""

from collections.abc import Iterable, Iterator, Sized
from typing import Any, cast

import numpy as np
from jaxtyping import Float

from loce_jax.arrays import MASK_KINDS, as_array
from loce_jax.checks import InputError

Samples = Any  # an array [n c] or [n gh gw c], or arrays [t c] of items that may differ in length


def iterate_samples(name: str, samples: Samples) -> Iterator[Float[np.ndarray, "t c"]]:
    """The rows of finite items, some items at once; each item is looked at once.

    Args:
        name: of the argument, for messages.
        samples: an array ``[n c]`` of one row an item, an array ``[n gh gw c]`` of which every cell is a row, or
            arrays ``[t c]``, one an item.

    Raises:
        InputError: a shape does not fit.

    >>> [part.tolist() for part in iterate_samples("positives", [np.ones((2, 1)), np.full((1, 1), np.nan)])]
    [[[1.0], [1.0]]]
    """
    if not _is_array(samples):
        if not isinstance(samples, Iterable) or isinstance(samples, str):
            raise InputError(f"`{name}` must be an array or arrays, but got a {type(samples).__name__}. {HOW}")
        for number, item in enumerate(samples):
            rows = _checked(f"{name}[{number}]", item, (2,))
            if len(rows) and np.isfinite(rows).all():
                yield rows
        return
    items = _checked(name, samples, (2, 4))
    finite = np.isfinite(items).all(axis=tuple(range(1, items.ndim)))
    if finite.any():
        yield (items if finite.all() else items[finite]).reshape(-1, items.shape[-1])


def split_items(name: str, samples: Samples, share: float, seed: int) -> tuple[Samples, Samples]:
    """Samples of all items but a random share of them, and those of that share; at least one item each.

    Raises:
        InputError: items cannot be counted, or are fewer than two.
    """
    if not isinstance(samples, Sized) or len(samples) < 2:
        raise InputError(f"`{name}` must hold at least two items, one of them held out. Give a list or an array.")
    count = min(max(round(share * len(samples)), 1), len(samples) - 1)
    order = np.random.default_rng(seed).permutation(len(samples))
    out, kept = np.sort(order[:count]), np.sort(order[count:])
    if _is_array(samples):
        array = np.asarray(as_array(name, samples))
        return array[kept], array[out]
    items: list[Any] = [*cast(Iterable[Any], samples)]
    return [items[number] for number in kept], [items[number] for number in out]


HOW = "Give [n c], [n gh gw c], or a list of [t c], one an image."


def _is_array(samples):
    return hasattr(samples, "ndim")


def _checked(name, samples, axes):
    array = np.asarray(as_array(name, samples))
    if array.dtype == bool or array.ndim not in axes or not array.shape[-1]:
        raise InputError(f"`{name}` must be numbers with the channels last, but got shape {array.shape}. {HOW}")
    return array if array.dtype.kind in MASK_KINDS else array.astype(np.float32)  # bfloat16
