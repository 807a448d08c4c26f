"""How far apart are two concepts' embeddings?  Distances between the two clouds, pair by pair.

Letters: n embeddings, c channels, k concepts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import cdist

from loce_jax.analysis.cloud import check_cloud

_BLOCK = 2048  # rows per distance block: 2048 x 2048 distances are 32 MB


@dataclass(frozen=True)
class Separation:
    """What `pairwise_separation` found.

    Attributes:
        concepts: the distinct labels, ascending; they name the rows and the columns of `matrix`.
        matrix: symmetric, 0 on the diagonal, from 0 (the clouds touch) to below 1 (far apart for their size).
    """

    concepts: tuple
    matrix: Float[np.ndarray, "k k"]


def pairwise_separation(vectors: Float[np.ndarray, "n c"], labels: Sequence | np.ndarray) -> Separation:
    """Gap between every two concepts, relative to the size of the two together.

    With Euclidean distances ``d`` between the raw vectors of concepts ``i`` and ``j``:

        S_ij = min_{a in i, b in j} d(a, b) / (max_{a, b in i or j} d(a, b) + 1e-6)

    0 where two vectors coincide (also when all of them do), below 1 always; low means easily confused.  One pair
    decides the numerator and one pair the denominator, so two outliers can move a value: look at the map beside it.
    The 1e-6 keeps the division defined; but for it, a common scale, shift or rotation of all vectors changes nothing.

    Source: Mikriukov et al., "Local Concept Embeddings", IJCV 2025, pairwise concept separation.

    >>> result = pairwise_separation(np.array([[0.0], [1.0], [3.0], [5.0]]), ["cat", "cat", "dog", "dog"])
    >>> result.concepts, round(float(result.matrix[0, 1]), 3)
    (('cat', 'dog'), 0.4)
    """
    labels = check_cloud(vectors, labels)
    concepts = np.unique(labels)
    clouds = [vectors[labels == concept].astype(np.float64) for concept in concepts]
    diameters = [_extremes(cloud, cloud)[1] for cloud in clouds]
    matrix = np.zeros((len(clouds), len(clouds)))
    for i, cloud in enumerate(clouds):
        for j in range(i):
            nearest, farthest = _extremes(cloud, clouds[j])
            matrix[i, j] = matrix[j, i] = nearest / (max(farthest, diameters[i], diameters[j]) + 1e-6)
    return Separation(tuple(concepts.tolist()), matrix)


def _extremes(a, b):
    """Smallest and largest distance between a row of `a` and a row of `b`, in blocks of bounded memory."""
    nearest, farthest = np.inf, 0.0
    for i in range(0, len(a), _BLOCK):
        for j in range(0, len(b), _BLOCK):
            distances = cdist(a[i : i + _BLOCK], b[j : j + _BLOCK])
            nearest, farthest = min(nearest, distances.min()), max(farthest, distances.max())
    return nearest, farthest
