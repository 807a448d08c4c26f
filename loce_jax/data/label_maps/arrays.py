"""Data sets of NumPy arrays: in memory, or in an ``.npz`` file, read from the disk as needed.

Shapes: n images of H x W pixels, k concepts.
"""

import functools as ft
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Bool, Integer, Shaped, UInt8

from loce_jax.arrays import as_array
from loce_jax.checks import InputError, check_arguments, check_exists, check_known, check_shape
from loce_jax.data.files import open_file
from loce_jax.data.images import MAX_PIXELS
from loce_jax.data.label_maps.class_table import ClassTable, read_class_table
from loce_jax.data.label_maps.dataset import Entry, LabelMapDataset, read_label_maps
from loce_jax.data.label_maps.masks import FOREGROUND, MaskDataset, MaskEntry, as_mask, read_masks
from loce_jax.data.samples import EmptyDataError, Fault, source_record, unreadable_file

MAX_COMPRESSED = 2**31  # bytes of an array that has to be unpacked into memory
FIX = "Save it with `np.savez(path, images=..., masks=..., concepts=...)`."
UNREADABLE = zipfile.BadZipFile, zlib.error, KeyError, ValueError, OSError, EOFError, RuntimeError, struct.error
LOCAL_HEADER = 30  # bytes of a zip member's header before its name

Arrays = Mapping[str, np.ndarray]
Load = Callable[[str], np.ndarray]


@dataclass(frozen=True)
class InMemory:
    """Arrays by name."""

    arrays: Arrays

    def __call__(self, name: str) -> np.ndarray:
        """The array."""
        return self.arrays[name]


@dataclass(frozen=True)
class InFile:
    """Arrays by name in an ``.npz`` file, which travels to other processes as its path."""

    path: Path

    def __call__(self, name: str) -> np.ndarray:
        """The array, mapped from the disk if it is not compressed."""
        return _open_member(self.path, name)


@dataclass(frozen=True)
class ArrayPhoto:
    """One image of an array."""

    load: Load
    index: int

    def __call__(self, size: tuple[int, int]) -> UInt8[np.ndarray, "H W 3"]:
        """The pixels; raises `Fault` where the masks have another size."""
        photo = np.array(self.load("images")[self.index])
        if photo.shape[:2] != size:
            raise Fault("size_mismatch", f"image {self.index} has {photo.shape[:2]} pixels (H x W), its masks {size}.")
        return photo


@dataclass(frozen=True)
class ArrayMask:
    """One mask of an array [n, H, W], or of [n, k, H, W]."""

    load: Load
    index: int
    concept: int | None

    def __call__(self) -> Bool[np.ndarray, "H W"]:
        """The mask; raises `Fault`."""
        mask = self.load("masks")[self.index]
        mask = np.array(mask if self.concept is None else mask[self.concept])
        return mask if mask.dtype == bool else as_mask(mask, f"the mask of image {self.index}")


@dataclass(frozen=True)
class ArrayCodes:
    """One label map of an array."""

    load: Load
    index: int

    def __call__(self) -> Integer[np.ndarray, "H W"]:
        """The codes."""
        return np.array(self.load("labels")[self.index])


@check_arguments
def open_arrays(
    images: UInt8[np.ndarray, "n H W 3"],
    *,
    masks: Shaped[np.ndarray, "n *k H W"] | None = None,
    labels: Shaped[np.ndarray, "n H W"] | None = None,
    concepts: Sequence[str] | Mapping[str, int] = (),
    names: Sequence[str] = (),
) -> MaskDataset | LabelMapDataset:
    """A data set of arrays in memory; give `masks` or `labels`.

    Args:
        images: uint8, 0 to 255.
        masks: bool or 0 and 1, ``[n, H, W]`` of one concept or ``[n, k, H, W]`` of k.
        labels: whole numbers ``[n, H, W]``, the class of each pixel.
        concepts: names of the k concepts; with `labels` the number of each class by its name.
        names: of the images; their numbers if left out.

    Raises:
        InputError: shapes or dtypes do not fit; no mask has a pixel.

    >>> images = np.zeros((2, 6, 8, 3), np.uint8)
    >>> masks = np.zeros((2, 6, 8), bool)
    >>> masks[:, 1:4] = True
    >>> dataset = open_arrays(images, masks=masks, concepts=["stripe"])
    >>> dataset.concepts, len(dataset.items)
    (('stripe',), 2)
    """
    arrays = {"images": images, "masks": masks, "labels": labels}
    load = InMemory({name: as_array(name, array) for name, array in arrays.items() if array is not None})
    numbers = {name: (number,) for name, number in concepts.items()} if isinstance(concepts, Mapping) else {}
    _check_arrays(load, list(load.arrays), list(concepts), list(names))
    if labels is not None and not numbers:
        raise InputError(
            "`concepts` must give the number of each class with `labels`, but has none. Give it as `{'car': 2}`."
        )
    table = ClassTable(numbers) if numbers else None
    return _assemble(load, list(load.arrays), (list(concepts), list(names)), table, ("arrays", None, ()))


