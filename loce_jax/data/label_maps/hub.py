"""Hugging Face `datasets` with an image and a label map in each row: the extra ``datasets``.

Rows are read as they are needed; images stay in the files they are in.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Integer, UInt8

from loce_jax.checks import InputError, check_arguments, check_known, check_regular, listed, one_line
from loce_jax.data.annotations.coco_file import is_below
from loce_jax.data.images import read_photo
from loce_jax.data.label_maps.class_table import ClassTable, read_class_table
from loce_jax.data.label_maps.codes import read_codes
from loce_jax.data.label_maps.dataset import Entry, LabelMapDataset, read_label_maps
from loce_jax.data.samples import Fault, source_record, unreadable_file

IMAGES = "image", "pixel_values", "img", "photo"
LABELS = "mask", "annotation", "label", "labels", "segmentation", "semantic_segmentation", "segmentation_mask", "seg"


@dataclass(frozen=True)
class RowPhoto:
    """The photo of a row."""

    rows: Any
    index: int
    column: str
    root: str

    def __call__(self, size: tuple[int, int]) -> UInt8[np.ndarray, "H W 3"]:
        """Read it; raises `Fault`."""
        return read_photo(_bytes(self.rows[self.index][self.column], self.root), size, name=f"row {self.index}")


@dataclass(frozen=True)
class RowCodes:
    """The label map of a row."""

    rows: Any
    index: int
    column: str
    root: str
    by_color: bool

    def __call__(self) -> Integer[np.ndarray, "H W"]:
        """Read it; raises `Fault`."""
        value = self.rows[self.index][self.column]
        if isinstance(value, list):
            if self.by_color:
                raise Fault("mask_unreadable", "it holds numbers, but the class table has colors.")
            return _codes_of_list(value)
        try:
            return read_codes(_bytes(value, self.root), by_color=self.by_color, name=f"row {self.index}")
        except Fault as fault:
            raise Fault("mask_unreadable", fault.reason) from fault


@check_arguments
def open_datasets(
    path: str | Path,
    *,
    images: str | None = None,
    labels: str | None = None,
    classes: str | Path | None = None,
    split: str | None = None,
    concepts: Sequence[str] = (),
) -> LabelMapDataset:
    """Open a data set of the library `datasets`: a column of images and one of label maps.

    Args:
        path: a folder written by ``save_to_disk``, a folder of files that ``load_dataset`` reads, or a name on the hub.
        images: the column of images; "image" and other usual names are found.
        labels: the column of label maps, images or lists of lists; "mask", "annotation" and other names are found.
        classes: the class table of the label maps, or the name of a known one.
        split: such as ``train``; needed where there are several.
        concepts: names of the classes wanted; all if left out.

    Raises:
        InputError: the extra is not installed, there is no such data set, column or split; no class table is given.
    """
    rows, root = _load(path, split)
    image, label = (_column(rows, *one) for one in (("images", images, IMAGES), ("labels", labels, LABELS)))
    if classes is None:
        raise InputError("`classes` must be given: a class table says which number or color of the maps means what.")
    table = read_class_table(classes)
    entries = _entries(rows, image, label, root, table)
    given = {"path": path, "images": images, "labels": labels, "classes": classes, "split": split}
    source = source_record("datasets", **given, concepts=tuple(concepts))
    name = Path(path).name if not split else f"{Path(path).name} {split}"
    return read_label_maps(entries, table, concepts, name=name, source=source)


def _load(path: str | Path, split: str | None) -> tuple[Any, str]:
    """The rows of a split, and the folder that images outside the table have to be in; empty if there is none."""
    try:
        import datasets  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise InputError(
            "data of kind 'datasets' need the library of that name, but it is not installed. "
            '`pip install "loce_jax[datasets]"` brings it.'
        ) from error
    folder = Path(path)
    for where, _, files in os.walk(folder):
        for file in files:
            check_regular(Path(where, file))
    try:
        if any((folder / name).is_file() for name in ("dataset_dict.json", "state.json")):
            found = datasets.load_from_disk(str(folder))
        else:
            found = datasets.load_dataset(str(path))
    except Exception as error:  # the library lets through whatever it stumbles over
        text = one_line(error)
        message = f"`path` must be a data set, but {str(path)!r} cannot be opened: {text}"
        here = folder.exists()  # else it is a name on the hub
        raise (
            unreadable_file(message, path, f"it cannot be opened: {text}") if here else InputError(message)
        ) from error
    if isinstance(found, dict):
        names = [str(name) for name in found]
        if split is None and len(names) > 1:
            raise InputError(f"`split` must be given for {str(path)!r}: one of {listed(names)}.")
        check_known("split", [split] if split else [], names)
        found = found[split or names[0]]
    elif split is not None:
        raise InputError(f"`split` has no meaning for {str(path)!r}, which has none, but got {split!r}. Leave it out.")
    return found, str(folder.resolve()) if folder.is_dir() else ""


def _column(rows: Any, what: str, given: str | None, usual: Sequence[str]) -> str:
    if given is not None:
        given = given if given in rows.column_names else Path(given).name  # a name that is a path too is noted as one
        check_known("column", [given], list(rows.column_names))
        return given
    found = next((name for name in usual if name in rows.column_names and not _is_scalar(rows.features[name])), None)
    if found is None:
        raise InputError(
            f"`{what}` must name a column, since no column of images is called {', '.join(usual)}. There are "
            f"{', '.join(rows.column_names)}."
        )
    return found


def _is_scalar(feature: Any) -> bool:
    """Whether a column holds a number or a text, such as the class of the whole image, not pixels."""
    import datasets  # noqa: PLC0415 - an extra

    return isinstance(feature, datasets.ClassLabel | datasets.Value)


def _entries(rows: Any, image: str, label: str, root: str, table: ClassTable) -> list[Entry]:
    """An entry per row; images are not decoded by the library, which knows no limits."""
    import datasets  # noqa: PLC0415 - an extra

    for column in (image, label):
        if isinstance(rows.features[column], datasets.Image):
            rows = rows.cast_column(column, datasets.Image(decode=False))
    photos, maps = rows.select_columns([image]), rows.select_columns([label])
    return [
        Entry(
            f"{number:06d}", RowPhoto(photos, number, image, root), RowCodes(maps, number, label, root, table.by_color)
        )
        for number in range(len(rows))
    ]


def _bytes(value: Any, root: str) -> bytes | Path:
    """The bytes of an image, or its file, which must be below the folder that was opened."""
    content, path = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (None, None)
    if content is not None:
        return content
    if not path:
        raise Fault("image_missing", "the row holds no image.")
    relative = Path(path).resolve().as_posix().removeprefix(f"{root}/")
    if not root or not is_below(relative, root):
        raise Fault("image_missing", f"its file {path!r} is not in the folder that was opened.")
    return Path(root, relative)


def _codes_of_list(value: list) -> Integer[np.ndarray, "H W"]:
    try:
        codes = np.array(value)
    except ValueError as error:
        raise Fault("mask_unreadable", f"its rows are not of one length: {error}.") from error
    if codes.ndim != 2 or codes.dtype.kind not in "iub":
        raise Fault("mask_unreadable", f"it is {codes.dtype} of shape {codes.shape}, not whole numbers [H, W].")
    return codes.astype(np.int32)
