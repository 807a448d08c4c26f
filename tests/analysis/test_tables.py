"""Tables in three notations: recorded numbers of the original code, and names that mean harm."""

import csv
import io
import json
import re

import numpy as np
import pytest

from loce_jax.analysis.metrics.iou_summary import best_layer, summarize_iou
from loce_jax.analysis.tables import Table, as_csv, as_latex, as_markdown, iou_table
from loce_jax.checks import InputError

NAN = float("nan")
NASTY = [
    "plain",
    "a, b",
    'say "no"',
    "two\r\nlines",
    "a|b||c",
    r"\input{/etc/passwd}",
    r"\\[5pt]",
    "[x]",
    "*",
    "50 % & $x^2_1$ #1 {y} ~",
    "<script>alert(1)</script>",
    "[click](http://x)",
    "![x](y)",
    "`code`",
    "**bold**",
    "&lt;",
    "=1+2",
    "  =1+2",
    "-cmd|'/C calc'!A1",
    "+1",
    "@SUM(A1)",
    "\t=1",
    "＝1",
    "\x00=1",
    "\ufeff=1",
    "",
    "Straße 'n' €",
    "\x00\x07",
]


def nasty_table():
    return Table("title", ("name", "value"), tuple((name, place / 3) for place, name in enumerate(NASTY)))


# The original tables


@pytest.fixture(scope="module")
def recorded(shared):
    with np.load(shared("golden", "analysis.npz")) as golden:
        iou, labels = golden["iou"], golden["labels"]
    content = json.loads(shared("golden", "analysis.json").read_text())
    layers = dict(zip(content["layers"], (iou, 0.9 * iou), strict=True))
    names = dict(zip((3, 6, 8, 17, 18, 24), ("car", "bus", "truck", "cat", "dog", "zebra"), strict=True))
    return content["stats"], layers, np.array([names[label] for label in labels.tolist()])


def tabulate(layers, concepts):
    ok = ["ok"] * len(concepts)
    return iou_table({layer: summarize_iou(iou, ok, concepts) for layer, iou in layers.items()}, digits=2)


def shown(row):
    """Numbers as the original prints them."""
    return [f"{number:.2f}" for number in row[2:]]


def test_numbers_that_the_original_prints(recorded):
    expected, layers, concepts = recorded
    table = tabulate(layers, concepts)
    lines = re.findall(r"^ *(\w+) +\( *(\d+)\) & ([\d.]+) +([\d.]+) +& +([\d.]+) +([\d.]+)$", expected["printed"], re.M)
    assert len(lines) == 7
    for (name, count, *numbers), row in zip(lines, table.rows, strict=True):
        assert (name.replace("overall", "all concepts"), int(count)) == row[:2]
        mean, _, failed, later_mean, _, later_failed = shown(row)
        assert numbers == [failed, mean, later_failed, later_mean]
    chosen = dict(re.findall(r"^Best layer \((.+)\) ?: (.+)$", expected["printed"], re.M))
    ok = ["ok"] * len(concepts)
    by_layer = {layer: summarize_iou(iou, ok, concepts)[:-1] for layer, iou in layers.items()}
    ours = {"failures": "failures", "mean IoU": "mean_iou", "overall": "ranks"}
    assert chosen == {name: best_layer(by_layer, by) for name, by in ours.items()}


def test_numbers_of_the_original_latex(recorded):
    expected, layers, concepts = recorded
    table, vehicles = tabulate(layers, concepts), np.isin(concepts, ("car", "bus", "truck"))
    grouped = tabulate(
        {layer: iou[vehicles] for layer, iou in layers.items()}, np.repeat("vehicles", int(vehicles.sum()))
    )
    rows = [*table.rows, grouped.rows[0]]
    lines = re.findall(r"^\s*(\w+) \( *(\d+)\) & ([\d.±]+) +& ([\d.±]+) +\\\\$", expected["latex"], re.M)
    assert len(lines) == 2 * len(rows) == 16
    for above, below, row in zip(lines[::2], lines[1::2], rows, strict=True):
        mean, std, failed, later_mean, later_std, later_failed = shown(row)
        assert above == (str(row[0]).replace("all concepts", "all"), str(row[1]), failed, later_failed)
        assert below[2:] == (f"{mean}±{std}", f"{later_mean}±{later_std}")


# What is best, and what is missing


