"""Open one photograph of unknown origin: right pixels, the right way up, or a `Fault` that says why not.

Pillow's switches are process-wide, so none is touched here; whatever can be known from the header is checked before
any pixel is decoded.  Safe to call from several threads.
Shapes: H x W pixels of the photo as annotated.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, features

from loce_jax.checks import InputError
from loce_jax.data.files import open_file
from loce_jax.data.missing import why_missing
from loce_jax.data.samples import Fault

MAX_PIXELS = 2**26  # 67 million; below the size from which Pillow itself warns
AVIF = ("AVIF",) if features.check("avif") else ()
FORMATS = (*AVIF, "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")  # none that starts another program
ORIENTATION = 0x0112  # the EXIF tag; 1 is upright, 5 to 8 swap height and width


def read_photo(file: Path | bytes, expected_size: tuple[int, int], *, name: str = "") -> UInt8[np.ndarray, "H W 3"]:
    """Read the first frame as RGB, 0 to 255.

    16-bit gray is scaled to 8 bits, transparency is laid over white.  An EXIF orientation is followed exactly when
    the annotated size says that the annotator followed it.

    Args:
        file: the file, or the bytes of one.
        expected_size: ``(H, W)`` as annotated.
        name: what messages call it; the name of the file if left out.

    Raises:
        Fault: ``image_missing``, ``image_unreadable`` or ``size_mismatch``.
    """
    with _opened(file, name) as (image, called):
        turned = _was_turned(image, called, expected_size)
        return _to_rgb(ImageOps.exif_transpose(image) if turned else image, called)


def photo_size(file: Path | bytes, *, name: str = "") -> tuple[int, int]:
    """Height and width of a photo, the right way up as its EXIF orientation says; reads the header only.

    Raises:
        Fault: ``image_missing`` or ``image_unreadable``.
    """
    with _opened(file, name) as (image, _):
        turned = image.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)
        return (image.width, image.height) if turned else (image.height, image.width)


@contextmanager
def _opened(file: Path | bytes, name: str) -> Iterator[tuple[Image.Image, str]]:
    """The image in a file, not yet decoded, and its name; whatever goes wrong with it becomes a `Fault`."""
    called = name or (file.name if isinstance(file, Path) else "the image")
    try:
        with open_image(file, FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Fault("image_unreadable", f"{called} has {image.width} x {image.height} pixels: too many.")
            yield image, called
    except (Fault, MemoryError):  # want of memory is no fault of the photo
        raise
    except (FileNotFoundError, NotADirectoryError):
        why = why_missing(file) if isinstance(file, Path) else ""
        raise Fault("image_missing", f"there is no file {str(file)!r}{why}.") from None
    except InputError as error:
        raise Fault("image_unreadable", str(error)) from None
    except Exception as error:  # Pillow's readers let through whatever they stumble over
        raise Fault("image_unreadable", f"{called}: {type(error).__name__}: {error}") from error


@contextmanager
def open_image(file: Path | bytes, formats: tuple[str, ...]) -> Iterator[Image.Image]:
    """An image as Pillow opens it, from a regular file or from bytes; `InputError` for a special file."""
    with io.BytesIO(file) if isinstance(file, bytes) else open_file(file) as stream:
        with Image.open(stream, formats=formats) as image:
            yield image


def _was_turned(image: Image.Image, name: str, expected_size: tuple[int, int]) -> bool:
    """Whether the annotated size is that of the photo turned by its EXIF orientation, not as it is stored."""
    orientation = image.getexif().get(ORIENTATION, 1)
    stored = (image.height, image.width)
    upright = (image.width, image.height) if orientation in (5, 6, 7, 8) else stored
    if expected_size not in (stored, upright):
        also = f", or {_times(upright)} turned as its EXIF orientation asks," if upright != stored else ""
        raise Fault(
            "size_mismatch",
            f"{name} has {_times(stored)} pixels (H x W){also} but is annotated {_times(expected_size)}.",
        )
    if orientation in range(2, 9) and upright == stored:
        raise Fault(
            "size_mismatch",
            f"{name} has EXIF orientation {orientation}, and {_times(stored)} pixels (H x W) either way: "
            f"the annotated size does not say whether the masks follow it. Save the photo upright, without the tag.",
        )
    return expected_size != stored


def _times(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def _to_rgb(image: Image.Image, name: str) -> UInt8[np.ndarray, "H W 3"]:
    if image.mode.startswith("I;16"):
        gray = np.round(np.asarray(image) / 257).astype(np.uint8)
        return np.repeat(gray[..., None], 3, axis=2)
    if image.mode in ("I", "F"):
        raise Fault(
            "image_unreadable",
            f"{name} holds {'32-bit' if image.mode == 'I' else 'floating-point'} numbers of unknown range. "
            "Save it with 8 bits per channel.",
        )
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))
