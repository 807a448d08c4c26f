"""Names that may hold anything: harmless at every output, and the same again after a run was stored and read."""

import csv
import io
import json
import logging
import re
from pathlib import Path

import numpy as np
import pytest

from loce_jax import open_run
from loce_jax.analysis.tables import Table, as_csv, as_latex, as_markdown
from loce_jax.cli import console, main
from loce_jax.foreign_text import (
    for_csv,
    for_file_name,
    for_html,
    for_json,
    for_latex,
    for_markdown,
    for_picture,
    for_script,
    for_terminal,
    label,
    logger,
    text_array,
)
from loce_jax.plots.figures import plot_iou
from loce_jax.report import tables
from loce_jax.store import LayerRows, RunWriter, open_storage
from loce_jax.store.files import FORMAT, layer_file, statistics_file
from loce_jax.study.selection.embeddings import load_embeddings
from loce_jax.study.steps.stats import study_stats

PACKAGE = Path(__file__).parents[1] / "loce_jax"
NAMES = {
    "half an emoji": "red \ud83d",
    "Latin-1": "caf\udce9",
    "U+0000 inside": "a\0b",
    "U+0000 at the end": "a\0",
    "its prefix": "a",
    "markup of rich": "[/red]x",
    "escape sequence": "\x1b[31mred\x1b[0m",
    "title of the window": "\x1b]0;gone\x07",
    "C1": "\x9b31m",
    "right to left": "\u202egpj.exe",
    "two lines": "a\r\nb\u2028c",
    "formula": "=cmd|' /C calc'!A0",
    "HTML": "</script><script>hacked()",
    "TeX": "\\input{x} 50 % $",
    "path": "../../x",
    "Chinese": "猫",
    "the total": "all",
    "the total in full": "All  Concepts",
}
LAYERS = ("early \udce9\0", "../late")


@pytest.fixture
def run(tmp_path):
    """A run whose concepts, images, layers and attributes have those names, a row for each."""
    n, names = len(NAMES), list(NAMES.values())
    plan = {
        "layers": dict.fromkeys(LAYERS, {}),
        "data": {"concepts": names, "name": "data \ud83d", "source": {"kind": "coco", "images": "/caf\udce9"}},
        "format": FORMAT,
        "chunks": ["00000"],
        "model": {"name": "net \ud83d"},
        "images": n,
    }
    numbers = LayerRows(
        rows=np.arange(n),
        vectors=np.eye(n, 20, dtype="float32"),
        responses=np.zeros((n, 2, 2), "float16"),
        iou=np.linspace(0, 1, n),
        loss=np.zeros(n, "float32"),
        status=["ok"] * n,
    )
    columns = {
        "image": [f"{name}.png" for name in names[:-1]] + ["ends with\0"],
        "image_id": list(range(n)),
        "concept": names,
        "area": [0.1] * n,
        "reason": [""] * n,
        "site": names,
    }
    with RunWriter(open_storage(tmp_path / "run"), plan) as writer:
        writer.write("00000", columns, dict.fromkeys(LAYERS, numbers))
    return open_run(tmp_path / "run")


def test_names_survive_the_store(run):
    assert run.table["concept"].tolist() == run.table["site"].tolist() == list(run.concepts) == list(NAMES.values())
    assert run.table["image"][-1] == "ends with\0" and run.plan["data"]["source"]["images"] == "/caf\udce9"
    assert run.layers == LAYERS and not run.damaged()
    for row, name in enumerate(NAMES.values()):
        assert run.select(concept=name).tolist() == run.select(concept=[name]).tolist() == [row]
    chosen = load_embeddings(run, run.layers[:1], concepts=["a\0", "caf\udce9"])
    assert chosen.labels.tolist() == ["caf\udce9", "a\0"] and chosen.rows.tolist() == [1, 3]
    assert load_embeddings(run, run.layers[:1]).concepts == tuple(NAMES.values())


