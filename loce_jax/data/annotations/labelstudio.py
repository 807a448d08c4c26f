"""Label Studio's JSON export: polygons, brush strokes and rectangles of each task.

Shapes: H x W pixels of an image.
"""

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
from jaxtyping import Bool

from loce_jax.checks import check_arguments, check_exists
from loce_jax.data.annotations.coco_file import Faulty, check_content, is_below, place_of
from loce_jax.data.annotations.dataset import AnnotationDataset, assemble
from loce_jax.data.annotations.masks import WHERE, whole_number
from loce_jax.data.files import read_bytes
from loce_jax.data.label_maps.pairing import PHOTOS
from loce_jax.data.samples import Problem, source_record, unreadable_file

UPLOADED = re.compile(r"^[0-9a-f]{8}-")  # what Label Studio puts before the names of uploaded files
CHANNELS = 4  # of a brush stroke's image; the last is the mask
SHAPES = {"rle": "brushlabels", "points": "polygonlabels", "radiusX": "ellipselabels", "width": "rectanglelabels"}
FIX = "Export the project as JSON, not as JSON-MIN."


@dataclass(frozen=True)
class BrushRuns:
    """A brush stroke in Label Studio's own run lengths: numbers of up to 8 bits, packed; red, green, blue and mask."""

    bytes_: tuple[int, ...]

    def decode(self, size: tuple[int, int]) -> Bool[np.ndarray, "H W"]:
        """The mask; raises `ValueError` where the runs do not fill the image."""
        if not all(0 <= byte <= 255 for byte in self.bytes_):
            raise ValueError("its run lengths are not bytes")
        bits = _Bits(np.unpackbits(np.array(self.bytes_, np.uint8)))
        count = bits.number(32)
        if count != size[0] * size[1] * CHANNELS:
            raise ValueError(f"its run lengths are of {count} values, not {CHANNELS} for each pixel of {size}")
        word = bits.number(5) + 1
        lengths = [bits.number(4) + 1 for _ in range(4)]
        values, start = np.zeros(count, np.uint8), 0
        while start < count:
            repeated = bits.number(1)
            end = start + 1 + bits.number(lengths[bits.number(2)])
            if end > count:
                raise ValueError("its run lengths are longer than the image")
            values[start:end] = bits.numbers(1 if repeated else end - start, word)
            start = end
        return values.reshape(*size, CHANNELS)[..., -1] > 127


class _Bits:
    """Reads numbers from bits, the highest bit first."""

    def __init__(self, bits: np.ndarray):
        self.bits, self.place = bits, 0

    def number(self, length: int) -> int:
        return int(self.numbers(1, length)[0])

    def numbers(self, count: int, length: int) -> np.ndarray:
        end = self.place + count * length
        if end > len(self.bits):
            raise ValueError("its run lengths break off")
        taken = self.bits[self.place : end].reshape(count, length).astype(np.int64)
        self.place = end
        return taken @ (1 << np.arange(length - 1, -1, -1))


@check_arguments
def open_labelstudio(
    path: str | Path, images: str | Path, *, concepts: Sequence[str] = (), faulty: Faulty = "refuse"
) -> AnnotationDataset:
    """Open a project of Label Studio, exported as JSON.

    Polygons and brush strokes are read; rectangles have no outline, see the masks "rectangle" of
    `loce_jax.data.selection.DataOptions`.  Of several annotations of a task the first that was not cancelled counts.
    An image is looked for by the end of its address, with and without the letters that Label Studio puts before the
    names of uploaded files; nothing is downloaded.

    Args:
        path: the JSON file.
        images: folder of the images.
        concepts: names of the labels wanted; all if left out.
        faulty: as in `open_coco`; such as two tasks of one image, or an image without a size.

    Raises:
        InputError: the file cannot be used; an unknown concept.

    >>> import tempfile
    >>> value = {"points": [[25, 0], [75, 0], [75, 100], [25, 100]], "polygonlabels": ["car"]}
    >>> result = {"type": "polygonlabels", "value": value, "original_width": 8, "original_height": 6}
    >>> task = {"id": 1, "data": {"image": "/data/upload/1/0a1b2c3d-a.jpg"}, "annotations": [{"result": [result]}]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "export.json")
    ...     _ = file.write_text(json.dumps([task]))
    ...     dataset = open_labelstudio(file, folder)
    ...     dataset.concepts, int(dataset.masks(dataset.items[0])[0].sum())
    (('car',), 24)
    """
    file = check_exists("path", path, kind="file", fix=FIX)
    root = check_exists("images", images, kind="folder", fix="Give the folder that holds the images.")
    try:
        tasks = json.loads(read_bytes(file))
    except (ValueError, RecursionError) as error:
        message = f"`path` must be an export of Label Studio, but {str(file)!r} is none: {error}. {FIX}"
        raise unreadable_file(message, file, f"the text is no JSON ({error})", place_of(error)) from error
    if not isinstance(tasks, list) or not all(isinstance(one, dict) and "annotations" in one for one in tasks):
        message = f"`path` must be a list of tasks with annotations, but {str(file)!r} is none. {FIX}"
        raise unreadable_file(message, file, "it is no list of tasks with annotations.")
    reader = _Reader(os.path.realpath(root))
    for task in tasks:
        reader.add(task)
    categories = [{"id": number, "name": name} for name, number in reader.labels.items()]
    content = {"images": reader.images, "annotations": reader.annotations, "categories": categories}
    source = source_record("labelstudio", path=path, images=images, concepts=tuple(concepts))
    checked = check_content(content, file, root, faulty=faulty)
    return assemble(checked, root, source, concepts=concepts, problems=reader.problems)


