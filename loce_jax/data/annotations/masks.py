"""COCO segmentations become masks: polygons, run lengths as a list, run lengths as a string.

Annotations come from anywhere, and the C code of pycocotools crashes the process, or shows memory that is not its
own, when they are wrong.  So everything is checked first; polygons are then filled by pycocotools, whose pixels are
the ones everybody compares with, and run lengths are laid out here.
Shapes: H x W pixels of the image.
"""

import math
from collections.abc import Iterable
from reprlib import repr as shortened
from typing import Any

import numpy as np
from jaxtyping import Bool
from pycocotools import mask as coco_mask

from loce_jax.data.images import MAX_PIXELS
from loce_jax.data.samples import Fault

WHERE = b"where"  # of an image or annotation: where a reader found it; no key of JSON is of bytes
MAX_WHOLE = 2**63 - 1
LONGEST_NUMBER = 40  # letters
FEWEST_NUMBERS = 6  # of a polygon with an area: x and y of 3 points
MAX_OUTLINE = 1_000_000  # pixels walked along the polygons of one annotation; the memory needed grows with it


def union_mask(annotations: Iterable[dict], size: tuple[int, int]) -> Bool[np.ndarray, "H W"]:
    """Pixels inside any of the annotations, dicts with ``id`` and ``segmentation``.

    Polygons may leave the image by up to its larger side, and are united: a polygon inside another fills its hole.
    What has no area adds no pixel: see `parts_without_area`.  A segmentation may also be an object with a method
    ``decode(size)`` that returns the mask.

    Raises:
        Fault: ``mask_unreadable``, naming the annotation.

    >>> square = {"id": 7, "segmentation": [[1, 1, 3, 1, 3, 3, 1, 3]]}
    >>> runs = {"id": 8, "segmentation": {"size": [4, 5], "counts": [0, 2, 18]}}
    >>> union_mask([square, runs], (4, 5)).astype(int)
    array([[1, 0, 0, 0, 0],
           [1, 1, 1, 0, 0],
           [0, 1, 1, 0, 0],
           [0, 0, 0, 0, 0]])
    """
    filled, union = None, None
    for annotation in annotations:
        drawn = _read(annotation, size)
        if drawn is None:
            continue
        if isinstance(drawn, np.ndarray):
            union = drawn if union is None else union | drawn
        else:  # merged as runs: to decode each would take most of the time
            filled = coco_mask.merge([filled, drawn]) if filled else drawn
    if filled:
        polygons = coco_mask.decode(filled).view(bool)
        union = polygons if union is None else union | polygons
    return np.zeros(size, bool) if union is None else np.ascontiguousarray(union)


