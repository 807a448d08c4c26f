"""The nearest other embeddings of each embedding.

Shapes: n embeddings, c channels, k neighbors.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.distance import cdist

from loce_jax.analysis.vectors import check_vectors
from loce_jax.checks import InputError, check_known, check_shape

METRICS = ("cosine", "euclidean")

_FEW = 2000  # vectors up to which all distances are there before JAX would have compiled
_SPARE = 16  # candidates more than neighbors, so that rounding seldom leaves a row open
_MAX_DISTANCES = 1 << 22  # distances held at a time: 32 MB


@dataclass(frozen=True)
class Neighbors:
    """What `nearest_neighbors` found; row i belongs to vector i, nearest first.

    Attributes:
        indices: rows of the vectors; -1 where there are no more.
        distances: ascending; infinite where there are no more.
    """

    indices: Int[np.ndarray, "n k"]
    distances: Float[np.ndarray, "n k"]


def nearest_neighbors(
    vectors: Float[np.ndarray, "n c"],
    k: int,
    *,
    metric: str = "cosine",
    groups: Sequence | np.ndarray | None = None,
) -> Neighbors:
    """The `k` nearest other vectors of each vector, by exact float64 distances; of equal ones the first come first.

    A vector is never its own neighbor, even where others equal it.  The cosine distance is ``1 - cos``, from 0 to 2,
    computed as half the squared distance of the unit vectors, which is the same number and exactly 0 between copies;
    a vector of zeros, which has no direction, is at distance 1 from all.

    From some thousand vectors on, float32 bounds (`loce_jax.analysis.neighbors.blocked`) choose a few more candidates
    than `k`; a row whose neighbors they cannot prove to be among them is searched whole.  Time grows with n squared,
    memory with n times (c + k).

    Args:
        vectors: finite.
        k: at least 1.
        metric: "cosine" or "euclidean".
        groups: one value per vector; vectors of the same group (such as the same image) are no neighbors.

    >>> found = nearest_neighbors(np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0]]), 2)
    >>> found.indices.tolist(), found.distances.tolist()
    ([[2, 1], [0, 2], [0, 1]], [[0.0, 1.0], [1.0, 1.0], [0.0, 1.0]])
    """
    check_vectors(vectors)
    check_known("metric", [metric], METRICS)
    if k < 1:
        raise InputError(f"`k` must be at least 1, the number of neighbors, but got {k}. Ask for 1 or more.")
    if groups is None:
        groups = np.arange(len(vectors))
    check_shape("groups", np.asarray(groups), (len(vectors),), meaning="one per vector", fix="")
    groups = np.unique(groups, return_inverse=True)[1]
    points = prepare_points(vectors, metric)
    if len(points) <= _FEW:
        return _search(points, np.arange(len(points)), groups, k, metric)
    found, open_rows = _choose(points, groups, k, metric)
    searched = _search(points, open_rows, groups, k, metric)
    found.indices[open_rows], found.distances[open_rows] = searched.indices, searched.distances
    return found


def prepare_points(vectors: Float[np.ndarray, "n c"], metric: str) -> Float[np.ndarray, "n c"]:
    """What `measure_distances` compares: the vectors in float64, for the cosine distance of length 1 (or 0)."""
    points = vectors.astype(np.float64)
    if metric == "euclidean":
        return points
    points /= np.maximum(np.abs(points).max(axis=1, initial=0, keepdims=True), np.finfo(float).tiny)  # no overflow
    lengths = np.linalg.norm(points, axis=1, keepdims=True)
    return np.divide(points, lengths, out=points, where=lengths > 0)


def measure_distances(
    points: Float[np.ndarray, "n c"], others: Float[np.ndarray, "m c"], metric: str
) -> Float[np.ndarray, "n m"]:
    """Distances between prepared points, each a function of its two vectors alone: copies are exactly equally far."""
    if metric == "euclidean":
        return np.sqrt(cdist(points, others, "sqeuclidean"))
    distances = np.ones((len(points), len(others)))
    there = points.any(axis=1)
    distances[there] = cdist(points[there], others, "sqeuclidean") / 2
    distances[:, ~others.any(axis=1)] = 1
    return distances


def _search(points, rows, groups, k, metric):
    """The neighbors of some rows, compared with all vectors."""
    n = len(points)
    indices, nearest = np.full((len(rows), k), -1), np.full((len(rows), k), np.inf)
    step = max(1, _MAX_DISTANCES // max(n, 1))
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        distances = measure_distances(points[some], points, metric)
        distances[groups[some, None] == groups] = np.inf
        limits = np.partition(distances, min(k, n) - 1, axis=1)[:, min(k, n) - 1]
        for i, (row, limit) in enumerate(zip(distances, limits, strict=True), start):
            near = np.flatnonzero((row <= limit) & np.isfinite(row))
            near = near[np.argsort(row[near], kind="stable")[:k]]
            indices[i, : len(near)], nearest[i, : len(near)] = near, row[near]
    return Neighbors(indices, nearest)


def _choose(points, groups, k, metric):
    """The neighbors of every row among its candidates, and the rows where another vector could be nearer."""
    from loce_jax.analysis.neighbors.blocked import candidates  # noqa: PLC0415  # JAX

    if metric == "euclidean":
        centered = points - points.mean(axis=0)
        indices, limits = candidates(centered, np.einsum("nc,nc->n", centered, centered), groups, k + _SPARE)
    else:  # a vector of zeros counts as long as the others, and so is at squared distance 2 from all
        indices, limits = candidates(points, np.ones(len(points)), groups, k + _SPARE)
    indices = np.sort(indices, axis=1)
    distances = _measure_rows(points, indices, metric)
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    indices, distances = (np.take_along_axis(each, order, axis=1) for each in (indices, distances))
    screened = distances[:, -1] ** 2 if metric == "euclidean" else 2 * distances[:, -1]
    open_rows = np.flatnonzero((screened >= limits) & np.isfinite(limits))
    return Neighbors(indices, distances), open_rows


def _measure_rows(points, indices, metric):
    """Distances of each point to those of its own list; infinite at -1."""
    distances = np.empty(indices.shape)

    def measure(start):
        for row in range(start, min(start + 1000, len(points))):
            distances[row] = cdist(points[row : row + 1], points[indices[row]], "sqeuclidean")[0]

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(measure, range(0, len(points), 1000)))
    if metric == "euclidean":
        distances = np.sqrt(distances)
    else:
        zero = ~points.any(axis=1)
        distances = np.where(zero[:, None] | zero[indices], 1.0, distances / 2)
    distances[indices < 0] = np.inf
    return distances
