"""Masks from the boxes of annotations, to compare with exact outlines.

Shapes: H x W pixels of the image.
"""

import math
from collections.abc import Iterable

import numpy as np
from jaxtyping import Bool
from PIL import Image, ImageDraw

from loce_jax.checks import check_known
from loce_jax.data.images import MAX_PIXELS
from loce_jax.data.samples import Fault

SHAPES = ("rectangle", "ellipse")


def box_mask(
    annotations: Iterable[dict], size: tuple[int, int], *, shape: str, paper: bool = False
) -> Bool[np.ndarray, "H W"]:
    """Pixels whose center lies in the box of any annotation, or in the ellipse inscribed in it.

    With a box of left edge x, top y, width w and height h, in pixels from the image's corner, and the pixel (row i,
    column j), whose center is ``(j + 1/2, i + 1/2)``:

        rectangle:  x <= j + 1/2 < x + w  and  y <= i + 1/2 < y + h
        ellipse:    ((j + 1/2 - x - w/2) / (w/2))^2 + ((i + 1/2 - y - h/2) / (h/2))^2 <= 1

    What leaves the image is cut off; crowds count like others; a box that meets no center gives no pixel.

    Args:
        annotations: COCO's, each with ``id`` and ``bbox = [x, y, w, h]``.
        size: ``(H, W)``.
        shape: "rectangle" or "ellipse".
        paper: do as the released code of Mikriukov et al., IJCV 2025: x, y, w and h lose their fractions, the
            rectangle gets a row and a column more, both are drawn by Pillow, and annotations by run lengths (crowds)
            are left out.  Where that leaves none, the released code stops the whole run; here it is a `Fault`.

    Raises:
        Fault: ``mask_unreadable`` for a box that is none; ``mask_empty`` where `paper` leaves no annotation.

    >>> box = {"id": 1, "bbox": [1, 0.6, 2.4, 2], "segmentation": [[1, 0.6, 3.4, 0.6, 3.4, 2.6]]}
    >>> box_mask([box], (3, 4), shape="rectangle").astype(int)
    array([[0, 0, 0, 0],
           [0, 1, 1, 0],
           [0, 1, 1, 0]])
    """
    check_known("shape", [shape], SHAPES)
    if math.prod(size) > MAX_PIXELS:
        raise Fault("mask_unreadable", f"an image of {size[0]} x {size[1]} pixels is too large.")
    annotations = list(annotations)
    if paper:
        annotations = [one for one in annotations if isinstance(one.get("segmentation"), list)]
        if not annotations:
            raise Fault("mask_empty", "no annotation has polygons, and others are left out as the released code does.")
    mask = np.zeros(size, bool)
    for annotation in annotations:
        box = _box(annotation, size)
        mask |= (_draw_as_paper if paper else _inside)(box, size, shape)
    return mask


def _box(annotation, size):
    box, side = annotation.get("bbox"), max(size)
    if not isinstance(box, list) or len(box) != 4 or not all(type(number) in (int, float) for number in box):
        problem = "`bbox` is not a list of four numbers"
    elif any(type(number) is float and not math.isfinite(number) for number in box):
        problem = "its box has a coordinate that is not finite"
    elif not all(-side <= number <= 2 * side for number in box):
        problem = f"its box reaches far outside the image of {size[0]} x {size[1]} pixels"
    elif min(box[2:]) < 0:
        problem = "its box has a negative width or height"
    else:
        return box
    raise Fault("mask_unreadable", f"annotation {annotation.get('id')}: {problem}.")


def _inside(box, size, shape):
    x, y, w, h = box
    column, row = np.arange(size[1]) + 0.5, np.arange(size[0])[:, None] + 0.5
    if shape == "rectangle":
        return (x <= column) & (column < x + w) & (y <= row) & (row < y + h)
    if not w * h:
        return np.zeros(size, bool)
    return ((2 * (column - x) - w) / w) ** 2 + ((2 * (row - y) - h) / h) ** 2 <= 1


def _draw_as_paper(box, size, shape):
    x, y, w, h = map(int, box)
    image = Image.new("1", size[::-1])
    if shape == "rectangle":
        ImageDraw.Draw(image).rectangle((x, y, x + w, y + h), fill=1)
    elif w and h:
        ellipse = Image.new("1", (w, h))
        ImageDraw.Draw(ellipse).ellipse((0, 0, 2 * (w // 2), 2 * (h // 2)), fill=1)
        image.paste(ellipse, (x, y))
    return np.array(image)