def parts_without_area(annotation: dict) -> list[str]:
    """What of an annotation has no area, one text for each such part; empty where all of it has.

    >>> parts_without_area({"id": 1, "segmentation": [[1, 1, 3, 1, 3, 3], [80.0, 60.0]]})
    ['a polygon of 1 point']
    >>> parts_without_area({"id": 2, "bbox": [1, 1, 9, 9], "segmentation": []})
    ["a box without an outline (the masks 'rectangle' are made of boxes)"]
    """
    segmentation = annotation.get("segmentation")
    if segmentation is None or segmentation in ([], {}, [[]]):
        return [
            "a box without an outline (the masks 'rectangle' are made of boxes)"
            if annotation.get("bbox")
            else "neither an outline nor a box"
        ]
    points = [len(polygon) // 2 for polygon in segmentation if _is_short(polygon)] if _is_list(segmentation) else []
    return [f"a polygon of {count} point{'s' if count != 1 else ''}" for count in points]


def whole_number(value: Any) -> int | None:
    """A whole number in any spelling that exports of annotation tools use; None for everything else.

    >>> [whole_number(value) for value in (7, 7.0, "7", "480.0", "7.5", True, None, float("nan"), "x")]
    [7, 7, 7, 480, None, None, None, None, None]
    """
    if type(value) is int:
        return value if abs(value) <= MAX_WHOLE else None
    if isinstance(value, str) and len(value) > LONGEST_NUMBER:
        return None
    try:
        number = float(value) if type(value) in (float, str) else math.nan
        exact = int(value) if isinstance(value, str) and value.strip().lstrip("+-").isdecimal() else number
    except ValueError:
        return None
    return int(exact) if abs(exact) <= MAX_WHOLE and exact == math.floor(exact) else None


def name_of_annotation(annotation: dict) -> str:
    """How messages call an annotation: by its id, or by where it was read.

    >>> name_of_annotation({"id": 7}), name_of_annotation({"id": 7, WHERE: "labels/a.txt, line 3"})
    ('annotation 7', 'labels/a.txt, line 3')
    """
    return annotation.get(WHERE) or f"annotation {annotation.get('id')}"


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_short(polygon: Any) -> bool:
    """A polygon of fewer than 3 points: it has no area."""
    return _is_list(polygon) and len(polygon) < FEWEST_NUMBERS and len(polygon) % 2 == 0


def _read(annotation: dict, size: tuple[int, int]) -> Any:
    """One annotation's polygons as run lengths of pycocotools, or its run lengths as a mask; None without area."""
    segmentation = annotation.get("segmentation")
    try:
        if math.prod(size) > MAX_PIXELS:
            raise ValueError(f"an image of {size[0]} x {size[1]} pixels is too large")
        if segmentation is None or segmentation in ([], {}):
            return None
        if isinstance(segmentation, list):
            with_area = [polygon for polygon in segmentation if not _is_short(polygon)]
            return _fill_polygons(with_area, size) if with_area else None
        if isinstance(segmentation, dict):
            return _lay_out_runs(segmentation, size)
        if hasattr(segmentation, "decode"):
            return segmentation.decode(size)
        raise ValueError("`segmentation` is neither a list of polygons nor run lengths")
    except ValueError as error:
        raise Fault("mask_unreadable", f"{name_of_annotation(annotation)}: {error}.") from error


def _fill_polygons(polygons: list, size: tuple[int, int]) -> Any:
    outline = 0.0
    for polygon in polygons:
        if not isinstance(polygon, list) or not all(type(number) in (int, float) for number in polygon):
            raise ValueError("a polygon is not a list of numbers")
        if len(polygon) % 2:
            raise ValueError(f"a polygon has {len(polygon)} numbers, not x and y of 3 or more points")
        if any(type(number) is float and not math.isfinite(number) for number in polygon):
            raise ValueError("a polygon has a coordinate that is not finite")
        side = max(size)
        if not all(-side <= number <= 2 * side for number in polygon):
            raise ValueError(f"a polygon has a point far outside the image of {size[0]} x {size[1]} pixels")
        points = np.array(polygon, float).reshape(-1, 2)
        outline += np.abs(points - np.roll(points, 1, axis=0)).max(axis=1).sum() + len(points)
    if outline > MAX_OUTLINE:
        raise ValueError(f"its polygons are too long to draw: {outline:.3g} pixels")
    return coco_mask.merge(coco_mask.frPyObjects(polygons, *size))


def _lay_out_runs(segmentation: dict, size: tuple[int, int]) -> Bool[np.ndarray, "H W"]:
    """Alternate runs of 0 and 1, column after column."""
    height, width = size
    sides = segmentation.get("size")
    if not isinstance(sides, list) or [whole_number(side) for side in sides] != [height, width]:
        raise ValueError(f"its run lengths are for size {shortened(sides)}, the image is {[height, width]}")
    counts = segmentation.get("counts")
    if isinstance(counts, str):
        counts = _decompress(counts, most=7 * (height * width + 1))
    elif isinstance(counts, list):
        counts = [run if type(run) is int else whole_number(run) for run in counts]
    runs: Any = counts
    if not isinstance(runs, list) or not all(type(run) is int and 0 <= run <= height * width for run in runs):
        raise ValueError("its run lengths are not whole numbers from 0 to the number of pixels")
    if sum(runs) != height * width:
        raise ValueError(f"its run lengths add up to {sum(runs)}, the image has {height * width} pixels")
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape(width, height).T


def _decompress(text: str, most: int) -> list[int]:
    """Undo COCO's compression: 5 bits per character, lowest first; from the fourth on, differences to the last but one.

    >>> _decompress("00:", most=99)
    [0, 0, 10]
    """
    if len(text) > most:
        raise ValueError("its run lengths are longer than any image of this size needs")
    counts: list[int] = []
    number = shift = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64 or shift > 30:
            raise ValueError("its compressed run lengths hold an impossible character")
        number |= (code & 31) << shift
        shift += 5
        if not code & 32:
            if code & 16:
                number -= 1 << shift
            counts.append(number + (counts[-2] if len(counts) > 2 else 0))
            number = shift = 0
    if shift:
        raise ValueError("its compressed run lengths break off")
    return counts
