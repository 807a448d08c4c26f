"""The data set of single masks: for each image a mask of its own for each concept, which may overlap.

Each mask is read once when the data set is opened; nothing of it is kept but a digest.
Shapes: H x W pixels of an image.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from loce_jax.checks import InputError, check_arguments, check_exists, check_known, counted, listed
from loce_jax.data.label_maps.codes import read_codes
from loce_jax.data.label_maps.dataset import PairedDataset, PhotoFile
from loce_jax.data.label_maps.pairing import MAPS, PHOTOS, pair_files
from loce_jax.data.label_maps.streets import IMAGES, LABELS, find_folder
from loce_jax.data.samples import EmptyDataError, Fault, Item, Pair, Problem, check_mask, digest, source_record
from loce_jax.foreign_text import logger

log = logger(__name__)

FOREGROUND = "foreground"  # name of the concept where masks are of one and it has no other name
COLORED = (
    "a mask is black and white, or gray. If its colors are classes, open the folders as `labels` with a class table "
    "that has colors."
)
HALF = 128  # the gray level from which a pixel belongs to a mask


@dataclass(frozen=True)
class MaskFile:
    """The mask in a file; called, it reads it."""

    path: Path

    def __call__(self) -> Bool[np.ndarray, "H W"]:
        """Read it; raises `Fault` ``mask_unreadable``."""
        return as_mask(read_codes(self.path, by_color=False, mask=True, colored=COLORED), self.path.name)


@dataclass(frozen=True)
class MaskEntry:
    """An image and its masks, before any is read.

    Attributes:
        image: the item's name.
        photo: called with the size ``(H, W)``, reads the photo.
        masks: by concept; called, it reads the mask.
    """

    image: str
    photo: Callable[[tuple[int, int]], UInt8[np.ndarray, "H W 3"]]
    masks: Mapping[str, Callable[[], Bool[np.ndarray, "H W"]]]

    def readers(self, item: Item) -> tuple[Callable, ...]:
        """What opens files for an item."""
        return self.photo, *(self.masks[pair.concept] for pair in item.pairs)


@dataclass(frozen=True, eq=False)
class MaskDataset(PairedDataset):
    """A data set of single masks; build it with `open_folder` or `open_arrays`."""

    def masks(self, item: Item) -> tuple[Bool[np.ndarray, "H W"] | Fault, ...]:
        """The masks of one item, without opening its image."""
        return tuple(self._mask(item, pair) for pair in item.pairs)

    def _mask(self, item: Item, pair: Pair) -> Bool[np.ndarray, "H W"] | Fault:
        try:
            mask = self._entries[item.image].masks[pair.concept]()
            if mask.shape != item.size:
                raise Fault("mask_unreadable", f"the mask of {pair.concept} has {mask.shape} pixels, not {item.size}.")
        except Fault as fault:
            return fault.with_traceback(None)
        return check_mask(mask, item, pair)


def as_mask(pixels: np.ndarray, name: str) -> Bool[np.ndarray, "H W"]:
    """A mask from its pixels: two values, or gray levels of which the brighter half counts.

    Raises:
        Fault: ``mask_unreadable`` for several small numbers, which are a label map.

    >>> as_mask(np.array([[0, 255, 120, 140]]), "a.png")
    array([[False,  True, False,  True]])
    """
    values = np.unique(pixels)
    if len(values) <= 2 and (len(values) == 1 or values[0] == 0):
        return pixels != 0
    if values[-1] < HALF or values[-1] > 255:
        raise Fault("mask_unreadable", f"{name} has {len(values)} different numbers; open label maps as `labels`.")
    return pixels >= HALF


@check_arguments
def open_folder(
    path: str | Path,
    *,
    images: str | Path | None = None,
    labels: str | Path | None = None,
    split: str | None = None,
    concepts: Sequence[str] = (),
) -> MaskDataset:
    """Open a folder of images and a folder of masks of the same names.

    Masks are ``masks/NAME.png`` of one concept, or ``masks/CONCEPT/NAME.png`` of several.  A pixel belongs to a mask
    where it is not 0, or, where there are more than two gray levels, from 128 on.  Of an image with transparency whose
    colors are the same everywhere, the alpha channel is the mask.

    Args:
        path: the folder that holds both.
        images: folder of the images; ``images`` and other usual names are found below `path`.
        labels: folder of the masks; ``masks`` and other usual names are found.
        split: name of a folder below both, such as ``val``, or between `path` and both.
        concepts: names of the concepts wanted; of masks of one concept its name, "foreground" if left out.

    Raises:
        InputError: a folder is missing; no image has a mask of its name; an unknown concept.

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("images", "masks/car"):
    ...         Path(folder, name).mkdir(parents=True)
    ...     Image.new("RGB", (8, 6)).save(Path(folder, "images", "a.jpg"))
    ...     Image.fromarray(255 * np.eye(6, 8, dtype=np.uint8)).save(Path(folder, "masks", "car", "a.png"))
    ...     dataset = open_folder(folder)
    ...     dataset.concepts, int(dataset.masks(dataset.items[0])[0].sum())
    (('car',), 6)
    """
    root = check_exists("path", path, kind="folder", fix="Give the folder that holds images and masks.")
    photos = find_folder(root, "images", images, IMAGES, split)
    masks = find_folder(root, "labels", labels, LABELS, split)
    found: dict[str, dict[str, MaskFile]] = {}
    problems: list[Problem] = []
    for concept, folder in _folders_of_concepts(masks, photos, concepts).items():
        pairs, alone = pair_files(photos, folder, endings=MAPS)
        alone = [one for one in alone if one.status != "no_label"]  # an image need not show every concept
        problems += [replace(one, concept=concept) for one in alone]
        for image, mask in pairs:
            found.setdefault(image, {})[concept] = MaskFile(folder / mask)
    entries = [MaskEntry(image, PhotoFile(photos / image), found[image]) for image in found]
    given = {"path": path, "images": images, "labels": labels, "split": split, "concepts": tuple(concepts)}
    return read_masks(entries, name=root.name, source=source_record("folder", **given), problems=problems)


def _folders_of_concepts(masks: Path, photos: Path, concepts: Sequence[str]) -> dict[str, Path]:
    """The folder of each concept's masks."""
    folders = {one.name: one for one in sorted(masks.iterdir()) if one.is_dir() and not one.name.startswith(".")}
    endings = MAPS if folders else PHOTOS
    if files := sorted(one.name for one in masks.iterdir() if not one.is_dir() and one.suffix.lower() in endings):
        mixed = [name for name, folder in folders.items() if not (photos / name).is_dir() and _holds_masks(folder)]
        if mixed:  # folders that the images have, too, part masks of one concept
            raise InputError(
                f"`labels` must hold masks of one concept, or a folder of masks for each concept, but {str(masks)!r} "
                f"holds both: {files[0]!r} and the folder {mixed[0]!r}. Put the masks of each concept into a folder of "
                "its name."
            )
        if len(concepts) > 1:
            raise InputError(
                f"`concepts` can be one name where {str(masks)!r} holds masks, not folders of them, but got "
                f"{listed(concepts)}. Put the masks of each concept into a folder of its name."
            )
        return {concepts[0] if concepts else FOREGROUND: masks}
    if not folders:
        raise InputError(
            f"`labels` must hold masks, or a folder of them for each concept, but {str(masks)!r} is empty."
        )
    check_known("concept", concepts, list(folders))
    return {name: folder for name, folder in folders.items() if not concepts or name in concepts}


