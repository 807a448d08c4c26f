"""The page's numbers: what the script in the page draws, as plain lists that JSON can hold.

The map, the separation and the rows are those of `loce_jax.study`.  A point is a row with a good LoCE at one layer at
least.  Shapes: n points.
"""

import base64
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from loce_jax.analysis.metrics import iou_summary as stats
from loce_jax.analysis.metrics.iou_summary import Summary, summarize_iou
from loce_jax.plots.examples import OPACITY
from loce_jax.plots.palette import PROJECTION, SEQUENTIAL, category_style, concept_styles
from loce_jax.report.images import Pair, Pictures
from loce_jax.study.selection.embeddings import load_embeddings
from loce_jax.study.selection.layer_analysis import LayerAnalysis
from loce_jax.study.selection.photos import Photos
from loce_jax.study.selection.rows import good_rows, rows_of_any_layer
from loce_jax.study.selection.sources import RunLike

_OWN_COLUMNS = ("image", "image_id", "concept", "annotations", "area", "status", "reason", "iou", "loss")
_MAX_WORDS = 24  # distinct words of a column up to which each has a color and a marker
_MAX_THUMBS = 5000  # about 15 MB
_EACH_END = 4  # best and worst examples of a concept, at most
_MAX_EXAMPLES = 480  # of all concepts together, about 6 MB
_MAX_SEPARATED = 100  # concepts in the separation matrix
_MAX_CLOSEST = 8  # pairs of concepts listed beside it
_STEP = 16  # levels per unit of a packed response: at most 1/32 off, which moves the projection by 0.008


@dataclass(frozen=True)
class ChosenRows:
    """Rows of the table: `points` to map, of them `thumbs` with a thumbnail; by concept, examples `best`, `worst`."""

    points: list[int]
    thumbs: list[int]
    best: dict[str, list[int]]
    worst: dict[str, list[int]]

    @property
    def examples(self) -> list[int]:
        """Rows of all examples."""
        return [row for end in (self.best, self.worst) for rows in end.values() for row in rows]


