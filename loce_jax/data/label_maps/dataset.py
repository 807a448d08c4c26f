"""The data set of label maps: for each image a map of codes, and for each concept the codes that mean it.

Which concepts an image has is known from its map, so that all maps are read once when the data set is opened; nothing
of them is kept but the number of pixels of each class and a digest.
Shapes: H x W pixels of an image.
"""

import hashlib
import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Integer, UInt8

from loce_jax.checks import InputError, check_known, counted
from loce_jax.data.images import read_photo
from loce_jax.data.label_maps.class_table import ClassTable
from loce_jax.data.label_maps.codes import color_of
from loce_jax.data.samples import EmptyDataError, Fault, Item, Pair, Problem, Reading, check_mask, digest
from loce_jax.foreign_text import logger

log = logger(__name__)

SHOWN = 8  # values in a message
KEPT = 256  # values without a class that are counted in one image
BACKGROUND = 0  # an image of it alone shows none of the classes, which is no fault of a table without it
NO_CLASS = "Add them to the class table, called void if they mean no class."

Codes = Integer[np.ndarray, "H W"]
Values = Mapping[str, tuple[int, ...]]  # by concept the codes that mean it


@dataclass(frozen=True)
class PhotoFile:
    """The photo in a file; called with the annotated size, it reads the pixels."""

    path: Path

    def __call__(self, size: tuple[int, int]) -> UInt8[np.ndarray, "H W 3"]:
        """Read it; raises `Fault`."""
        return read_photo(self.path, size)


@dataclass(frozen=True)
class Entry:
    """An image and its label map, before either is read.

    Attributes:
        image: the item's name.
        photo: called with the size ``(H, W)``, reads the photo.
        codes: called, reads the label map.
        group: name of the group, such as a video sequence; empty where there are none.
    """

    image: str
    photo: Callable[[tuple[int, int]], UInt8[np.ndarray, "H W 3"]]
    codes: Callable[[], Codes]
    group: str = ""

    def readers(self, _: Item) -> tuple[Callable, ...]:
        """What opens files for an item."""
        return self.photo, self.codes


@dataclass(frozen=True, eq=False)
class PairedDataset(ABC):
    """Photos that are paired with images of masks: what `LabelMapDataset` and `MaskDataset` have in common.

    Attributes:
        name: a short text for people.
        items: images with a mask that is used, by name.
        concepts: names of the concepts that occur.
        fingerprint: sha256 of the items and their masks; the pixels of the photos are not part of it.
        source: plain values that open the data set again; None if there are none.
        problems: what was left out: files without a partner, masks that cannot be read.
        notes: what is no problem, but may be a mistake, such as values of label maps that are no class.
    """

    name: str
    items: tuple[Item, ...]
    concepts: tuple[str, ...]
    fingerprint: str
    source: dict[str, Any] | None
    problems: tuple[Problem, ...]
    notes: tuple[str, ...] = field(default=(), kw_only=True)
    _entries: Mapping[str, Any] = field(repr=False)  # by image

    def read(self, item: Item) -> Reading:
        """Open one image and its masks; raises `Fault` where the image itself cannot be used."""
        return Reading(self._entries[item.image].photo(item.size), self.masks(item))

    def files(self, item: Item) -> tuple[Path, ...]:
        """The files that `read` opens for an item; none where photo or masks do not come from files."""
        found = [_files_of(reader) for reader in self._entries[item.image].readers(item)]
        return tuple(path for paths in found for path in paths) if all(found) else ()

    @abstractmethod
    def masks(self, item: Item) -> tuple[Bool[np.ndarray, "H W"] | Fault, ...]:
        """The masks of one item, without opening its image."""


@dataclass(frozen=True, eq=False)
class LabelMapDataset(PairedDataset):
    """A data set of label maps; build it with `loce_jax.data.open_labels` and the like.

    Its concepts are in the class table's order.  A pair has the attribute ``group`` where images have groups.
    """

    _values: Mapping[str, Values] = field(repr=False)  # by image

    def masks(self, item: Item) -> tuple[Bool[np.ndarray, "H W"] | Fault, ...]:
        """The masks of one item, without opening its image."""
        try:
            codes = self._entries[item.image].codes()
            if codes.shape != item.size:
                raise Fault("mask_unreadable", f"its label map has {codes.shape} pixels (H x W) now, not {item.size}.")
        except Fault as fault:
            return (fault.with_traceback(None),) * len(item.pairs)
        values = self._values[item.image]
        return tuple(check_mask(has_code(codes, values[pair.concept]), item, pair) for pair in item.pairs)


def _files_of(reader: Any) -> tuple[Path, ...]:
    """The files that a reader of a photo or a map opens; none where it does not read files."""
    files = getattr(reader, "files", None)
    return files if files is not None else (reader.path,) if hasattr(reader, "path") else ()


