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
from typing import Any, Literal

from loce_jax.checks import InputError, counted
from loce_jax.data.annotations.masks import WHERE, whole_number
from loce_jax.data.files import read_bytes
from loce_jax.data.samples import EmptyDataError, Problem, unreadable_file
from loce_jax.foreign_text import logger

log = logger(__name__)

PARTS = ("images", "annotations", "categories")
SINGULAR = {"images": "image", "annotations": "annotation", "categories": "category"}
Faulty = Literal["refuse", "leave out"]


@dataclass(frozen=True)
class CocoFile:
    """The content of an annotation file after its checks.

    Attributes:
        path: of the file, for messages.
        images: by image id the file, a POSIX path below the folder of images, and its size ``(H, W)``.
        categories: names by category id.
        annotations: by annotation id, with ``id``, ``image_id``, ``category_id`` and ``iscrowd`` as whole numbers.
        lost: ids of the annotations whose image is not listed; they are not among `annotations`.
        faulty: the entries that were left out since they cannot be used; empty where the first is refused.
    """

    path: Path
    images: dict[int, tuple[str, tuple[int, int]]]
    categories: dict[int, str]
    annotations: dict[int, dict]
    lost: tuple[int, ...]
    faulty: tuple[Problem, ...] = ()


def read_coco_file(path: Path, root: Path, *, faulty: Faulty = "refuse") -> CocoFile:
    """Read and check an annotation file whose images are below the folder `root`.

    Args:
        path: of the file.
        root: the folder of images.
        faulty: "refuse" raises an error for the first entry that cannot be used, "leave out" makes a problem of each.

    Raises:
        InputError: the file cannot be used, or would make us read outside `root`.
    """
    content = load_json(path, PARTS)
    if faulty == "leave out":
        return check_content(content, path, root, faulty=faulty)
    try:
        return check_content(content, path, root)
    except InputError as error:
        raise InputError(f"{error} `loce data check` lists all such entries.") from None


def check_content(content: dict[str, Any], path: Path, root: Path, *, faulty: Faulty = "refuse") -> CocoFile:
    """The content of an annotation file, or of one made from another format, in one spelling.

    With `faulty` "leave out", what belongs to an entry that is left out is left out, too.

    Raises:
        InputError: it contradicts itself, or would make us read outside `root`.
    """
    faults = Faults(path, leave_out=faulty == "leave out")
    images = _by_id(content, "images", faults)
    located = _locate(images, root, faults)
    annotations, lost = _spell(_by_id(content, "annotations", faults), images, faults)
    annotations = {number: one for number, one in annotations.items() if one["image_id"] in located}
    categories = _by_id(content, "categories", faults)
    names = _category_names(categories, annotations, faults)
    faults.add_unknown_categories([n for n, one in annotations.items() if one["category_id"] not in categories])
    annotations = {number: one for number, one in annotations.items() if one["category_id"] in names}
    listed = {number: (file, _size(images[number])) for number, file in located.items()}
    return CocoFile(path, listed, names, annotations, lost, tuple(faults.problems))


class Faults:
    """Takes the entries that cannot be used: the first is refused, or each becomes a problem."""

    def __init__(self, path: Path, *, leave_out: bool):
        self.path, self.leave_out = path, leave_out
        self.problems: list[Problem] = []

    def add(self, entry: str, reason: str, *, message: str = "") -> None:
        """An entry, such as "image 7", and what is wrong with it, which follows "it" or, in an error, the entry."""
        if not self.leave_out:
            raise unusable(self.path, message or f"{entry} {reason}")
        self.problems.append(Problem(str(self.path), entry, "", "entry_unusable", f"it {reason}."))

    def add_unknown_categories(self, numbers: Sequence[int]) -> None:
        """The ids of annotations whose category is not listed."""
        reason = "a category_id that is not in categories"
        first = f"annotation {numbers[0]} has {reason}" if numbers else ""
        first += f" (the first of {len(numbers)})" if len(numbers) > 1 else ""
        for number in numbers:
            self.add(f"annotation {number}", f"has {reason}", message=first)


def unusable(path: Path, problem: str) -> InputError:
    """The error for a file that cannot be used as a whole."""
    return InputError(
        f"`path` must hold annotations that can be used, but in {str(path)!r} {problem}. Repair the file."
    )


def unreadable(path: Path, problem: str, place: str = "") -> EmptyDataError:
    """The same, for a file of which nothing can be read; `place` says where in it, if that is known."""
    return unreadable_file(str(unusable(path, problem)), path, problem, place)


