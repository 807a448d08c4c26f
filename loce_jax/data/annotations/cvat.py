"""CVAT's own XML, "CVAT for images": polygons, masks and boxes of each image.

The file is read as a stream; one with a document type, and so with entities, is refused.  CVAT's COCO export is read
by `open_coco`.
Shapes: H x W pixels of an image.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.parsers import expat

import numpy as np
from jaxtyping import Bool

from loce_jax.checks import check_arguments, check_exists
from loce_jax.data.annotations.coco_file import Faulty, check_content
from loce_jax.data.annotations.dataset import AnnotationDataset, assemble
from loce_jax.data.annotations.masks import WHERE, whole_number
from loce_jax.data.files import open_file
from loce_jax.data.samples import EmptyDataError, Problem, source_record, unreadable_file

SHAPES = "polygon", "mask", "box"
OTHERS = "polyline", "points", "ellipse", "cuboid", "skeleton"
FIX = "Export the task as `CVAT for images`, or as COCO."


@dataclass(frozen=True)
class BoxRuns:
    """A mask as run lengths, row after row, in a box of the image; the first run is outside the mask."""

    left: int
    top: int
    width: int
    height: int
    counts: tuple[int, ...]

    def decode(self, size: tuple[int, int]) -> Bool[np.ndarray, "H W"]:
        """The mask; raises `ValueError` where the runs do not fill the box, or the box leaves the image."""
        height, width = size
        fits = 0 <= self.left and 0 <= self.top and self.left + self.width <= width and self.top + self.height <= height
        if not fits or min(self.width, self.height) < 1:
            raise ValueError(f"its box leaves the image of {height} x {width} pixels")
        if min(self.counts, default=-1) < 0 or sum(self.counts) != self.width * self.height:
            raise ValueError("its run lengths do not fill its box")
        mask = np.zeros(size, bool)
        runs = np.repeat(np.arange(len(self.counts)) % 2 == 1, self.counts)
        mask[self.top : self.top + self.height, self.left : self.left + self.width] = runs.reshape(self.height, -1)
        return mask


@check_arguments
def open_cvat(
    path: str | Path,
    *,
    images: str | Path | None = None,
    concepts: Sequence[str] = (),
    faulty: Faulty = "refuse",
) -> AnnotationDataset:
    """Open an export "CVAT for images": ``annotations.xml`` and a folder of images.

    Polygons and masks are read; boxes have no outline, see the masks "rectangle" of
    `loce_jax.data.selection.DataOptions`; other shapes, and those marked as outside, are left out and counted.

    Args:
        path: the XML file, or the folder that holds ``annotations.xml``.
        images: folder of the images; ``images`` beside the file if left out.
        concepts: names of the labels wanted; all if left out.
        faulty: as in `open_coco`; such as two images of one name, or one without a size.

    Raises:
        InputError: the file cannot be used, or would make us read outside `images`; an unknown concept.

    >>> import tempfile
    >>> shape = '<polygon label="car" points="2,0;6,0;6,6;2,6"/>'
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "annotations.xml")
    ...     image = f'<image id="0" name="a.jpg" width="8" height="6">{shape}</image>'
    ...     _ = file.write_text(f"<annotations>{image}</annotations>")
    ...     dataset = open_cvat(file, images=folder)
    ...     dataset.concepts, int(dataset.masks(dataset.items[0])[0].sum())
    (('car',), 24)
    """
    given = Path(path)
    file = check_exists("path", given / "annotations.xml" if given.is_dir() else given, kind="file", fix=FIX)
    root = Path(images) if images else file.parent / "images"
    root = check_exists("images", root, kind="folder", fix="Give the folder that holds the images.")
    content, problems = _parse(file)
    source = source_record("cvat", path=path, images=images, concepts=tuple(concepts))
    checked = check_content(content, file, root, faulty=faulty)
    return assemble(checked, root, source, concepts=concepts, problems=problems)


def _parse(file: Path) -> tuple[dict[str, list], list[Problem]]:
    """The export as the content of a COCO file."""
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = _refuse_document_type
    parser.StartElementHandler = reader.start
    try:
        with open_file(file) as stream:
            parser.ParseFile(stream)
    except (expat.ExpatError, ValueError) as error:
        place = f"line {error.lineno}, column {error.offset + 1}" if isinstance(error, expat.ExpatError) else ""
        raise _no_export(file, f"is none: {error}", place) from error
    if not reader.images:
        raise _no_export(file, f"holds no image{' but tracks of a video' if reader.tracks else ''}")
    categories = [{"id": number, "name": name} for name, number in reader.labels.items()]
    return {"images": reader.images, "annotations": reader.annotations, "categories": categories}, reader.problems


def _no_export(file: Path, problem: str, place: str = "") -> EmptyDataError:
    message = f"`path` must be an export of CVAT, but {str(file)!r} {problem}. {FIX}"
    return unreadable_file(message, file, f"as an export of CVAT, it {problem}.", place)


def _refuse_document_type(*_: Any) -> None:
    raise ValueError("it has a document type, which no export has")


class _Reader:
    """Takes the elements of the file one by one."""

    def __init__(self):
        self.images: list[dict] = []
        self.annotations: list[dict] = []
        self.labels: dict[str, int] = {}
        self.problems: list[Problem] = []
        self.tracks = False

    def start(self, element: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        self.tracks |= element == "track"
        if element == "image":
            own: dict[Any, Any] = {"id": len(self.images), "file_name": attributes.get("name")}
            own[WHERE] = f"image {attributes.get('id', len(self.images))}"
            self.images.append(own | {side: attributes.get(side) for side in ("height", "width")})
        elif element in (*SHAPES, *OTHERS) and self.images:
            self._add(element, attributes)

    def _add(self, shape: str, attributes: dict[str, str]) -> None:
        number, label = len(self.annotations) + len(self.problems) + 1, attributes.get("label", "")
        where = f"shape {number} of the file, {'an' if shape == 'ellipse' else 'a'} {shape}"
        outside = attributes.get("outside") == "1"
        try:
            if shape in OTHERS or outside:
                raise ValueError("it is marked as outside." if outside else f"its kind {shape!r} is not read.")
            if not label:
                raise ValueError("it has no label.")
            found = _SHAPES[shape](attributes)
        except (KeyError, ValueError) as error:
            reason = f"it lacks {error}." if isinstance(error, KeyError) else str(error)
            status = "no_area" if shape in OTHERS else "mask_unreadable"
            self.problems.append(Problem(str(self.images[-1]["file_name"]), where, label, status, reason))
            return
        category = self.labels.setdefault(label, len(self.labels))
        own = {"id": number, "image_id": len(self.images) - 1, "category_id": category, WHERE: where}
        self.annotations.append(own | found)


def _polygon(attributes: dict[str, str]) -> dict[str, Any]:
    points = [point.split(",") for point in attributes["points"].split(";") if point.strip()]
    if not all(len(point) == 2 for point in points):
        raise ValueError("its points are not x,y;x,y and so on.")
    return {"segmentation": [[float(number) for point in points for number in point]]}


def _box(attributes: dict[str, str]) -> dict[str, Any]:
    if float(attributes.get("rotation", 0)):
        raise ValueError("its box is rotated.")
    left, top, right, bottom = (float(attributes[key]) for key in ("xtl", "ytl", "xbr", "ybr"))
    return {"segmentation": [], "bbox": [left, top, right - left, bottom - top]}


def _mask(attributes: dict[str, str]) -> dict[str, Any]:
    numbers = [whole_number(attributes[key]) for key in ("left", "top", "width", "height")]
    counts = [whole_number(word.strip()) for word in attributes["rle"].split(",")]
    if None in numbers or None in counts:
        raise ValueError("its run lengths or its box are not whole numbers.")
    return {"segmentation": BoxRuns(*numbers, counts=tuple(counts))}  # pyright: ignore[reportArgumentType] - no None


_SHAPES = {"polygon": _polygon, "box": _box, "mask": _mask}
