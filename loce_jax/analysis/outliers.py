"""Outliers among the embeddings of each concept.

Shapes: n embeddings, c channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from loce_jax.analysis.neighbors.nearest import nearest_neighbors
from loce_jax.analysis.paper_forms import paper_outlier_scores
from loce_jax.analysis.vectors import check_labeled_vectors, unit_rows
from loce_jax.checks import InputError, check_known

METHODS = ("distance", "lof", "isolation")
_NEIGHBORS = 20  # of the local outlier factor, as the paper has it
_NO_DISTANCE = 1e-10  # to the neighbors, added so that copies have a density, as scikit-learn does


@dataclass(frozen=True)
class Outliers:
    """What `find_outliers` found.

    Attributes:
        concepts: the distinct labels, ascending.
        scores: row i belongs to vector i; higher is more unusual; NaN where the concept has one vector only.
        flagged: True where the score is above the quantile ``1 - contamination`` of its concept.  That share is set,
            not found: every concept has a highest twentieth.
        rankings: for each concept its rows, the highest score first, of equal ones the first come first.
    """

    concepts: tuple
    scores: Float[np.ndarray, " n"]
    flagged: Bool[np.ndarray, " n"]
    rankings: tuple[Int[np.ndarray, " _"], ...]


def find_outliers(
    vectors: Float[np.ndarray, "n c"],
    labels: Sequence | np.ndarray,
    method: str = "distance",
    *,
    contamination: float = 0.05,
    seed: int = 0,
    paper: bool = False,
) -> Outliers:
    """Score each embedding among those of its concept; each concept by itself.

    ``"distance"``: mean cosine distance ``1 - cos`` to the others of the concept, 0 to 2, comparable between concepts.
    ``"lof"``: local outlier factor on cosine distances with 20 neighbors (or all others, where they are fewer): the
    neighbors' density over the vector's own, about 1 in a region of even density, above 1 outside.
    ``"isolation"``: isolation forest on the raw vectors, ``2 ** -(mean depth / expected depth)``: 0 to 1, the higher
    the fewer random cuts set the vector apart; it depends on the seed and on the version of scikit-learn.

    A vector of zeros, which has no direction, is at cosine distance 1 from all others.  Identical vectors score alike
    and none is flagged.  Memory grows with n; time too, but for "lof", which compares all pairs of a concept.

    Args:
        vectors: finite.
        labels: one per vector.
        method: "distance", "lof" or "isolation".
        contamination: share of each concept to flag, above 0 and below 1.
        seed: random seed of the forest.
        paper: with "distance", see `loce_jax.analysis.paper_forms.paper_outlier_scores`; the order is the same.

    Sources: Breunig et al., "LOF", SIGMOD 2000; Liu, Ting & Zhou, "Isolation Forest", ICDM 2008; their use: Mikriukov
    et al., "Local Concept Embeddings", IJCV 2025.

    >>> found = find_outliers(np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [1.0, 0.0]]), ["cat"] * 4)
    >>> found.scores.round(3).tolist(), found.rankings[0].tolist()
    ([0.333, 0.333, 1.0, 0.333], [2, 0, 1, 3])
    """
    labels = check_labeled_vectors(vectors, labels)
    check_known("method", [method], METHODS)
    if not 0 < contamination < 1:
        raise InputError(
            f"`contamination` must be above 0 and below 1 (a share of the concept), but got {contamination}. Try 0.05."
        )
    concepts, scores, flagged = np.unique(labels), np.full(len(labels), np.nan), np.zeros(len(labels), bool)
    rankings = []
    for concept in concepts:
        rows = np.flatnonzero(labels == concept)
        if len(rows) > 1:
            scores[rows] = _scores(vectors[rows].astype(np.float64), method, seed, paper)
            flagged[rows] = scores[rows] > np.quantile(scores[rows], 1 - contamination)
        rankings.append(rows[np.argsort(-scores[rows], kind="stable")])
    return Outliers(tuple(concepts.tolist()), scores, flagged, tuple(rankings))


def _scores(vectors, method, seed, paper):
    if method == "isolation":
        from sklearn.ensemble import IsolationForest  # noqa: PLC0415  # takes a second

        return -IsolationForest(random_state=np.random.RandomState(seed)).fit(vectors).score_samples(vectors)
    if method == "distance":
        sums = _distance_sums(vectors)
        return paper_outlier_scores(sums) if paper else sums / (len(vectors) - 1)
    return _local_factors(vectors, min(_NEIGHBORS, len(vectors) - 1))


def _distance_sums(vectors):
    """Sum of each vector's cosine distances to all: of unit vectors, half the squares, which their mean sums up.

    sum_j |u_i - u_j|^2 = n |u_i - mean|^2 + sum_j |u_j - mean|^2
    """
    directions = unit_rows(vectors)
    there = directions.any(axis=1)
    directions = directions[there]
    squares = ((directions - directions.mean(axis=0)) ** 2).sum(axis=1) if there.any() else np.zeros(0)
    sums = np.full(len(vectors), len(vectors) - 1.0)  # without a direction, at distance 1 from all others
    sums[there] = (len(squares) * squares + squares.sum()) / 2 + (~there).sum()
    return sums


def _local_factors(vectors, k):
    """Breunig et al., definitions 5 to 7."""
    near = nearest_neighbors(vectors, k)
    reach = np.maximum(near.distances, near.distances[near.indices, -1])
    density = 1 / (reach.mean(axis=1) + _NO_DISTANCE)
    return density[near.indices].mean(axis=1) / density
