"""LoCEs that may carry the wrong label, with their photographs."""

from loce_jax.analysis.label_errors import find_label_errors
from loce_jax.analysis.tables import Table
from loce_jax.plots.figures import Strip, plot_strips
from loce_jax.plots.strips import UNLIKE, Tile
from loce_jax.study.results.figures import Figures
from loce_jax.study.results.step_result import StepResult
from loce_jax.study.selection.layer_analysis import LayerAnalysis

_ROWS, _COLUMNS = 3, 8


def study_label_errors(analysis: LayerAnalysis) -> StepResult:
    """LoCEs with a likely wrong label, the label that their neighbors suggest, and how many are expected by chance."""
    embeddings, options = analysis.embeddings, analysis.options.label_errors
    found = find_label_errors(
        embeddings.vectors,
        embeddings.labels,
        options.k,
        groups=embeddings.images,
        share=options.share,
        seed=analysis.seed,
    )
    rows = tuple(
        (
            int(embeddings.rows[position]),
            str(embeddings.images[position]),
            str(embeddings.labels[position]),
            str(suggestion),
            float(share),
        )
        for position, suggestion, share in zip(found.rows, found.suggestions, found.shares, strict=True)
    )
    table = Table("Likely label errors", ("row", "image", "concept", "neighbors say", "share"), rows, 2)
    metrics = {"label_errors": len(rows), "expected_by_chance": found.expected, "of": len(embeddings.rows)}
    figures = Figures({"label_errors": lambda: _plot(analysis, rows)} if rows else {})
    return StepResult(metrics, {"label_errors": table}, figures, headline=metrics)


def _plot(analysis, rows):
    shown = rows[: _ROWS * _COLUMNS]
    tiles = analysis.photos.tiles(row for row, *_ in shown)
    every = [Tile(tiles.get(row), f"{concept}, or {suggestion}?", UNLIKE) for row, _, concept, suggestion, _ in shown]
    strips = [Strip("", every[first : first + _COLUMNS]) for first in range(0, len(every), _COLUMNS)]
    return plot_strips(strips, _COLUMNS)
