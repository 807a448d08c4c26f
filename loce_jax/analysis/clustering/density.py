"""Dense regions by HDBSCAN: clusters without labels, and noise.

Shapes: n embeddings, c channels.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from loce_jax.analysis.clustering.linkage import check_directions
from loce_jax.analysis.neighbors.nearest import METRICS
from loce_jax.analysis.vectors import check_vectors
from loce_jax.checks import InputError, check_known

MATRIX_AT_MOST = 12_000  # vectors whose distances are all kept at once


@dataclass(frozen=True)
class DensityClusters:
    """What `density_clusters` found.

    Attributes:
        labels: the cluster of each embedding, from 0; -1 is noise.
        probabilities: membership probability in its cluster, 0 (noise) to 1.
    """

    labels: Int[np.ndarray, " n"]
    probabilities: Float[np.ndarray, " n"]


def density_clusters(
    vectors: Float[np.ndarray, "n c"], min_size: int = 5, *, metric: str = "euclidean"
) -> DensityClusters:
    """HDBSCAN of the raw vectors: the clusters that persist over the widest range of densities.

    Without gaps there are no clusters: one Gaussian, identical vectors, or fewer vectors than `min_size` are all
    noise.  Memory grows with n^2 (some 1.5 GB for 12,000 vectors), but above that with n for "euclidean", where the
    distances are then computed anew when they are needed: 17 times the time.

    Args:
        vectors: finite.
        min_size: smallest cluster, at least 2; also the neighbors that measure the density.
        metric: "euclidean" or "cosine".

    Source: Campello, Moulavi & Sander, "Density-based clustering based on hierarchical density estimates", 2013.

    >>> density_clusters(np.array([[0.0], [0.1], [0.2], [7.0], [7.1], [7.2], [99.0]]), 3).labels.tolist()
    [0, 0, 0, 1, 1, 1, -1]
    """
    check_vectors(vectors)
    check_known("metric", [metric], METRICS)
    check_directions(vectors, metric)
    if min_size < 2:
        raise InputError(f"`min_size` must be at least 2, as one vector is no dense region, but got {min_size}.")
    if len(vectors) < min_size:
        return DensityClusters(np.full(len(vectors), -1), np.zeros(len(vectors)))
    from sklearn.cluster import HDBSCAN  # noqa: PLC0415

    copy: Any = True  # declared as text by mistake; without it some versions warn
    algorithm = "brute" if len(vectors) <= MATRIX_AT_MOST else "auto"
    model = HDBSCAN(min_cluster_size=min_size, metric=metric, algorithm=algorithm, copy=copy)
    found = model.fit(vectors.astype(np.float64))
    return DensityClusters(found.labels_, found.probabilities_)