def _holds_masks(folder: Path) -> bool:
    return any(one.suffix.lower() in MAPS for one in folder.iterdir())


def read_masks(
    entries: Iterable[MaskEntry],
    *,
    name: str,
    source: dict[str, Any] | None,
    problems: Sequence[Problem] = (),
) -> MaskDataset:
    """Read every mask once, and return the data set of those that have a pixel.

    Raises:
        InputError: no mask has a pixel.
    """
    entries = sorted(entries, key=lambda entry: entry.image)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        scans = list(pool.map(_scan, entries))
    items, rows, met = [], [], list(problems)
    for number, (entry, (size, checksums, faults)) in enumerate(zip(entries, scans, strict=True)):
        met += [Problem(entry.image, "mask", concept, fault.status, fault.reason) for concept, fault in faults.items()]
        if checksums:
            items.append(Item(entry.image, number, size, tuple(map(Pair, checksums))))
            rows.append((entry.image, size, checksums))
    if not items:
        why = f": {met[-1].file}: {met[-1].reason}" if met else ", since all are empty"
        number = counted(len(entries), "image")
        raise EmptyDataError(f"the data must hold a mask with a pixel, but {name!r} has none in {number}{why}", met)
    if len(met) > len(problems):
        log.warning("%s: left out %s that cannot be read.", name, counted(len(met) - len(problems), "mask"))
    occurring = dict.fromkeys(pair.concept for item in items for pair in item.pairs)
    return MaskDataset(
        name=name,
        items=tuple(items),
        concepts=tuple(sorted(occurring)),
        fingerprint=digest(rows),
        source=source,
        problems=tuple(met),
        _entries={entry.image: entry for entry in entries},
    )


def _scan(entry: MaskEntry) -> tuple[tuple[int, int], dict[str, str], dict[str, Fault]]:
    """Size of an image's masks, the digests of those with a pixel, and the faults of those that cannot be read."""
    read, checksums, faults = {}, {}, {}
    for concept in sorted(entry.masks):
        try:
            read[concept] = entry.masks[concept]()
        except Fault as fault:
            faults[concept] = fault.with_traceback(None)
    size = next((size for size, _ in Counter(mask.shape for mask in read.values()).most_common(1)), (0, 0))
    for concept, mask in read.items():
        if mask.shape != size:
            reason = f"it has {mask.shape} pixels (H x W), the other masks of the image {size}."
            faults[concept] = Fault("mask_unreadable", reason)
        elif mask.any():
            checksums[concept] = hashlib.sha256(np.packbits(mask).tobytes()).hexdigest()
    return size, checksums, faults
