"""What the command line shows: tables and progress; plain lines where there is no terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from loce_jax.analysis.metrics.iou_summary import summarize_iou
from loce_jax.analysis.tables import Table as Values
from loce_jax.analysis.tables import show_number
from loce_jax.store import Run

PLAIN_WIDTH = 140
SECONDS_BETWEEN_LINES = 2.0


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
            print(f"{done}/{total} {unit}", file=sys.stderr, flush=True)

    return update


def print_layers(rows: list[dict]) -> None:
    """The table of `loce layers`."""
    table = Table(box=None, pad_edge=False)
    for name in ("name", "height x width x channels", "stride", "kind", "also called"):
        table.add_column(name)
    for row in rows:
        shape = " x ".join(map(str, row["shape"]))
        table.add_row(row["name"], shape, f"{row['stride']:g}", row["kind"], ", ".join(row["aliases"]))
    _console().print(table)


def print_run(run: Run) -> None:
    """The table of `loce show`: for each layer a row per concept and one for all."""
    table = Table(box=None, pad_edge=False)
    for name in ("layer", "concept", "LoCEs", "skipped", "mean IoU", "median IoU", "failures"):
        table.add_column(name, justify="left" if name in ("layer", "concept") else "right")
    for layer in run.layers:
        rows = summarize_iou(run.column("iou", layer), run.column("status", layer), run.table["concept"])
        for row in rows:
            numbers = f"{row.mean_iou:.3f}", f"{row.median_iou:.3f}", f"{row.failures:.1%}"
            table.add_row(layer, row.concept or "all", str(row.loces), str(row.skipped), *numbers)
        table.add_section()
    console = _console()
    console.print(table)
    for layer in run.layers if "converged" in run.recipe.columns else ():
        if count := np.count_nonzero(run.column("converged", layer) == 0):
            console.print(f"{count} LoCEs did not converge: {layer}")
    status = run.table["status"].tolist()
    for word in sorted(set(status) - {"ok"}):
        console.print(f"{status.count(word)} pairs skipped: {word}")
    if not run.complete:
        console.print(f"{len(run.finished)} of {len(run.chunks)} chunks are done; the same `loce fit` continues.")


def print_table(table: Values) -> None:
    """Any table of a study."""
    console = _console()
    console.print(Text(table.title, "italic"), soft_wrap=True)  # as a title of the table it is broken at its width
    shown = Table(box=None, pad_edge=False)
    for column, name in enumerate(table.columns):
        is_text = all(isinstance(row[column], str) for row in table.rows)
        shown.add_column(escape(name), justify="left" if is_text else "right")
    for row in table.rows:
        shown.add_row(*(escape(cell) if isinstance(cell, str) else show_number(cell, table.digits) for cell in row))
    console.print(shown)


def _console():
    return Console() if sys.stdout.isatty() else Console(width=PLAIN_WIDTH, markup=False, highlight=False)
