"""What a data set is: a list of items, and one `read` that opens an item.  `Dataset` says what your own must have.

An item is known before any file is opened, so that work can be planned; `read` meets the disk and may fail.
A failure is a `Fault` with a status (a word for the table) and a reason (a sentence for people): of the whole image
when it is raised, of one mask when it is given instead of the mask.
Shapes: H x W pixels of the photo as stored.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, UInt8

from loce_jax.checks import InputError, short_repr


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
class Problem:
    """Something of a data set that cannot be used, or was left out.

    Attributes:
        file: the image or the file of annotations.
        annotation: which annotation, such as ``annotation 7``; empty where it is about the whole file.
        concept: name of the concept; empty where it is about all.
        status: a word: that of a `Fault`, ``no_area``, ``no_class``, ``no_label``, ``image_not_listed``,
            ``entry_unusable``, ``file_unreadable`` or ``nothing_usable``.
        reason: a sentence for people.
    """

    file: str
    annotation: str
    concept: str
    status: str
    reason: str


class EmptyDataError(InputError):
    """A data set is there, but nothing of it can be used: a file on which all depends is broken, or nothing is left.

    Attributes:
        problems: why, as far as it is known; empty where nothing is wrong with the data but what was asked for.
    """

    def __init__(self, message: str, problems: Sequence[Problem] = ()):
        super().__init__(message, tuple(problems))  # what a copy in another process is made of
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return str(self.args[0])


def unreadable_file(message: str, path: str | Path, reason: str, place: str = "") -> EmptyDataError:
    """The error for a file of which nothing can be used, though a data set depends on it.

    Args:
        message: of the error.
        path: of the file.
        reason: what is wrong with it, as a sentence for the list of problems.
        place: where in the file, such as ``line 3, column 7``, if that is known.
    """
    return EmptyDataError(message, [Problem(str(path), place, "", "file_unreadable", reason)])


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
        image: POSIX path relative to the image root, or another name.  Unique in the data set.
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
    """An opened item: the photo, and for each of ``item.pairs`` its mask or the `Fault` instead."""

    photo: UInt8[np.ndarray, "H W 3"]
    masks: tuple[Bool[np.ndarray, "H W"] | Fault, ...]


@runtime_checkable
class Dataset(Protocol):
    """What a data set must have; any object with these four attributes can be fitted with `loce_jax.fit`.

    It may also have a ``name``, a short text for people (else the class's name is used), a ``source``, plain values
    from which `loce_jax.pipeline.sources.source_from` opens the data set again (else a run's images can only be shown
    where the data set is passed along), and a method ``files``, which names the files that `read` opens for an item
    (so that files that change during a run are found without reading all of them).  `read` gives the same for an item
    each time: a run whose photos have changed is not continued.  It is called from several
    threads at once, and in other processes a pickled copy of the data set is.
    """

    @property
    def items(self) -> Sequence[Item]:
        """Every usable image with its concepts, in a fixed order."""
        ...

    @property
    def concepts(self) -> Sequence[str]:
        """Names of the concepts, in a fixed order."""
        ...

    @property
    def fingerprint(self) -> str:
        """A text that changes when items, concepts or annotations change, such as a hexadecimal digest of them."""
        ...

    def read(self, item: Item) -> Reading:
        """Open one item; raises `Fault` where the image itself cannot be used."""
        ...


def name_of(dataset: Dataset) -> str:
    """The data set's name, or its class's."""
    return str(getattr(dataset, "name", type(dataset).__name__))


def source_record(kind: str, **given: Any) -> dict[str, Any]:
    """A data set's ``source``: its kind and what it was opened with, as plain values, defaults left out.

    >>> source_record("coco", path=Path("a.json"), images="photos", concepts=(), crowd="include")
    {'kind': 'coco', 'path': 'a.json', 'images': 'photos'}
    """
    plain = {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}
    defaults = None, "", [], "include"
    return {"kind": kind} | {name: value for name, value in plain.items() if value not in defaults}


def digest(rows: Iterable[Any]) -> str:
    """Hexadecimal sha256 of plain values, or bytes, such as what a data set's fingerprint stands for.

    >>> digest([("a.png", 1), ("b.png", 2)])[:8]
    'c839a4ab'
    """
    found = hashlib.sha256()
    for row in rows:
        found.update(row if isinstance(row, bytes) else json.dumps(row, sort_keys=True).encode())
    return found.hexdigest()


def check_mask(mask: Bool[np.ndarray, "H W"], item: Item, pair: Pair) -> Bool[np.ndarray, "H W"] | Fault:
    """Return `mask`, or the `Fault` ``mask_empty`` or ``mask_full`` where there is nothing to tell apart."""
    if not mask.any():
        return Fault("mask_empty", f"{pair.concept} covers no pixel of {item.image}.")
    if mask.all():
        return Fault("mask_full", f"{pair.concept} covers every pixel of {item.image}.")
    return mask


def check_dataset(dataset: Any) -> Dataset:
    """Return `dataset` if a run can use it.

    Raises:
        InputError: an attribute is missing or of another type, there is no item with a concept, two items are the same
            image, a concept is twice in an item, or not among the data set's concepts.
    """
    check_attributes(dataset)
    for item in dataset.items:
        _check_item(item)
    if not any(item.pairs for item in dataset.items):
        raise InputError(f"`dataset` must hold an image with a concept, but {name_of(dataset)!r} has none.")
    images, concepts = set(), set(dataset.concepts)
    for item in dataset.items:
        named = [pair.concept for pair in item.pairs]
        if item.image in images:
            raise InputError(f"`dataset` must list each image once, but {item.image!r} is there twice.")
        if len(set(named)) < len(named) or not concepts.issuperset(named):
            raise InputError(
                f"`dataset` must give each image concepts of its own list, each once, but {item.image!r} has {named}."
            )
        images.add(item.image)
    return dataset


def check_attributes(dataset: Any) -> None:
    """Raise `InputError` unless `dataset` has what a data set must have, of the right types."""
    what = "`loce_jax.data.samples.Dataset` describes them."
    missing = [name for name in ("items", "concepts", "fingerprint", "read") if not hasattr(dataset, name)]
    if missing:
        raise InputError(
            f"`dataset` must have items, concepts, fingerprint and read, but {type(dataset).__name__} lacks "
            f"{', '.join(missing)}. {what}"
        )
    for name in ("items", "concepts"):
        if not _is_list(getattr(dataset, name)):
            kind = type(getattr(dataset, name)).__name__
            raise InputError(f"`dataset.{name}` must be a list or a tuple, but is a {kind}. {what}")
    if not isinstance(dataset.fingerprint, str):
        raise InputError(f"`dataset.fingerprint` must be a text, but is {short_repr(dataset.fingerprint)}. {what}")


def _is_list(value: Any) -> bool:
    """Whether a value has a length and an order; texts do not count."""
    return hasattr(value, "__len__") and hasattr(value, "__getitem__") and not isinstance(value, str | bytes | Mapping)


def _check_item(item: Any) -> None:
    if not isinstance(item, Item):
        raise InputError(
            f"`dataset.items` must be of the class `loce_jax.data.samples.Item`, but one is {short_repr(item)}."
        )
    if not isinstance(item.image, str) or not all(isinstance(pair, Pair) for pair in item.pairs):
        raise InputError(
            "an item must have a text as `image` and objects of the class `loce_jax.data.samples.Pair` as `pairs`, but "
            f"one is {short_repr(item)}."
        )


def check_reading(item: Item, reading: Any) -> Reading:
    """Return `reading` if it fits `item`.

    Raises:
        InputError: the photo is no uint8 array [H, W, 3], or a mask is missing or no boolean array of the photo's size.
    """
    photo: Any = getattr(reading, "photo", None)
    masks: Any = getattr(reading, "masks", None)
    if not isinstance(photo, np.ndarray) or not _is_list(masks):
        raise InputError(
            f"`dataset.read` must give a `loce_jax.data.samples.Reading` of a NumPy array and a tuple of masks, but "
            f"gave {short_repr(reading)} for {item.image!r}."
        )
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3:
        raise InputError(
            f"`dataset.read` must give a photo as uint8 [H, W, 3], but that of {item.image!r} is {photo.dtype} of "
            f"shape {photo.shape}."
        )
    if len(masks) != len(item.pairs):
        raise InputError(
            f"`dataset.read` must give a mask, or a `Fault`, for each of {len(item.pairs)} concepts of {item.image!r}, "
            f"but gave {len(masks)}."
        )
    for pair, mask in zip(item.pairs, masks, strict=True):
        if isinstance(mask, Fault):
            continue
        mask = np.asarray(mask)
        if mask.dtype != bool or mask.shape != photo.shape[:2]:
            raise InputError(
                f"`dataset.read` must give masks as bool {photo.shape[:2]}, the photo's size, but that of "
                f"{pair.concept!r} in {item.image!r} is {mask.dtype} of shape {mask.shape}."
            )
    return reading
