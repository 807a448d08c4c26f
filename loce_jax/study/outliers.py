"""The strangest LoCEs of each concept, with their photographs."""

from matplotlib.figure import Figure

from loce_jax.analysis.outliers import find_outliers
from loce_jax.analysis.tables import Table
from loce_jax.plots.strips import Tile, draw_strip
from loce_jax.study.outcome import Outcome
from loce_jax.study.subject import Subject


def study_outliers(subject: Subject) -> Outcome:
    """The most abnormal first."""
    cloud, options = subject.cloud, subject.options.outliers
    found = find_outliers(cloud.vectors, cloud.labels, options.method, seed=subject.seed)
    strangest = {
        concept: ranking[: options.shown] for concept, ranking in zip(found.concepts, found.rankings, strict=True)
    }
    rows = tuple(
        (concept, int(cloud.rows[place]), str(cloud.images[place]), float(found.scores[place]), float(cloud.iou[place]))
        for concept in cloud.concepts
        for place in strangest[concept]
    )
    table = Table("Strangest LoCEs", ("concept", "row", "image", options.method, "IoU"), rows)
    drawn = cloud.shown
    tiles = subject.photos.tiles(row for concept, row, *_ in rows if concept in drawn)
    figure = Figure(figsize=(1.35 * options.shown + 0.6, 1.6 * len(drawn)), layout="constrained")
    grid = figure.subplots(len(drawn), options.shown, squeeze=False)
    for axes, concept in zip(grid, drawn, strict=True):
        mine = [row for row in rows if row[0] == concept]
        draw_strip(
            list(axes), [Tile(tiles.get(row[1]), f"{row[3]:.2f}  IoU {row[4]:.2f}") for row in mine], title=concept
        )
    listed = {concept: [row[1:] for row in rows if row[0] == concept] for concept in cloud.concepts}
    return Outcome({"method": options.method, "strangest": listed}, {"outliers": table}, {"outliers": figure})
