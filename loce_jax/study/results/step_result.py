"""The result of a step, and writing it: metrics as JSON, tables in three formats, pictures as PNG."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from loce_jax.analysis.tables import Table, as_csv, as_latex, as_markdown, show_number, text_columns
from loce_jax.atomic import replaced_file, write_file
from loce_jax.foreign_text import for_file_name, for_json
from loce_jax.study.results.figures import Figures

METRICS = "metrics.json"
_MAX_LISTED = 200  # rows of a matrix that JSON holds
_WRITERS = {"csv": as_csv, "md": as_markdown, "tex": as_latex}


@dataclass(frozen=True)
class StepResult:
    """The result of one step.

    Attributes:
        metrics: numbers, texts and lists of them by name; NaN where a number is undefined.
        tables: by file name without ending.
        figures: by file name without ending; drawn when written.
        data: long tables for programs, by file name without ending: as CSV only, never printed.
        arrays: of numbers, by file name without ending, and by name.
        headline: the few numbers that commands print, by name.
    """

    metrics: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    figures: Figures = field(default_factory=Figures)
    data: Mapping[str, Table] = field(default_factory=dict)
    arrays: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)
    headline: Mapping[str, Any] = field(default_factory=dict)

    def summary(self) -> list[str]:
        """A line for each of `headline`; of numbers that hold others, those that are one value.

        >>> headline = {"purity": 0.5, "centroids": {"error": np.float64(0.25), "matrix": np.eye(2)}}
        >>> StepResult(headline=headline).summary()
        ['purity: 0.500', 'centroids: error 0.250']
        """
        return [f"{name}: {_in_words(plain_values(value))}" for name, value in self.headline.items()]

    def listing(self) -> dict[str, Any]:
        """Tables, with titles and whether each column holds texts, and pictures that `write_result` writes.

        >>> StepResult(tables={"means": Table("Means", ("layer", "IoU"), (("late", 0.5),))}).listing()
        {'tables': {'means': {'title': 'Means', 'texts': [True, False]}}, 'pictures': []}
        """
        tables = {name: {"title": one.title, "texts": text_columns(one)} for name, one in self.tables.items()}
        return {"tables": tables, "pictures": list(self.figures)}


def _in_words(value):
    if isinstance(value, dict):
        parts = {name: part for name, part in value.items() if not isinstance(part, dict | list)}
        return ", ".join(f"{name} {_in_words(part)}" for name, part in parts.items())
    return value if isinstance(value, str) else show_number(np.nan if value is None else value, 3)


def listed(matrices: Mapping[str, np.ndarray], file: str) -> tuple[dict[str, Any], dict[str, Mapping[str, np.ndarray]]]:
    """Matrices as metrics, or, of more than 200 rows, as arrays of ``FILE.npz``, whose name is the metric then.

    >>> listed({"overlap": np.zeros((300, 300))}, "separation")[0]
    {'overlap': 'in separation.npz'}
    """
    large = {name: matrix for name, matrix in matrices.items() if len(matrix) > _MAX_LISTED}
    metrics = {name: f"in {file}.npz" if name in large else matrix for name, matrix in matrices.items()}
    return metrics, {file: large} if large else {}


def write_result(result: StepResult, folder: Path) -> list[Path]:
    """Write tables, figures and arrays into `folder`, each under its name only when complete; the files."""
    files = []
    for name, table in result.data.items():
        files.append(write_file(folder / f"{for_file_name(name)}.csv", as_csv(table).encode()))
    for name, arrays in result.arrays.items():
        content = io.BytesIO()
        np.savez_compressed(content, allow_pickle=False, **dict(arrays))
        files.append(write_file(folder / f"{for_file_name(name)}.npz", content.getvalue()))
    for name, table in result.tables.items():
        for ending, writer in _WRITERS.items():
            files.append(write_file(folder / f"{for_file_name(name)}.{ending}", writer(table).encode()))
    for name, figure in result.figures.items():
        path = folder / f"{for_file_name(name)}.png"
        with replaced_file(path) as draft:
            figure.savefig(draft, format="png", dpi=130, bbox_inches="tight")
        files.append(path)
    return files


def write_metrics(metrics: Mapping[str, Any], path: Path) -> Path:
    """Write numbers as JSON; what is not finite becomes null, because JSON has no NaN."""
    return write_file(path, for_json(plain_values(metrics)))


def plain_values(value: Any) -> Any:
    """`value` made of what JSON holds.

    >>> plain_values({"a": np.array([1.0, np.nan]), 3: (np.int64(2), None)})
    {'a': [1.0, None], '3': [2, None]}
    """
    if isinstance(value, Mapping):
        return {str(name): plain_values(part) for name, part in value.items()}
    if isinstance(value, np.ndarray):
        return plain_values(value.tolist())
    if isinstance(value, list | tuple):
        return [plain_values(part) for part in value]
    if isinstance(value, np.generic):
        return plain_values(value.item())
    return None if isinstance(value, float) and not np.isfinite(value) else value
