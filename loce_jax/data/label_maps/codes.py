"""Read a label map: an image whose pixels are numbers or colors of classes.

A code is the pixel's number (its index in a palette), or ``R + 256 G + 65536 B`` where classes are told by colors.
Shapes: H x W pixels of the map.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Integer

from loce_jax.checks import InputError
from loce_jax.data.images import MAX_PIXELS, open_image
from loce_jax.data.samples import Fault

COLORED = "the class table has numbers. Give a table with colors."  # why colors are no numbers, and what to do then
LOSSLESS = ("BMP", "GIF", "PNG", "PPM", "TIFF")  # a JPEG changes labels


@dataclass(frozen=True)
class LabelFile:
    """The label map in a file; called, it reads the codes.

    Attributes:
        path: of the file.
        by_color: whether classes are told by colors, not by numbers.
        colored: as in `read_codes`.
    """

    path: Path
    by_color: bool = False
    colored: str = COLORED

    def __call__(self) -> Integer[np.ndarray, "H W"]:
        """Read it; raises `Fault` ``mask_unreadable``."""
        return read_codes(self.path, by_color=self.by_color, colored=self.colored)


def read_codes(
    file: Path | bytes, *, by_color: bool, name: str = "", alpha: bool = False, colored: str = COLORED
) -> Integer[np.ndarray, "H W"]:
    """The codes of a label map.

    Args:
        file: a PNG, or another format that keeps every pixel as it is; or the bytes of one.
        by_color: whether classes are told by colors; of a palette image the palette's, of a gray one gray.
        name: what messages call it; the name of the file if left out.
        alpha: whether the alpha channel is read in place of the colors where it is the only one that varies.
        colored: the end of the message for a map in colors where numbers are wanted: why not, and what to do.

    Raises:
        Fault: ``mask_unreadable``.
    """
    called = name or (file.name if isinstance(file, Path) else "the label map")
    try:
        with open_image(file, LOSSLESS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Fault("mask_unreadable", f"{called} has {image.width} x {image.height} pixels: too many.")
            if alpha and image.mode in ("LA", "RGBA") and _varies_in_alpha_only(image):
                return np.asarray(image.getchannel("A"))
            return _colors(image) if by_color else _numbers(image, called, colored)
    except (Fault, MemoryError):  # want of memory is no fault of the map
        raise
    except FileNotFoundError:
        raise Fault("mask_unreadable", f"there is no file {str(file)!r}.") from None
    except InputError as error:
        raise Fault("mask_unreadable", str(error)) from None
    except Exception as error:  # Pillow's readers let through whatever they stumble over
        raise Fault("mask_unreadable", f"{called}: {type(error).__name__}: {error}") from error


def color_code(red: int, green: int, blue: int) -> int:
    """The code of a color.

    >>> color_code(1, 2, 3)
    197121
    """
    return red + 256 * green + 65536 * blue


def color_of(code: int) -> tuple[int, int, int]:
    """Red, green and blue of the code of a color.

    >>> color_of(197121)
    (1, 2, 3)
    """
    return code % 256, code // 256 % 256, code // 65536


def _varies_in_alpha_only(image):
    *colors, alpha = image.getextrema()  # the least and the largest value of each channel
    return alpha[0] < alpha[1] and all(least == largest for least, largest in colors)


def _colors(image):
    channels = np.asarray(image.convert("RGB")).astype(np.int32)
    return channels[..., 0] + 256 * channels[..., 1] + 65536 * channels[..., 2]


def _numbers(image, name, colored):
    if image.mode == "1":
        return np.asarray(image).astype(np.uint8)
    pixels = np.asarray(image)
    if image.mode in ("L", "P"):
        return pixels
    if image.mode.startswith("I"):
        return pixels.astype(np.int32)
    if image.mode == "LA" or (image.mode in ("RGB", "RGBA") and (pixels[..., :3] == pixels[..., :1]).all()):
        return np.ascontiguousarray(pixels[..., 0])
    if image.mode == "F":
        raise Fault("mask_unreadable", f"{name} holds floating-point numbers. Save it with whole numbers, as PNG.")
    raise Fault("mask_unreadable", f"{name} is in colors ({image.mode}), but {colored}")
