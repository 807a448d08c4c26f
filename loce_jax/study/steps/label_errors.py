"""LoCEs that may carry the wrong label, with their photographs."""

from matplotlib.figure import Figure

from loce_jax.analysis.label_errors import find_label_errors
from loce_jax.analysis.tables import Table
from loce_jax.plots.strips import UNLIKE, Tile, draw_strip
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
            int(embeddings.rows[place]),
            str(embeddings.images[place]),
            str(embeddings.labels[place]),
            str(suggestion),
            float(share),
        )
        for place, suggestion, share in zip(found.rows, found.suggestions, found.shares, strict=True)
    )
    table = Table("Likely label errors", ("row", "image", "concept", "neighbors say", "share"), rows, 2)
    metrics = {"label_errors": len(rows), "expected_by_chance": found.expected, "of": len(embeddings.rows)}
    figures = {"label_errors": _draw(analysis, rows)} if rows else {}
    return StepResult(metrics, {"label_errors": table}, figures, short=tuple(metrics))


def _draw(analysis, rows):
    shown = rows[: _ROWS * _COLUMNS]
    tiles = analysis.photos.tiles(row for row, *_ in shown)
    figure = Figure(figsize=(1.5 * _COLUMNS, 1.9 * -(-len(shown) // _COLUMNS)), layout="constrained")
    grid = figure.subplots(-(-len(shown) // _COLUMNS), _COLUMNS, squeeze=False)
    for number, axes in enumerate(grid):
        mine = shown[number * _COLUMNS : (number + 1) * _COLUMNS]
        captions = [f"{concept}, or {suggestion}?" for _, _, concept, suggestion, _ in mine]
        draw_strip(
            list(axes),
            [Tile(tiles.get(row[0]), caption, UNLIKE) for row, caption in zip(mine, captions, strict=True)],
        )
    return figure
