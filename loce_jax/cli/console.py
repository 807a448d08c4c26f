"""What the command line shows: tables and progress; plain lines where there is no terminal."""

import io
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from loce_jax.analysis.metrics.iou_summary import summarize_iou
from loce_jax.analysis.tables import Table as Values
from loce_jax.analysis.tables import show_number
from loce_jax.checks import counted
from loce_jax.cli.terminal import note, put, say
from loce_jax.foreign_text import for_terminal, label
from loce_jax.store import Run

PLAIN_WIDTH = 140
SECONDS_BETWEEN_LINES = 2.0
NOTHING_GOES_ON = "nothing goes on from here: no rest of it"


@contextmanager
def progress(unit: str) -> Iterator[Callable[[int, int], None]]:
    """A function ``update(done, total)`` that draws a bar on a terminal, else prints a line every two seconds."""
    if not sys.stderr.isatty():
        yield _plain_lines(unit)
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(unit)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _plain_lines(unit):
    last = -SECONDS_BETWEEN_LINES

    def update(done, total):
        nonlocal last
        if time.monotonic() - last >= SECONDS_BETWEEN_LINES or done == total:
            last = time.monotonic()
            note(f"{done}/{total} {unit}")

    return update


def print_layers(rows: list[dict], dead_ends: Collection[str]) -> None:
    """The table of `loce layers`; a note at each of the layers `dead_ends`, if any."""
    notes = ("note",) if dead_ends else ()
    shown = _Table(("name", "height x width x channels", "stride", "kind", "also called", *notes))
    for row in rows:
        shape = " x ".join(map(str, row["shape"]))
        note = [NOTHING_GOES_ON if row["name"] in dead_ends else ""] if notes else []
        shown.add(row["name"], shape, f"{row['stride']:g}", row["kind"], ", ".join(row["aliases"]), *note)
    shown.print()


def print_run(run: Run) -> None:
    """The table of `loce show`: for each layer a row per concept and one for all."""
    names = "layer", "concept", "LoCEs", "skipped", "mean IoU", "median IoU", "failures"
    shown = _Table(names, numbers=range(2, len(names)))
    for layer in run.layers:
        rows = summarize_iou(run.column("iou", layer), run.column("status", layer), run.table["concept"])
        for row in rows:
            numbers = f"{row.mean_iou:.3f}", f"{row.median_iou:.3f}", f"{row.failures:.1%}"
            shown.add(layer, label(row.concept), str(row.loces), str(row.skipped), *numbers)
        shown.add_section()
    shown.print()
    for layer in run.layers if "converged" in run.recipe.columns else ():
        if count := int(np.count_nonzero(run.column("converged", layer) == 0)):
            say(f"{counted(count, 'LoCE')} did not converge: {layer}")
    status = run.table["status"].tolist()
    for word in sorted(set(status) - {"ok"}):
        say(f"{counted(status.count(word), 'pair')} skipped: {word}")
    if not run.complete:
        say(f"{len(run.finished)} of {len(run.chunks)} chunks are done; the same `loce fit` continues.")


def print_table(table: Values) -> None:
    """Any table of a study."""
    numbers = [
        column for column in range(len(table.columns)) if not all(isinstance(row[column], str) for row in table.rows)
    ]
    shown = _Table(table.columns, numbers=numbers, title=table.title)
    for row in table.rows:
        shown.add(*(cell if isinstance(cell, str) else show_number(cell, table.digits) for cell in row))
    shown.print()


class _Table:
    """A table of texts that are shown as they are: never as markup, never obeyed by the terminal."""

    def __init__(self, columns: Sequence[str], *, numbers: Iterable[int] = (), title: str = ""):
        self._shown = io.StringIO()  # one place writes to standard output, and says where that fails
        plain = {} if sys.stdout.isatty() else {"width": PLAIN_WIDTH, "markup": False, "highlight": False}
        self._console = Console(file=self._shown, force_terminal=not plain, **plain)
        self._title, self._table, numbers = title, Table(box=None, pad_edge=False), set(numbers)
        heads = [self._text(name) for name in columns]
        widths = [max(map(cell_len, head.plain.split()), default=0) for head in heads]
        fits = sum(widths) + 2 * len(widths) <= self._console.width  # 2 between columns
        for index, (head, width) in enumerate(zip(heads, widths, strict=True)):
            justify, least = "right" if index in numbers else "left", width if fits else None
            self._table.add_column(head, justify=justify, overflow="fold", min_width=least)

    def add(self, *cells: str) -> None:
        """Add a row."""
        self._table.add_row(*map(self._text, cells))

    def add_section(self) -> None:
        """Begin a section."""
        self._table.add_section()

    def print(self) -> None:
        """Print title and table."""
        if self._title:  # as a title of the table it would be broken at its width
            self._console.print(self._text(self._title, "italic"), soft_wrap=True)
        self._console.print(self._table)
        put(self._shown.getvalue())

    def _text(self, text, style=""):
        return Text(for_terminal(text, sys.stdout.encoding), style)
