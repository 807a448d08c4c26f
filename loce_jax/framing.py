"""Letterboxing: the position of a photo on the network's input canvas, for pixels, masks and maps alike.  NumPy only.

A letterboxed photo keeps its proportions and is padded to those of the network's input.  The padded image, measured in
the photo's own pixels, is its `Canvas`: masks are put on it, and maps of the network's grid cover it.
Shapes: H x W pixels of the photo, h x w pixels of the network's input, a x b pixels of the canvas.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Shaped

Size = tuple[int, int]
Placement = Literal["corner", "center"]
PLACEMENTS = get_args(Placement)


@dataclass(frozen=True)
class Canvas:
    """A photo and the padding around it, in pixels of the photo.

    Attributes:
        size: height and width with the padding.
        photo: height and width of the photo.
        top, left: where the photo begins.
    """

    size: Size
    photo: Size
    top: int = 0
    left: int = 0

    @property
    def window(self) -> tuple[slice, slice]:
        """The rows and columns of the photo."""
        return slice(self.top, self.top + self.photo[0]), slice(self.left, self.left + self.photo[1])

    def pad(self, image: Shaped[np.ndarray, "H W *c"], value: int = 0) -> Shaped[np.ndarray, "a b *c"]:
        """`image` of the photo's size on the canvas, `value` around it; itself where there is no padding.

        >>> Canvas((2, 3), (1, 2), top=1).pad(np.ones((1, 2), int))
        array([[0, 0, 0],
               [1, 1, 0]])
        """
        if self.size == self.photo:
            return image
        padded = np.full((*self.size, *image.shape[2:]), value, image.dtype)
        padded[self.window] = image
        return padded


def fit_inside(photo: Size, size: Size, placement: Placement) -> tuple[Size, Size]:
    """The height and width that a letterboxed photo has in an input of `size`, and the row and column of its corner.

    >>> fit_inside((480, 640), (416, 416), "corner"), fit_inside((480, 640), (416, 416), "center")
    (((312, 416), (0, 0)), ((312, 416), (52, 0)))
    """
    scale = min(inner / outer for inner, outer in zip(size, photo, strict=True))
    height, width = (min(max(round(n * scale), 1), most) for n, most in zip(photo, size, strict=True))
    rest = size[0] - height, size[1] - width
    return (height, width), (rest[0] // 2, rest[1] // 2) if placement == "center" else (0, 0)


def canvas_of(photo: Size, size: Size, placement: Placement | None) -> Canvas:
    """The canvas of a photo in an input of `size`; without a `placement` the photo alone, since it is stretched.

    >>> canvas_of((480, 640), (416, 416), "corner").size, canvas_of((480, 640), (416, 416), None).size
    ((640, 640), (480, 640))
    """
    if placement is None:
        return Canvas(photo, photo)
    inner, corner = fit_inside(photo, size, placement)
    scales = tuple(n / small for n, small in zip(photo, inner, strict=True))
    height, width = (max(round(n * scale), most) for n, scale, most in zip(size, scales, photo, strict=True))
    top, left = (
        min(round(at * scale), n - most)
        for at, scale, n, most in zip(corner, scales, (height, width), photo, strict=True)
    )
    return Canvas((height, width), photo, top, left)


def recorded_canvas(photo: Size, plan: Mapping[str, Any]) -> Canvas:
    """The canvas of a photo in a run, whose plan records how photos became input.

    >>> recorded_canvas((4, 8), {"model": {"preprocess": {"size": [32, 32], "pad": 114, "placement": "corner"}}})
    Canvas(size=(8, 8), photo=(4, 8), top=0, left=0)
    """
    record = plan.get("model", {}).get("preprocess", {})
    if record.get("pad") is None:
        return canvas_of(photo, photo, None)
    height, width = record["size"]
    return canvas_of(photo, (height, width), record["placement"])
