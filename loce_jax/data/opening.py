"""Open a data set by the name of its kind, as flags and a run's plan name it."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import loce_jax.data as openers
from loce_jax.checks import InputError, check_known
from loce_jax.data.files import open_file
from loce_jax.data.samples import Dataset


def opener(kind: str) -> Callable[..., Dataset]:
    """The function that opens data sets of a kind, such as ``"coco"``; `InputError` for an unknown one."""
    check_known("kind of data", [kind], list(openers.KINDS))
    return getattr(openers, openers.KINDS[kind].partition(":")[2])


def parameters(kind: str) -> dict[str, bool]:
    """Names of what a kind's function takes, and whether it must be given.

    >>> parameters("coco")
    {'path': True, 'images': True, 'concepts': False, 'crowd': False, 'faulty': False}
    """
    found = inspect.signature(opener(kind)).parameters
    return {name: one.default is inspect.Parameter.empty for name, one in found.items()}


def open_data(kind: str, given: Mapping[str, Any]) -> Dataset:
    """Open a data set of `kind` with what was `given` for it, by name.

    Raises:
        InputError: something is missing, or has no meaning for the kind; what the kind's function raises.

    >>> open_data("scenes", {"count": 3}).name
    'scenes'
    """
    known = parameters(kind)
    if strange := [name for name in given if name not in known]:
        raise InputError(
            f"`{strange[0]}` has no meaning for data of kind {kind!r}, but got {given[strange[0]]!r}. Leave it out; "
            f"{kind} takes {', '.join(known)}."
        )
    if missing := [name for name, needed in known.items() if needed and name not in given]:
        raise InputError(
            f"`{missing[0]}` must be given for data of kind {kind!r}, but is missing. {kind} takes {', '.join(known)}."
        )
    return opener(kind)(**given)


MARKS = {  # what the folder of a kind holds
    "voc": ("JPEGImages", "SegmentationClass"),
    "cityscapes": ("leftImg8bit",),
    "camvid": ("train", "trainannot"),
    "cvat": ("annotations.xml",),
    "yolo": ("data.yaml",),
    "datasets": ("state.json",),
}
ENDINGS = {".npz": "npz", ".xml": "cvat", ".yaml": "yolo", ".yml": "yolo"}
START = 2**16  # bytes of a JSON file that are looked at


def guess_kind(path: str) -> str:
    """The kind of data that a path shows, by its name and by what is in it.

    Raises:
        InputError: it shows none.

    >>> guess_kind("frames.npz")
    'npz'
    """
    file = Path(path)
    if file.suffix.lower() in ENDINGS:
        return ENDINGS[file.suffix.lower()]
    if file.suffix.lower() == ".json" and file.is_file():
        with open_file(file) as stream:
            start = stream.read(START).lstrip()
        if start.startswith(b"["):
            return "labelstudio"
        return "panoptic" if b'"segments_info"' in start else "coco"
    found = next((kind for kind, names in MARKS.items() if all((file / name).exists() for name in names)), None)
    if found is None and (file / "dataset_dict.json").exists():
        found = "datasets"
    if found is None and (file / "masks").is_dir():
        found = "folder"
    if found is None and (file / "labels").is_dir():
        found = "labels"
    if found is None:
        raise InputError(
            f"`data` must be a kind and a path, since {path!r} does not show its kind. The kinds are "
            f"{', '.join(sorted(openers.KINDS))}."
        )
    return found
