"""Class tables: which number or color of a label map means which class.

CSV, JSON and text files as people have them:

    0 sky                     a number and a name per line, also with ``:``, ``=``, ``,`` or a tab between them
    road                      a name per line, of all lines; the first line with a name is number 0
    128 64 128 road           a color and a name per line, in either order
    name,r,g,b                CSV with a header: name or class, id or index or value, r, g, b
    {"0": "sky"}              JSON: names by number, a list of names, or objects with name, id and color

Several lines of one name are one class.  Lines that begin with ``#`` are comments, and so is what follows a ``#``
between spaces.  A table is refused where its numbers could be misread: a name before its number, only some of the lines
with a number, a number or a key that stands twice.
"""

import csv
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loce_jax.checks import check_arguments, check_exists, short_repr
from loce_jax.data.annotations.coco_file import place_of
from loce_jax.data.annotations.masks import whole_number
from loce_jax.data.files import read_bytes
from loce_jax.data.label_maps.codes import color_code
from loce_jax.data.label_maps.known_classes import KNOWN, UNLABELED_CODES
from loce_jax.data.samples import unreadable_file

UNLABELED = {"background", "ignore", "ignored", "other", "unknown", "unlabeled", "unlabelled", "void", "undefined"}
MAX_BYTES = 2**20
MAX_CODE = 2**24
SEPARATOR = r"(?:\s*[:,;]|\s*=(?=\s)|=|\s)\s*"  # a `=` between a space and a letter is the name's
LINE = re.compile(rf"^([-+]?\d+(?:\.\d+)?){SEPARATOR}(\S.*)$")
COLOR_FIRST = re.compile(rf"^(\d+)[\s,;]+(\d+)[\s,;]+(\d+){SEPARATOR}([^\d\s].*)$")
COLOR_LAST = re.compile(r"^([^\d\s].*?)[\s,;:=]+(\d+)[\s,;]+(\d+)[\s,;]+(\d+)$")
NUMBER_LAST = re.compile(r"[\s,;:=][-+]?\d+(?:\.0+)?$")
NAMELESS = re.compile(r"^[-+]?\d+(?:\.\d+)?(?:[\s,;]+\d+[\s,;]+\d+)?[\s,;:=]*$")  # a number or a color alone
COMMENT = re.compile(r"\s+#(?:\s.*)?$")
NAME_KEYS = ("name", "class", "label", "class_name", "readable")
NUMBER_KEYS = ("id", "index", "value", "label_id", "trainid", "train_id")
COLOR_KEYS = ("color", "colour", "rgb")


@dataclass(frozen=True)
class ClassTable:
    """Names of classes and the codes that mean them.

    Attributes:
        codes: by name the codes, see `loce_jax.data.label_maps.codes`.
        by_color: whether the codes are colors.
        unlabeled: codes of pixels that are known to be of no class.
    """

    codes: Mapping[str, tuple[int, ...]]
    by_color: bool = False
    unlabeled: tuple[int, ...] = ()

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
        return ClassTable({name: (code,) for code, name in KNOWN[known].items()}, unlabeled=UNLABELED_CODES[known])
    fix = f"Give a file with a line such as `7 road` for each class, or one of {', '.join(KNOWN)}."
    path = check_exists("classes", classes, kind="file", fix=fix)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _Fault(f"it has more than {MAX_BYTES} bytes")
        return _table(_rows(read_bytes(path).decode("utf-8-sig"), path.suffix.lower()))
    except (_Fault, UnicodeDecodeError, RecursionError, csv.Error, json.JSONDecodeError) as error:
        message = f"`classes` must be a class table, but {str(path)!r} is none: {error}. {fix}"
        place = error.place if isinstance(error, _Fault) else place_of(error)
        raise unreadable_file(message, path, f"it is no class table: {error}.", place) from error


class _Fault(ValueError):
    """Why a file is no class table, as the end of a sentence, and where in it, if that is known."""

    def __init__(self, reason: str, place: str = ""):
        super().__init__(reason)
        self.place = place


Row = tuple[Any, Any, Any]  # name, number, color; None for what is not given


