"""Which concepts are confused, in four matrices whose rows are distributions.

Shapes: n embeddings, c channels, k concepts, m clusters or components.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from loce_jax.analysis.neighbors.nearest import nearest_neighbors
from loce_jax.analysis.vectors import check_labeled_vectors, check_vectors, unit_rows
from loce_jax.checks import InputError, check_shape

_TIE = 1e-12  # cosines this close differ by rounding
_NO_MEMBERS = 1e-9  # members, below which a component has no other members


@dataclass(frozen=True)
class Confusion:
    """How often embeddings of one concept are taken for another.

    Attributes:
        concepts: the distinct labels, ascending; they name the rows and the columns of `matrix`.
        matrix: row i is the distribution of what embeddings of concept i are taken for: 0 to 1, summing to 1; NaN where
            the concept gives no evidence.  The identity is best.
        kind: "neighbors", "centroids", "clusters" or "components".
    """

    concepts: tuple
    matrix: Float[np.ndarray, "k k"]
    kind: str

    @property
    def error(self) -> float:
        """``1 - mean of the diagonal``: 0 (never confused) to 1; concepts without evidence left out; NaN without any.

        Every concept counts the same however often it occurs.
        """
        diagonal = np.diag(self.matrix)
        known = diagonal[np.isfinite(diagonal)]
        return float(1 - known.mean()) if len(known) else float("nan")

    @property
    def pairs(self) -> tuple[tuple, ...]:
        """``(concept, taken for, share)`` of every confusion above 0, the largest first."""
        shares = np.nan_to_num(self.matrix * (1 - np.eye(len(self.concepts))))
        order = np.argsort(-shares, axis=None, kind="stable")
        order = order[shares.ravel()[order] > 0]
        return tuple(
            (self.concepts[i], self.concepts[j], float(shares[i, j]))
            for i, j in zip(*np.unravel_index(order, shares.shape), strict=True)
        )


def neighbor_confusion(
    vectors: Float[np.ndarray, "n c"],
    labels: Sequence | np.ndarray,
    k: int = 10,
    *,
    groups: Sequence | np.ndarray | None = None,
) -> Confusion:
    """Labels of the `k` nearest other embeddings by cosine distance.

        M_ij = mean over embeddings of i of the share of their neighbors that carry j

    Frequent concepts have more chances to be neighbors: with labels given out at random, M_ij is the frequency of j.
    Where fewer than `k` neighbors exist all of them are used; an embedding without any gives no evidence.

    Args:
        vectors: finite.
        labels: one per vector.
        k: at least 1.
        groups: one value per vector; vectors of the same group (such as the same image) are no neighbors.

    >>> vectors = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0], [0.6, 1.0]])
    >>> found = neighbor_confusion(vectors, ["cat", "cat", "dog", "dog", "cat"], k=1)
    >>> found.matrix.round(3).tolist(), found.pairs
    ([[0.667, 0.333], [0.0, 1.0]], (('cat', 'dog', 0.3333333333333333),))
    """
    labels = check_labeled_vectors(vectors, labels)
    concepts, own = np.unique(labels, return_inverse=True)
    indices = nearest_neighbors(vectors, k, groups=groups).indices
    shares = np.zeros((len(labels), len(concepts)))
    rows, ranks = np.nonzero(indices >= 0)
    np.add.at(shares, (rows, own[indices[rows, ranks]]), 1)
    return _average(shares, own, concepts, "neighbors")


def centroid_confusion(vectors: Float[np.ndarray, "n c"], labels: Sequence | np.ndarray) -> Confusion:
    """Nearest class mean, each embedding left out of its own class's mean.

        M_ij = share of the embeddings of i whose cosine with the mean direction of j is the largest

    Means are of the vectors scaled to length 1, so that long vectors do not dominate.  Equal cosines share the vote; a
    mean of length 0 has cosine 0.  A vector of zeros, which has no direction, and the only vector of a concept, whose
    own mean is unknown, give no evidence.

    Source: the centroids are those of Mikriukov et al., "Local Concept Embeddings", IJCV 2025.

    >>> vectors = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0], [0.1, 1.0]])
    >>> centroid_confusion(vectors, ["cat", "cat", "dog", "dog", "cat"]).matrix.round(3).tolist()
    [[0.667, 0.333], [0.0, 1.0]]
    """
    labels = check_labeled_vectors(vectors, labels)
    concepts, own = np.unique(labels, return_inverse=True)
    directions = unit_rows(vectors)
    members = np.eye(len(concepts))[own]
    sums = members.T @ directions
    cosines = directions @ _unit(sums).T
    cosines[np.arange(len(own)), own] = (directions * _unit(sums[own] - directions)).sum(axis=1)
    usable = (members.sum(axis=0)[own] > 1) & directions.any(axis=1)
    votes = (cosines >= cosines.max(axis=1, keepdims=True, initial=-1) - _TIE) & usable[:, None]
    return _average(votes, own, concepts, "centroids")


def _unit(vectors):
    """Each row scaled to length 1; rows of length 0, but for rounding, stay 0."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > _TIE)


