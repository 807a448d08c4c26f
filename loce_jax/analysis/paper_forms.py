"""What the released code of the LoCE paper computes otherwise, kept to reproduce its numbers: nothing here is advised.

`paper=True` of a function of `loce_jax.analysis` takes its deviation from here.  Source of all: Mikriukov et al.,
"Local Concept Embeddings", IJCV 2025, released code.
Shapes: n embeddings or points, m of them chosen, k concepts or components, c channels or coordinates.
"""

import random
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from loce_jax.analysis.metrics.iou_summary import Summary
from loce_jax.analysis.neighbors.interclass import InterclassDistances
from loce_jax.checks import check_shape

_ABBREVIATIONS = {
    "conv_encoder": "ce",
    "encoder_layer_": "el",
    "input_projection": "ip",
    "backbone": "b",
    "features": "f",
    "encoder": "e",
    "layers": "ls",
    "layer": "l",
    "model": "m",
    "conv": "c",
}


def paper_overlap(interclass: InterclassDistances) -> Float[np.ndarray, "k k"]:
    """Overlap ratios in which a concept of one vector overlaps every other concept completely.

    Such a vector has no other vector of its own concept, so that the ratio is undefined: NaN without ``paper=True``.

    >>> from loce_jax.analysis.neighbors.interclass import interclass_distances
    >>> paper_overlap(interclass_distances(np.array([[0.0], [7.0], [8.0]]), ["cat", "dog", "dog"])).tolist()
    [[0.0, 1.0], [0.0, 0.0]]
    """
    return interclass.overlap_counts / interclass.counts[:, None]


def paper_outlier_scores(distance_sums: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Sums of the cosine distances, not divided by the number of others: they grow with the size of the concept.

    >>> paper_outlier_scores(np.array([3.0])).tolist()
    [3.0]
    """
    return distance_sums


def paper_min_points(coordinates: int) -> int:
    """Fewest distinct points a component: half of what a full covariance takes, so that components may collapse.

    >>> paper_min_points(2)
    3
    """
    return coordinates + 1


def paper_weights(weights: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """Weights of the kept components, not scaled to sum 1: a concept that lost some is less dense everywhere.

    >>> paper_weights(np.array([0.5, 0.2])).tolist()
    [0.5, 0.2]
    """
    return weights


def paper_likeliest(log_densities: Float[np.ndarray, "n k"]) -> Int[np.ndarray, " n"]:
    """Component of the highest density at each point, its weight left out, as the map without labels is colored.

    >>> paper_likeliest(np.array([[-1.0, -3.0]])).tolist()
    [0]
    """
    return log_densities.argmax(axis=1)


def paper_queries(vectors: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "n c"]:
    """Queries of `CentroidClassifier` at their own lengths, whereas the centroids are of vectors scaled to length 1.

    A long query is then equally far from every centroid, and layers count by their lengths on one side only.

    >>> paper_queries(np.array([[3.0, 4.0]])).tolist()
    [[3.0, 4.0]]
    """
    return vectors


def paper_iou_extremes(rows: Sequence[Summary]) -> tuple[float, float]:
    """The "min" and "max" IoU over several concepts: averages of the concepts' own.

    The concepts' minima, and their maxima, are averaged with their numbers of LoCEs as weights, so the result is
    neither the lowest nor the highest IoU; those are in the last row of `summarize_iou`.  NaN without any LoCE.

    >>> from loce_jax.analysis.metrics.iou_summary import summarize_iou
    >>> rows = summarize_iou(np.array([0.2, 0.4, 0.8]), ["ok"] * 3, ["cat", "dog", "dog"])
    >>> [round(value, 3) for value in paper_iou_extremes(rows[:-1])], rows[-1].min_iou, rows[-1].max_iou
    ([0.333, 0.6], 0.2, 0.8)
    """
    there = [row for row in rows if np.isfinite(row.mean_iou)]
    if not there:
        return np.nan, np.nan
    low, high = np.average([(row.min_iou, row.max_iou) for row in there], axis=0, weights=[row.loces for row in there])
    return float(low), float(high)


def paper_order(
    names: Sequence[str], labels: Sequence | np.ndarray, seed: int | None, *, loads: int = 1
) -> Int[np.ndarray, " n"]:
    """Rows in the order in which the loader gave them at its `loads`-th load: concept by concept.

    Its files ``{label}_{name up to the first dot}.pkl`` are sorted as text; each load shuffles that one list once
    more with Python's generator.  So a second load with the same seed, as for another layer, gives another order,
    and the first 100 of a concept are then other embeddings: compare layers on the rows of `subsample` instead.
    Without a seed nothing is shuffled.

    >>> paper_order(["b.jpg", "a.jpg", "c.jpg"], [3, 3, 17], None).tolist()
    [1, 0, 2]
    """
    labels = np.asarray(labels)
    check_shape("labels", labels, (len(names),), meaning="one per name", fix="")
    files = [f"{label}_{name.partition('.')[0]}.pkl" for label, name in zip(labels.tolist(), names, strict=True)]
    order = sorted(range(len(files)), key=files.__getitem__)
    if seed is not None:
        generator = random.Random(seed)
        for _ in range(loads):
            generator.shuffle(order)
    rows = np.array(order, int)
    return rows[np.argsort(labels[rows], kind="stable")]


def paper_split(
    labels: Sequence | np.ndarray, rows: Int[np.ndarray, " m"], *, share: float = 0.8
) -> tuple[Int[np.ndarray, " train"], Int[np.ndarray, " test"]]:
    """Train and test rows: the first ``int(share * count)`` of each concept's `rows`, and the others.

    >>> train, test = paper_split(["cat"] * 5 + ["dog"] * 2, np.arange(7))
    >>> train.tolist(), test.tolist()
    ([0, 1, 2, 3, 5], [4, 6])
    """
    mine = np.asarray(labels)[rows]
    train = np.zeros(len(rows), bool)
    for concept in np.unique(mine):
        members = np.flatnonzero(mine == concept)
        train[members[: int(share * len(members))]] = True
    return rows[train], rows[~train]


def paper_short_name(name: str) -> str:
    """A layer's short name in the figures of the paper.

    Its rules are for the networks of the paper only, and two layers may get one name.

    >>> paper_short_name("model.backbone.conv_encoder.model.layer3"), paper_short_name("conv_proj")
    ('m.b.ce.m.l3', 'c_proj')
    """
    for word, letters in _ABBREVIATIONS.items():
        name = name.replace(word, letters)
    return name