def test_a_concept_called_all_is_not_the_total(run):
    found = study_stats(run, run.layers[:1])
    numbers = found.metrics["layers"][run.layers[0]]
    assert list(numbers["concepts"]) == list(NAMES.values()) and numbers["overall"]["loces"] == len(NAMES)
    for table in found.tables.values():
        names = [cell for row in table.rows for cell in row[:2] if isinstance(cell, str)]
        assert names.count("all concepts") == 1 and "all" in names and "'All  Concepts'" in names
    assert label("all") == "all" and label("all concepts") == "'all concepts'" and label("") == ""


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "ascii"])
def test_a_terminal_shows_names_and_obeys_none(run, terminal, encoding, monkeypatch):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding, newline="\n")  # strict: what it cannot encode is an error
    stream.isatty = lambda: terminal
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "300")
    console.print_run(run)
    console.print_table(study_stats(run, run.layers).tables["iou_all"])
    stream.flush()
    shown = raw.getvalue().decode(encoding)
    shown = shown.replace("\x1b[1m", "").replace("\x1b[3m", "").replace("\x1b[0m", "")  # bold and italic are ours
    assert not set(shown) & {*map(chr, range(32)), *map(chr, range(127, 160)), "\u202e", "\u2028"} - {"\n"}
    assert "[/red]x" in shown and r"\x1b[31mred\x1b[0m" in shown and r"caf\udce9" in shown and r"a\x00" in shown
    assert ("猫" if encoding == "utf-8" else r"\u732b") in shown


def test_errors_are_one_line_whatever_they_name(tmp_path, capsys):
    assert main(["show", str(tmp_path / "\x1b]0;gone\x07\n")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and not set(said) & {"\x1b", "\x07"}


def test_logs_are_lines(caplog):
    logger("loce_jax.anything").warning("%s is 50 %% of %d", "a\nERROR \x1b[31m", 3)
    logger("loce_jax.anything").warning("100 %")
    assert caplog.messages == [r"a\x0aERROR \x1b[31m is 50 % of 3", "100 %"]
    assert caplog.records[0].funcName == "test_logs_are_lines" and caplog.records[0].levelno == logging.WARNING


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_every_output_of_a_name(name):
    for ascii_only in (False, True):
        written = for_json({name: name}, ascii_only=ascii_only)
        assert json.loads(written) == {name: name} and written.decode().isascii() >= ascii_only
    assert "<" not in for_script([name]) and json.loads(for_script([name])) == [name]
    shown = for_html(name)
    assert "<" not in shown and shown.encode() and shown.isprintable() and "\0" not in shown
    assert for_picture(name).encode() and "\n" not in for_picture(name)
    table = Table(name, (name, "x"), ((name, 1.0),))
    for text in (as_csv(table), as_markdown(table), as_latex(table)):
        assert text.encode() and "\0" not in text
    header, row = csv.reader(io.StringIO(as_csv(table), newline=""))
    assert not row[0].startswith("=") and header[0] == row[0]
    assert "\n" not in for_markdown(name) + for_latex(name) + for_terminal(name)
    assert tables.settings({"name": name}) == f"<dl><dt>name</dt><dd>{shown}</dd></dl>"
    for file in (for_file_name(name), layer_file(name, 0, "0").split("/")[1], statistics_file(name, 0).split("/")[1]):
        assert file.isascii() and file.isprintable() and "/" not in file and file.strip(".")


def test_file_names_are_safe_short_and_different():
    assert for_file_name("blocks.4 + head") == "blocks.4 + head"
    assert for_file_name("..") != ".." and for_file_name(".") != "."
    long = [for_file_name("a" * 200 + str(i)) for i in range(2)]
    assert len(set(long)) == 2 and max(map(len, long)) < 200
    assert len({for_file_name(name) for name in NAMES.values()}) == len(NAMES)


def test_csv_refuses_formulas_only():
    assert for_csv("a=b") == '"a=b"' and for_csv(" =b") == '"\' =b"' and for_csv("＝b") == '"\'＝b"'


def test_pictures_draw_any_name():
    columns = [{"late": np.linspace(0, 1, len(NAMES))} for _ in range(3)]
    figure = plot_iou(list(NAMES.values()), *columns)
    figure.draw_without_rendering()


def test_arrays_of_text_keep_their_usual_type():
    assert text_array(["a", "bc"]).dtype == np.dtype("<U2") and text_array([]).dtype.kind == "U"
    assert text_array(["a", "a\0"]).dtype == object


def test_text_leaves_through_one_file():
    """Who prints, logs, quotes or writes JSON in UTF-8 elsewhere passes names that are not escaped."""
    allowed = {
        r"\bprint\(": {"cli/terminal.py", "cli/console.py"},
        r"getLogger": set(),
        r"import html|from html|rich\.markup|import quote": set(),
        r"ensure_ascii": set(),
    }
    for path in PACKAGE.rglob("*.py"):
        file, text = path.relative_to(PACKAGE).as_posix(), path.read_text(encoding="utf-8")
        code = re.sub(r"^\s*(>>>|\.\.\.).*$", "", text, flags=re.M)
        for pattern, files in allowed.items():
            assert file in {"foreign_text.py", *files} or not re.search(pattern, code), f"{file}: {pattern}"
