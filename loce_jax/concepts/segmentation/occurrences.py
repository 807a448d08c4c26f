"""Which images show which concepts: the first pass of every method that learns from masks.

Shapes: n images, k concepts, gh x gw grid cells of the layer, c channels, H x W pixels of the masks, p pairs of an
image and a concept that it shows.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from loce_jax.checks import InputError, check_shape
from loce_jax.concepts.blocks import Block
from loce_jax.concepts.vectors import ConceptVectors
from loce_jax.solver.solution import Status

VANISHING = np.finfo(np.float32).eps  # of a response: the sigmoid of less is 0.5 in float32


@dataclass(frozen=True)
class Occurrences:
    """What one pass over a data set counts.  An image with activations that are not finite is left out.

    Attributes:
        names: of the concepts.
        pairs: of each block, the images that show a concept, and the concepts they show: rows of `Block.masks`.
        images: how many show each concept.
        shares: the mean share of a concept's pixels of the images that show it; 0 where none does.
        cells: number of grid cells of all images, those that show nothing included.
        grid: height and width of the layer.
        channels: of the layer.
        size: height and width of the masks.
        largest: the largest absolute activation of each channel in the images that show a concept.
        status: ``MASK_EMPTY`` where no image shows a concept, ``NONFINITE`` where only left out ones do, ``DEGENERATE``
            where the activations of all of its images are one vector.
    """

    names: tuple[str, ...]
    pairs: tuple[tuple[Int[np.ndarray, " _"], Int[np.ndarray, " _"]], ...]
    images: Int[np.ndarray, " k"]
    shares: Float[np.ndarray, " k"]
    cells: int
    grid: tuple[int, int]
    channels: int
    size: tuple[int, int]
    largest: Float[np.ndarray, "k c"]
    status: Int[np.ndarray, " k"]

    def result(
        self, vectors: Any, offsets: Any, method: str, *, thresholds: Any = None, status: Any = None
    ) -> ConceptVectors:
        """The concept vectors of a method: NaN where a concept has none.

        Overflown ones are ``NONFINITE``; those whose responses and offset the sigmoid cannot tell from 0 in float32
        are ``DEGENERATE``.
        """
        status = self.status if status is None else status
        vectors, offsets = np.array(vectors, np.float32), np.array(offsets, np.float32)
        finite = np.isfinite(vectors).all(axis=1) & np.isfinite(offsets)
        status = np.where((status == Status.OK) & ~finite, Status.NONFINITE, status).astype(np.int8)
        largest = self.largest if thresholds is None else 1.0
        responses = (np.abs(vectors, dtype=np.float64) * largest).sum(axis=1)
        silent = np.maximum(responses, np.abs(offsets)) < VANISHING
        status[(status == Status.OK) & silent] = Status.DEGENERATE
        vectors[status != Status.OK], offsets[status != Status.OK] = np.nan, np.nan
        return ConceptVectors(self.names, vectors, offsets, status, method, thresholds)


class Shown(NamedTuple):
    """The pairs of a block, and their images alone.

    Attributes:
        activations: of the images that show a concept; float32 or as the network returned them.
        images: of each pair, a row of `activations`.
        concepts: of each pair.
        masks: of each pair.
        real: False for pairs that `padded` has added.
    """

    activations: Float[np.ndarray, "n gh gw c"]
    images: Int[np.ndarray, " p"]
    concepts: Int[np.ndarray, " p"]
    masks: Bool[np.ndarray, "p H W"]
    real: Bool[np.ndarray, " p"]

    def padded(self) -> "Shown":
        """In float32, lengthened with zeros: few lengths are few compilations."""
        arrays = self._replace(activations=np.asarray(self.activations, np.float32))
        lengths = (padded_length(len(array)) - len(array) for array in arrays)
        return Shown(
            *(
                np.pad(array, [(0, more), *[(0, 0)] * (array.ndim - 1)])
                for array, more in zip(arrays, lengths, strict=True)
            )
        )


def shown(
    blocks: Iterable[Block], occurrences: Occurrences, concepts: Bool[np.ndarray, " k"] | None = None
) -> Iterator[Shown]:
    """Yield what is shown in each block; blocks that show nothing are passed over.

    Args:
        blocks: those that were counted.
        occurrences: their counts.
        concepts: True for those that are looked at; all that have a usable status if left out.
    """
    wanted = occurrences.status == Status.OK if concepts is None else concepts
    for block, (images, found) in zip(blocks, occurrences.pairs, strict=True):
        kept = wanted[found]
        if kept.any():
            images, found = images[kept], found[kept]
            rows, index = np.unique(images, return_inverse=True)
            rest = np.asarray(block.masks)[images, found], np.ones(len(found), bool)
            yield Shown(np.asarray(block.activations)[rows], index.astype(np.int32), found.astype(np.int32), *rest)


def finite_images(activations: Float[np.ndarray, "n gh gw c"]) -> Bool[np.ndarray, " n"]:
    """True where all activations of an image are finite."""
    return np.asarray(np.isfinite(activations).all(axis=(1, 2, 3)))


def find_occurrences(blocks: Iterable[Block], names: Sequence[str] | None = None) -> Occurrences:
    """Count, in one pass.

    Args:
        blocks: of the data set, of one layer and one size of masks.
        names: of the concepts; their numbers if left out.

    Raises:
        InputError: no block, blocks of several shapes, or another number of names than of concepts.
    """
    shapes, pairs, counted = None, [], []
    for block in blocks:
        activations, masks = np.asarray(block.activations), np.asarray(block.masks)
        shapes = shapes or _check_block(activations, masks)
        for name, array, rest in zip(("activations", "masks"), (activations, masks), shapes, strict=True):
            check_shape(name, array, (len(activations), *rest), meaning="as the first block has", fix="")
        own, counts = _count(activations, masks)
        pairs.append(own)
        counted = [counts if not counted else counted[0].merge(counts)]
    if shapes is None:
        raise InputError("`activations` must hold a block, but got none. Give activations and masks of some images.")
    ((height, width, channels), (k, *size)), (total,) = shapes, counted
    names = tuple(map(str, range(k))) if names is None else tuple(names)
    check_shape("names", np.array(names, object), (k,), meaning="one per concept", fix="")
    shares, cells = total.areas / np.maximum(total.images, 1), total.finite * height * width
    return Occurrences(
        names,
        tuple(pairs),
        total.images,
        shares,
        cells,
        (height, width),
        channels,
        (size[0], size[1]),
        total.largest,
        total.status,
    )


class Counts(NamedTuple):
    """What is counted of each concept in some images; `low` and `high` are a channel's extremes where it is shown."""

    images: Int[np.ndarray, " k"]
    lost: Int[np.ndarray, " k"]
    areas: Float[np.ndarray, " k"]
    low: Float[np.ndarray, "k c"]
    high: Float[np.ndarray, "k c"]
    finite: int

    def merge(self, more: "Counts") -> "Counts":
        """Those of both."""
        sums = (self.images + more.images, self.lost + more.lost, self.areas + more.areas)
        return Counts(
            *sums, np.minimum(self.low, more.low), np.maximum(self.high, more.high), self.finite + more.finite
        )

    @property
    def largest(self) -> Float[np.ndarray, "k c"]:
        """The largest absolute activations; 0 where no image shows the concept."""
        return np.where(self.images[:, None] > 0, np.maximum(np.abs(self.low), np.abs(self.high)), 0)

    @property
    def status(self) -> Int[np.ndarray, " k"]:
        """A status per concept."""
        status = np.where(self.images > 0, Status.OK, np.where(self.lost > 0, Status.NONFINITE, Status.MASK_EMPTY))
        return np.where((self.images > 0) & ~(self.low < self.high).any(axis=1), Status.DEGENERATE, status)


