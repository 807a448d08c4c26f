"""The strangest LoCEs of each concept; of a few concepts, with their photographs."""

import numpy as np
from matplotlib.figure import Figure

from loce_jax.analysis.outliers import find_outliers
from loce_jax.analysis.tables import Table
from loce_jax.plots.strips import Tile, draw_strip
from loce_jax.study.results.step_result import StepResult
from loce_jax.study.selection.layer_analysis import LayerAnalysis

_SCORES = {"distance": "mean cosine distance", "lof": "local outlier factor", "isolation": "isolation forest score"}
_MOST_STRIPS = 6


def study_outliers(analysis: LayerAnalysis) -> StepResult:
    """The most abnormal first."""
    embeddings, options = analysis.embeddings, analysis.options.outliers
    found = find_outliers(embeddings.vectors, embeddings.labels, options.method, seed=analysis.seed)
    strangest = {
        concept: ranking[: options.shown] for concept, ranking in zip(found.concepts, found.rankings, strict=True)
    }
    rows = tuple(
        (
            concept,
            int(embeddings.rows[place]),
            str(embeddings.images[place]),
            float(found.scores[place]),
            float(embeddings.iou[place]),
        )
        for concept in embeddings.concepts
        for place in strangest[concept]
    )
    table = Table("Strangest LoCEs", ("concept", "row", "image", _SCORES[options.method], "IoU"), rows)
    listed = {concept: [row[1:] for row in rows if row[0] == concept] for concept in embeddings.concepts}
    figure = _draw(analysis, options, listed)
    return StepResult({"method": options.method, "strangest": listed}, {"outliers": table}, {"outliers": figure})


def _draw(analysis, options, listed):
    embeddings = analysis.embeddings
    drawn = sorted(embeddings.shown, key=lambda concept: -np.nan_to_num(listed[concept][0][2]))[:_MOST_STRIPS]
    tiles = analysis.photos.tiles(row for concept in drawn for row, *_ in listed[concept])
    figure = Figure(figsize=(1.35 * options.shown + 0.6, 1.6 * len(drawn) + 0.3), layout="constrained")
    grid = figure.subplots(len(drawn), options.shown, squeeze=False)
    for axes, concept in zip(grid, drawn, strict=True):
        strip = [Tile(tiles.get(row), f"{score:.2f}, IoU {iou:.2f}") for row, _, score, iou in listed[concept]]
        draw_strip(list(axes), strip, title=concept)
    chosen = f", {len(drawn)} of {len(embeddings.concepts)} concepts" if len(drawn) < len(embeddings.concepts) else ""
    figure.suptitle(f"strangest LoCEs by {_SCORES[options.method]}{chosen}", fontsize=10)
    return figure