class _Reader:
    """Takes the tasks one by one."""

    def __init__(self, root: str):
        self.root = root
        self.images: list[dict] = []
        self.annotations: list[dict] = []
        self.labels: dict[str, int] = {}
        self.problems: list[Problem] = []

    def add(self, task: dict) -> None:
        """A task: its image and what is marked in it."""
        results = _results(task)
        if not results:
            return
        address = _address(task)
        if address is None:
            self.problems.append(Problem(f"task {task.get('id')}", "", "", "image_missing", "it names no image."))
            return
        sizes = [[whole_number(one.get(f"original_{side}")) for side in ("height", "width")] for one in results]
        height, width = sizes[0]
        own: dict[Any, Any] = {WHERE: f"task {task.get('id')}", "id": len(self.images)}
        own |= {"file_name": _find(address, self.root), "height": height, "width": width}
        self.images.append(own)
        for place, result in enumerate(results):
            where = f"task {task.get('id')}, result {result.get('id', place)}"
            try:
                if sizes[place] != sizes[0] or result.get("image_rotation"):
                    raise ValueError("it is of an image of another size, or rotated.")
                if not _labels(result):
                    raise ValueError("it has no label.")
                found = _shape(result, height or 0, width or 0)
            except (KeyError, TypeError, ValueError) as error:
                reason = f"it lacks {error}." if isinstance(error, KeyError) else str(error)
                self.problems.append(Problem(own["file_name"], where, "", "mask_unreadable", reason))
                continue
            for label in _labels(result):
                category = self.labels.setdefault(label, len(self.labels))
                numbers = {"id": len(self.annotations), "image_id": own["id"], "category_id": category}
                self.annotations.append({**numbers, WHERE: where, **found})


def _results(task: dict) -> list[dict]:
    """What is marked in the first annotation of a task that was not cancelled."""
    annotations = task["annotations"] if isinstance(task["annotations"], list) else []
    kept = [one for one in annotations if isinstance(one, dict) and not one.get("was_cancelled")]
    results = kept[0].get("result") if kept else None
    marked = [one for one in results if isinstance(one, dict)] if isinstance(results, list) else []
    labeled = {one.get("id") for one in marked if _labels(one)}
    return [one for one in marked if _labels(one) or (_is_region(one) and one.get("id") not in labeled - {None})]


def _is_region(result: dict) -> bool:
    """Whether a result marks a part of the image: choices, texts and relations do not."""
    value = result.get("value")
    return isinstance(value, dict) and any(key in value for key in ("points", "rle", "x"))


def _labels(result: dict) -> list[str]:
    value, kind = result.get("value"), result.get("type")
    if not isinstance(value, dict) or not isinstance(kind, str) or not kind.endswith("labels"):
        return []
    names = value.get(kind)
    return [name for name in names if isinstance(name, str) and name] if isinstance(names, list) else []


def _shape(result: dict, height: int, width: int) -> dict[str, Any]:
    """An outline, a brush stroke or a box; coordinates are percents of the image's sides."""
    value, kind = result["value"], result["type"]
    if kind == "labels":  # labels and shapes by two tags of the project: the value shows which shape it is
        kind = next((kind for key, kind in SHAPES.items() if key in value), kind)
    if kind == "polygonlabels":
        points = [(float(x) * width / 100, float(y) * height / 100) for x, y in value["points"]]
        return {"segmentation": [[number for point in points for number in point]]}
    if kind == "brushlabels":
        if value.get("format") != "rle" or not all(type(byte) is int for byte in value["rle"]):
            raise ValueError("its brush stroke is not in run lengths.")
        return {"segmentation": BrushRuns(tuple(value["rle"]))}
    if kind == "rectanglelabels":
        if value.get("rotation"):
            raise ValueError("its rectangle is rotated.")
        sides = zip(("x", "y", "width", "height"), (width, height, width, height), strict=True)
        return {"segmentation": [], "bbox": [float(value[key]) * side / 100 for key, side in sides]}
    raise ValueError(f"its kind {kind!r} is not read.")


def _address(task: dict) -> str | None:
    data = task.get("data")
    texts = [value for value in data.values() if isinstance(value, str)] if isinstance(data, dict) else []
    return next((text for text in texts if _path_of(text).lower().endswith(PHOTOS)), None)


def _path_of(address: str) -> str:
    """The path in an address: of a local file the part after ``d=``."""
    try:
        parts = urlsplit(address)
        local = parse_qs(parts.query).get("d")
    except ValueError:
        return address
    return local[0] if local else unquote(parts.path)


def _find(address: str, root: str) -> str:
    """The longest end of an address that is a file below `root`; its last part if none is."""
    parts = [part for part in PurePosixPath(_path_of(address)).parts if part not in ("/", "..")]
    ends = ["/".join(parts[start:]) for start in range(len(parts))] + [UPLOADED.sub("", parts[-1])]
    return next((end for end in ends if is_below(end, root) and os.path.exists(os.path.join(root, end))), parts[-1])