def _count(activations, masks):
    """The pairs of a block, and its counts."""
    k, c, finite = masks.shape[1], activations.shape[-1], finite_images(activations)
    present = masks.any(axis=(2, 3))
    rows, found = np.nonzero(present & finite[:, None])
    areas = np.bincount(found, masks[rows, found].mean(axis=(1, 2)), minlength=k)
    low, high = np.full((k, c), np.inf), np.full((k, c), -np.inf)
    np.minimum.at(low, found, activations.min(axis=(1, 2))[rows])
    np.maximum.at(high, found, activations.max(axis=(1, 2))[rows])
    lost = (present & ~finite[:, None]).sum(axis=0)
    return (rows, found), Counts(np.bincount(found, minlength=k), lost, areas, low, high, int(finite.sum()))


def _check_block(activations, masks):
    """The shapes of an image's activations and masks."""
    if activations.ndim != 4 or masks.ndim != 4 or masks.dtype != bool or 0 in activations.shape + masks.shape:
        raise InputError(
            "a block must hold activations [n gh gw c] and boolean masks [n k H W], but got "
            f"{activations.dtype} {activations.shape} and {masks.dtype} {masks.shape}. Use `as_blocks` for arrays."
        )
    return activations.shape[1:], masks.shape[1:]


def padded_length(length: int) -> int:
    """The length that arrays are padded to, at most a quarter more: few lengths are few compilations.

    >>> [padded_length(length) for length in (1, 8, 30, 33, 100, 1000)]
    [8, 8, 32, 40, 112, 1024]
    """
    step = max(8, 2 ** (length.bit_length() - 3))
    return length + -length % step
