"""The shape every data set has here: a list of items, and one `read` that opens an item.

An item is known before any file is opened, so that work can be planned; `read` meets the disk and may fail.
A failure is a `Fault` with a status (a word for the table) and a reason (a sentence for people): the whole
image's when it is raised, one mask's when it stands in the mask's place.
Letters: H x W pixels of the photo as stored.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, UInt8


class Fault(Exception):
    """Why one image or one mask cannot be used.

    Attributes:
        status: a word for the table: ``image_missing``, ``image_unreadable`` or ``size_mismatch`` for a whole image;
            ``mask_unreadable``, ``mask_empty`` or ``mask_full`` for one mask.
        reason: a sentence for people.
    """

    def __init__(self, status: str, reason: str):
        super().__init__(status, reason)  # what a copy in another process is made of
        self.status, self.reason = status, reason

    def __str__(self) -> str:
        return f"{self.status}: {self.reason}"


@dataclass(frozen=True)
class Pair:
    """One concept in one image.

    Attributes:
        concept: name of the concept.
        annotation_ids: the annotations whose union is the mask; empty for generated data.
        attributes: further columns of the run's table, e.g. ``(("scale", "near"),)``; the same names for every pair of
            a data set.
    """

    concept: str
    annotation_ids: tuple[int, ...] = ()
    attributes: tuple[tuple[str, str | float], ...] = ()


@dataclass(frozen=True)
class Item:
    """One image and the concepts annotated in it.

    Attributes:
        image: POSIX path relative to the image root, or the name of a generated scene.  Unique in the data set.
        image_id: the data set's own number for it.
        size: ``(H, W)`` in pixels, as annotated.
        pairs: one per concept, each concept once.
    """

    image: str
    image_id: int
    size: tuple[int, int]
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class Reading:
    """An opened item: the photo, and for each of ``item.pairs`` its mask or the `Fault` that stands in its place."""

    photo: UInt8[np.ndarray, "H W 3"]
    masks: tuple[Bool[np.ndarray, "H W"] | Fault, ...]


@runtime_checkable
class Dataset(Protocol):
    """What the pipeline needs of a data set.  `read` must be safe to call from several threads."""

    @property
    def name(self) -> str:
        """A short name for people."""
        ...

    @property
    def items(self) -> tuple[Item, ...]:
        """Every usable image, in a fixed order."""
        ...

    @property
    def concepts(self) -> tuple[str, ...]:
        """Names of the concepts, in a fixed order."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hexadecimal digest that changes when items, concepts or annotations change."""
        ...

    def read(self, item: Item) -> Reading:
        """Open one item; raises `Fault` where the image itself cannot be used."""
        ...