@check_arguments
def open_npz(
    path: str | Path, *, classes: str | Path | None = None, concepts: Sequence[str] = ()
) -> MaskDataset | LabelMapDataset:
    """Open an ``.npz`` file with ``images`` and ``masks`` or ``labels``, as `open_arrays` takes them.

    It may also hold ``concepts``, the names of masks, and ``names`` of the images.  Arrays saved with `np.savez` are
    read from the disk as needed; those of `np.savez_compressed` are unpacked into memory.  Pickled objects are refused.

    Args:
        path: the file.
        classes: the class table of ``labels``.
        concepts: names of the concepts wanted; all if left out.

    Raises:
        InputError: the file cannot be used, or an array does not fit.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "a.npz")
    ...     np.savez(file, images=np.zeros((1, 6, 8, 3), np.uint8), masks=np.eye(6, 8, dtype=bool)[None])
    ...     open_npz(file).concepts
    ('foreground',)
    """
    file = check_exists("path", path, kind="file", fix=FIX)
    try:
        with open_file(file) as content, zipfile.ZipFile(content) as archive:
            found = [name.removesuffix(".npy") for name in archive.namelist()]
    except (zipfile.BadZipFile, OSError) as error:
        message = f"`path` must be an .npz file, but {str(file)!r} is none: {error}. {FIX}"
        raise unreadable_file(message, file, f"it is no .npz file: {error}.") from error
    load = InFile(file)
    texts = [[str(text) for text in load(name).ravel()] if name in found else [] for name in ("concepts", "names")]
    source = source_record("npz", path=path, classes=classes, concepts=tuple(concepts))
    table = read_class_table(classes) if classes is not None else None
    try:
        _check_arrays(load, found, *texts)
    except EmptyDataError:
        raise
    except InputError as error:  # its arrays are no options of the command line
        text = re.sub("`(images|masks|labels|concepts|names)`", r"array \1", str(error))
        raise unreadable_file(f"in {str(file)!r}, {text}", file, text) from error
    if "labels" in found and table is None:
        raise InputError(f"`classes` must be given, since {str(file)!r} holds numbers of classes: which means which?")
    if "labels" in found and table is not None and table.by_color:
        raise InputError(f"`classes` must have numbers, as {str(file)!r} holds, but the class table has colors.")
    return _assemble(load, found, texts, table, (file.stem, source, concepts))


