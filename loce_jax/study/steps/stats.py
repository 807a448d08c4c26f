"""IoU and failures of the LoCEs, by concept and by layer."""

from collections.abc import Sequence

import numpy as np

from loce_jax.analysis.metrics.iou_summary import CRITERIA, best_layer, summarize_iou
from loce_jax.analysis.short_names import short_names
from loce_jax.analysis.tables import Table, iou_table
from loce_jax.checks import check_known
from loce_jax.foreign_text import label, text_array
from loce_jax.plots.figures import plot_iou
from loce_jax.study.results.figures import Figures
from loce_jax.study.results.step_result import StepResult
from loce_jax.study.selection.sources import RunLike

_NUMBERS = ("pairs", "loces", "skipped", "mean_iou", "std_iou", "median_iou", "min_iou", "max_iou", "failures")


def study_stats(run: RunLike, layers: Sequence[str], concepts: Sequence[str] = ()) -> StepResult:
    """IoU and failures of every one of `concepts`, or of all, at each of `layers`; the best layer by three criteria."""
    check_known("concept", concepts, run.concepts)
    concept = run.table["concept"]
    rows = np.isin(concept, text_array(concepts)) if concepts else np.ones(len(concept), bool)
    found = {
        layer: summarize_iou(run.column("iou", layer)[rows], run.column("status", layer)[rows], concept[rows])
        for layer in layers
    }
    by_concept = {layer: rows[:-1] for layer, rows in found.items()}
    best = {criterion: best_layer(by_concept, by=criterion) for criterion in CRITERIA}
    numbers = {
        layer: {"concepts": {str(row.concept): _numbers(row) for row in rows[:-1]}, "overall": _numbers(rows[-1])}
        for layer, rows in found.items()
    }
    every = Table(
        "IoU of LoCEs",
        ("layer", "concept", *_NUMBERS),
        tuple((layer, label(row.concept), *_numbers(row).values()) for layer in layers for row in found[layer]),
    )
    return StepResult(
        {"layers": numbers, "best_layer": best},
        {"iou": iou_table(found), "iou_all": every},
        Figures({"iou": lambda: _plot(found, list(layers))}),
        headline={"best_layer": best},
    )


def _numbers(row):
    return {name: getattr(row, name) for name in _NUMBERS}


def _plot(found, layers):
    short = dict(zip(layers, short_names(layers), strict=True))
    concepts = [row.concept for row in found[layers[0]][:-1]]
    columns = (
        {short[layer]: np.array([getattr(row, name) for row in found[layer][:-1]], float) for layer in layers}
        for name in ("mean_iou", "std_iou", "failures")
    )
    return plot_iou(concepts, *columns)