def choose_rows(run: RunLike) -> ChosenRows:
    """Which rows the page shows.  Examples are ranked by IoU, averaged over the layers; no row stands at both ends.

    There are four at each end of a concept, fewer of more than 60 concepts, and of more than 240 one at each end of the
    240 concepts with the most LoCEs.
    """
    points = rows_of_any_layer(run)
    spread = np.linspace(0, len(points) - 1, min(len(points), _MAX_THUMBS)).astype(int)
    iou, concept = run.table["iou"], run.table["concept"]
    ranked = points[np.isfinite(iou[points])]
    ranked = ranked[np.argsort(-iou[ranked], kind="stable")]
    by_concept: dict[str, list[int]] = {name: [] for name in run.concepts}
    for row in ranked.tolist():
        by_concept[str(concept[row])].append(row)
    shown = most_common({name: len(rows) for name, rows in by_concept.items() if rows}, _MAX_EXAMPLES // 2)
    end = min(_EACH_END, max(1, _MAX_EXAMPLES // (2 * max(1, len(shown)))))
    best = {name: by_concept[name][:end] for name in shown}
    worst = {name: by_concept[name][end:][: -end - 1 : -1] for name in shown}
    return ChosenRows(points.tolist(), points[spread].tolist(), best, worst)


def most_common(counts: Mapping[str, int], most: int) -> list[str]:
    """The `most` names with the highest counts, in their own order.

    >>> most_common({"cat": 2, "dog": 5, "emu": 3}, 2)
    ['dog', 'emu']
    """
    chosen = set(sorted(counts, key=lambda name: -counts[name])[:most])
    return [name for name in counts if name in chosen]


def pairs_of(run: RunLike, rows: list[int]) -> set[Pair]:
    """(image, concept) of these rows."""
    return {(str(run.table["image"][row]), str(run.table["concept"][row])) for row in rows}


def summaries(run: RunLike, layer: str | None = None) -> tuple[Summary, ...]:
    """What `summarize_iou` finds at one layer, or in the run's own columns; concepts in the data set's order."""
    iou, status = (run.column(name, layer) if layer else run.table[name] for name in ("iou", "status"))
    *rows, overall = summarize_iou(iou, status, run.table["concept"])
    order = {name: index for index, name in enumerate(run.concepts)}
    return (*sorted(rows, key=lambda row: order[str(row.concept)]), overall)


def best_layer(overall: dict[str, Summary]) -> str:
    """The layer with the highest mean IoU; the last of equal ones, or where none has any."""
    return stats.best_layer({layer: [overall[layer]] for layer in reversed(overall)})


def page_data(run: RunLike, chosen: ChosenRows, pictures: Pictures, first: str) -> dict[str, Any]:
    """Everything the script draws.  `first` is the layer shown at first."""
    names = [str(name) for name in run.concepts]
    image, concept = run.table["image"], run.table["concept"]
    styles = concept_styles(names, map(str, concept))
    number_of = {name: number for number, name in enumerate(names)}
    keys = [(str(image[row]), str(concept[row])) for row in chosen.points]
    index_of = {row: point for point, row in enumerate(chosen.points)}
    sampled = set(chosen.thumbs)
    return {
        "concepts": names,
        "concept_styles": [styles[name] for name in names],
        "word_styles": [category_style(index) for index in range(_MAX_WORDS)],
        "ramp": SEQUENTIAL,
        "projection": PROJECTION,
        "opacity": OPACITY,
        "first": run.layers.index(first),
        "step": _STEP,
        "points": {
            "image": [key[0] for key in keys],
            "concept": [number_of[key[1]] for key in keys],
            "thumb": [
                pictures.thumbs.get(key) if row in sampled else None
                for key, row in zip(keys, chosen.points, strict=True)
            ],
        },
        "columns": _columns(run, chosen.points),
        "layers": [_layer(run, layer, chosen) for layer in run.layers],
        "examples": [
            {
                "concept": number_of[name],
                "best": [index_of[row] for row in chosen.best[name]],
                "worst": [index_of[row] for row in chosen.worst[name]],
            }
            for name in chosen.best
        ],
        "photos": {index_of[row]: pictures.examples.get(keys[index_of[row]]) for row in chosen.examples},
    }


def _columns(run, rows):
    """Columns that can color the map besides concept and IoU: numbers, or words of which there are few."""
    columns = []
    attributes = {name: values for name, values in run.table.items() if name not in _OWN_COLUMNS}
    for name, column in {"mask area": run.table["area"], **attributes}.items():
        values = column[rows]
        if values.dtype.kind in "fiu" and np.isfinite(values).any():
            columns.append({"name": name, "values": _numbers(values, 4)})
        elif values.dtype.kind in "UOb" and 0 < len(words := sorted({str(value) for value in values})) <= _MAX_WORDS:
            columns.append({"name": name, "words": words, "values": [words.index(str(value)) for value in values]})
    return columns


def _layer(run, layer, chosen):
    """One layer's map, IoUs, separation matrix and the examples' responses."""
    coordinates = np.full((len(chosen.points), 2), np.nan)
    method, separated, matrix, closest = "", [], [], []
    good = good_rows(run, [layer])
    if len(good):
        analysis = LayerAnalysis(run, load_embeddings(run, [layer]), Photos(run, None))
        method = analysis.map.method
        coordinates[np.searchsorted(chosen.points, analysis.embeddings.rows)] = _centered(analysis.map.points)
        place = {str(concept): index for index, concept in enumerate(analysis.separation.concepts)}
        number_of = {str(name): number for number, name in enumerate(run.concepts)}
        closest = _closest(analysis.separation.matrix, place, number_of)
        counts = Counter(analysis.embeddings.labels.tolist())
        shown = most_common({name: counts[name] for name in number_of if name in place}, _MAX_SEPARATED)
        separated, order = [number_of[name] for name in shown], [place[name] for name in shown]
        matrix = [_numbers(row, 4) for row in analysis.separation.matrix[np.ix_(order, order)]]
    responses = run.responses(layer)
    index_of, at_this_layer = {row: point for point, row in enumerate(chosen.points)}, set(good.tolist())
    return {
        "name": layer,
        "method": method,
        "x": _numbers(coordinates[:, 0], 4),
        "y": _numbers(coordinates[:, 1], 4),
        "iou": _numbers(run.column("iou", layer)[chosen.points], 4),
        "separated": separated,
        "separation": matrix,
        "closest": closest,
        "grid": responses.shape[1:],
        "responses": {index_of[row]: _pack(responses[row]) for row in chosen.examples if row in at_this_layer},
    }


def _closest(matrix, place, number_of):
    """The pairs of concepts that are least separated: value and numbers of both."""
    names = [name for name in number_of if name in place]
    order = [place[name] for name in names]
    i, j = np.tril_indices(len(order), -1)
    values = np.round(matrix[np.ix_(order, order)][i, j], 4)
    first = np.argsort(values, kind="stable")[:_MAX_CLOSEST]
    return [[float(values[pair]), number_of[names[j[pair]]], number_of[names[i[pair]]]] for pair in first]


def _centered(points):
    """Coordinates from -1 to 1 along the longer side, with the map's middle at 0."""
    low, high = points.min(axis=0), points.max(axis=0)
    return (points - (low + high) / 2) / (max((high - low).max(), 1e-9) / 2)


def _pack(response):
    """A response as base64 of signed bytes, 1/16 each; cut at +-7.9, where the projection is 0.0004 from 0 or 1."""
    levels = np.clip(np.round(_STEP * response.astype(np.float32)), -127, 127)
    return base64.b64encode(levels.astype(np.int8).tobytes()).decode()


def _numbers(values, digits):
    """A list for JSON, which has no NaN: rounded, None where not finite."""
    return [round(float(value), digits) if np.isfinite(value) else None for value in values]
