"""Fewer, weighted points for embeddings whose distances do not fit into memory.

Shapes: n embeddings, c channels, q clusters, p concepts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from loce_jax.analysis.vectors import check_labeled_vectors
from loce_jax.checks import InputError

_PASSES = 3  # over all vectors; with many clusters their exact centroids matter little


@dataclass(frozen=True)
class Preclusters:
    """What `precluster` found; row i of `centroids` and `counts` belongs to cluster i.

    Attributes:
        labels: the cluster of each embedding, from 0.
        centroids: mean of each cluster's members.
        concepts: the distinct labels, ascending; they name the columns of `counts`.
        counts: members of each cluster by concept.
    """

    labels: Int[np.ndarray, " n"]
    centroids: Float[np.ndarray, "q c"]
    concepts: tuple
    counts: Int[np.ndarray, "q p"]


def precluster(
    vectors: Float[np.ndarray, "n c"], labels: Sequence | np.ndarray, max_clusters: int, *, seed: int = 0
) -> Preclusters:
    """Merge near embeddings into at most `max_clusters` by mini-batch k-means.

    Time grows with n * max_clusters * c, memory with n * c.

    ``cluster(vectors, labels, ClusteringOptions(precluster=...))`` begins with it and cuts the tree of the centroids,
    with two approximations: members of one cluster stay together (clusters start at random vectors, so a rare
    concept may share one), and the tree weighs every cluster alike, whereas the cut counts its members.  With
    `max_clusters` at least n every vector is its own cluster and the result is exact.

    Source: Sculley, "Web-scale k-means clustering", WWW 2010.

    >>> found = precluster(np.array([[0.0], [0.2], [8.0]]), ["cat", "dog", "dog"], 2)
    >>> found.concepts, found.counts[found.labels].tolist()
    (('cat', 'dog'), [[1, 1], [1, 1], [0, 1]])
    """
    labels = check_labeled_vectors(vectors, labels)
    if max_clusters < 1:
        raise InputError(
            f"`max_clusters` must be at least 1, as every vector belongs to one, but got {max_clusters}. Try 5000."
        )
    concepts, columns = np.unique(labels, return_inverse=True)
    rows = _nearest_means(vectors, max_clusters, seed) if max_clusters < len(vectors) else np.arange(len(vectors))
    counts = np.zeros((rows.max(initial=-1) + 1, len(concepts)), int)
    np.add.at(counts, (rows, columns), 1)
    sums = np.zeros((len(counts), vectors.shape[1]))
    np.add.at(sums, rows, vectors)
    return Preclusters(rows, sums / counts.sum(axis=1, keepdims=True), tuple(concepts.tolist()), counts)


def _nearest_means(vectors, max_clusters, seed):
    from sklearn.cluster import MiniBatchKMeans  # noqa: PLC0415

    model = MiniBatchKMeans(
        max_clusters, init="random", max_iter=_PASSES, batch_size=4096, reassignment_ratio=0, random_state=seed
    )
    found = model.fit_predict(vectors)
    return np.unique(found, return_inverse=True)[1]  # without empty clusters
