"""Outliers: the LoCEs of each concept with the highest scores; of a few concepts, with their photographs."""

import numpy as np

from loce_jax.analysis.outliers import find_outliers
from loce_jax.analysis.tables import Table
from loce_jax.plots.figures import Strip, plot_strips
from loce_jax.plots.strips import Tile
from loce_jax.study.results.figures import Figures
from loce_jax.study.results.step_result import StepResult
from loce_jax.study.selection.layer_analysis import LayerAnalysis

_SCORES = {"distance": "mean cosine distance", "lof": "local outlier factor", "isolation": "isolation forest score"}
_MAX_STRIPS = 6
_HEADLINE = 3


def study_outliers(analysis: LayerAnalysis) -> StepResult:
    """Outlier scores of the LoCEs within their concept; the highest of each concept, and their photographs."""
    embeddings, options = analysis.embeddings, analysis.options.outliers
    found = find_outliers(embeddings.vectors, embeddings.labels, options.method, seed=analysis.seed)
    ranked = {
        concept: ranking[: options.shown] for concept, ranking in zip(found.concepts, found.rankings, strict=True)
    }
    rows = tuple(
        (
            concept,
            int(embeddings.rows[position]),
            str(embeddings.images[position]),
            float(found.scores[position]),
            float(embeddings.iou[position]),
        )
        for concept in embeddings.concepts
        for position in ranked[concept]
    )
    table = Table("Outliers", ("concept", "row", "image", _SCORES[options.method], "IoU"), rows)
    listed = {concept: [row[1:] for row in rows if row[0] == concept] for concept in embeddings.concepts}
    figures = Figures({"outliers": lambda: _plot(analysis, options, listed)})
    metrics = {"method": options.method, "outliers": listed}
    return StepResult(metrics, {"outliers": table}, figures, headline=_headline(options, listed))


def _headline(options, listed):
    """The LoCE with the highest score, of the three concepts where it is highest."""
    first = sorted(listed, key=lambda concept: -np.nan_to_num(listed[concept][0][2]))[:_HEADLINE]
    found = (f"{concept} row {listed[concept][0][0]} {listed[concept][0][2]:.3f}" for concept in first)
    return {_SCORES[options.method]: ", ".join(found)}


def _plot(analysis, options, listed):
    embeddings = analysis.embeddings
    drawn = sorted(embeddings.shown_concepts, key=lambda concept: -np.nan_to_num(listed[concept][0][2]))[:_MAX_STRIPS]
    tiles = analysis.photos.tiles(row for concept in drawn for row, *_ in listed[concept])
    strips = [
        Strip(concept, [Tile(tiles.get(row), f"{score:.2f}, IoU {iou:.2f}") for row, _, score, iou in listed[concept]])
        for concept in drawn
    ]
    chosen = f", {len(drawn)} of {len(embeddings.concepts)} concepts" if len(drawn) < len(embeddings.concepts) else ""
    return plot_strips(strips, options.shown, title=f"outliers by {_SCORES[options.method]}{chosen}")
