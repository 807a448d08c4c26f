"""LoCEs that may carry the wrong label, with their photographs."""

from matplotlib.figure import Figure

from loce_jax.analysis.label_errors import find_label_errors
from loce_jax.analysis.tables import Table
from loce_jax.plots.strips import UNLIKE, Tile, draw_strip
from loce_jax.study.results.step_result import Outcome
from loce_jax.study.selection.layer_analysis import Subject

_ROWS, _COLUMNS = 3, 8


def study_suspects(subject: Subject) -> Outcome:
    """Suspects, what their neighbors suggest, and how many there would be by chance."""
    cloud, options = subject.cloud, subject.options.suspects
    found = find_label_errors(
        cloud.vectors, cloud.labels, options.k, groups=cloud.images, share=options.share, seed=subject.seed
    )
    rows = tuple(
        (int(cloud.rows[place]), str(cloud.images[place]), str(cloud.labels[place]), str(suggestion), float(share))
        for place, suggestion, share in zip(found.rows, found.suggestions, found.shares, strict=True)
    )
    table = Table("Label suspects", ("row", "image", "concept", "neighbors say", "share"), rows, 2)
    metrics = {"suspects": len(rows), "expected_by_chance": found.expected, "of": len(cloud.rows)}
    figures = {"suspects": _draw(subject, rows)} if rows else {}
    return Outcome(metrics, {"suspects": table}, figures, short=tuple(metrics))


def _draw(subject, rows):
    shown = rows[: _ROWS * _COLUMNS]
    tiles = subject.photos.tiles(row for row, *_ in shown)
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
