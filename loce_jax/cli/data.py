"""The command that checks a data set before it is used."""

import importlib.util
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from loce_jax.analysis.tables import Table, as_csv
from loce_jax.atomic import replaced_file, write_file
from loce_jax.checks import counted
from loce_jax.cli.data_flags import DataFlags, DataLocation, DataOptionFlags
from loce_jax.cli.output import check_out
from loce_jax.cli.terminal import say
from loce_jax.data.checking import DataReport, check_data
from loce_jax.data.opening import parameters
from loce_jax.data.samples import EmptyDataError, Problem
from loce_jax.data.selection import DataOptions

SHOWN = 20  # problems on the terminal
PROBLEMS = 3  # the exit code


@dataclass(frozen=True)
class DataCheck:
    """Check a data set: counts by concept, sizes, and every problem with its file and annotation.

    The exit code is 0 for a clean data set, 3 for one with problems, 2 for a command that is wrong, such as a missing
    path. Nothing is downloaded but a data set named by its hub id.
    """

    action: Annotated[Literal["check"], tyro.conf.Positional, tyro.conf.arg(metavar="check")]
    """The word `check`."""
    named: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="KIND PATH")] = ()
    """Kind of the data set and its path, such as `voc VOCdevkit/VOC2012`; or the path alone, if it says the kind."""
    out: Path | None = None
    """Folder that tables are written to, as CSV, and as Parquet if pyarrow is installed; only printed if left out."""
    dataset: DataFlags = field(default_factory=DataLocation)
    data: DataOptionFlags = field(default_factory=DataOptions)

    def __call__(self) -> int:
        """Run it; the exit code."""
        from loce_jax.cli.console import print_table, progress  # noqa: PLC0415 - fast --help

        check_out(self.out)
        location = replace(self.dataset, data=self.named) if self.named else self.dataset
        source = location.source(self.data)
        if "faulty" in parameters(source.kind):  # to list all such entries, where `loce fit` refuses the first
            source = replace(source, given={**source.given, "faulty": "leave out"})
        try:
            dataset = source.open()
            with progress("images") as report_progress:
                report = check_data(dataset, report_progress)
        except EmptyDataError as error:
            if not error.problems and self.dataset.concepts:  # nothing is wrong but what was asked for
                raise
            say(error)
            report = DataReport((), (), (), error.problems or (_nothing(source.given.get("path", source.kind), error),))
        tables = tabulate(report)
        for name, table in tables.items():
            if name == "problems" and len(table.rows) > SHOWN:
                table = Table(f"{table.title}, the first {SHOWN}", table.columns, table.rows[:SHOWN])
            if table.rows:
                print_table(table)
                say()
        for note in report.notes:
            say(f"Note: {note}")
        if self.out is not None:
            write_tables(tables, self.out)
        say(f"{counted(len(report.problems), 'problem')}." if report.problems else "No problem.")
        return PROBLEMS if report.problems else 0


def _nothing(path: str, error: EmptyDataError) -> Problem:
    """The problem of data in which nothing is wrong, and nothing there."""
    return Problem(str(path), "", "", "nothing_usable", str(error))


def tabulate(report: DataReport) -> dict[str, Table]:
    """The tables of a report, by the names of their files."""
    counts = [
        (
            one.concept,
            one.images,
            math.nan if one.annotations is None else one.annotations,
            one.problems,
            one.median_share,
            one.smallest,
        )
        for one in report.concepts
    ]
    columns = "concept", "images", "annotations", "problems", "median share of the image", "smallest mask, pixels"
    problems = [(one.file, one.annotation, one.concept, one.status, one.reason) for one in report.problems]
    return {
        "concepts": Table(f"Concepts: {len(counts)}", columns, tuple(counts), digits=4),
        "sizes": Table(
            f"Sizes: {len(report.sizes)}",
            ("height", "width", "images"),
            tuple((*size, count) for size, count in report.sizes),
        ),
        "groups": Table(f"Groups: {len(report.groups)}", ("group", "images"), report.groups),
        "problems": Table(
            f"Problems: {len(problems)}", ("file", "annotation", "concept", "status", "reason"), tuple(problems)
        ),
    }


def write_tables(tables: dict[str, Table], folder: Path) -> None:
    """Write each table as CSV, and as Parquet where pyarrow is installed; says which files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        say(write_file(folder / f"{name}.csv", as_csv(table).encode()))
    if importlib.util.find_spec("pyarrow") is None:
        say('No Parquet files, since pyarrow is not installed: `pip install "loce_jax[parquet]"` brings it.')
        return
    import pyarrow  # noqa: PLC0415 - optional
    from pyarrow import parquet  # noqa: PLC0415 - optional

    for name, table in tables.items():
        columns = {column: [row[place] for row in table.rows] for place, column in enumerate(table.columns)}
        with replaced_file(folder / f"{name}.parquet") as draft:
            parquet.write_table(pyarrow.table(columns), draft)
        say(folder / f"{name}.parquet")
