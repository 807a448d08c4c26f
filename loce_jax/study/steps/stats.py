"""How well LoCEs redraw their masks, concept by concept and layer by layer."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from loce_jax.analysis.layer_names import short_names
from loce_jax.analysis.metrics.iou_summary import CRITERIA, best_layer, summarize_iou
from loce_jax.analysis.tables import Table, iou_table
from loce_jax.checks import check_known
from loce_jax.plots.curves import draw_bars, draw_points
from loce_jax.store import Run
from loce_jax.study.results.step_result import StepResult

_NUMBERS = ("pairs", "loces", "skipped", "mean_iou", "std_iou", "median_iou", "min_iou", "max_iou", "failures")


def study_stats(run: Run, layers: Sequence[str], concepts: Sequence[str] = ()) -> StepResult:
    """IoU and failures of every one of `concepts`, or of all, at each of `layers`; the best layer by three criteria."""
    check_known("concept", concepts, run.concepts)
    concept = run.table["concept"]
    rows = np.isin(concept, list(concepts)) if concepts else np.ones(len(concept), bool)
    found = {
        layer: summarize_iou(run.column("iou", layer)[rows], run.column("status", layer)[rows], concept[rows])
        for layer in layers
    }
    by_concept = {layer: rows[:-1] for layer, rows in found.items()}
    best = {criterion: best_layer(by_concept, by=criterion) for criterion in CRITERIA}
    names = {layer: {row.concept or "all": _numbers(row) for row in rows} for layer, rows in found.items()}
    every = Table(
        "IoU of LoCEs",
        ("layer", "concept", *_NUMBERS),
        tuple(
            (layer, row.concept or "all concepts", *_numbers(row).values()) for layer in layers for row in found[layer]
        ),
    )
    return StepResult(
        {"layers": names, "best_layer": best},
        {"iou": iou_table(found), "iou_all": every},
        {"iou": _draw(found, list(layers))},
        short=("best_layer",),
    )


def _numbers(row):
    return {name: getattr(row, name) for name in _NUMBERS}


def _draw(found, layers):
    short = dict(zip(layers, short_names(layers), strict=True))
    means, spreads, failures = (
        {short[layer]: np.array([getattr(row, name) for row in found[layer][:-1]], float) for layer in layers}
        for name in ("mean_iou", "std_iou", "failures")
    )
    best_first = np.argsort(-np.mean(list(means.values()), axis=0), kind="stable")
    concepts = [found[layers[0]][place].concept for place in best_first]
    figure = Figure(figsize=(min(16, max(7, 3 + 0.2 * len(concepts))), 7.5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    means, spreads, failures = (
        {layer: values[best_first] for layer, values in each.items()} for each in (means, spreads, failures)
    )
    draw_points(above, concepts, means, spreads=spreads)
    above.set(title="mean IoU, line: one standard deviation to both sides", ylabel="IoU", ylim=(0, 1))
    draw_bars(below, concepts, failures)
    below.set(title="failures (IoU 0)", ylabel="share of LoCEs", ylim=(0, 1))
    below.get_legend().remove()
    return figure
