"""Activations and masks of a data set, in blocks of images that are looked at one after the other, as often as needed.

Shapes: n images, k concepts, gh x gw grid cells of the layer, c channels, H x W pixels of the masks.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from loce_jax.arrays import MASK_KINDS, as_array
from loce_jax.checks import InputError

IMAGES_PER_BLOCK = 32


@dataclass(frozen=True)
class Block:
    """Some images of a data set, at one layer.

    Attributes:
        activations: of a network's layer, as it returned them.
        masks: of every concept in every image, all at one size; without a pixel where the image does not show it.
    """

    activations: Float[np.ndarray, "n gh gw c"]
    masks: Bool[np.ndarray, "n k H W"]


@dataclass(frozen=True)
class ArrayBlocks:
    """Arrays that lie in memory, in blocks; can be iterated again and again."""

    activations: Float[np.ndarray, "n gh gw c"]
    masks: Bool[np.ndarray, "n k H W"]
    images_per_block: int = IMAGES_PER_BLOCK

    def __iter__(self) -> Iterator[Block]:
        """Yield all images, in order."""
        for start in range(0, len(self.activations), self.images_per_block):
            part = slice(start, start + self.images_per_block)
            yield Block(self.activations[part], self.masks[part])


def as_blocks(activations: Any, masks: Any = None) -> Iterable[Block]:
    """What a data set is given as, in blocks.

    Args:
        activations: an array ``[n gh gw c]``; or, for what does not fit in memory, blocks: any object that yields
            `Block`s each time it is iterated, the same ones in the same order, e.g. a list.
        masks: for an array of activations, ``[n k H W]``, or ``[n H W]`` of one concept; a pixel belongs to the
            concept where a mask exceeds one half.

    Raises:
        InputError: shapes do not fit, or blocks can be iterated only once.

    >>> [block.masks.shape for block in as_blocks(np.zeros((40, 2, 3, 8), "f4"), np.ones((40, 4, 6)))]
    [(32, 1, 4, 6), (8, 1, 4, 6)]
    """
    if masks is None:
        return _check_repeatable(activations)
    activations, masks = np.asarray(as_array("activations", activations)), np.asarray(as_array("masks", masks))
    if activations.ndim != 4 or not activations.size:
        raise InputError(
            f"`activations` must have shape [n gh gw c] (images, height, width, channels), but got {activations.shape}."
            " PyTorch's [n c h w] becomes ours by `transpose(0, 2, 3, 1)`."
        )
    if masks.dtype.kind not in MASK_KINDS or masks.ndim not in (3, 4) or len(masks) != len(activations):
        raise InputError(
            f"`masks` must be numbers or booleans of shape [n H W] or [n k H W] with n = {len(activations)} as in "
            f"`activations`, but got {masks.dtype} of shape {masks.shape}. Resize all masks to one size."
        )
    if 0 in masks.shape[1:]:
        raise InputError(f"`masks` must hold concepts and pixels, but got shape {masks.shape}. Leave such masks out.")
    masks = masks[:, None] if masks.ndim == 3 else masks
    return ArrayBlocks(activations, masks if masks.dtype == bool else masks > 0.5)


def _check_repeatable(blocks: Any) -> Iterable[Block]:
    if not isinstance(blocks, Iterable) or hasattr(blocks, "ndim"):
        raise InputError(
            f"`masks` must be given with an array of activations, but got none, and a {type(blocks).__name__} is not "
            "blocks. Give `masks`, or a list of `Block`s."
        )
    if isinstance(blocks, Iterator):
        raise InputError(
            f"`activations` must be blocks that can be iterated again and again, but a {type(blocks).__name__} is used "
            "up after once. Make it a list, or an object whose `__iter__` begins anew."
        )
    return blocks