def test_the_best_mean_of_a_row_is_marked():
    ok, concepts = ["ok"] * 3 + ["mask_empty"], ["cat", "dog", "ox", "gnu"]
    table = iou_table(
        {
            "early": summarize_iou(np.array([0.5, 0.2, 0.3, np.nan]), ok, concepts),
            "late": summarize_iou(np.array([0.4, 0.6, 0.3, np.nan]), ok, concepts),
        }
    )
    assert table.columns[2] == "early: mean IoU" and table.columns[5] == "late: mean IoU"
    assert table.best == {(0, 2), (1, 5), (2, 2), (2, 5), (4, 5)}  # equal ones both; nothing without a LoCE
    assert [row[0] for row in table.rows] == ["cat", "dog", "ox", "gnu", "all concepts"]
    assert "| **0.500** | 0.000 | 0.000 | 0.400 |" in as_markdown(table)
    assert r"\textbf{0.600}" in as_latex(table)
    assert "| gnu | 1 | – | – | – | – | – | – |" in as_markdown(table)
    alone = iou_table({"late": summarize_iou(np.array([0.5]), ["ok"], ["cat"])})
    assert alone.best == frozenset()


def test_summaries_of_other_pairs_are_refused():
    one, two = (summarize_iou(np.full(n, 0.5), ["ok"] * n, ["cat"] * n) for n in (1, 2))
    with pytest.raises(InputError, match="summaries of the same concepts and pairs"):
        iou_table({"early": one, "late": two})
    assert iou_table({}).rows == ()


def test_rows_of_the_wrong_length_are_refused():
    with pytest.raises(InputError, match="`rows` must have 2 cells each, one per column, but row 1 has 1"):
        Table("t", ("a", "b"), (("x", 1), ("y",)))


def test_numbers_stay_numbers():
    table = Table("t", ("name", "n", "x"), (("a", 10, 1 / 3), ("b", -2, NAN), ("c", 0, float("inf"))), digits=1)
    assert as_csv(table).splitlines() == ['"name","n","x"', f'"a",10,{1 / 3!r}', '"b",-2,', '"c",0,']
    assert as_markdown(table).splitlines()[3:] == [
        "| :-- | --: | --: |",
        "| a | 10 | 0.3 |",
        "| b | -2 | – |",
        "| c | 0 | – |",
    ]
    assert [line.strip() for line in as_latex(table).splitlines()[7:10]] == [
        r"a & 10 & 0.3 \\",
        r"b & -2 & -- \\",
        r"c & 0 & -- \\",
    ]
    empty = Table("t", ("a",), ())
    assert as_csv(empty) == '"a"\r\n' and as_markdown(empty).count("\n") == 4 and r"\midrule" in as_latex(empty)


# Names that mean harm


def test_csv_comes_back_and_no_cell_is_a_formula():
    text = as_csv(nasty_table())
    assert text.endswith("\r\n")
    rows = list(csv.reader(io.StringIO(text.replace("\x00", "\ufffd"), newline=""), strict=True))[1:]
    assert len(rows) == len(NASTY)
    for name, (cell, number) in zip(NASTY, rows, strict=True):
        formula = name.lstrip(" \t\x00\ufeff")[:1] in tuple("=+-@＝＋－＠") or name[:1] in ("\t", "\r", "\n")
        assert cell == ("'" if formula else "") + name.replace("\x00", "\ufffd")
        assert float(number) == NASTY.index(name) / 3
    harmful = [name for name in NASTY if name.strip()[:1] in tuple("=+-@＝")]
    assert len(harmful) == 7
    assert re.search(r'(^|,)"?\s*[=+@＝]', text, re.M) is None


def test_markdown_keeps_its_cells():
    lines = as_markdown(nasty_table()).split("\n")[4:-1]
    assert len(lines) == len(NASTY)
    for line in lines:
        assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) == 3  # pipes that are not escaped: two cells
        bare = re.sub(r"\\.", "", line)  # what is left without escaped letters
        assert not set("`*_[]<>~&$") & set(bare)


def test_latex_has_no_command_that_we_did_not_write():
    text = as_latex(nasty_table())
    body = text.split("\\midrule\n")[1].split("    \\bottomrule")[0].splitlines()
    assert len(body) == len(NASTY)
    ours = r"\\textbackslash\{\}|\\textasciitilde\{\}|\\textasciicircum\{\}|\\text(?:less|greater|bar|quotedbl)\{\}"
    for line in body:
        assert line.startswith("    ") and line.endswith(r" \\")
        bare = re.sub(rf"{ours}|\\[{{}}$&#_%]|\{{[\[*]\}}", "", line.removesuffix(r"\\"))
        assert bare.count("&") == 1
        assert not set('\\{}$#_%^~<>|"[*') & set(bare)
    assert r"\textbackslash{}input\{/etc/passwd\}" in text
    assert all(ord(letter) >= 32 or letter == "\n" for letter in text)


def test_titles_and_columns_are_escaped_too():
    table = Table("100 % <b>", ("=x", "a|b"), (("c", 1),))
    assert as_markdown(table).startswith("**100 % \\<b\\>**\n\n| =x | a\\|b |\n")
    assert r"\caption{100 \% \textless{}b\textgreater{}}" in as_latex(table)
    assert as_csv(table).startswith('"\'=x",')
