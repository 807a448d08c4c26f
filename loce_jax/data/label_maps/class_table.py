"""Class tables: which number or color of a label map means which class.

CSV, JSON and text files as people have them:

    0 sky                     a number and a name per line, also with ``:``, ``=``, ``,`` or a tab between them
    road                      a name per line, numbered from 0
    128 64 128 road           a color and a name per line, in either order
    name,r,g,b                CSV with a header: name or class, id or index or value, r, g, b
    {"0": "sky"}              JSON: names by number, a list of names, or objects with name, id and color

Several lines of one name are one class.  Lines that begin with ``#`` are comments.
"""

import csv
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loce_jax.checks import InputError, check_arguments, check_exists
from loce_jax.data.annotations.masks import whole_number
from loce_jax.data.files import read_bytes
from loce_jax.data.label_maps.codes import color_code
from loce_jax.data.label_maps.known_classes import KNOWN

UNLABELED = {"background", "ignore", "ignored", "other", "unknown", "unlabeled", "unlabelled", "void", "undefined"}
MAX_BYTES = 2**20
MAX_CODE = 2**24
LINE = re.compile(r"^(\d+)\s*[:=,;\t ]\s*(\S.*)$")
COLOR_FIRST = re.compile(r"^(\d+)[\s,;]+(\d+)[\s,;]+(\d+)[\s,;:=]+([^\d\s].*)$")
COLOR_LAST = re.compile(r"^([^\d\s].*?)[\s,;:=]+(\d+)[\s,;]+(\d+)[\s,;]+(\d+)$")
NAME_KEYS = ("name", "class", "label", "class_name", "readable")
NUMBER_KEYS = ("id", "index", "value", "label_id", "trainid", "train_id")
COLOR_KEYS = ("color", "colour", "rgb")


@dataclass(frozen=True)
class ClassTable:
    """Names of classes and the codes that mean them.

    Attributes:
        codes: by name the codes, see `loce_jax.data.label_maps.codes`.
        by_color: whether the codes are colors.
    """

    codes: Mapping[str, tuple[int, ...]]
    by_color: bool = False

    def default_names(self) -> list[str]:
        """All names but those of pixels that are not labeled, such as "void"."""
        return [name for name in self.codes if name.casefold() not in UNLABELED]


@check_arguments
def read_class_table(classes: str | Path) -> ClassTable:
    """Read a class table from a file, or take one that is known by name.

    Args:
        classes: path of a CSV, JSON or text file of at most 1 MiB, or one of ``camvid``, ``cityscapes19``,
            ``cityscapes30``, ``voc``.

    Raises:
        InputError: there is no such file, or it is no table.

    >>> read_class_table("voc").codes["aeroplane"]
    (1,)
    """
    known = Path(classes).name if Path(classes).is_dir() else str(classes)  # a folder may have the same name
    if known in KNOWN and not Path(classes).is_file():
        return ClassTable({name: (code,) for code, name in KNOWN[known].items()})
    fix = f"Give a file with a line such as `7 road` for each class, or one of {', '.join(KNOWN)}."
    path = check_exists("classes", classes, kind="file", fix=fix)
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"`classes` must be a table of at most {MAX_BYTES} bytes, but {str(path)!r} is larger. {fix}")
    try:
        text = read_bytes(path).decode("utf-8-sig")
        rows = _rows(text, path.suffix.lower())
    except (UnicodeDecodeError, RecursionError, csv.Error, json.JSONDecodeError) as error:
        raise InputError(f"`classes` must be a class table, but {str(path)!r} is none: {error}. {fix}") from error
    return _table(rows, path, fix)


Row = tuple[Any, Any, Any]  # name, number, color


def _rows(text: str, ending: str) -> list[Row]:
    if ending == ".json":
        return _rows_of_json(json.loads(text))
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    header = re.split(r"[,;\t]", lines[0].casefold()) if lines else []
    if len(header) > 1 and any(cell.strip().strip('"') in NAME_KEYS for cell in header):
        return _rows_of_csv(lines)
    return [_row_of_line(line, number) for number, line in enumerate(lines)]


def _row_of_line(line: str, number: int) -> Row:
    if found := COLOR_FIRST.match(line):
        return found[4].strip(), None, list(found.groups()[:3])
    if found := COLOR_LAST.match(line):
        return found[1].strip(), None, list(found.groups()[1:])
    if found := LINE.match(line):
        return found[2].strip(), found[1], None
    return line, number, None


def _rows_of_csv(lines: list[str]) -> list[Row]:
    delimiter = max(",;\t", key=lines[0].count)
    reader = csv.DictReader(io.StringIO("\n".join(lines)), delimiter=delimiter, skipinitialspace=True)
    return [
        _row_of_object({str(key).strip().casefold(): value for key, value in row.items()}, number)
        for number, row in enumerate(reader)
    ]


def _rows_of_json(content: Any) -> list[Row]:
    if isinstance(content, dict) and isinstance(content.get("labels"), list):  # Mapillary's config.json
        content = content["labels"]
    elif isinstance(content, dict) and isinstance(content.get("categories"), list):  # COCO's
        content = content["categories"]
    if isinstance(content, dict):
        entries = [(key, value if isinstance(value, dict) else {"name": value}) for key, value in content.items()]
        return [_row_of_object({"id": key, **value}, number) for number, (key, value) in enumerate(entries)]
    entries = content if isinstance(content, list) else []
    return [
        _row_of_object(entry, number) if isinstance(entry, dict) else (entry, number, None)
        for number, entry in enumerate(entries)
    ]


def _row_of_object(entry: dict, number: int) -> Row:
    entry = {str(key).casefold(): value for key, value in entry.items()}
    name = next((entry[key] for key in NAME_KEYS if entry.get(key)), None)
    own = next((entry[key] for key in NUMBER_KEYS if entry.get(key) not in (None, "")), None)
    color = next((entry[key] for key in COLOR_KEYS if entry.get(key)), None)
    if color is None and all(entry.get(key) not in (None, "") for key in "rgb"):
        color = [entry[key] for key in "rgb"]
    return name, number if own is None and color is None else own, color


def _table(rows: list[Row], path: Path, fix: str) -> ClassTable:
    by_color = bool(rows) and all(color is not None for _, _, color in rows) and any(own is None for _, own, _ in rows)
    codes: dict[str, tuple[int, ...]] = {}
    owners: dict[int, str] = {}
    for place, (name, own, color) in enumerate(rows):
        code = _code_of_color(color) if by_color else whole_number(own)
        if not isinstance(name, str) or not name.strip() or code is None or not 0 <= code < MAX_CODE:
            raise InputError(
                f"`classes` must give each class a name and a number or a color, but entry {place} of {str(path)!r} "
                f"does not. {fix}"
            )
        if owners.setdefault(code, name.strip()) != name.strip():
            raise InputError(
                f"`classes` must give a number or a color to one class, but {str(path)!r} gives that of "
                f"{owners[code]!r} to {name.strip()!r} too. Repair it."
            )
        codes[name.strip()] = (*codes.get(name.strip(), ()), code)
    if not codes:
        raise InputError(f"`classes` must hold a class, but {str(path)!r} is empty. {fix}")
    return ClassTable(codes, by_color)


def _code_of_color(color: Any) -> int | None:
    channels = [whole_number(channel) for channel in color] if isinstance(color, list) and len(color) == 3 else []
    known = [channel for channel in channels if channel is not None and 0 <= channel <= 255]
    return color_code(*known) if len(known) == 3 else None
