"""The JSON of COCO, and of the many tools that export it: read, checked as a whole, and put into one spelling.

What makes all of the file doubtful raises `InputError`; what spoils one image or one mask is left to the reading.
Whole numbers may be spelled ``1``, ``1.0`` or ``"1"``.  A file name is looked for below the folder of images and
nowhere else.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from reprlib import repr as shortened
from typing import Any

from loce_jax.checks import InputError
from loce_jax.data.annotations.masks import whole_number
from loce_jax.data.files import read_bytes
from loce_jax.foreign_text import logger

log = logger(__name__)

PARTS = ("images", "annotations", "categories")


@dataclass(frozen=True)
class CocoFile:
    """The content of an annotation file after its checks.

    Attributes:
        path: of the file, for messages.
        images: by image id the file, a POSIX path below the folder of images, and its size ``(H, W)``.
        categories: names by category id.
        annotations: by annotation id, with ``id``, ``image_id``, ``category_id`` and ``iscrowd`` as whole numbers.
        lost: ids of the annotations whose image is not listed; they are not among `annotations`.
    """

    path: Path
    images: dict[int, tuple[str, tuple[int, int]]]
    categories: dict[int, str]
    annotations: dict[int, dict]
    lost: tuple[int, ...]


def read_coco_file(path: Path, root: Path) -> CocoFile:
    """Read and check an annotation file whose images are below the folder `root`.

    Raises:
        InputError: the file cannot be used, or would make us read outside `root`.
    """
    return check_content(load_json(path, PARTS), path, root)


def check_content(content: dict[str, Any], path: Path, root: Path) -> CocoFile:
    """The content of an annotation file, or of one made from another format, in one spelling.

    Raises:
        InputError: it contradicts itself, or would make us read outside `root`.
    """
    images = _by_id(content, "images", path)
    located = _locate(images, root, path)
    annotations, lost = _spell(_by_id(content, "annotations", path), images, path)
    names = _category_names(_by_id(content, "categories", path), annotations, path)
    strange = [number for number, one in annotations.items() if one["category_id"] not in names]
    if strange:
        raise unusable(
            path, f"{len(strange)} annotations (the first is {strange[0]}) have a category_id that is not in categories"
        )
    listed = {number: (located[number], _size(image)) for number, image in images.items()}
    return CocoFile(path, listed, names, annotations, lost)


def unusable(path: Path, problem: str) -> InputError:
    """The error for a file that cannot be used as a whole."""
    return InputError(f"`annotations` must be a usable COCO file, but in {str(path)!r} {problem}. Repair the file.")


def load_json(path: Path, lists: Sequence[str]) -> dict[str, Any]:
    """The object of a JSON file, which must have these `lists`; a key that stands twice is refused."""

    def once(pairs):
        table = dict(pairs)
        if len(table) < len(pairs):
            keys = [key for key, _ in pairs]
            raise unusable(
                path, f"the key {next(key for key in keys if keys.count(key) > 1)!r} stands twice in an object"
            )
        return table

    try:
        content = json.loads(read_bytes(path), object_pairs_hook=once)
    except InputError:
        raise
    except RecursionError:
        raise unusable(path, "lists or objects are nested too deeply") from None
    except ValueError as error:
        raise unusable(path, f"the text is no JSON ({error})") from error
    if not isinstance(content, dict) or not all(isinstance(content.get(part), list) for part in lists):
        raise unusable(path, f"there is no object with the lists {', '.join(lists)}")
    return content


def _by_id(content: dict[str, Any], part: str, path: Path) -> dict[int, dict]:
    """The entries of one list by their ids; exact repetitions are dropped."""
    entries: dict[int, dict] = {}
    for place, entry in enumerate(content[part]):
        number = whole_number(entry.get("id")) if isinstance(entry, dict) else None
        if number is None:
            raise unusable(path, f"entry {place} of {part} is not an object with a whole number as its id")
        if entries.setdefault(number, entry) != entry:
            raise unusable(path, f"two different entries of {part} have the id {number}")
    if repeated := len(content[part]) - len(entries):
        log.warning("%s: %d entries of %s are exact repetitions and were dropped.", path, repeated, part)
    return entries


def _spell(entries: dict[int, dict], images: dict[int, dict], path: Path) -> tuple[dict[int, dict], tuple[int, ...]]:
    """The annotations of listed images with their numbers as whole numbers, and the ids of the others."""
    annotations, lost, strange = {}, [], []
    for number, entry in entries.items():
        image, category = (whole_number(entry.get(key)) for key in ("image_id", "category_id"))
        if category is None:
            strange.append(number)
        elif image not in images:
            lost.append(number)
        else:
            numbers = {"id": number, "image_id": image, "category_id": category}
            crowd = entry.get("iscrowd") is True or whole_number(entry.get("iscrowd")) == 1
            annotations[number] = entry | numbers | {"iscrowd": int(crowd)}
    if strange:
        raise unusable(
            path, f"{len(strange)} annotations (the first is {strange[0]}) have a category_id that is not in categories"
        )
    if lost and not annotations:
        raise unusable(path, f"none of the {len(lost)} annotations belongs to a listed image")
    if lost:
        log.warning("%s: %d annotations of images that are not listed were left out.", path, len(lost))
    return annotations, tuple(lost)


def _category_names(categories: dict[int, dict], annotations: dict[int, dict], path: Path) -> dict[int, str]:
    """Names by id; of two categories of one name, one that no annotation uses is left out, as exports have it."""
    used = {annotation["category_id"] for annotation in annotations.values()}
    numbers: dict[str, int] = {}
    for number, category in categories.items():
        name = category.get("name")
        if not isinstance(name, str) or not name:
            raise unusable(path, f"category {number} has no name in letters, but {shortened(name)}")
        other = numbers.setdefault(name, number)
        if other in used and number in used and other != number:
            raise unusable(path, f"the categories {other} and {number} are both called {name!r}")
        if other not in used:
            numbers[name] = number
    return {number: name for name, number in numbers.items()}


def _locate(images: dict[int, dict], root: Path, path: Path) -> dict[int, str]:
    """Path of every image below `root`; refuses every name that could lead out of it."""
    inside = os.path.realpath(root)
    owners: dict[str, int] = {}
    for number, image in images.items():
        if min(_size(image)) < 1:
            raise unusable(path, f"image {number} has no height and width in whole pixels")
        name = _file_name(image, inside)
        if not isinstance(name, str) or not name:
            raise unusable(path, f"image {number} has no file_name in letters, but {shortened(name)}")
        if not is_below(name, inside):
            raise unusable(path, f"the file_name {name!r} of image {number} leads out of the folder of images")
        file = PurePosixPath(name).as_posix()
        if owners.setdefault(file, number) != number:
            raise unusable(path, f"the images {owners[file]} and {number} are both the file {file!r}")
    return {number: file for file, number in owners.items()}


def _size(image: dict) -> tuple[int, int]:
    """Height and width; 0 for one that is no whole number."""
    return whole_number(image.get("height")) or 0, whole_number(image.get("width")) or 0


def _file_name(image: dict, root: str) -> Any:
    """Name of an image's file: its ``file_name``, or the end of LVIS's ``coco_url``.

    A name with Windows' separators is read as such unless a file of this very name is there.
    """
    name = image.get("file_name")
    url = image.get("coco_url")
    if name is None and isinstance(url, str):
        ends = [PurePosixPath(*PurePosixPath(url).parts[-count:]).as_posix() for count in (1, 2)]
        return next((end for end in ends if is_below(end, root) and os.path.exists(os.path.join(root, end))), ends[0])
    if isinstance(name, str) and "\\" in name and is_below(name, root) and not os.path.exists(os.path.join(root, name)):
        return PureWindowsPath(name).as_posix()
    return name


def is_below(name: str, root: str) -> bool:
    """Does `name`, read as a path of any system and with its links followed, stay below the real path `root`?"""
    windows = PureWindowsPath(name)
    if windows.drive or windows.root or ".." in windows.parts or "\0" in name:
        return False
    try:
        return os.path.realpath(os.path.join(root, name)).startswith(os.path.join(root, ""))
    except (OSError, ValueError):  # letters that no file system can hold
        return False
