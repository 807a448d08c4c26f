"""The members of each cluster by concept, and its mean vector.

Shapes: n embeddings, c channels, k clusters, p concepts, t channels shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from loce_jax.analysis.vectors import check_labeled_vectors, check_vectors, unit_rows
from loce_jax.checks import InputError, check_shape


@dataclass(frozen=True)
class ClusterTable:
    """What `tabulate_clusters` found; row i belongs to cluster ``clusters[i]``.

    Attributes:
        clusters: the clusters' ids, ascending.
        concepts: the distinct labels, ascending; they name the columns.
        counts: members by concept.
        probabilities: the same as shares of the cluster; rows sum to 1.
        top: the most common concept of each cluster, the first in `concepts` of equals.
        raw: mean of the members.
        normalized: mean of the members scaled to length 1, layer by layer.  It is shorter than 1 where they disagree.
    """

    clusters: Int[np.ndarray, " k"]
    concepts: tuple
    counts: Int[np.ndarray, "k p"]
    probabilities: Float[np.ndarray, "k p"]
    top: tuple
    raw: Float[np.ndarray, "k c"]
    normalized: Float[np.ndarray, "k c"]


def tabulate_clusters(
    vectors: Float[np.ndarray, "n c"],
    labels: Sequence | np.ndarray,
    clusters: Int[np.ndarray, " n"],
    *,
    widths: Sequence[int] | None = None,
) -> ClusterTable:
    """Counts, concept probabilities and centroids of every cluster.  Clusters below 0 are noise and left out.

    Args:
        vectors: finite.
        labels: the concept of each.
        clusters: the cluster of each.
        widths: channels of the layers that the vectors are concatenations of; one layer if left out.

    >>> vectors = np.array([[2.0, 0.0], [0.0, 4.0], [9.0, 9.0]])
    >>> table = tabulate_clusters(vectors, ["cat", "dog", "dog"], np.array([0, 0, -1]))
    >>> table.concepts, table.counts.tolist(), table.raw.tolist(), table.normalized.tolist()
    (('cat', 'dog'), [[1, 1]], [[1.0, 2.0]], [[0.5, 0.5]])
    """
    labels = check_labeled_vectors(vectors, labels)
    check_shape("clusters", clusters, labels.shape, meaning="one per vector", fix="")
    concepts, columns = np.unique(labels, return_inverse=True)
    kept = clusters >= 0
    ids, rows = np.unique(clusters[kept], return_inverse=True)
    counts = np.zeros((len(ids), len(concepts)), int)
    np.add.at(counts, (rows, columns[kept]), 1)
    sizes = counts.sum(axis=1, keepdims=True)
    top = tuple(concepts[counts.argmax(axis=1)].tolist()) if len(ids) else ()
    raw, normalized = (_sums(a[kept], rows, len(ids)) / sizes for a in (vectors, normalize(vectors, widths=widths)))
    return ClusterTable(ids, tuple(concepts.tolist()), counts, counts / sizes, top, raw, normalized)


def normalize(vectors: Float[np.ndarray, "n c"], *, widths: Sequence[int] | None = None) -> Float[np.ndarray, "n c"]:
    """Every vector scaled to length 1, each layer of `widths` channels by itself, in float64; zeros stay zeros.

    >>> normalize(np.array([[3.0, 4.0, 2.0], [0.0, 0.0, 5.0]]), widths=[2, 1]).tolist()
    [[0.6, 0.8, 1.0], [0.0, 0.0, 1.0]]
    """
    check_vectors(vectors)
    widths = [vectors.shape[1]] if widths is None else widths
    if sum(widths) != vectors.shape[1] or min(widths, default=0) < 0:
        raise InputError(
            f"`widths` must sum to the {vectors.shape[1]} channels of `vectors`, one number per layer, but got "
            f"{list(widths)}. Leave it out for a single layer."
        )
    layers = np.split(vectors.astype(np.float64), np.cumsum(widths)[:-1], axis=1)
    return np.hstack([unit_rows(layer) for layer in layers])


def strongest_channels(
    centroids: Float[np.ndarray, "k c"], top: int = 3, *, absolute: bool = False
) -> Int[np.ndarray, "k t"]:
    """The `top` channels with the largest weights (or largest magnitudes) of each centroid, strongest first.

    All channels if there are fewer; of equal ones the first come first.  Give one layer's channels at a time.

    >>> centroids = np.array([[0.1, -0.9, 0.5]])
    >>> strongest_channels(centroids, 2).tolist(), strongest_channels(centroids, 2, absolute=True).tolist()
    ([[2, 0]], [[1, 2]])
    """
    weights = np.abs(centroids) if absolute else centroids
    return np.argsort(-weights, axis=1, kind="stable")[:, :top]


def _sums(vectors, rows, k):
    sums = np.zeros((k, vectors.shape[1]))
    np.add.at(sums, rows, vectors)
    return sums
