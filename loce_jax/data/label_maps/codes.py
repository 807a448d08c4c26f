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
STRETCHED = (
    "is gray with 2 or 4 bits per pixel, and such numbers are stretched to 0..255 by most programs. Save it with 8 "
    "bits, or with a palette."
)
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
    file: Path | bytes, *, by_color: bool, name: str = "", mask: bool = False, colored: str = COLORED
) -> Integer[np.ndarray, "H W"]:
    """The codes of a label map.

    Args:
        file: a PNG, or another format that keeps every pixel as it is; or the bytes of one.
        by_color: whether classes are told by colors; of a palette image the palette's, of a gray one gray.
        name: what messages call it; the name of the file if left out.
        mask: whether the map is a mask: the alpha channel is read in place of the colors where it is the only one that
            varies, and of a palette of grays the grays.
        colored: the end of the message for a map in colors where numbers are wanted: why not, and what to do.

    Raises:
        Fault: ``mask_unreadable``.
    """
    called = name or (file.name if isinstance(file, Path) else "the label map")
    try:
        with open_image(file, LOSSLESS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Fault("mask_unreadable", f"{called} has {image.width} x {image.height} pixels: too many.")
            if mask and image.mode in ("LA", "RGBA") and _varies_in_alpha_only(image):
                return np.asarray(image.getchannel("A"))
            if mask and image.mode == "P" and (levels := _gray_levels(image)) is not None:
                return levels
            if not mask and _is_stretched(image):
                raise Fault("mask_unreadable", f"{called} {STRETCHED}")
            return _colors(image, called) if by_color else _numbers(image, called, colored)
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


def _gray_levels(image):
    """The levels of a palette image all of whose colors are gray; None where there are others, or no difference."""
    pixels = np.asarray(image.convert("RGB"))
    levels = np.ascontiguousarray(pixels[..., 0])
    same_colors = (levels == levels.flat[0]).all() and len(np.unique(np.asarray(image))) > 1
    return levels if (pixels == levels[..., None]).all() and not same_colors else None


def _is_stretched(image):
    """Whether Pillow scales the numbers, as it does with gray of 2 or 4 bits: 1 would become 85 or 17."""
    layouts = [one.args if isinstance(one.args, str) else (one.args or [""])[0] for one in image.tile]
    return any(str(layout).startswith(("L;2", "L;4")) for layout in layouts)


def _colors(image, name):
    if image.mode.startswith("I") or image.mode == "F":  # Pillow would cut them at 255
        raise Fault(
            "mask_unreadable",
            f"{name} has numbers of more than 8 bits, not colors, as maps of instances do. Give the maps of classes.",
        )
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
