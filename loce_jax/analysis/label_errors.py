"""Embeddings whose label may be wrong, because their neighbors have another.

Shapes: n embeddings, c channels, k neighbors, s suspected label errors.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from loce_jax.analysis.neighbors.nearest import nearest_neighbors
from loce_jax.analysis.vectors import check_labeled_vectors
from loce_jax.checks import InputError

_PERMUTATIONS = 100


@dataclass(frozen=True)
class LabelErrors:
    """What `find_label_errors` found; the largest share first, of equal ones the first come first.

    Attributes:
        rows: rows of the vectors.
        suggestions: the one other concept around each.
        shares: share of the neighbors that carry it.
        expected: number of label errors that would be found if labels were independent of vectors: mean over 100
            permutations of the labels.  It is not the number of those found that are rightly labeled.
    """

    rows: Int[np.ndarray, " s"]
    suggestions: tuple
    shares: Float[np.ndarray, " s"]
    expected: float


def find_label_errors(
    vectors: Float[np.ndarray, "n c"],
    labels: Sequence | np.ndarray,
    k: int = 10,
    *,
    groups: Sequence | np.ndarray | None = None,
    share: float = 0.9,
    seed: int = 0,
) -> LabelErrors:
    """Embeddings whose `k` nearest others (cosine) nearly all carry one and the same other concept.

    Each is a wrong label, a wrong mask, or an object that the network confuses with another: inspect the image.
    Embeddings with fewer than `k` neighbors are left out.

    Args:
        vectors: finite.
        labels: one per vector.
        k: at least 1.
        groups: one value per vector; vectors of the same group (such as the same image) are no neighbors.
        share: least share of the neighbors with the other concept, above 0.5 and at most 1.
        seed: random seed of the permutations.

    >>> vectors = np.array([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2], [0.0, 1.0], [0.1, 1.0], [0.2, 1.0]])
    >>> found = find_label_errors(vectors, ["cat", "cat", "dog", "dog", "dog", "dog"], k=2)
    >>> found.rows.tolist(), found.suggestions, found.shares.tolist()
    ([2], ('cat',), [1.0])
    """
    labels = check_labeled_vectors(vectors, labels)
    if k < 1:
        raise InputError(f"`k` must be at least 1 (neighbors), but got {k}. Try 10.")
    if not 0.5 < share <= 1:
        raise InputError(
            f"`share` must be above 0.5 and at most 1, so that one concept can reach it, but got {share}. Try 0.9."
        )
    concepts, own = np.unique(labels, return_inverse=True)
    neighbors = nearest_neighbors(vectors, k, groups=groups).indices
    complete = np.flatnonzero((neighbors >= 0).all(axis=1))
    neighbors = neighbors[complete]
    found, suggested, shares = _disagreeing(own, complete, neighbors, share)
    order = np.argsort(-shares, kind="stable")
    rng = np.random.default_rng(seed)
    by_chance = [len(_disagreeing(rng.permutation(own), complete, neighbors, share)[0]) for _ in range(_PERMUTATIONS)]
    suggestions = tuple(concepts[suggested[order]].tolist())
    return LabelErrors(found[order], suggestions, shares[order], float(np.mean(by_chance)))


def _disagreeing(own, rows, neighbors, share):
    """Suspected rows, the concept around each and its share."""
    around = np.sort(own[neighbors], axis=1)  # a label of more than half of them is the median
    likeliest = around[:, around.shape[1] // 2]
    shares = (around == likeliest[:, None]).mean(axis=1)
    disagree = (likeliest != own[rows]) & (shares >= share)
    return rows[disagree], likeliest[disagree], shares[disagree]
