"""Least and greatest distances between the embeddings of every two concepts, exact for any number of embeddings.

Shapes: n embeddings, c channels, k concepts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.distance import cdist

from loce_jax.analysis.vectors import check_labeled_vectors

_FEW = 2000  # vectors up to which all distances fit into 32 MB, and are there before JAX would have compiled
_AT_ONCE = 2000  # rows whose distances to all are held at a time
_SMALL = 4  # vectors of a concept, on average, below which bounds, made in blocks of one concept, cost more
_ROWS = 256  # rows measured at a time


@dataclass(frozen=True)
class InterclassDistances:
    """What `interclass_distances` found; Euclidean distances between raw vectors.

    Attributes:
        concepts: the distinct labels, ascending; they name the rows and the columns.
        counts: vectors of each concept.
        nearest: least distance between a vector of one and another vector of the other; infinite where there is none.
        farthest: greatest distance between a vector of one and a vector of the other.
        overlap_counts: number of vectors of the row's concept that have a vector of the column's strictly nearer than
            any other vector of their own concept; 0 on the diagonal.
    """

    concepts: tuple
    counts: Int[np.ndarray, " k"]
    nearest: Float[np.ndarray, "k k"]
    farthest: Float[np.ndarray, "k k"]
    overlap_counts: Int[np.ndarray, "k k"]


def interclass_distances(vectors: Float[np.ndarray, "n c"], labels: Sequence | np.ndarray) -> InterclassDistances:
    """What separation and overlap need of the distances between concepts, in one pass over all pairs of vectors.

    The distances are float64 and those of the plain definition.  From some thousand vectors on, float32 bounds on all
    of them (`loce_jax.analysis.neighbors.blocked`) leave few to be computed in float64.  Time grows with n squared,
    whatever the number of concepts, memory with n times k.  Many vectors whose nearest ones are equally far, such as
    copies of each other, cost more.

    >>> found = interclass_distances(np.array([[0.0], [1.0], [3.0], [5.0]]), ["cat", "cat", "dog", "dog"])
    >>> found.nearest.tolist(), found.farthest.tolist()
    ([[1.0, 2.0], [2.0, 2.0]], [[1.0, 5.0], [5.0, 2.0]])
    """
    labels = check_labeled_vectors(vectors, labels)
    concepts, codes = np.unique(labels, return_inverse=True)
    counts = np.bincount(codes, minlength=len(concepts))
    points = vectors.astype(np.float64)
    all_at_once = len(points) <= _FEW or len(points) < _SMALL * len(counts)
    found = (_from_all_distances if all_at_once else _from_bounds)(points, codes, counts)
    return InterclassDistances(tuple(concepts.tolist()), counts, *found)


def _from_all_distances(points, codes, counts):
    """All distances, a few thousand rows at a time."""
    order, starts = np.argsort(codes, kind="stable"), np.cumsum(counts) - counts
    points, codes = points[order], codes[order]
    nearest, farthest = np.full((len(counts), len(counts)), np.inf), np.zeros((len(counts), len(counts)))
    overlap_counts = np.zeros(nearest.shape, int)
    for first in range(0, len(points), _AT_ONCE):
        rows = np.arange(first, min(first + _AT_ONCE, len(points)))
        distances, here = cdist(points[rows], points), codes[rows]
        np.maximum.at(farthest, here, np.maximum.reduceat(distances, starts, axis=1))
        distances[np.arange(len(rows)), rows] = np.inf
        to_nearest = np.minimum.reduceat(distances, starts, axis=1)
        np.minimum.at(nearest, here, to_nearest)
        np.add.at(overlap_counts, here, to_nearest < to_nearest[np.arange(len(rows)), here, None])
    return nearest, farthest, overlap_counts


def _from_bounds(points, codes, counts):
    """Float64 distances of the pairs that the bounds do not decide, concept by concept."""
    from loce_jax.analysis.neighbors.blocked import concept_bounds  # noqa: PLC0415  # JAX

    order = np.argsort(codes, kind="stable")
    points, codes = points[order], codes[order]
    bounds = concept_bounds(points - points.mean(axis=0), codes)
    starts = np.cumsum(counts) - counts
    near_low, near_high = bounds.nearest - bounds.error_bound, bounds.nearest + bounds.error_bound
    far_low, far_high = bounds.farthest - bounds.error_bound, bounds.farthest + bounds.error_bound
    # A row can hold the extreme of two concepts if its interval reaches that of the row whose extreme is surest.
    lower = codes[:, None] >= np.arange(len(counts))  # each two concepts once
    near_open = lower & (near_low <= np.minimum.reduceat(near_high, starts, axis=0)[codes])
    far_open = lower & (far_high >= np.maximum.reduceat(far_low, starts, axis=0)[codes])
    # A row whose intervals for the other and for its own concept do not meet is decided.
    every = np.arange(len(codes))
    surely = near_high < near_low[every, codes, None]
    perhaps = (near_low < near_high[every, codes, None]) & ~surely
    perhaps[every, codes] = False
    undecided = perhaps.any(axis=1)
    overlap_counts = np.zeros((len(counts), len(counts)), int)
    np.add.at(overlap_counts, codes, surely.astype(int))

    nearest, farthest = np.full((len(counts), len(counts)), np.inf), np.zeros((len(counts), len(counts)))
    to_own, compared = np.full(len(codes), np.inf), []
    for concept, (start, count) in enumerate(zip(starts.tolist(), counts.tolist(), strict=True)):
        of_concept = undecided & (codes == concept)
        rows = np.flatnonzero(near_open[:, concept] | far_open[:, concept] | perhaps[:, concept] | of_concept)
        near, far = _measure(points, rows, slice(start, start + count))
        np.minimum.at(nearest[:, concept], codes[rows], near)
        np.maximum.at(farthest[:, concept], codes[rows], far)
        mine = codes[rows] == concept
        to_own[rows[mine]] = near[mine]
        asked = perhaps[rows, concept]
        compared.append((rows[asked], np.full(asked.sum(), concept), near[asked]))
    rows, concepts, near = map(np.concatenate, zip(*compared, strict=True))
    np.add.at(overlap_counts, (codes[rows], concepts), near < to_own[rows])
    return np.minimum(nearest, nearest.T), np.maximum(farthest, farthest.T), overlap_counts


def _measure(points, rows, span):
    """Distances of each row to the nearest other and to the farthest vector of those in `span`."""
    near, far = np.empty((2, len(rows)))
    for i in range(0, len(rows), _ROWS):
        some = rows[i : i + _ROWS]
        distances = cdist(points[some], points[span])
        far[i : i + _ROWS] = distances.max(axis=1)
        inside = np.flatnonzero((some >= span.start) & (some < span.stop))
        distances[inside, some[inside] - span.start] = np.inf
        near[i : i + _ROWS] = distances.min(axis=1)
    return near, far
