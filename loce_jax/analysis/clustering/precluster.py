"""Fewer, heavier points for clouds whose distances do not fit into memory.

Letters: n embeddings, c channels, q parts, p concepts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from loce_jax.analysis.vectors import check_cloud
from loce_jax.checks import InputError

_PASSES = 3  # over all vectors; the parts are many, so where exactly they end matters little


@dataclass(frozen=True)
class Parts:
    """What `precluster` found; row i of the arrays over parts belongs to part i.

    Attributes:
        labels: the part of each embedding, from 0; ``clusters.labels[parts.labels]`` is then its cluster.
        centroids: mean of each part's members.
        concepts: the distinct labels, ascending; they name the columns of `counts`.
        counts: members of each part by concept.
    """

    labels: Int[np.ndarray, " n"]
    centroids: Float[np.ndarray, "q c"]
    concepts: tuple
    counts: Int[np.ndarray, "q p"]


def precluster(vectors: Float[np.ndarray, "n c"], labels: Sequence | np.ndarray, parts: int, *, seed: int = 0) -> Parts:
    """Merge near embeddings into at most `parts` groups by mini-batch k-means, in time n * parts * c, memory n * c.

    ``cluster(vectors, labels, ClusteringOptions(precluster=...))`` begins with it and cuts the tree of the centroids,
    with two approximations: members of one part stay together (parts start at random vectors, so a rare concept may
    share one), and the tree weighs every part alike, whereas the cut counts its members.  With `parts` at least n every
    vector is its own part and the result is the exact one.

    Source: Sculley, "Web-scale k-means clustering", WWW 2010.

    >>> found = precluster(np.array([[0.0], [0.2], [8.0]]), ["cat", "dog", "dog"], 2)
    >>> found.concepts, found.counts[found.labels].tolist()
    (('cat', 'dog'), [[1, 1], [1, 1], [0, 1]])
    """
    labels = check_cloud(vectors, labels)
    if parts < 1:
        raise InputError(f"`parts` must be at least 1, as every vector belongs to one, but got {parts}. Try 5000.")
    concepts, columns = np.unique(labels, return_inverse=True)
    rows = _nearest_means(vectors, parts, seed) if parts < len(vectors) else np.arange(len(vectors))
    counts = np.zeros((rows.max(initial=-1) + 1, len(concepts)), int)
    np.add.at(counts, (rows, columns), 1)
    sums = np.zeros((len(counts), vectors.shape[1]))
    np.add.at(sums, rows, vectors)
    return Parts(rows, sums / counts.sum(axis=1, keepdims=True), tuple(concepts.tolist()), counts)


def _nearest_means(vectors, parts, seed):
    from sklearn.cluster import MiniBatchKMeans  # noqa: PLC0415

    model = MiniBatchKMeans(
        parts, init="random", max_iter=_PASSES, batch_size=4096, reassignment_ratio=0, random_state=seed
    )
    found = model.fit_predict(vectors)
    return np.unique(found, return_inverse=True)[1]  # without the parts that nobody joined
