"""Which embeddings lie nearest to each?

Letters: n embeddings, c channels, k neighbours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.distance import cdist

from loce_jax.analysis.cloud import check_vectors
from loce_jax.checks import check_known, check_shape

METRICS = ("cosine", "euclidean")


@dataclass(frozen=True)
class Neighbours:
    """What `nearest_neighbours` found; row i belongs to vector i, nearest first.

    Attributes:
        indices: rows of the vectors; -1 where there are no more.
        distances: ascending; infinite where there are no more.
    """

    indices: Int[np.ndarray, "n k"]
    distances: Float[np.ndarray, "n k"]


def nearest_neighbours(
    vectors: Float[np.ndarray, "n c"],
    k: int,
    *,
    metric: str = "cosine",
    groups: Sequence | np.ndarray | None = None,
) -> Neighbours:
    """The `k` nearest other vectors of each vector, by exact float64 distances; of equal ones the first come first.

    A vector is never its own neighbour, even where others equal it.  The cosine distance is ``1 - cos``, from 0 to 2;
    a vector of zeros, which has no direction, is at distance 1 from all.

    Args:
        vectors: finite.
        k: at least 1.
        metric: "cosine" or "euclidean".
        groups: one value a vector; vectors of the same group (such as the same image) are no neighbours.

    >>> found = nearest_neighbours(np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0]]), 2)
    >>> found.indices.tolist(), found.distances.tolist()
    ([[2, 1], [0, 2], [0, 1]], [[0.0, 1.0], [1.0, 1.0], [0.0, 1.0]])
    """
    check_vectors(vectors)
    check_known("metric", [metric], METRICS)
    groups = np.arange(len(vectors)) if groups is None else np.asarray(groups)
    check_shape("groups", groups, (len(vectors),), meaning="one per vector", fix="")
    points = vectors.astype(np.float64)
    if metric == "cosine":
        lengths = np.linalg.norm(points, axis=1, keepdims=True)
        points = np.divide(points, lengths, out=np.zeros_like(points), where=lengths > 0)
    distances = cdist(points, points) if metric == "euclidean" else 1 - points @ points.T
    distances[groups[:, None] == groups] = np.inf
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    nearest = np.take_along_axis(distances, order, axis=1)
    indices, nearest = np.where(np.isfinite(nearest), order, -1), np.maximum(nearest, 0)
    missing = max(0, k - len(vectors))
    return Neighbours(
        np.pad(indices, ((0, 0), (0, missing)), constant_values=-1),
        np.pad(nearest, ((0, 0), (0, missing)), constant_values=np.inf),
    )
