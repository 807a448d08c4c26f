"""Sections of the page made from the folders that commands such as `loce concepts` wrote: their tables and pictures.

A folder is read by its JSON file, which names what was written; nothing outside the folder is opened, and pictures are
drawn anew, so that only pixels reach the page.
"""

import base64
import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from loce_jax.analysis.tables import Table, show_number, text_columns
from loce_jax.checks import InputError
from loce_jax.foreign_text import for_file_name, for_html
from loce_jax.store.records import plan_digest
from loce_jax.study.selection.sources import RunLike

TITLES = {
    "concepts": "Global concepts",
    "spaces": "Feature spaces",
    "tcav": "Class dependence (TCAV)",
    "depth": "Networks over depth",
}
_MAX_ROWS = 200  # of a table that are shown
_MAX_BYTES = 2**24  # of one file
_WIDTH = 1600  # pixels of a picture
_UNREADABLE = (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, csv.Error)
_UNREADABLE += (Image.DecompressionBombError,)


@dataclass(frozen=True)
class Study:
    """What a command found.

    Attributes:
        name: of the command.
        runs: digests of the plans of the runs that it is about.
        tables: as they are shown.
        pictures: PNG files, by name.
    """

    name: str
    runs: tuple[str, ...]
    tables: tuple[Table, ...]
    pictures: dict[str, bytes]


def read_studies(folders: Sequence[Path], run: RunLike) -> list[Study]:
    """What commands wrote into these folders about `run`.

    Raises:
        InputError: a folder without such results, damaged ones, or those of other runs.
    """
    studies = [_read(Path(folder)) for folder in folders]
    for folder, study in zip(folders, studies, strict=True):
        if plan_digest(run.plan) not in study.runs:
            raise InputError(
                f"`studies` must be about the page's run, but {str(folder)!r} is about other runs. Run `loce "
                f"{study.name}` on this one."
            )
    return studies


def _read(folder):
    problem = "no JSON file that names its tables"
    for path in sorted(folder.glob("*.json")):
        try:
            content = json.loads(_bytes(folder, path.name))
            if isinstance(content, dict) and "written" in content:
                return _study(folder, path.stem, content)
        except _UNREADABLE as error:
            problem = f"{path.name!r} is damaged, or a file that it names: {str(error).rstrip('.')}"
    raise InputError(
        f"`studies` must be folders that `loce concepts`, `spaces`, `tcav` or another command wrote with `--out`, but "
        f"{str(folder)!r} is not: {problem}. Run the command again."
    )


def _study(folder: Path, name: str, content: dict[str, Any]) -> Study:
    runs = tuple(str(each["plan"]) for each in content["made_with"]["runs"])
    tables = [_table(folder, file, record) for file, record in content["written"]["tables"].items()]
    pictures = {str(file): _picture(folder, file) for file in content["written"]["pictures"]}
    return Study(name, runs, tuple(tables), pictures)


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


def links(studies: Sequence[Study]) -> str:
    """The sections' entries in the page's navigation."""
    return "".join(f'<li><a href="#study-{i}">{for_html(_title(study))}</a></li>' for i, study in enumerate(studies))


def sections(studies: Sequence[Study]) -> str:
    """The sections, one a study.

    >>> page = sections([Study("tcav", (), (Table("a < b", ("concept", "score"), (("cat", 0.25),)),), {})])
    >>> page[: page.index("<h2")], "<h3>a &lt; b</h3>" in page
    ('<section id="study-0" aria-labelledby="study-0-title">', True)
    """
    return "\n".join(_section(study, f"study-{number}") for number, study in enumerate(studies))


def _section(study, name):
    title = f'<h2 id="{name}-title">{for_html(_title(study))}</h2>'
    parts = [f'<section id="{name}" aria-labelledby="{name}-title">{title}']
    for file, content in study.pictures.items():
        address = f"data:image/png;base64,{base64.b64encode(content).decode()}"
        parts.append(f'<figure class="study"><img src="{address}" alt="{for_html(_words(file))}"></figure>')
    parts += map(_as_html, study.tables)
    return "".join([*parts, "</section>"])


def _as_html(table):
    kinds = ("" if text else ' class="number"' for text in text_columns(table))
    pairs = zip(table.columns, kinds, strict=True)
    head = "".join(f'<th scope="col"{kind}>{for_html(name)}</th>' for name, kind in pairs)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in table.rows[:_MAX_ROWS])
    left = len(table.rows) - _MAX_ROWS
    more = f"<p>And {left} more rows in the command's folder.</p>" if left > 0 else ""
    return (
        f'<h3>{for_html(table.title)}</h3><div class="scroll tall" tabindex="0"><table class="found">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{more}"
    )


def _cell(value):
    if isinstance(value, str):
        return f"<td>{for_html(value)}</td>"
    return f'<td class="number">{show_number(value, 3)}</td>'


def _title(study):
    return TITLES.get(study.name, study.name)


def _words(file):
    return " ".join(file.replace("_", " ").split())
