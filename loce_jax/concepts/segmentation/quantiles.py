"""Thresholds of channels that a given share of their activations exceeds: exact, in one pass, mergeable.

A threshold at a high quantile depends on the largest values alone, so these are all that is kept.  How many that are
depends on the number of cells of the whole data set: of N cells at a share s, ``floor(s * N) + 1`` a channel, which is
``4 * c * s * N`` bytes for c channels in float32: 13 MB for 10,000 maps of 24 x 24 cells and 112 channels at 0.005.
Where N is not known beforehand, no value may be thrown away, since the largest of all may come first; so
`channel_thresholds` counts the cells first.
Shapes: c channels, m values that are kept.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from loce_jax.arrays import as_array
from loce_jax.checks import InputError
from loce_jax.concepts.blocks import as_blocks
from loce_jax.concepts.segmentation.occurrences import finite_images

SHARE = 0.005  # of the cells that exceed a channel's threshold (Fong & Vedaldi, CVPR 2018; Bau et al., CVPR 2017)


@dataclass(frozen=True)
class LargestValues:
    """The largest activations of each channel of a part of a data set; those of parts `merge` to those of the whole.

    Attributes:
        values: at most `kept` of each channel, in no order.
        cells: how many were seen.
        kept: how many at most are kept; None for all.
    """

    values: Float[np.ndarray, "m c"]
    cells: int
    kept: int | None = None

    @classmethod
    def of(cls, activations: Float[Any, "*cells c"], *, kept: int | None = None) -> "LargestValues":
        """The largest of these activations, which must be finite.

        >>> largest = LargestValues.of(np.arange(10.0)[:, None], kept=2)
        >>> sorted(largest.values.ravel().tolist()), largest.cells
        ([8.0, 9.0], 10)
        """
        activations = np.asarray(as_array("activations", activations))
        values = activations.reshape(-1, activations.shape[-1])
        return cls(values, len(values), kept)._cut()

    def merge(self, other: "LargestValues") -> "LargestValues":
        """The largest values of both parts; those of `other` must be kept alike."""
        if self.kept != other.kept or self.values.shape[1] != other.values.shape[1]:
            raise InputError(
                f"`other` must keep as many values of as many channels, {self.kept} of {self.values.shape[1]}, but "
                f"keeps {other.kept} of {other.values.shape[1]}. Make both with the number that the whole data need."
            )
        return replace(self, values=np.concatenate([self.values, other.values]), cells=self.cells + other.cells)._cut()

    def thresholds(self, share: float = SHARE) -> Float[np.ndarray, " c"]:
        """The smallest value of each channel that at most a `share` of the cells exceeds.

        With no two values equal, exactly ``floor(share * cells)`` exceed it, strictly.

        Raises:
            InputError: more values would be needed than were kept.

        >>> LargestValues.of(np.arange(10.0)[:, None], kept=3).thresholds(0.2)
        array([7.])
        """
        rank = values_needed(self.cells, share)
        if not self.cells or rank > len(self.values):
            raise InputError(
                f"`share` {share} of {self.cells} cells needs the {rank} largest values of a channel, but "
                f"{len(self.values)} were kept. Keep `values_needed(cells, share)` of all cells of the data set."
            )
        return np.partition(self.values, len(self.values) - rank, axis=0)[len(self.values) - rank]

    def _cut(self):
        surplus = 0 if self.kept is None else len(self.values) - self.kept
        return replace(self, values=np.partition(self.values, surplus, axis=0)[surplus:]) if surplus > 0 else self


def values_needed(cells: int, share: float = SHARE) -> int:
    """How many values of a channel its threshold depends on.

    >>> values_needed(1000), values_needed(10, 0.25)
    (6, 3)
    """
    return min(math.floor(share * cells) + 1, cells)


def channel_thresholds(activations: Any, *, share: float = SHARE, cells: int | None = None) -> Float[np.ndarray, " c"]:
    """The threshold of each channel that at most a `share` of all cells of a data set exceeds, ``A > T``.

    Images with activations that are not finite are left out.

    Args:
        activations: an array ``[n gh gw c]``, or blocks (`loce_jax.concepts.blocks`).
        share: from 0, where the threshold is the maximum, to below 1.
        cells: an upper bound of the number of cells, images times height times width; the nearer, the fewer values are
            kept.  If left out, a pass over blocks counts them.

    Source: Bau et al., "Network Dissection", CVPR 2017, section 2.2.

    >>> channel_thresholds(np.arange(200.0).reshape(1, 10, 20, 1))
    array([198.])
    """
    if not 0 <= share < 1:
        raise InputError(f"`share` must be from 0 to below 1, but got {share}. Try {SHARE}, the published one.")
    if hasattr(activations, "ndim"):
        activations = as_blocks(activations, np.ones((len(activations), 1, 1), bool))
    if cells is None:
        cells = sum(math.prod(block.activations.shape[:3]) for block in activations)
    kept, largest = values_needed(cells, share), None
    for block in activations:
        values = np.asarray(block.activations)
        more = LargestValues.of(values[finite_images(values)], kept=kept)
        largest = more if largest is None else largest.merge(more)
    if largest is None or not largest.cells:
        raise InputError("`activations` must hold a finite image, but hold none. Give what the network can process.")
    return largest.thresholds(share)
