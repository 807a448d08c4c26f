"""Least and greatest distances between the embeddings of every two concepts, exact for any number of embeddings.

Letters: n embeddings, c channels, k concepts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.distance import cdist

from loce_jax.analysis.vectors import check_labeled_vectors

_FEW = 2000  # vectors up to which all distances fit into 32 MB, and are there before JAX would have compiled
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
    memory with n times k.  Many vectors whose nearest ones are equally far, such as copies of each other, cost more.

    >>> found = interclass_distances(np.array([[0.0], [1.0], [3.0], [5.0]]), ["cat", "cat", "dog", "dog"])
    >>> found.nearest.tolist(), found.farthest.tolist()
    ([[1.0, 2.0], [2.0, 2.0]], [[1.0, 5.0], [5.0, 2.0]])
    """
    labels = check_labeled_vectors(vectors, labels)
    concepts, codes = np.unique(labels, return_inverse=True)
    counts = np.bincount(codes, minlength=len(concepts))
    points = vectors.astype(np.float64)
    found = (_from_all_distances if len(points) <= _FEW else _from_bounds)(points, codes, counts)
    return InterclassDistances(tuple(concepts.tolist()), counts, *found)


def _from_all_distances(points, codes, counts):
    """All distances at once, in memory of n squared."""
    distances = cdist(points, points)
    order, starts = np.argsort(codes, kind="stable"), np.cumsum(counts) - counts
    by_concept = distances[:, order]
    to_farthest = np.maximum.reduceat(by_concept, starts, axis=1) if len(counts) else by_concept
    np.fill_diagonal(distances, np.inf)
    by_concept = distances[:, order]
    to_nearest = np.minimum.reduceat(by_concept, starts, axis=1) if len(counts) else by_concept
    nearest, farthest = np.full((2, len(counts), len(counts)), np.inf)
    np.minimum.at(nearest, codes, to_nearest)
    np.maximum.at(farthest := np.zeros_like(farthest), codes, to_farthest)
    overlap_counts = np.zeros(nearest.shape, int)
    np.add.at(overlap_counts, codes, to_nearest < to_nearest[np.arange(len(codes)), codes, None])
    return nearest, farthest, overlap_counts


def _from_bounds(points, codes, counts):
    """Float64 distances of the pairs that the bounds do not decide."""
    from loce_jax.analysis.neighbors.blocked import concept_bounds  # noqa: PLC0415  # JAX

    order = np.argsort(codes, kind="stable")
    points, codes = points[order], codes[order]
    bounds = concept_bounds(points - points.mean(axis=0), codes)
    ends = np.cumsum(counts)
    spans = [slice(end - count, end) for end, count in zip(ends, counts, strict=True)]

    def measure(rows, concept):
        """Distances of each row to the nearest other and to the farthest vector of a concept."""
        both = np.empty((2, len(rows)))
        for i in range(0, len(rows), _ROWS):
            some = rows[i : i + _ROWS]
            distances = cdist(points[some], points[spans[concept]])
            both[1, i : i + _ROWS] = distances.max(axis=1)
            inside = np.flatnonzero(codes[some] == concept)
            distances[inside, some[inside] - spans[concept].start] = np.inf
            both[0, i : i + _ROWS] = distances.min(axis=1)
        return both

    nearest, farthest = np.full((len(counts), len(counts)), np.inf), np.zeros((len(counts), len(counts)))
    for i, span in enumerate(spans):
        rows = np.arange(span.start, span.stop)
        for j in range(i + 1):
            low, high = (bounds.nearest - bounds.error_bound)[span, j], (bounds.farthest + bounds.error_bound)[span, j]
            near = measure(rows[[low.argmin()]], j)[0].min()
            near = measure(rows[low <= near**2], j)[0].min(initial=near)
            far = measure(rows[[high.argmax()]], j)[1].max()
            far = measure(rows[high >= far**2], j)[1].max(initial=far)
            nearest[i, j], nearest[j, i], farthest[i, j], farthest[j, i] = near, near, far, far

    # A row whose intervals for the other and for its own concept do not meet is decided.
    own = bounds.nearest[np.arange(len(codes)), codes, None]
    own_error = bounds.error_bound[np.arange(len(codes)), codes, None]
    surely = bounds.nearest + bounds.error_bound < own - own_error
    perhaps = (bounds.nearest - bounds.error_bound < own + own_error) & ~surely
    perhaps[np.arange(len(codes)), codes] = False
    overlap_counts = np.zeros(nearest.shape, int)
    np.add.at(overlap_counts, codes, surely.astype(int))
    for i, span in enumerate(spans):
        open_rows = span.start + np.flatnonzero(perhaps[span].any(axis=1))
        to_own = measure(open_rows, i)[0]
        for j in np.flatnonzero(perhaps[span].any(axis=0)):
            mine = perhaps[open_rows, j]
            overlap_counts[i, j] += (measure(open_rows[mine], j)[0] < to_own[mine]).sum()
    return nearest, farthest, overlap_counts