def cluster_confusion(clusters: Int[np.ndarray, " n"], labels: Sequence | np.ndarray) -> Confusion:
    """Concepts of the other members of an embedding's cluster.

        M_ij = chance that a random other member of the cluster of a random embedding of i carries j

    It is 1 on the diagonal for pure clusters, however many; embeddings alone in their cluster or in none (a negative
    number) give no evidence, so report beside it how many those are.

    >>> cluster_confusion(np.array([0, 0, 0, 1, 1, 2]), ["cat", "cat", "dog", "dog", "dog", "dog"]).matrix.tolist()
    [[0.5, 0.5], [0.3333333333333333, 0.6666666666666666]]
    """
    names, cluster = np.unique(clusters, return_inverse=True)
    members = np.eye(len(names))[cluster] * (names >= 0)
    return _same_cluster_confusion(members, labels, "clusters")


def component_confusion(responsibilities: Float[np.ndarray, "n m"], labels: Sequence | np.ndarray) -> Confusion:
    """`cluster_confusion` with soft members: which concepts share the components of a mixture.

        M_ij = mean over a in i of  sum_k r_ak * (sum_{b in j, b != a} r_bk) / (sum_{b != a} r_bk)

    with ``r`` each embedding's probability of each component, scaled to the components that have other members.

    Args:
        responsibilities: not negative, such as `mixtures.responsibilities` of one mixture fitted to all concepts.
        labels: one per row.

    >>> found = component_confusion(np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]), ["cat", "cat", "dog"])
    >>> found.matrix.tolist()
    [[0.75, 0.25], [1.0, 0.0]]
    """
    check_vectors(responsibilities, name="responsibilities")
    if (responsibilities < 0).any():
        raise InputError(
            "`responsibilities` must not be negative, because they are probabilities, but the lowest is "
            f"{responsibilities.min()}. Use `mixtures.responsibilities`."
        )
    return _same_cluster_confusion(responsibilities.astype(np.float64), labels, "components")


def _same_cluster_confusion(members, labels, kind):
    labels = np.asarray(labels)
    check_shape("labels", labels, (len(members),), meaning="one per embedding", fix="")
    concepts, own = np.unique(labels, return_inverse=True)
    others = members.sum(axis=0) - members
    weights = np.divide(members, others, out=np.zeros_like(members), where=others > _NO_MEMBERS)
    evidence = weights @ (np.eye(len(concepts))[own].T @ members).T
    evidence[np.arange(len(own)), own] -= (weights * members).sum(axis=1)
    return _average(np.maximum(evidence, 0), own, concepts, kind)


def _average(evidence, own, concepts, kind):
    """Each embedding's evidence scaled to sum 1, averaged over its concept; embeddings without evidence left out."""
    totals = evidence.sum(axis=1, keepdims=True)
    shares = np.divide(evidence, totals, out=np.zeros(evidence.shape), where=totals > 0)
    matrix = np.eye(len(concepts))[own].T @ shares
    counts = matrix.sum(axis=1, keepdims=True)
    matrix = np.divide(matrix, counts, out=np.full_like(matrix, np.nan), where=counts > 0)
    return Confusion(tuple(concepts.tolist()), matrix, kind)
