"""From a photo to the network's input: size, proportions, range, mean, standard deviation, order of the channels.

Shapes: b images, h x w pixels of the network's input, H x W pixels of the photo as stored.
"""

from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8
from PIL import Image

from loce_jax.checks import InputError, check_types
from loce_jax.framing import Canvas, Placement, Size, canvas_of, fit_inside

Filter = Literal["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"]
Channels = Literal["rgb", "bgr"]
Triple = tuple[float, float, float]
FILTERS, CHANNELS = get_args(Filter), get_args(Channels)
LARGEST_SIDE = 8192  # pixels; photos have at most 2**26 pixels, as many as a square of this side
BYTES: Triple = (1 / 255, 1 / 255, 1 / 255)  # the `std` of a network that takes numbers from 0 to 255
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Preprocess:
    """From a photo to the network's input: the whole picture, never cropped, so that masks stay aligned.

    Attributes:
        size: ``(h, w)`` of the network's input.
        mean, std: of red, green and blue on the 0..1 scale; ``(photo / 255 - mean) / std`` enters the network.  A
            network that takes numbers from 0 to 255 has ``std = (1 / 255,) * 3``.
        resample: Pillow's filter for the resize.
        first: ``(h, w)`` that photos are resized to before that, bicubic, where results depend on it.
        channels: the order in which the three channels enter, ``"rgb"`` or ``"bgr"``.
        pad: gray, 0 to 255, around a photo that keeps its proportions (letterbox); None where the photo is stretched
            to `size`.
        placement: where a letterboxed photo lies, in the upper left ``"corner"`` or the ``"center"``.
        source: where the description comes from, for people; ``"unknown"`` where nobody said that it is right.
        declared: whether the checkpoint itself says so; what a person says is compared with the first photographs.

    Raises:
        InputError: a side of more than `LARGEST_SIDE` pixels or less than 1, a `std` that is not above 0, an unknown
            word.
    """

    size: Size
    mean: Triple = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)
    resample: Filter = "bicubic"
    first: Size | None = None
    channels: Channels = "rgb"
    pad: int | None = None
    placement: Placement = "corner"
    source: str = field(default="", compare=False)
    declared: bool = field(default=True, compare=False)

    def __post_init__(self) -> None:
        check_types(self)
        check_size(self.size)
        if not min(self.std) > 0:
            raise InputError(f"`std` must be above 0, since the input is divided by it, but got {self.std}. Try 1.")

    @property
    def range(self) -> tuple[float, float]:
        """The smallest and the largest number that can enter the network.

        >>> Preprocess((2, 2), std=BYTES).range
        (0.0, 255.0)
        """
        ends = [((at - mean) / std) for at in (0, 1) for mean, std in zip(self.mean, self.std, strict=True)]
        return min(ends), max(ends)

    def canvas(self, photo: Size) -> Canvas:
        """The photo with the padding that the network sees around it, in the photo's own pixels.

        >>> Preprocess((416, 416), pad=114).canvas((480, 640)).size
        (640, 640)
        """
        return canvas_of(photo, self.size, None if self.pad is None else self.placement)

    def resize(self, photo: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "h w 3"]:
        """The whole photo at the network's input size.  Host side, Pillow.

        Without `pad`, the aspect ratio is not kept.

        >>> Preprocess(size=(2, 4)).resize(np.zeros((5, 7, 3), np.uint8)).shape
        (2, 4, 3)
        >>> Preprocess(size=(2, 4), pad=114).resize(np.zeros((5, 5, 3), np.uint8))[..., 0]
        array([[  0,   0, 114, 114],
               [  0,   0, 114, 114]], dtype=uint8)
        """
        image = Image.fromarray(photo)
        if self.first:
            image = _resize(image, self.first, "bicubic")
        if self.pad is None:
            return np.asarray(_resize(image, self.size, self.resample))
        inner, (top, left) = fit_inside((image.height, image.width), self.size, self.placement)
        padded = np.full((*self.size, 3), self.pad, np.uint8)
        padded[top : top + inner[0], left : left + inner[1]] = np.asarray(_resize(image, inner, self.resample))
        return padded

    def normalize(self, images: UInt8[Array, "b h w 3"]) -> Float[Array, "b h w 3"]:
        """0..255 pixels, red first, to the network's numbers in its order, float32.  Device side, inside `jit`."""
        numbers = (images.astype(jnp.float32) / 255 - jnp.asarray(self.mean)) / jnp.asarray(self.std)
        return numbers[..., ::-1] if self.channels == "bgr" else numbers

    def describe(self) -> str:
        """One line for people.

        >>> Preprocess((416, 416), std=BYTES, channels="bgr", pad=114, source="yolox").describe()
        '416 x 416 letterboxed with 114 (corner), bicubic, BGR, 0..255 (yolox)'
        """
        shape = "stretched" if self.pad is None else f"letterboxed with {self.pad} ({self.placement})"
        if len(set(self.mean)) == len(set(self.std)) == 1:
            numbers = "{:g}..{:g}".format(*self.range)
        else:
            numbers = f"mean {_numbers(self.mean)}, std {_numbers(self.std)} of 0..1"
        parts = [f"{self.size[0]} x {self.size[1]} {shape}", self.resample, self.channels.upper(), numbers]
        return ", ".join(parts) + (f" ({self.source})" if self.source else "")

    def of_size(self, size: Size | None) -> "Preprocess":
        """The same for another input size; itself without one."""
        return self if size is None else replace(self, size=size)


def check_size(size: Size) -> Size:
    """Return `size` if images can have it; `InputError` for sides below 1 or above `LARGEST_SIDE` pixels."""
    if not all(1 <= n <= LARGEST_SIDE for n in size):
        raise InputError(
            f"`size` must be a height and a width of at least 1 pixel and at most {LARGEST_SIDE}, since photographs of "
            f"more than {LARGEST_SIDE} x {LARGEST_SIDE} pixels are not read, but got {size}. Try (224, 224)."
        )
    return size


def _resize(image: Image.Image, size: Size, resample: Filter) -> Image.Image:
    return image.resize((size[1], size[0]), Image.Resampling[resample.upper()])


def _numbers(values: Triple) -> str:
    return " ".join(f"{value:.4g}" for value in values)
