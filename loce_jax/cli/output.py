"""What the commands that analyze a run share: opening what they analyze, and printing and writing results."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from loce_jax.atomic import check_writable
from loce_jax.checks import InputError
from loce_jax.cli.terminal import complain, say
from loce_jax.data.samples import Dataset
from loce_jax.foreign_text import for_file_name
from loce_jax.store import Run, open_run
from loce_jax.study.options import Selection, StudyOptions

Opener = Callable[[Run], Dataset]


def open_analyses(name: str, open_data: Opener, selection: Selection, options: StudyOptions) -> list:
    """Open the run called `name` and select its LoCEs: one `LayerAnalysis` per layer; prints how many are left out."""
    from loce_jax.study.selection.layer_analysis import analyze_layers  # noqa: PLC0415 - fast --help

    run = open_run(name)
    analyses = analyze_layers(run, selection, photos_of(run, open_data), options)
    for analysis in analyses:
        announce_selection(analysis.embeddings.name, analysis.embeddings, selection)
    return analyses


def check_out(folder: Path | None) -> None:
    """Raise `InputError`, before the work, if tables and pictures cannot be written to `folder`."""
    if folder is not None:
        check_writable(folder, is_folder=True)


def announce_selection(name, embeddings, selection):
    """Print how many LoCEs are analyzed, if some are left out."""
    if selection.min_iou > 0:
        left_out = f"{embeddings.below_min_iou} with an IoU below {selection.min_iou:g} are left out"
        say(f"{name}: {len(embeddings.rows)} LoCEs, {left_out}")


def photos_of(run: Run, open_data: Opener):
    """The run's photographs; none, with a warning, if its data set cannot be opened any more, or is another one."""
    from loce_jax.study.selection.photos import Photos  # noqa: PLC0415 - fast --help

    try:
        return Photos(run, open_data(run))
    except (InputError, OSError) as error:
        complain(f"there will be no photographs: {error}")
        return Photos(run, None)


def row_of(run: Run, query: str) -> int:
    """The row of the run's table that `query` names."""
    if query.isdecimal():
        return int(query)
    image, _, concept = query.rpartition(":")
    rows = run.select(image=image, concept=concept)
    if not len(rows):
        raise InputError(
            f"`query` must be a row of the run's table or IMAGE:CONCEPT, but got {query!r}, which is in no row. "
            f"The first row is {run.table['image'][0]}:{run.table['concept'][0]}."
        )
    return int(rows[0])


def report_progress(title, result):
    """Print the title of a step that has ended, and its headline numbers, or why it could not be done."""
    say(f"{title}: not done, {result}" if isinstance(result, str) else title)
    for line in () if isinstance(result, str) else result.summary():
        say(f"  {line}")


def emit(result, name: str, out: Path | None, layer: str, origin: Mapping[str, Any]) -> None:
    """Print tables and summary; if there is a folder, write all of it, and the numbers as NAME.json.

    Args:
        result: what a step found.
        name: of the command.
        out: the folder.
        layer: title of what is printed, and folder of the files; "" where there are several.
        origin: of the numbers.
    """
    from loce_jax.cli.console import print_table  # noqa: PLC0415 - fast --help
    from loce_jax.study.results.step_result import write_metrics, write_result  # noqa: PLC0415 - fast --help

    if layer:
        say()
        say(layer)
    for table in result.tables.values():
        if table.rows:
            print_table(table)
        else:
            say(f"{table.title}: nothing")
    for line in result.summary():
        say(line)
    if out:
        folder = out / for_file_name(layer) if layer else out
        metrics = {**result.metrics, "made_with": origin, "written": result.listing()}
        for path in [*write_result(result, folder), write_metrics(metrics, folder / f"{name}.json")]:
            say(path)