def _check_arrays(load: Load, found: Sequence[str], names: Sequence[str], images: Sequence[str]) -> None:
    """Raise `InputError` unless the arrays, the names of concepts and those of images fit each other."""
    if "images" not in found or ("masks" in found) == ("labels" in found):
        raise InputError(f"`images` and one of `masks` and `labels` must be given, but got {', '.join(found)}. {FIX}")
    photos = load("images")
    if photos.dtype != np.uint8 or photos.ndim != 4 or photos.shape[-1] != 3:
        raise InputError(
            f"`images` must be uint8 of shape [n, H, W, 3], from 0 to 255, but got {photos.dtype} of shape "
            f"{photos.shape}. Convert them, e.g. `(255 * images).astype(np.uint8)`."
        )
    if math.prod(photos.shape[1:3]) > MAX_PIXELS:
        raise InputError(f"`images` must have at most {MAX_PIXELS} pixels each, but got {photos.shape[1:3]}.")
    if images and (len(images) != len(photos) or len(set(images)) < len(images)):
        raise InputError(f"`names` must be {len(photos)} different names, one per image, but got {len(set(images))}.")
    if "labels" in found:
        labels = load("labels")
        check_shape("labels", labels, photos.shape[:3], meaning="one per image, of its size", fix="")
        if labels.dtype.kind not in "iu":
            raise InputError(f"`labels` must be whole numbers, the class of each pixel, but got {labels.dtype}.")
        return
    masks = load("masks")
    several = masks.ndim == 4
    shape = (len(photos), *masks.shape[1:2], *photos.shape[1:3]) if several else photos.shape[:3]
    check_shape("masks", masks, shape, meaning="one per image, or per image and concept, of its size", fix="")
    if masks.dtype.kind not in "biu":
        raise InputError(f"`masks` must be bool, or 0 and 1, but got {masks.dtype}. Give `masks > 0.5`.")
    if names and (len(names) != (masks.shape[1] if several else 1) or len(set(names)) < len(names)):
        raise InputError(f"`concepts` must be a name for each of the masks {masks.shape}, but got {names}.")


def _assemble(load, found, texts, table, about) -> MaskDataset | LabelMapDataset:
    """The data set; `texts` are the names of concepts and images, `about` is its name, source and wanted concepts."""
    (names, images), (title, source, wanted) = texts, about
    images = images or [f"{number:06d}" for number in range(len(load("images")))]
    if "labels" in found:
        entries = [Entry(name, ArrayPhoto(load, i), ArrayCodes(load, i)) for i, name in enumerate(images)]
        return read_label_maps(entries, table, wanted, name=title, source=source)
    masks = load("masks")
    several = masks.ndim == 4
    names = names or ([FOREGROUND] if not several else [f"concept {i}" for i in range(masks.shape[1])])
    check_known("concept", wanted, names)
    chosen = [(number, name) for number, name in enumerate(names) if not wanted or name in wanted]
    entries = [
        MaskEntry(image, ArrayPhoto(load, i), {name: ArrayMask(load, i, k if several else None) for k, name in chosen})
        for i, image in enumerate(images)
    ]
    return read_masks(entries, name=title, source=source)


@ft.lru_cache(maxsize=16)
def _open_member(path: Path, name: str) -> np.ndarray:
    """An array of an ``.npz`` file; `EmptyDataError` where it is none, holds objects, or is too large to unpack."""
    try:
        with open_file(path) as file, zipfile.ZipFile(file) as archive, archive.open(f"{name}.npy") as stream:
            version = np.lib.format.read_magic(stream)
            read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            shape, fortran, dtype = read_header[version](stream)
            start, info = stream.tell(), archive.getinfo(f"{name}.npy")
            if dtype.hasobject:
                raise ValueError("it holds pickled objects, which are not read")
            size = math.prod(shape) * dtype.itemsize
            if start + size > info.file_size:
                raise ValueError("it is shorter than its header says")
            if info.compress_type == zipfile.ZIP_STORED and size:
                return np.memmap(file, dtype, "r", _start_of(file, info) + start, shape, "F" if fortran else "C")
            if size > MAX_COMPRESSED:
                raise ValueError(f"it is compressed and has {size} bytes, more than {MAX_COMPRESSED}; use `np.savez`")
            flat = np.frombuffer(stream.read(size), dtype)
            return flat.reshape(shape, order="F" if fortran else "C")
    except UNREADABLE as error:
        problem = f"its array {name!r} cannot be read: {error}."
        raise unreadable_file(f"`path` must be an .npz file, but {problem} {FIX}", path, problem) from error


def _start_of(file: BinaryIO, info: zipfile.ZipInfo) -> int:
    """Where the bytes of a stored member begin; its own header has lengths that the table of contents lacks."""
    file.seek(info.header_offset)
    header = file.read(LOCAL_HEADER)
    name, extra = struct.unpack("<HH", header[26:30])
    return info.header_offset + LOCAL_HEADER + name + extra
