"""Concept against context: every LoCE asks for its concept; and one LoCE's nearest and farthest, with photographs."""

import numpy as np
from matplotlib.figure import Figure

from loce_jax.analysis.metrics.retrieval import precision_at, rank_by_distance
from loce_jax.analysis.tables import Table
from loce_jax.checks import InputError
from loce_jax.plots.curves import draw_curves
from loce_jax.plots.strips import ALIKE, NEUTRAL, UNLIKE, Tile, draw_strip
from loce_jax.study.results.step_result import StepResult
from loce_jax.study.selection.layer_analysis import LayerAnalysis


def study_retrieval(analysis: LayerAnalysis) -> StepResult:
    """Mean precision@k (the paper's "mAP@k") and true mean average precision@k, per concept and over all."""
    embeddings, options = analysis.embeddings, analysis.options.retrieval
    groups = embeddings.images if options.other_images else None
    found = precision_at(embeddings.vectors, embeddings.labels, options.ks, groups=groups)
    scores = {"precision": found.precision, "average precision": found.average_precision}
    names = [str(concept) for concept in found.concepts]
    lone = int((np.isnan(found.average_precision.per_query) & ~np.isnan(found.precision.per_query))[:, 0].sum())
    metrics, tables = {"ks": found.ks, "concepts": names, "without_a_fellow": lone}, {}
    for title, score in scores.items():
        rows = [(name, *map(float, row)) for name, row in zip(names, score.per_concept, strict=True)]
        rows += [("mean over concepts", *map(float, score.macro)), ("mean over queries", *map(float, score.pooled))]
        tables[title.replace(" ", "_")] = Table(
            f"Mean {title} of the k nearest{_say_lone(lone, score is found.precision)}",
            ("concept", *(f"k = {k}" for k in found.ks)),
            tuple(rows),
        )
        metrics[title] = {
            "per_concept": score.per_concept,
            "macro": score.macro,
            "pooled": score.pooled,
            "pooled_std": score.pooled_std,
        }
    return StepResult(metrics, tables, {"retrieval": _draw(found, scores, analysis)}, short=("without_a_fellow",))


def _say_lone(lone, counted):
    """What becomes of LoCEs that are the only ones of their concept, by which the two tables differ even at k = 1."""
    if not lone:
        return ""
    return f" ({lone} without another of their concept {'count 0, as in the paper' if counted else 'are left out'})"


def _draw(found, scores, analysis):
    figure = Figure(figsize=(12, 4.8), layout="constrained")
    places = figure.subplots(1, 2, sharey=True)
    for axes, (title, score) in zip(places, scores.items(), strict=True):
        axes.plot(found.ks, score.macro, color="black", linewidth=2.2, linestyle="--", label="mean over concepts")
        curves = {concept: score.per_concept[found.concepts.index(concept)] for concept in analysis.embeddings.shown}
        draw_curves(axes, np.array(found.ks), curves)
        axes.set(title=f"mean {title} @ k", xlabel="k")
    places[0].get_legend().remove()
    places[0].set_ylim(bottom=0)
    return figure


def study_query(analysis: LayerAnalysis, row: int, *, shown: int = 6) -> StepResult:
    """The `shown` nearest and farthest LoCEs of the one at `row` of the run's table.

    Raises:
        InputError: the row is not among the good ones.
    """
    embeddings = analysis.embeddings
    place = np.flatnonzero(embeddings.rows == row)
    if not len(place):
        raise InputError(
            f"`query` must be a row with a good LoCE at {embeddings.name!r}, but row {row} has none. `loce show` says "
            "why rows failed; `concepts` and `min_iou` of the selection leave rows out, too."
        )
    other_images = analysis.options.retrieval.other_images
    ranking = rank_by_distance(embeddings.vectors, int(place[0]), groups=embeddings.images if other_images else None)
    count = min(shown, len(ranking.indices))
    lines = []
    for end, first in {"nearest": slice(count), "farthest": slice(None, -1 - count, -1)}.items():
        for number, (other, distance) in enumerate(zip(ranking.indices[first], ranking.distances[first], strict=True)):
            where = int(embeddings.rows[other]), str(embeddings.images[other]), str(embeddings.labels[other])
            lines.append((end, number + 1, *where, float(distance), float(embeddings.iou[other])))
    columns = ("end", "rank", "row", "image", "concept", "cosine distance", "IoU")
    own = str(embeddings.labels[place[0]])
    title = f"Row {row}: {own} in {embeddings.images[place[0]]}"
    figure = _draw_query(analysis, row, own, lines, count)
    metrics = {end: [line[1:] for line in lines if line[0] == end] for end in ("nearest", "farthest")}
    return StepResult(metrics, {f"query_{row}": Table(title, columns, tuple(lines))}, {f"query_{row}": figure})


def _draw_query(analysis, row, own, lines, count):
    tiles = analysis.photos.tiles([row, *(line[2] for line in lines)])
    figure = Figure(figsize=(1.4 * (count + 1), 3.7), layout="constrained")
    grid = figure.subplots(2, count + 1, squeeze=False)
    for axes, end in zip(grid, ("nearest", "farthest"), strict=True):
        mine = [line for line in lines if line[0] == end]
        others = [
            Tile(tiles.get(line[2]), f"{line[4]}  {line[5]:.2f}", ALIKE if line[4] == own else UNLIKE) for line in mine
        ]
        draw_strip(list(axes), [Tile(tiles.get(row), own, NEUTRAL), *others], title=end)
    return figure
