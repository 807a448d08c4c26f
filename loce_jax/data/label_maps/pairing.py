"""Images and their label files, paired by name: ``images/a/x.jpg`` with ``labels/a/x.png`` or ``labels/a/x_L.png``."""

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from loce_jax.data.annotations.coco_file import is_below
from loce_jax.data.samples import EmptyDataError, Problem

PHOTOS = (".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
MAPS = (".bmp", ".gif", ".png", ".tif", ".tiff")
WRONG_FORMAT = "must be PNG, BMP, GIF or TIFF, which keep every pixel as it is; a JPEG does not."
Files = dict[str, str]  # by path without its ending the path, both relative and with "/"


def pair_files(
    images: Path, labels: Path, *, endings: Sequence[str] = MAPS, suffixes: tuple[str, str] = ("", "")
) -> tuple[list[tuple[str, str]], list[Problem]]:
    """Relative paths of images and of their label files, by name, and the files that have no partner or are not read.

    A label's name may have something more at its end, the same for all, such as ``_L`` or ``_mask``; it is found out.

    Args:
        images: folder of the images, with all folders below it.
        labels: folder of the label files, likewise.
        endings: of label files.
        suffixes: what the names of images and labels have at their end, where it is known.

    Raises:
        EmptyDataError: not a single pair; an image with several label files.
    """
    photos = list_files(images, PHOTOS, suffixes[0])
    maps = list_files(labels, endings, suffixes[1])
    if photos and maps and not photos.keys() & maps.keys():
        maps = _without_suffix(photos, maps)
    others = _in_other_formats(images, labels, suffixes[1], maps) if tuple(endings) == MAPS else {}
    alone = [
        Problem(file, "", "", "no_label", f"no label file in {str(labels)!r} has its name.")
        for key, file in photos.items()
        if key not in maps and key not in others
    ]
    alone += [
        Problem(file, "label file", "", "image_missing", f"no image in {str(images)!r} has its name.")
        for key, file in maps.items()
        if key not in photos
    ]
    alone += [Problem(file, "label file", "", "mask_unreadable", f"it {WRONG_FORMAT}") for file in others.values()]
    if not photos.keys() & maps.keys():
        raise EmptyDataError(
            f"images and label files must have the same names, but none of {len(photos)} images in {str(images)!r} "
            f"({next(iter(photos.values()), 'there are none')}) is called as one of {len(maps)} label files in "
            f"{str(labels)!r} ({next(iter(maps.values()), 'there are none')})."
            + (f" {len(others)} more, such as {next(iter(others.values()))}, {WRONG_FORMAT}" if others else "")
            + (f" Expected are *{suffixes[0]}.* and *{suffixes[1]}.*; others do not count." if any(suffixes) else "")
            + " Are these the folders?",
            alone,
        )
    return [(photos[key], maps[key]) for key in sorted(photos.keys() & maps.keys())], alone


def _unusable(file: str, reason: str) -> Problem:
    return Problem(file, "", "", "entry_unusable", reason)


def _in_other_formats(images: Path, labels: Path, suffix: str, maps: Files) -> Files:
    """Images below `labels` in a format that label maps cannot have; those beside a label map do not count.

    None where the photos are below `labels` too, since these would be photos.
    """
    if Path(os.path.realpath(images)).is_relative_to(os.path.realpath(labels)):
        return {}
    endings = tuple(ending for ending in PHOTOS if ending not in MAPS)
    return {key: file for key, file in _find(labels, endings, suffix) if key not in maps}


def list_files(folder: Path, endings: Sequence[str], suffix: str = "") -> Files:
    """Files below `folder`; links that lead out of it, and hidden files, are left out.

    Raises:
        EmptyDataError: two files differ only in their endings.
    """
    found: Files = {}
    for key, file in _find(folder, endings, suffix):
        if key in found:
            message = (
                f"images and label files must differ in more than their endings, but {str(folder)!r} has "
                f"{found[key]!r} and {file!r}. Remove one of them."
            )
            raise EmptyDataError(message, [_unusable(file, f"it differs from {found[key]} in its ending alone.")])
        found[key] = file
    return found


def _find(folder: Path, endings: Sequence[str], suffix: str) -> Iterator[tuple[str, str]]:
    """Name without ending and `suffix`, and relative path, of each file below `folder`."""
    inside = os.path.realpath(folder)
    for where, folders, files in os.walk(inside):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for file in sorted(files):
            path = PurePosixPath(Path(where, file).relative_to(inside).as_posix())
            key = unicodedata.normalize("NFC", path.with_suffix("").as_posix())  # é is one letter, or two on macOS
            if path.suffix.lower() not in endings or file.startswith(".") or not key.endswith(suffix):
                continue
            if is_below(path.as_posix(), inside):
                yield key.removesuffix(suffix), path.as_posix()


def _without_suffix(photos: Files, maps: Files) -> Files:
    """The label files by names without the end that most of them have more than their images."""
    parents = {key: key[:end] for key in maps for end in range(1, len(key)) if key[:end] in photos}  # the longest
    ends = Counter(key.removeprefix(parent) for key, parent in parents.items())
    if not ends:
        return maps
    suffix = min(ends, key=lambda end: (-ends[end], len(end), end))
    for key, parent in parents.items():
        if parent + suffix in maps and not key.endswith(suffix):
            message = (
                f"each image must have one label file, but {photos[parent]!r} has {maps[key]!r} and "
                f"{maps[parent + suffix]!r}. Move those that are no label maps into another folder."
            )
            reason = f"{photos[parent]} has it and {maps[parent + suffix]} as label files."
            raise EmptyDataError(message, [_unusable(maps[key], reason)])
    return {key.removesuffix(suffix): file for key, file in maps.items() if key.endswith(suffix)}
