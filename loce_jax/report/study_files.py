"""What commands such as `loce concepts` wrote into folders: their tables and pictures, for the page.

A folder is read by its JSON files, which name what was written; nothing outside the folder is opened, and pictures are
drawn anew, so that only pixels reach the page.
"""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from loce_jax.analysis.tables import Table
from loce_jax.checks import InputError, check_exists
from loce_jax.foreign_text import for_file_name
from loce_jax.store.records import plan_digest
from loce_jax.study.selection.sources import RunLike

_WRITERS = "`loce concepts`, `spaces`, `tcav` or another command with `--out`"
_NOTHING = "it has no JSON file that names tables, nor has a folder in it that is called like a layer of the run"
_MAX_BYTES = 2**24  # of one file
_WIDTH = 1600  # pixels of a picture
_UNREADABLE = (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, csv.Error)
_UNREADABLE += (Image.DecompressionBombError,)


@dataclass(frozen=True)
class Study:
    """What a command found.

    Attributes:
        name: of the command.
        layer: that it is about; empty where it is about several.
        runs: digests of the plans of the runs that it is about.
        tables: as they are shown.
        pictures: PNG files, by name.
    """

    name: str
    layer: str
    runs: tuple[str, ...]
    tables: tuple[Table, ...]
    pictures: dict[str, bytes]


def read_studies(folders: Sequence[Path], run: RunLike) -> list[Study]:
    """What commands wrote into these folders about `run`, and into folders in them that are called like its layers.

    Raises:
        InputError: no folder, one without such results, damaged ones, or those of other runs.
    """
    return [study for folder in map(Path, folders) for study in _read(folder, run)]


def _read(folder: Path, run: RunLike) -> list[Study]:
    """The studies of a folder, and then of the layers' folders in it."""
    check_exists("studies", folder, kind="folder", fix=f"{_WRITERS} makes one.")
    found, unread = [], []
    for place, layer in [(folder, ""), *_of_layers(folder, run)]:
        for path in sorted(place.glob("*.json")):
            try:
                content = json.loads(_bytes(place, path.name))
            except _UNREADABLE as error:  # perhaps no command's
                unread.append(f"{path.relative_to(folder).as_posix()!r} cannot be read: {str(error).rstrip('.')}")
                continue
            if isinstance(content, dict) and "written" in content:
                found.append(_study(place, path.stem, content, layer))
                _check_run(place, found[-1], run)
    if not found:
        raise _no_results(folder, (unread or [_NOTHING])[0])
    return found


def _of_layers(folder: Path, run: RunLike) -> list[tuple[Path, str]]:
    """The folders called like layers of the run, in its order, or like several joined; none that lies elsewhere."""
    layers = {for_file_name(layer): (number, layer) for number, layer in enumerate(run.layers)}
    inside, found = folder.resolve(), []
    for place in folder.iterdir():
        parts = [place.name] if place.name in layers else place.name.split(" + ")
        if set(parts) <= set(layers) and place.is_dir() and place.resolve().parent == inside:
            found.append(([layers[part][0] for part in parts], place, " + ".join(layers[part][1] for part in parts)))
    return [(place, layer) for _, place, layer in sorted(found)]


def _no_results(folder: Path, problem: str) -> InputError:
    return InputError(
        f"`studies` must be folders that {_WRITERS} wrote, but {str(folder)!r} is none: {problem}. Run the command "
        "again."
    )


def _check_run(folder: Path, study: Study, run: RunLike) -> None:
    if plan_digest(run.plan) not in study.runs:
        raise InputError(
            f"`studies` must be about the page's run, but {str(folder)!r} is about other runs. Run `loce "
            f"{study.name.replace('_', '-')}` on this one."
        )


def _study(folder: Path, name: str, content: dict[str, Any], layer: str) -> Study:
    try:
        runs = tuple(str(each["plan"]) for each in content["made_with"]["runs"])
        tables = [_table(folder, file, record) for file, record in content["written"]["tables"].items()]
        pictures = {str(file): _picture(folder, file) for file in content["written"]["pictures"]}
    except _UNREADABLE as error:
        problem = f"'{name}.json' is damaged, or a file that it names: {str(error).rstrip('.')}"
        raise _no_results(folder, problem) from error
    return Study(name, layer, runs, tuple(tables), pictures)


def _table(folder, file, record):
    head, *rows = csv.reader(io.StringIO(_bytes(folder, f"{for_file_name(file)}.csv").decode(), newline=""))
    texts = [bool(text) for text in record["texts"]]
    cells = (tuple(_value(*pair) for pair in zip(row, texts, strict=True)) for row in rows)
    return Table(str(record["title"]), tuple(head), tuple(cells))


def _value(field, text):
    """A field as the table had it; a column that is not of texts alone may hold some."""
    try:
        return field if text else float(field or "nan") if not field.lstrip("-").isdecimal() else int(field)
    except ValueError:
        return field


def _picture(folder, file):
    """The picture, decoded and encoded anew, not larger than the page shows it."""
    with Image.open(io.BytesIO(_bytes(folder, f"{for_file_name(file)}.png")), formats=["PNG"]) as image:
        image.thumbnail((_WIDTH, 4 * _WIDTH))
        content = io.BytesIO()
        image.convert("RGB").quantize(128).save(content, "PNG", optimize=True)
    return content.getvalue()


def _bytes(folder, name):
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise ValueError(f"{name!r} is no file of the folder")
    if path.stat().st_size > _MAX_BYTES:
        raise ValueError(f"{name!r} is larger than {_MAX_BYTES // 2**20} MiB")
    return path.read_bytes()
