"""How well LoCEs redraw their masks, concept by concept and layer by layer."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from loce_jax.analysis.names import short_names
from loce_jax.analysis.stats import CRITERIA, best_layer, summarise
from loce_jax.analysis.tables import Table, iou_table
from loce_jax.checks import check_known
from loce_jax.plots.curves import draw_bars, draw_curves
from loce_jax.store import Run
from loce_jax.study.outcome import Outcome

_NUMBERS = ("pairs", "loces", "skipped", "mean_iou", "std_iou", "median_iou", "min_iou", "max_iou", "failures")


def study_stats(run: Run, layers: Sequence[str], concepts: Sequence[str] = ()) -> Outcome:
    """IoU and failures of every one of `concepts`, or of all, at each of `layers`; the best layer by three criteria."""
    check_known("concept", concepts, run.concepts)
    concept = run.table["concept"]
    rows = np.isin(concept, list(concepts)) if concepts else np.ones(len(concept), bool)
    found = {
        layer: summarise(run.column("iou", layer)[rows], run.column("status", layer)[rows], concept[rows])
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
    return Outcome(
        {"layers": names, "best_layer": best},
        {"iou": iou_table(found), "iou_all": every},
        {"iou": _draw(found, list(layers))},
        short=("best_layer",),
    )


def _numbers(row):
    return {name: getattr(row, name) for name in _NUMBERS}


def _draw(found, layers):
    concepts = [row.concept for row in found[layers[0]][:-1]]
    figure = Figure(figsize=(max(7, 3 + 0.2 * len(concepts)), 7.5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    short = dict(zip(layers, short_names(layers), strict=True))
    spreads = {short[layer]: _column(found[layer], "std_iou") for layer in layers}
    means = {short[layer]: _column(found[layer], "mean_iou") for layer in layers}
    draw_curves(above, np.arange(len(concepts)), means, spreads=spreads)
    above.set(title="mean IoU, band: one standard deviation", ylabel="IoU", ylim=(0, 1))
    draw_bars(below, concepts, {short[layer]: _column(found[layer], "failures") for layer in layers})
    below.set(title="failures (IoU 0)", ylabel="share of LoCEs", ylim=(0, 1))
    below.tick_params(axis="x", rotation=90)
    return figure


def _column(rows, name):
    return np.array([getattr(row, name) for row in rows[:-1]], float)
