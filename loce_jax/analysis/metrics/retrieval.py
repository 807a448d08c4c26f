"""Retrieval: the order of all others by distance, and the precision of the nearest for the query's own concept.

Shapes: n embeddings, c channels, k concepts, q cut-offs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from loce_jax.analysis.neighbors.nearest import METRICS, measure_distances, nearest_neighbors, prepare_points
from loce_jax.analysis.vectors import check_labeled_vectors, check_vectors
from loce_jax.checks import InputError, check_known, check_shape


@dataclass(frozen=True)
class Ranking:
    """What `rank_by_distance` found: everything but the query, nearest first, farthest last.

    Attributes:
        indices: rows of the vectors; ``indices[:5]`` are the nearest five, ``indices[:-6:-1]`` the farthest.
        distances: ascending.
    """

    indices: Int[np.ndarray, " m"]
    distances: Float[np.ndarray, " m"]


def rank_by_distance(
    vectors: Float[np.ndarray, "n c"],
    query: int,
    *,
    metric: str = "cosine",
    groups: Sequence | np.ndarray | None = None,
) -> Ranking:
    """All other vectors by their distance from one of them, as defined by `nearest_neighbors`.

    The query is left out by its index, so that copies of it and vectors of zeros are ranked like any other.

    Args:
        vectors: finite.
        query: a row of the vectors.
        metric: "cosine" or "euclidean".
        groups: one value per vector; vectors of the query's image are left out.

    >>> result = rank_by_distance(np.array([[1.0, 0.0], [-1.0, 0.0], [1.0, 1.0], [3.0, 0.0]]), 0)
    >>> result.indices.tolist(), result.distances.round(3).tolist()
    ([3, 2, 1], [0.0, 0.293, 2.0])
    """
    check_vectors(vectors)
    check_known("metric", [metric], METRICS)
    if not 0 <= query < len(vectors):
        raise InputError(f"`query` must be a row of the {len(vectors)} vectors, counted from 0, but got {query}.")
    others = np.arange(len(vectors)) != query
    if groups is not None:
        groups = np.asarray(groups)
        check_shape("groups", groups, (len(vectors),), meaning="one per vector", fix="")
        others &= groups != groups[query]
    others = np.flatnonzero(others)
    points = prepare_points(vectors, metric)
    distances = measure_distances(points[[query]], points[others], metric)[0]
    order = np.argsort(distances, kind="stable")
    return Ranking(others[order], distances[order])


@dataclass(frozen=True)
class Scores:
    """One measure of retrieval; column j belongs to the j-th cut-off.

    Attributes:
        per_query: row i belongs to vector i; NaN where it is undefined.
        per_concept: means over a concept's queries; NaN where all are undefined.
        macro: mean over the concepts (the paper's way): each counts the same.
        pooled: mean over the queries: a concept counts as often as it occurs.
        pooled_std: standard deviation over the queries (divided by their number).
    """

    per_query: Float[np.ndarray, "n q"]
    per_concept: Float[np.ndarray, "k q"]
    macro: Float[np.ndarray, " q"]
    pooled: Float[np.ndarray, " q"]
    pooled_std: Float[np.ndarray, " q"]


@dataclass(frozen=True)
class Retrieval:
    """What `precision_at` found; all scores 0 to 1, higher is better.

    Attributes:
        concepts: the distinct labels, ascending.
        ks: the cut-offs, as given.
        precision: share of the k nearest that are relevant; the paper calls its mean mAP@k.
        average_precision: the mean of the precisions at the relevant ones among the k nearest.
    """

    concepts: tuple
    ks: tuple[int, ...]
    precision: Scores
    average_precision: Scores


def precision_at(
    vectors: Float[np.ndarray, "n c"],
    labels: Sequence | np.ndarray,
    ks: Sequence[int] = (1, 5, 10, 20, 30, 40),
    *,
    metric: str = "cosine",
    groups: Sequence | np.ndarray | None = None,
) -> Retrieval:
    """Precision and average precision of the k nearest neighbors with every vector as the query.

    With ``rel_r = 1`` where the r-th nearest other vector carries the query's label, ``m`` other vectors in all and
    ``R`` relevant ones among them:

        P@k = sum_{r <= k} rel_r / min(k, m),   AP@k = sum_{r <= k} rel_r P@r / min(k, R)

    P@k falls with k where k exceeds R, whatever the vectors; AP@k is 1 exactly if the first min(k, R) are relevant.
    P@k is NaN where m is 0.  AP@k is NaN where R is 0, and P@k is 0 there, as in the released code: compare the two.
    Distances and ties are those of `nearest_neighbors`; a query is never among its own neighbors.

    Args:
        vectors: finite.
        labels: one per vector.
        ks: cut-offs, at least 1 each.
        metric: "cosine" (the paper's) or "euclidean".
        groups: one value per vector; vectors of the query's own image are not among the ``m`` others.

    Sources: P@k: Mikriukov et al., "Local Concept Embeddings", IJCV 2025, retrieval ("mAP@k"); AP: Manning, Raghavan
    and Schuetze, "Introduction to Information Retrieval", 2008, section 8.4, cut off at k.

    >>> vectors = np.array([[1.0, 0.0], [1.0, 0.1], [1.0, 0.3], [0.0, 1.0]])
    >>> result = precision_at(vectors, ["cat", "dog", "cat", "dog"], (1, 2))
    >>> result.precision.per_query.tolist(), result.average_precision.per_query.tolist()
    ([[0.0, 0.5], [0.0, 0.0], [0.0, 0.5], [0.0, 0.5]], [[0.0, 0.5], [0.0, 0.0], [0.0, 0.5], [0.0, 0.5]])
    """
    labels = check_labeled_vectors(vectors, labels)
    ks = tuple(int(k) for k in ks)
    if not ks or min(ks) < 1:
        raise InputError(f"`ks` must be cut-offs of at least 1, the ranks to look at, but got {ks}. Try (1, 5, 10).")
    groups = np.arange(len(labels)) if groups is None else np.asarray(groups)
    check_shape("groups", groups, (len(labels),), meaning="one per vector", fix="")
    concepts, codes = np.unique(labels, return_inverse=True)
    found = nearest_neighbors(vectors, max(ks), metric=metric, groups=groups)
    others, possible = _count_others(codes, groups)
    relevant = (codes[found.indices] == codes[:, None]) & (found.indices >= 0)
    hits = relevant.cumsum(axis=1)
    precisions = (hits / np.arange(1, max(ks) + 1) * relevant).cumsum(axis=1)
    columns, cutoffs = np.array(ks) - 1, np.array(ks)
    with np.errstate(invalid="ignore"):
        precision = hits[:, columns] / np.minimum(cutoffs, others[:, None])
        average = precisions[:, columns] / np.minimum(cutoffs, possible[:, None])
    return Retrieval(tuple(concepts.tolist()), ks, _score(precision, codes), _score(average, codes))


def _count_others(codes, groups):
    """How many vectors of other groups each vector can retrieve, and how many of them carry its label."""
    _, groups, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    _, pairs, together = np.unique(np.stack([codes, groups]), axis=1, return_inverse=True, return_counts=True)
    return len(codes) - sizes[groups], np.bincount(codes)[codes] - together[pairs]


def _score(per_query, codes):
    of_concept = [_mean(per_query[codes == code]) for code in range(codes.max(initial=-1) + 1)]
    per_concept = np.array(of_concept).reshape(-1, per_query.shape[1])
    pooled = _mean(per_query)
    return Scores(per_query, per_concept, _mean(per_concept), pooled, np.sqrt(_mean((per_query - pooled) ** 2)))


def _mean(values):
    """Column means of what is not NaN."""
    there = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(there, values, 0).sum(axis=0) / there.sum(axis=0)
