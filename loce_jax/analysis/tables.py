"""Tables as values: numbers stay numbers until they are written as CSV, Markdown or LaTeX.

Texts may come from anywhere (names of concepts, of files), so each way of writing makes all of them harmless.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from loce_jax.analysis.metrics.iou_summary import Summary
from loce_jax.checks import InputError
from loce_jax.foreign_text import for_csv, for_latex, for_markdown, label

_DASH = "–"


@dataclass(frozen=True)
class Table:
    """A title, names of columns, and rows of texts and numbers.

    Attributes:
        title: one line.
        columns: their names.
        rows: each as long as `columns`.
        digits: digits after the point that fractions are shown with.
        best: (row, column) of the cells shown in bold.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | float, ...], ...]
    digits: int = 3
    best: frozenset[tuple[int, int]] = frozenset()

    def __post_init__(self):
        for place, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise InputError(
                    f"`rows` must have {len(self.columns)} cells each, one per column, but row {place} has {len(row)}. "
                    "Fill it up: NaN stands for no value."
                )


def as_csv(table: Table) -> str:
    """Column names and rows as RFC 4180 says, lines ended by CR LF; title and `best` are left out.

    Every text is quoted, and none can act as a formula (`loce_jax.foreign_text.for_csv`).
    Numbers are written with all their digits; a number that is not finite leaves its field empty.

    >>> for line in as_csv(Table("IoU", ("concept", "IoU"), (("=cmd()", 0.5), ('a "cat" here', np.nan)))).splitlines():
    ...     print(line)
    "concept","IoU"
    "'=cmd()",0.5
    "a ""cat"" here",
    """
    return "".join(",".join(map(_csv_field, row)) + "\r\n" for row in (table.columns, *table.rows))


def as_markdown(table: Table) -> str:
    r"""A table as GitHub's Markdown has it, below its title; NaN and infinity are an en dash.

    >>> table = Table("IoU", ("concept", "IoU"), (("a|b", 0.5), ("c", np.nan)), 2, frozenset({(0, 1)}))
    >>> for line in as_markdown(table).splitlines()[2:]:
    ...     print(line)
    | concept | IoU |
    | :-- | --: |
    | a\|b | **0.50** |
    | c | – |
    """
    rules = [":--" if text else "--:" for text in text_columns(table)]
    lines = [_cells(table.columns, table, for_markdown), rules, *_body(table, for_markdown, "**{}**")]
    return f"**{for_markdown(table.title)}**\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def as_latex(table: Table) -> str:
    r"""A ``table`` with a caption, its rules by the package booktabs; NaN and infinity are an en dash.

    Letters beyond ASCII are left as they are, which LaTeX reads as UTF-8.

    >>> table = Table("50 %", ("concept", "IoU"), (("a_b", 0.5),), 2, frozenset({(0, 1)}))
    >>> for line in as_latex(table).splitlines()[2:8]:
    ...     print(line.strip())
    \caption{50 \%}
    \begin{tabular}{lr}
    \toprule
    concept & IoU \\
    \midrule
    a\_b & \textbf{0.50} \\
    """
    alignment = "".join("l" if text else "r" for text in text_columns(table))
    head, *body = (
        f"    {' & '.join(line)} \\\\"
        for line in (_cells(table.columns, table, for_latex), *_body(table, for_latex, r"\textbf{{{}}}"))
    )
    lines = [
        r"\begin{table}",
        r"  \centering",
        f"  \\caption{{{for_latex(table.title)}}}",
        f"  \\begin{{tabular}}{{{alignment}}}",
        r"    \toprule",
        head,
        r"    \midrule",
        *body,
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "".join(f"{line}\n" for line in lines)


def iou_table(layers: Mapping[str, Sequence[Summary]], *, digits: int = 3) -> Table:
    """Mean and population standard deviation of the IoU and the share of failures: a row per concept and one for all.

    The highest mean of a row is `best` where there is a choice of layers; equal ones all are.

    Args:
        layers: what `loce_jax.analysis.metrics.iou_summary.summarize_iou` found, by layer, of the same pairs.
        digits: see `Table`.

    >>> from loce_jax.analysis.metrics.iou_summary import summarize_iou
    >>> table = iou_table({"late": summarize_iou(np.array([0.5, 0.0]), ["ok", "ok"], ["cat", "dog"])})
    >>> table.columns, table.rows[0]
    (('concept', 'pairs', 'late: mean IoU', 'late: std', 'late: failed'), ('cat', 1, 0.5, 0.0, 0.0))
    """
    keys = [[(row.concept, row.pairs) for row in rows] for rows in layers.values()]
    if any(key != keys[0] for key in keys):
        raise InputError(
            "`layers` must hold summaries of the same concepts and pairs, in the same order, but they differ between "
            "layers. Summarize the same rows of the run at each layer."
        )
    columns = [f"{layer}: {name}" for layer in layers for name in ("mean IoU", "std", "failed")]
    rows, best = [], set()
    for place, mine in enumerate(zip(*layers.values(), strict=True)):
        numbers = [number for row in mine for number in (row.mean_iou, row.std_iou, row.failures)]
        rows.append((label(mine[0].concept), mine[0].pairs, *numbers))
        means = [row.mean_iou for row in mine]
        if len(mine) > 1 and np.isfinite(means).any():
            best |= {(place, 2 + 3 * index) for index in np.flatnonzero(means == np.nanmax(means)).tolist()}
    return Table("IoU by concept and layer", ("concept", "pairs", *columns), tuple(rows), digits, frozenset(best))


def _body(table, escape, bold):
    for place, row in enumerate(table.rows):
        cells = _cells(row, table, escape)
        yield [bold.format(cell) if (place, column) in table.best else cell for column, cell in enumerate(cells)]


def _cells(row, table, escape):
    return [escape(cell if isinstance(cell, str) else show_number(cell, table.digits)) for cell in row]


def text_columns(table: Table) -> list[bool]:
    """Whether each column holds texts alone.

    >>> text_columns(Table("IoU", ("concept", "IoU"), (("cat", 0.5),)))
    [True, False]
    """
    return [all(isinstance(row[place], str) for row in table.rows) for place in range(len(table.columns))]


def show_number(number: int | float, digits: int) -> str:
    """As Markdown, LaTeX and the terminal show it; NaN and infinity are an en dash.

    >>> show_number(7, 3), show_number(0.5, 3), show_number(np.nan, 3)
    ('7', '0.500', '–')
    """
    if not np.isfinite(number):
        return _DASH
    return str(number) if isinstance(number, int) else f"{number:.{digits}f}"


def _csv_field(cell):
    return for_csv(cell) if isinstance(cell, str) else str(cell) if np.isfinite(cell) else ""
