"""Data sets in COCO's JSON format: one file of annotations, one folder of images.

The file is checked as a whole when it is opened, before any image is: what makes all of it doubtful raises
`InputError`, what spoils one image or one mask is left to `CocoDataset.read`.  A concept's mask in an image is the
union of all its annotations there, crowds included.
Letters: H x W pixels of an image.
"""

import hashlib
import json
import logging
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from reprlib import repr as shortened
from typing import Any

import numpy as np
from jaxtyping import Bool

from loce_jax.checks import InputError, check_exists, check_known
from loce_jax.data.images import read_photo
from loce_jax.data.masks import union_mask
from loce_jax.data.samples import Fault, Item, Pair, Reading

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class CocoDataset:
    """A COCO data set; build it with `CocoDataset.open`.

    The attributes of a pair are ``instances``, the number of annotations in the mask, and ``crowd``, 1 if any of them
    stands for a crowd.

    Attributes:
        name: the annotation file's name without its ending.
        root: the folder of images.
        items: images with at least one requested concept, by path.
        concepts: names of the concepts that occur, by category id.
        fingerprint: sha256 of the items and their segmentations; the pixels of the images are not part of it.
        source: plain values that open the data set again.
    """

    name: str
    root: Path
    items: tuple[Item, ...]
    concepts: tuple[str, ...]
    fingerprint: str
    source: dict[str, Any]
    _annotations: dict[int, dict] = field(repr=False)

    @classmethod
    def open(cls, annotations: str | Path, images: str | Path, concepts: Sequence[str] | None = None) -> "CocoDataset":
        """Read and check an annotation file.

        Args:
            annotations: the JSON file.
            images: the folder that the ``file_name`` of every image is relative to.
            concepts: names of the categories wanted; all if left out.

        Raises:
            InputError: the file cannot be used, or would make us read outside `images`.
        """
        path = check_exists("annotations", annotations, kind="file", fix="Give the path of a COCO JSON file.")
        root = check_exists("images", images, kind="folder", fix="Give the folder that holds the images.")
        content = _load(path)
        categories = _by_id(content, "categories", path)
        names = _category_names(categories, path)
        check_known("concept", concepts or (), list(names.values()))
        wanted = {number: name for number, name in sorted(names.items()) if concepts is None or name in concepts}

        photos = _by_id(content, "images", path)
        places = _locate(photos, root, path)
        known = _by_id(content, "annotations", path)
        groups = _group(known, photos, names, path)
        items = tuple(
            Item(
                image=places[image_id],
                image_id=image_id,
                size=(photos[image_id]["height"], photos[image_id]["width"]),
                pairs=tuple(
                    _pair(wanted[category], [known[i] for i in sorted(groups[image_id][category])])
                    for category in sorted(wanted.keys() & groups[image_id].keys())
                ),
            )
            for image_id in sorted(groups, key=lambda image_id: places[image_id])
            if wanted.keys() & groups[image_id].keys()
        )
        if not items:
            raise _unusable(path, f"no image has an annotation of {', '.join(wanted.values()) or 'any category'}")
        present = {pair.concept for item in items for pair in item.pairs}
        if missing := [name for name in wanted.values() if concepts is not None and name not in present]:
            log.warning("%s: no image has an annotation of %s.", path, ", ".join(missing))
        used = {number: known[number] for item in items for pair in item.pairs for number in pair.annotation_ids}
        return cls(
            name=path.stem,
            root=root,
            items=items,
            concepts=tuple(name for name in wanted.values() if name in present),
            fingerprint=_fingerprint(items, used),
            source={
                "kind": "coco",
                "annotations": str(annotations),
                "images": str(images),
                "concepts": list(concepts or ()),
            },
            _annotations=used,
        )

    def read(self, item: Item) -> Reading:
        """Open one image and decode its masks; raises `Fault` where the image itself cannot be used."""
        photo = read_photo(self.root / item.image, item.size)
        return Reading(photo, tuple(self._mask(item, pair) for pair in item.pairs))

    def _mask(self, item: Item, pair: Pair) -> Bool[np.ndarray, "H W"] | Fault:
        try:
            mask = union_mask((self._annotations[number] for number in pair.annotation_ids), item.size)
        except Fault as fault:
            return fault.with_traceback(None)
        if not mask.any():
            return Fault("mask_empty", f"{pair.concept} covers no pixel of {item.image}.")
        if mask.all():
            return Fault("mask_full", f"{pair.concept} covers every pixel of {item.image}.")
        return mask


def _unusable(path: Path, problem: str) -> InputError:
    return InputError(f"`annotations` must be a usable COCO file, but in {str(path)!r} {problem}. Repair the file.")