def place_of(error: Exception) -> str:
    """Where in a text an error of JSON is."""
    return f"line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""


def load_json(path: Path, lists: Sequence[str]) -> dict[str, Any]:
    """The object of a JSON file, which must have these `lists`; a key that stands twice is refused."""

    def once(pairs):
        table = dict(pairs)
        if len(table) < len(pairs):
            keys = [key for key, _ in pairs]
            raise unreadable(
                path, f"the key {next(key for key in keys if keys.count(key) > 1)!r} stands twice in an object"
            )
        return table

    try:
        content = json.loads(read_bytes(path), object_pairs_hook=once)
    except InputError:
        raise
    except RecursionError:
        raise unreadable(path, "lists or objects are nested too deeply") from None
    except ValueError as error:
        raise unreadable(path, f"the text is no JSON ({error})", place_of(error)) from error
    if not isinstance(content, dict) or not all(isinstance(content.get(part), list) for part in lists):
        raise unreadable(path, f"there is no object with the lists {', '.join(lists)}")
    return content


def _by_id(content: dict[str, Any], part: str, faults: Faults) -> dict[int, dict]:
    """The entries of one list by their ids; exact repetitions are dropped."""
    entries: dict[int, dict] = {}
    repeated = 0
    for place, entry in enumerate(content[part]):
        number = whole_number(entry.get("id")) if isinstance(entry, dict) else None
        if number is None:
            faults.add(f"entry {place} of {part}", "is not an object with a whole number as its id")
        elif number not in entries:
            entries[number] = entry
        elif entries[number] == entry:
            repeated += 1
        else:
            message = f"two different entries of {part} have the id {number}"
            faults.add(f"{SINGULAR[part]} {number}", "has the id of another entry before it", message=message)
    if repeated:
        log.warning("%s: left out %s in the list %s.", faults.path, counted(repeated, "exact repetition"), part)
    return entries


def _spell(entries: dict[int, dict], images: dict[int, dict], faults: Faults) -> tuple[dict[int, dict], tuple]:
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
    faults.add_unknown_categories(strange)
    if lost and not annotations:
        reason = f"none of the {len(lost)} annotations belongs to a listed image"
        faults.add("annotations", f"is a list in which {reason}", message=reason)
    if lost:
        log.warning("%s: left out %s of images that are not listed.", faults.path, counted(len(lost), "annotation"))
    return annotations, tuple(lost)


def _category_names(categories: dict[int, dict], annotations: dict[int, dict], faults: Faults) -> dict[int, str]:
    """Names by id; of two categories of one name, one that no annotation uses is left out, as exports have it."""
    used = {annotation["category_id"] for annotation in annotations.values()}
    numbers: dict[str, int] = {}
    for number, category in categories.items():
        name = category.get("name")
        if not isinstance(name, str) or not name:
            faults.add(f"category {number}", f"has no name in letters, but {shortened(name)}")
            continue
        other = numbers.setdefault(name, number)
        if other in used and number in used and other != number:
            message = f"the categories {other} and {number} are both called {name!r}"
            faults.add(f"category {number}", f"is called {name!r}, as is category {other}", message=message)
        elif other not in used:
            numbers[name] = number
    return {number: name for name, number in numbers.items()}


def _locate(images: dict[int, dict], root: Path, faults: Faults) -> dict[int, str]:
    """Path of every image below `root`; refuses every name that could lead out of it."""
    inside = os.path.realpath(root)
    owners: dict[str, int] = {}
    for number, image in images.items():
        entry, name = _called(number, image), _file_name(image, inside)
        if min(_size(image)) < 1:
            faults.add(entry, "has no height and width in whole pixels")
        elif not isinstance(name, str) or not name:
            faults.add(entry, f"has no file_name in letters, but {shortened(name)}")
        elif not is_below(name, inside):
            message = f"the file_name {name!r} of {entry} leads out of the folder of images"
            faults.add(entry, f"has the file_name {name!r}, which leads out of the folder of images", message=message)
        elif (other := owners.setdefault(PurePosixPath(name).as_posix(), number)) != number:
            file = PurePosixPath(name).as_posix()
            first = _called(other, images[other])
            message = f"{first} and {entry} are both the file {file!r}"
            faults.add(entry, f"is the file {file!r}, as is {first}", message=message)
    return {number: file for file, number in owners.items()}


def _called(number: int, image: dict) -> str:
    """How messages call an image: by its id, or by where a reader found it."""
    return image.get(WHERE) or f"image {number}"


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