def has_code(codes: Codes, values: Sequence[int]) -> Bool[np.ndarray, "H W"]:
    """Where a map has one of some codes."""
    return codes == values[0] if len(values) == 1 else np.isin(codes, values)


def choose_classes(table: ClassTable, concepts: Sequence[str]) -> Values:
    """The codes of the classes asked for, or of all that are labeled; `InputError` for an unknown name."""
    check_known("concept", concepts, list(table.codes))
    return {
        name: table.codes[name]
        for name in (table.codes if concepts else table.default_names())
        if not concepts or name in concepts
    }


def read_label_maps(
    entries: Iterable[Entry],
    table: ClassTable,
    concepts: Sequence[str] = (),
    *,
    name: str,
    source: dict[str, Any] | None,
    problems: Sequence[Problem] = (),
) -> LabelMapDataset:
    """Read every label map once, and return the data set of them.

    Args:
        entries: images and their maps.
        table: the classes of the codes.
        concepts: names of the classes wanted; all that are labeled if left out.
        name: of the data set, for people.
        source: plain values that open it again.
        problems: those met before.

    Raises:
        InputError: an unknown concept; two images of one name; no image with a requested concept.
    """
    values = choose_classes(table, concepts)
    known = {code for codes in table.codes.values() for code in codes}.union(table.unlabeled)
    entries = sorted(entries, key=lambda entry: entry.image)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        scans = list(pool.map(lambda entry: _scan(entry, known), entries))
    grouped = any(entry.group for entry in entries)
    items, rows, met = [], [], list(problems)
    without_class: Counter[int] = Counter()
    for number, (entry, found) in enumerate(zip(entries, scans, strict=True)):
        if isinstance(found, Fault):
            met.append(Problem(entry.image, "label map", "", found.status, found.reason))
            continue
        size, codes, others, checksum = found
        present = [name for name, numbers in values.items() if not codes.isdisjoint(numbers)]
        without_class.update(others)
        if not codes and set(others) != {BACKGROUND}:
            shown = ", ".join(_show_code(code, table) for code in others[:SHOWN]) + (", ..." if others[SHOWN:] else "")
            reason = f"none of its pixels has a class; its values are {shown}. {NO_CLASS}"
            met.append(Problem(entry.image, "label map", "", "no_class", reason))
        attributes = (("group", entry.group),) if grouped else ()
        if present:
            items.append(Item(entry.image, number, size, tuple(Pair(one, attributes=attributes) for one in present)))
            rows.append((entry.image, size, present, checksum, entry.group))
    if unread := sum(isinstance(found, Fault) for found in scans):
        log.warning("%s: left out %s that cannot be read.", name, counted(unread, "label map"))
    if not items:
        why = f": {met[-1].file}: {met[-1].reason.removesuffix('.')}" if met else ""
        raise EmptyDataError(
            f"the data must hold an image with one of {', '.join(values)}, but {name!r} has none in "
            f"{counted(len(entries), 'label map')}{why}. Are the numbers or colors of the class table those of the "
            "maps?",
            met,
        )
    if len({item.image for item in items}) < len(items):
        raise InputError(f"the data must name each image once, but {name!r} names one twice.")
    occurring = {pair.concept for item in items for pair in item.pairs}
    return LabelMapDataset(
        name=name,
        items=tuple(items),
        concepts=tuple(one for one in values if one in occurring),
        fingerprint=digest([dict(values), *rows]),
        source=source,
        problems=tuple(met),
        notes=_notes(without_class, table),
        _entries={entry.image: entry for entry in entries},
        _values={item.image: values for item in items},
    )


def _scan(entry: Entry, known: Set[int]):
    """Size of a map, its known codes, some of the others, and its digest; the `Fault` where it cannot be read."""
    try:
        codes = entry.codes()
    except Fault as fault:
        return fault.with_traceback(None)
    found = set(np.unique(codes).tolist())
    others = sorted(found - known)[:KEPT]
    return tuple(codes.shape), found & known, others, hashlib.sha256(codes.tobytes()).hexdigest()


def _notes(without_class: Counter[int], table: ClassTable) -> tuple[str, ...]:
    """A sentence on the codes that are no class, those in the most images first; none where there are none."""
    codes = sorted(without_class, key=lambda code: (-without_class[code], code))
    listed = [f"{_show_code(code, table)} ({counted(without_class[code], 'image')})" for code in codes[:SHOWN]]
    text = ", ".join([*listed, "..."] if codes[SHOWN:] else listed)
    return (f"values without a class: {text}",) if codes else ()


def _show_code(code: int, table: ClassTable) -> str:
    """A code as it stands in a class table."""
    return " ".join(map(str, color_of(code))) if table.by_color else str(code)
