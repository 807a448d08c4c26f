"""Digests of the photos that a run is made from, so that photos which change in the meantime are found.

A photo's entry is the SHA-256 of its files' bytes, and length and time of change of each file.  Where these are what
they were, the bytes are not read again.  A data set without files has its pixels and masks digested, and read again
where a run that goes on would mix them with others.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from loce_jax.checks import InputError
from loce_jax.data.files import read_bytes
from loce_jax.data.samples import Dataset, Fault, Item, Reading, check_reading

PhotoEntry = tuple[str, list[list[int]]]
"""SHA-256, and for each file its length in bytes and its time of change in nanoseconds."""


def photo_entry(dataset: Dataset, item: Item, reading: Reading) -> PhotoEntry:
    """The entry of an item that was just read; raises `Fault` if its files have vanished since."""
    paths = _files(dataset, item)
    if not paths:
        found = hashlib.sha256(np.ascontiguousarray(reading.photo).data)
        for mask in reading.masks:
            found.update(b"" if isinstance(mask, Fault) else np.packbits(mask).tobytes())
        return found.hexdigest(), []
    try:
        return _digest(paths), _stamps(paths)
    except OSError as error:
        raise Fault("image_missing", f"{item.image} was there and is no more: {error.strerror}.") from error
    except InputError as error:
        raise Fault("image_unreadable", str(error)) from None


def changed_files(dataset: Dataset, recorded: Mapping[str, Sequence[Any]]) -> list[str]:
    """Images whose files hold other bytes than when `recorded`; files that are not there now are not counted."""
    changed = []
    for item in dataset.items:
        paths = _files(dataset, item) if item.image in recorded else ()
        if not paths:
            continue
        digest, stamps = recorded[item.image]
        try:
            if _stamps(paths) != stamps and _digest(paths) != digest:
                changed.append(item.image)
        except InputError:  # a named pipe in place of a photo
            changed.append(item.image)
        except OSError:
            continue
    return changed


def changed_pixels(dataset: Dataset, recorded: Mapping[str, Sequence[Any]]) -> list[str]:
    """Images without files whose photo or masks are others than when `recorded`; all of them are read."""

    def has_changed(item):
        try:
            digest, _ = photo_entry(dataset, item, check_reading(item, dataset.read(item)))
        except Fault:  # not there now
            return False
        return digest != recorded[item.image][0]

    items = [item for item in dataset.items if item.image in recorded and not _files(dataset, item)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return [item.image for item, changed in zip(items, pool.map(has_changed, items), strict=True) if changed]


def refuse_changed(changed: Sequence[str]) -> None:
    """Raise `InputError` if there are changed images."""
    if changed:
        more = f" and {len(changed) - 8} more" if len(changed) > 8 else ""
        raise InputError(
            f"photos must be those that the run was begun with, but {len(changed)} have changed since: "
            f"{', '.join(map(repr, changed[:8]))}{more}. Bring the former photos back, or use another folder for a new "
            "run."
        )


def _files(dataset: Dataset, item: Item) -> Sequence[Path]:
    files = getattr(dataset, "files", None)
    return files(item) if files else ()


def _stamps(paths):
    found = (path.stat() for path in paths)
    return [[one.st_size, one.st_mtime_ns] for one in found]


def _digest(paths):
    found = hashlib.sha256()
    for path in paths:
        found.update(read_bytes(path))
    return found.hexdigest()
