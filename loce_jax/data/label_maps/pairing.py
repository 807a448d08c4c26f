"""Images and their label files, paired by name: ``images/a/x.jpg`` with ``labels/a/x.png`` or ``labels/a/x_L.png``."""

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from loce_jax.checks import InputError
from loce_jax.data.annotations.coco_file import is_below
from loce_jax.data.samples import Problem

PHOTOS = (".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
MAPS = (".bmp", ".gif", ".png", ".tif", ".tiff")
Files = dict[str, str]  # by path without its ending the path, both relative and with "/"


def pair_files(
    images: Path, labels: Path, *, endings: Sequence[str] = MAPS, suffixes: tuple[str, str] = ("", "")
) -> tuple[list[tuple[str, str]], list[Problem]]:
    """Relative paths of images and of their label files, by name, and the files that have no partner.

    A label's name may have something more at its end, the same for all, such as ``_L`` or ``_mask``; it is found out.

    Args:
        images: folder of the images, with all folders below it.
        labels: folder of the label files, likewise.
        endings: of label files.
        suffixes: what the names of images and labels have at their end, where it is known.

    Raises:
        InputError: not a single pair.
    """
    photos = list_files(images, PHOTOS, suffixes[0])
    maps = list_files(labels, endings, suffixes[1])
    if photos and maps and not photos.keys() & maps.keys():
        maps = _without_suffix(photos, maps)
    if not photos.keys() & maps.keys():
        raise InputError(
            f"images and label files must have the same names, but none of {len(photos)} images in {str(images)!r} "
            f"({next(iter(photos.values()), 'there are none')}) is called as one of {len(maps)} label files in "
            f"{str(labels)!r} ({next(iter(maps.values()), 'there are none')}). Are these the folders?"
        )
    alone = [
        Problem(file, "", "", "no_label", f"no label file in {str(labels)!r} has its name.")
        for key, file in photos.items()
        if key not in maps
    ]
    alone += [
        Problem(file, "label file", "", "image_missing", f"no image in {str(images)!r} has its name.")
        for key, file in maps.items()
        if key not in photos
    ]
    return [(photos[key], maps[key]) for key in sorted(photos.keys() & maps.keys())], alone


def list_files(folder: Path, endings: Sequence[str], suffix: str = "") -> Files:
    """Files below `folder`; links that lead out of it, and hidden files, are left out.

    Raises:
        InputError: two files differ only in their endings.
    """
    inside = os.path.realpath(folder)
    found: Files = {}
    for where, folders, files in os.walk(inside):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for file in sorted(files):
            path = PurePosixPath(Path(where, file).relative_to(inside).as_posix())
            key = path.with_suffix("").as_posix()
            if path.suffix.lower() not in endings or file.startswith(".") or not key.endswith(suffix):
                continue
            if not is_below(path.as_posix(), inside):
                continue
            key = key.removesuffix(suffix)
            if key in found:
                raise InputError(
                    f"images and label files must differ in more than their endings, but {str(folder)!r} has "
                    f"{found[key]!r} and {path.as_posix()!r}. Remove one of them."
                )
            found[key] = path.as_posix()
    return found


def _without_suffix(photos: Files, maps: Files) -> Files:
    """The label files by names without the end that all of them have more than their images."""
    first = next(iter(maps))
    parents = [first[:end] for end in range(len(first) - 1, 0, -1) if first[:end] in photos]
    if not parents:
        return maps
    suffix = first[len(parents[0]) :]
    return {key.removesuffix(suffix): file for key, file in maps.items() if key.endswith(suffix)}