def _rows(text: str, ending: str) -> list[Row]:
    if ending == ".json":
        return _rows_of_json(json.loads(text, object_pairs_hook=_unique_keys))
    lines = {number: line.strip() for number, line in enumerate(text.splitlines(), start=1)}
    lines = {number: line for number, line in lines.items() if line and not line.startswith("#")}
    lines = {number: line if '"' in line else COMMENT.sub("", line) for number, line in lines.items()}
    header = re.split(r"[,;\t]", next(iter(lines.values())).casefold()) if lines else []
    if len(header) > 1 and any(cell.strip().strip('"') in NAME_KEYS for cell in header):
        return _rows_of_csv([*lines.values()])
    return [_row_of_line(line, f"line {number}") for number, line in lines.items()]


def _row_of_line(line: str, place: str) -> Row:
    if NAMELESS.match(line):
        raise _Fault(f"the line {short_repr(line)} has a number, but no name", place)
    if found := COLOR_FIRST.match(line):
        return found[4].strip(), None, list(found.groups()[:3])
    if found := COLOR_LAST.match(line):
        return found[1].strip(), None, list(found.groups()[1:])
    if found := LINE.match(line):
        if not found[1].isdecimal():
            raise _Fault(f"the line {short_repr(line)} begins with a number that is not whole, or has a sign", place)
        return found[2].strip(), found[1], None
    if NUMBER_LAST.search(line):
        raise _Fault(f"the line {short_repr(line)} ends in a number; write the number first, then the name", place)
    return line, None, None


def _rows_of_csv(lines: list[str]) -> list[Row]:
    delimiter = max(",;\t", key=lines[0].count)
    reader = csv.DictReader(io.StringIO("\n".join(lines)), delimiter=delimiter, skipinitialspace=True)
    return [_row_of_object({str(key).strip().casefold(): value for key, value in row.items()}) for row in reader]


def _rows_of_json(content: Any) -> list[Row]:
    if isinstance(content, dict) and isinstance(content.get("labels"), list):  # Mapillary's config.json
        content = content["labels"]
    elif isinstance(content, dict) and isinstance(content.get("categories"), list):  # COCO's
        content = content["categories"]
    if isinstance(content, dict):
        entries = [(key, value if isinstance(value, dict) else {"name": value}) for key, value in content.items()]
        return [_row_of_object({"id": key, **value}) for key, value in entries]
    entries = content if isinstance(content, list) else []
    return [_row_of_object(entry) if isinstance(entry, dict) else (entry, None, None) for entry in entries]


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _Fault(f"the key {short_repr(key)} stands twice in an object")
        found[key] = value
    return found


def _row_of_object(entry: dict) -> Row:
    entry = {str(key).casefold(): value for key, value in entry.items()}
    name = next((entry[key] for key in NAME_KEYS if entry.get(key)), None)
    own = next((entry[key] for key in NUMBER_KEYS if entry.get(key) not in (None, "")), None)
    color = next((entry[key] for key in COLOR_KEYS if entry.get(key)), None)
    if color is None and all(entry.get(key) not in (None, "") for key in "rgb"):
        color = [entry[key] for key in "rgb"]
    return name, own, color


def _table(rows: list[Row]) -> ClassTable:
    by_number = [own is not None for _, own, _ in rows]
    by_color = not all(by_number) and all(color is not None for _, _, color in rows)
    if not by_color and not any(own is not None or color is not None for _, own, color in rows):
        rows = [(name, number, None) for number, (name, _, _) in enumerate(rows)]
    elif not by_color and not all(by_number):
        name = short_repr(rows[by_number.index(False)][0])
        raise _Fault(
            f"some of its entries have a number and others, such as {name}, have none, or have a color instead"
        )
    codes: dict[str, tuple[int, ...]] = {}
    owners: dict[int, str] = {}
    for place, (name, own, color) in enumerate(rows):
        code = _code_of_color(color) if by_color else whole_number(own)
        if not isinstance(name, str) or not name.strip() or code is None or not 0 <= code < MAX_CODE:
            raise _Fault(f"its entry {place} lacks a name, or a number or a color that can be one", f"entry {place}")
        name = name.strip()
        if code in owners:
            twice = "twice" if owners[code] == name else f"to {name!r} too"
            raise _Fault(f"it gives the number or color of {owners[code]!r} {twice}", f"entry {place}")
        owners[code] = name
        codes[name] = (*codes.get(name, ()), code)
    if not codes:
        raise _Fault("it holds no class")
    return ClassTable(codes, by_color)


def _code_of_color(color: Any) -> int | None:
    channels = [whole_number(channel) for channel in color] if isinstance(color, list) and len(color) == 3 else []
    known = [channel for channel in channels if channel is not None and 0 <= channel <= 255]
    return color_code(*known) if len(known) == 3 else None