def _load(path: Path) -> dict[str, Any]:
    def once(pairs):
        table = dict(pairs)
        if len(table) < len(pairs):
            keys = [key for key, _ in pairs]
            raise _unusable(
                path, f"the key {next(key for key in keys if keys.count(key) > 1)!r} stands twice in an object"
            )
        return table

    try:
        content = json.loads(path.read_bytes(), object_pairs_hook=once)
    except InputError:
        raise
    except RecursionError:
        raise _unusable(path, "lists or objects are nested too deeply") from None
    except ValueError as error:
        raise _unusable(path, f"the text is no JSON ({error})") from error
    parts = ("images", "annotations", "categories")
    if not isinstance(content, dict) or not all(isinstance(content.get(part), list) for part in parts):
        raise _unusable(path, f"there is no object with the lists {', '.join(parts)}")
    return content


def _by_id(content: dict[str, Any], part: str, path: Path) -> dict[int, dict]:
    """The entries of one list by their ids; exact repetitions are dropped."""
    entries: dict[int, dict] = {}
    for place, entry in enumerate(content[part]):
        if not isinstance(entry, dict) or type(entry.get("id")) is not int:
            raise _unusable(path, f"entry {place} of {part} is not an object with a whole number as its id")
        if entries.setdefault(entry["id"], entry) != entry:
            raise _unusable(path, f"two different entries of {part} have the id {entry['id']}")
    if repeated := len(content[part]) - len(entries):
        log.warning("%s: %d entries of %s are exact repetitions and were dropped.", path, repeated, part)
    return entries


def _category_names(categories: dict[int, dict], path: Path) -> dict[int, str]:
    numbers: dict[str, int] = {}
    for number, category in categories.items():
        name = category.get("name")
        if not isinstance(name, str) or not name:
            raise _unusable(path, f"category {number} has no name in letters, but {shortened(name)}")
        if numbers.setdefault(name, number) != number:
            raise _unusable(path, f"the categories {numbers[name]} and {number} are both called {name!r}")
    return {number: name for name, number in numbers.items()}


def _locate(photos: dict[int, dict], root: Path, path: Path) -> dict[int, str]:
    """Path of every image below `root`; refuses every name that could lead out of it."""
    inside = os.path.realpath(root)
    owners: dict[str, int] = {}
    for number, photo in photos.items():
        if any(type(photo.get(side)) is not int or photo[side] < 1 for side in ("height", "width")):
            raise _unusable(path, f"image {number} has no height and width in whole pixels")
        name = photo.get("file_name")
        if not isinstance(name, str) or not name:
            raise _unusable(path, f"image {number} has no file_name in letters, but {shortened(name)}")
        if not _is_below(name, inside):
            raise _unusable(path, f"the file_name {name!r} of image {number} leads out of the folder of images")
        place = PurePosixPath(name).as_posix()
        if owners.setdefault(place, number) != number:
            raise _unusable(path, f"the images {owners[place]} and {number} are both the file {place!r}")
    return {number: place for place, number in owners.items()}


def _is_below(name: str, root: str) -> bool:
    """Does `name`, read as a path of any system and with its links followed, stay below `root`?"""
    windows = PureWindowsPath(name)
    if windows.drive or windows.root or ".." in windows.parts or "\0" in name:
        return False
    try:
        return os.path.realpath(os.path.join(root, name)).startswith(os.path.join(root, ""))
    except (OSError, ValueError):  # letters that no file system can hold
        return False


def _group(
    known: dict[int, dict], photos: dict[int, dict], names: dict[int, str], path: Path
) -> dict[int, dict[int, list[int]]]:
    """Annotation ids by image id and category id; annotations of images that are not listed are left out."""
    groups: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    lost, strange = 0, []
    for number, annotation in known.items():
        image_id, category = annotation.get("image_id"), annotation.get("category_id")
        if type(category) is not int or category not in names:
            strange.append(number)
        elif type(image_id) is not int or image_id not in photos:
            lost += 1
        else:
            groups[image_id][category].append(number)
    if strange:
        raise _unusable(
            path, f"{len(strange)} annotations (the first is {strange[0]}) have a category_id that is not in categories"
        )
    if lost and lost == len(known):
        raise _unusable(path, f"none of the {lost} annotations belongs to a listed image")
    if lost:
        log.warning("%s: %d annotations of images that are not listed were left out.", path, lost)
    return groups


def _pair(concept: str, annotations: list[dict]) -> Pair:
    crowd = any(annotation.get("iscrowd") == 1 for annotation in annotations)
    return Pair(
        concept,
        annotation_ids=tuple(annotation["id"] for annotation in annotations),
        attributes=(("instances", float(len(annotations))), ("crowd", float(crowd))),
    )


def _fingerprint(items: tuple[Item, ...], annotations: dict[int, dict]) -> str:
    digest = hashlib.sha256()
    for item in items:
        for pair in item.pairs:
            shapes = [annotations[number].get("segmentation") for number in pair.annotation_ids]
            row = (item.image, item.image_id, item.size, pair.concept, pair.annotation_ids, pair.attributes, shapes)
            digest.update(json.dumps(row, sort_keys=True).encode())
    return digest.hexdigest()
