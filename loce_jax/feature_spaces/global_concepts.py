"""Global concepts of a run's layers, found on some of its images and tested on the others.

Shapes: n images, k concepts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from loce_jax.analysis.bootstrap import BootstrapOptions, Estimate
from loce_jax.analysis.tables import Table
from loce_jax.concepts.comparison.similarity import mean_of_pairs
from loce_jax.concepts.evaluation.evaluate import Evaluation, evaluate
from loce_jax.concepts.evaluation.split import Split
from loce_jax.concepts.vectors import ConceptVectors
from loce_jax.feature_spaces.chosen_factors import ChosenFactors
from loce_jax.feature_spaces.gathering import Gathered
from loce_jax.feature_spaces.methods import METHODS, training_data
from loce_jax.feature_spaces.options import resampled
from loce_jax.foreign_text import for_picture
from loce_jax.plots.figures import plot_estimates
from loce_jax.solver.solution import Status
from loce_jax.store import Run
from loce_jax.study.results.figures import Figures
from loce_jax.study.results.step_result import StepResult

MEASURES = {"set IoU": "set_iou", "image IoU": "image_iou", "average precision": "average_precision"}
Report = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Found:
    """What one method found at one layer, and how good it is on held-out images."""

    layer: str
    method: str
    concepts: ConceptVectors | ChosenFactors
    evaluation: Evaluation


def find_concepts(
    run: Run,
    gathered: Gathered,
    parts: Split,
    methods: Sequence[str],
    *,
    seed: int = 0,
    report: Report = lambda line: None,
) -> list[Found]:
    """Every method at every layer of `gathered`.

    Args:
        run: where the LoCEs of the images come from.
        gathered: activations and masks of the run's images.
        parts: which of them to find concepts on, and which to test on.
        methods: names in `loce_jax.feature_spaces.methods.METHODS`.
        seed: of the intervals.
        report: called with a line for each that is done.
    """
    found = []
    units = resampled([gathered.groups[row] for row in parts.held_out]).units
    for layer in gathered.activations:
        samples = training_data(run, gathered, layer, parts.train)
        for method in methods:
            concepts = METHODS[method](samples)
            tested = gathered.blocks(layer, parts.held_out)
            evaluation = evaluate(concepts, tested, units, BootstrapOptions(seed=seed))
            found.append(Found(layer, method, concepts, evaluation))
            report(f"{layer}: {method}, set IoU {mean_of_pairs(evaluation.set_iou.value):.3f} on average")
    return found


def study_concepts(gathered: Gathered, parts: Split, found: Sequence[Found]) -> StepResult:
    """Tables, vectors and a picture a layer of what was found.

    Args:
        gathered: the images.
        parts: which of them concepts were found on, and which they were tested on.
        found: by `find_concepts`.
    """
    rows = [row for one in found for row in _rows(gathered, parts, one)]
    columns = ("layer", "method", "concept", "found on", "tested on", "status")
    columns += tuple(f"{name}{end}" for name in MEASURES for end in ("", " low", " high"))
    layers = list(dict.fromkeys(one.layer for one in found))
    means = {f"{one.layer}: {one.method}": _means(one.evaluation) for one in found}
    side_by_side = Table(
        "Means over concepts, on held-out images",
        ("layer", "method", *MEASURES),
        tuple((one.layer, one.method, *means[f"{one.layer}: {one.method}"].values()) for one in found),
        best=frozenset(_best(means)),
    )
    over = resampled([gathered.groups[row] for row in parts.held_out]).words
    by_layer = {f"set_iou_{layer}": _side_by_side(layer, rows, over) for layer in layers}
    return StepResult(
        metrics={
            "images": len(gathered.images),
            "found on": [gathered.images[row] for row in parts.train],
            "tested on": [gathered.images[row] for row in parts.held_out],
            "intervals over": over,
            "unread": [list(pair) for pair in gathered.unread],
            "means": means,
        },
        tables={**by_layer, "means": side_by_side},
        data={"concepts": Table("Concepts on held-out images", columns, tuple(rows))},
        figures=Figures({f"set_iou_{layer}": lambda layer=layer: _figure(found, layer) for layer in layers}),
        arrays={f"{one.layer} {one.method}": one.concepts.arrays for one in found},
    )


def _rows(gathered: Gathered, parts: Split, one: Found):
    shown = np.any(gathered.masks, axis=(2, 3))
    counts = [shown[rows].sum(axis=0) for rows in (parts.train, parts.held_out)]
    for k, name in enumerate(gathered.concepts):
        numbers = [value for field in MEASURES.values() for value in _ends(getattr(one.evaluation, field), k)]
        status = Status(int(one.concepts.status[k])).name.lower()
        yield (one.layer, one.method, name, int(counts[0][k]), int(counts[1][k]), status, *numbers)


def _side_by_side(layer: str, rows: Sequence[tuple], over: str) -> Table:
    """The set IoU of each concept by each method, with its interval in words."""
    mine = [row for row in rows if row[0] == layer]
    methods, concepts = (list(dict.fromkeys(row[column] for row in mine)) for column in (1, 2))
    cells = {(row[2], row[1]): _in_words(row[5], *row[6:9]) for row in mine}
    counts = {row[2]: row[3:5] for row in mine}
    return Table(
        f"{layer}: set IoU on held-out images, and its 95 % interval over {over}",
        ("concept", "found on", "tested on", *methods),
        tuple((name, *counts[name], *(cells[name, method] for method in methods)) for name in concepts),
    )


def _in_words(status: str, value: float, low: float, high: float) -> str:
    if not np.isfinite(value):
        return status if status != "ok" else "not tested"
    return f"{value:.2f} ({low:.2f} to {high:.2f})" if np.isfinite([low, high]).all() else f"{value:.2f}"


def _ends(estimate: Estimate, k: int) -> tuple[float, float, float]:
    return float(estimate.value[k]), float(estimate.low[k]), float(estimate.high[k])


def _means(evaluation: Evaluation) -> dict[str, float]:
    return {name: float(mean_of_pairs(getattr(evaluation, field).value)) for name, field in MEASURES.items()}


def _best(means: Mapping[str, Mapping[str, float]]):
    for column, name in enumerate(MEASURES, start=2):
        values = np.array([one[name] for one in means.values()])
        if np.isfinite(values).any():
            yield int(np.nanargmax(values)), column


def _figure(found: Sequence[Found], layer: str):
    mine = [one for one in found if one.layer == layer]
    estimates = {one.method: one.evaluation.set_iou for one in mine}
    return plot_estimates(
        mine[0].evaluation.names,
        {name: (one.value, one.low, one.high) for name, one in estimates.items()},
        title=f"{for_picture(layer)}: set IoU on held-out images, line: 95 % interval",
        label="set IoU",
    )
