"""How well LoCEs retrieve others of their concept; and the nearest and farthest of one LoCE, with photographs."""

import numpy as np

from loce_jax.analysis.metrics.retrieval import precision_at, rank_by_distance
from loce_jax.analysis.tables import Table
from loce_jax.checks import InputError
from loce_jax.plots.figures import Strip, plot_retrieval, plot_strips
from loce_jax.plots.strips import ALIKE, NEUTRAL, UNLIKE, Tile
from loce_jax.study.results.figures import Figures
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
    metrics, tables = {"ks": found.ks, "concepts": names, "only_of_their_concept": lone}, {}
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
    figures = Figures({"retrieval": lambda: _plot(found, scores, analysis)})
    return StepResult(metrics, tables, figures, headline=_headline(found, metrics))


def _headline(found, metrics):
    means = {
        f"mean {title}": {f"k={k}": value for k, value in zip(found.ks, metrics[title]["macro"], strict=True)}
        for title in ("precision", "average precision")
    }
    return {**means, "only_of_their_concept": metrics["only_of_their_concept"]}


def _say_lone(lone, counted):
    """What becomes of LoCEs that are the only ones of their concept, by which the two tables differ even at k = 1."""
    if not lone:
        return ""
    return f" ({lone} without another of their concept {'count 0, as in the paper' if counted else 'are left out'})"


def _plot(found, scores, analysis):
    curves = {
        title: {
            concept: score.per_concept[found.concepts.index(concept)] for concept in analysis.embeddings.shown_concepts
        }
        for title, score in scores.items()
    }
    return plot_retrieval(
        found.ks, {title: score.macro for title, score in scores.items()}, curves, styles=analysis.styles
    )


def study_query(analysis: LayerAnalysis, row: int, *, shown: int = 6) -> StepResult:
    """The `shown` nearest and farthest LoCEs of the one at `row` of the run's table.

    Raises:
        InputError: the row is not among the good ones.
    """
    embeddings = analysis.embeddings
    position = np.flatnonzero(embeddings.rows == row)
    if not len(position):
        raise InputError(
            f"`query` must be a row with a good LoCE at {embeddings.name!r}, but row {row} has none. `loce show` says "
            "why rows failed; `concepts` and `min_iou` of the selection leave rows out, too."
        )
    other_images = analysis.options.retrieval.other_images
    ranking = rank_by_distance(embeddings.vectors, int(position[0]), groups=embeddings.images if other_images else None)
    count = min(shown, len(ranking.indices))
    lines = []
    for end, first in {"nearest": slice(count), "farthest": slice(None, -1 - count, -1)}.items():
        for number, (other, distance) in enumerate(zip(ranking.indices[first], ranking.distances[first], strict=True)):
            where = int(embeddings.rows[other]), str(embeddings.images[other]), str(embeddings.labels[other])
            lines.append((end, number + 1, *where, float(distance), float(embeddings.iou[other])))
    columns = ("end", "rank", "row", "image", "concept", "cosine distance", "IoU")
    own = str(embeddings.labels[position[0]])
    title = f"Row {row}: {own} in {embeddings.images[position[0]]}"
    metrics = {end: [line[1:] for line in lines if line[0] == end] for end in ("nearest", "farthest")}
    figures = Figures({f"query_{row}": lambda: _plot_query(analysis, row, own, lines, count)})
    return StepResult(metrics, {f"query_{row}": Table(title, columns, tuple(lines))}, figures)


def _plot_query(analysis, row, own, lines, count):
    tiles = analysis.photos.tiles([row, *(line[2] for line in lines)])
    strips = []
    for end in ("nearest", "farthest"):
        others = [
            Tile(tiles.get(line[2]), f"{line[4]}  {line[5]:.2f}", ALIKE if line[4] == own else UNLIKE)
            for line in lines
            if line[0] == end
        ]
        strips.append(Strip(end, [Tile(tiles.get(row), own, NEUTRAL), *others]))
    return plot_strips(strips, count + 1)
