"""Representational similarity analysis: whether the same embeddings are far apart at two layers or in two runs.

Shapes: n embeddings of the same (image, concept) pairs in the same order, m of the second, which must be n, c and d
channels.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from loce_jax.analysis.comparison.alignment import check_same_rows
from loce_jax.analysis.neighbors.nearest import METRICS
from loce_jax.analysis.vectors import unit_rows
from loce_jax.checks import check_known

_BLOCK = 4096  # pairs whose differences are held at once: 2048 channels are 64 MB
_MAX_PAIRS = 500_000  # all of 1000 embeddings
_ROUNDING = 1e-12  # of distances, relative to the largest, up to which they are equal


@dataclass(frozen=True)
class DistanceAgreement:
    """What `distance_agreement` found; correlations from -1 to 1, 1 for the same order or the same up to scale.

    Attributes:
        spearman: of the distances' ranks, the usual one.
        pearson: of the distances.
        pairs: pairs of embeddings whose distances were compared.
        sampled: whether these were drawn from more.
    """

    spearman: float
    pearson: float
    pairs: int
    sampled: bool


def distance_agreement(
    first: Float[np.ndarray, "n c"], second: Float[np.ndarray, "m d"], *, metric: str = "cosine", seed: int = 0
) -> DistanceAgreement:
    """Representational similarity analysis: whether the same embeddings are far apart in both.

    The distances between all n (n - 1) / 2 pairs of one set are correlated with those of the other.  Of more than
    1000 embeddings, half a million pairs are drawn with replacement.  The distances are those of
    `loce_jax.analysis.neighbors.nearest`.  NaN with fewer than three embeddings or where all distances of a set are
    equal.

    Source: Kriegeskorte, Mur & Bandettini, "Representational similarity analysis", Front. Syst. Neurosci. 2, 2008.

    Args:
        first: finite.
        second: of the same pairs in the same order, of any width.
        metric: "cosine" or "euclidean".
        seed: random seed of the pairs drawn.

    >>> vectors = np.array([[0.0, 1.0], [1.0, 1.0], [1.0, 0.0], [3.0, 1.0]])
    >>> round(distance_agreement(vectors, 7 * vectors[:, ::-1]).spearman, 6)
    1.0
    """
    check_known("metric", [metric], METRICS)
    check_same_rows(first, second)
    n = len(first)
    total = n * (n - 1) // 2
    if total > _MAX_PAIRS:
        rng = np.random.default_rng(seed)
        left = rng.integers(n, size=_MAX_PAIRS)
        right = (left + rng.integers(1, n, size=_MAX_PAIRS)) % n  # any row but itself
    else:
        left, right = np.triu_indices(n, 1)
    a, b = (_distances(vectors, left, right, metric) for vectors in (first, second))
    spearman = float(unit_ranks(a) @ unit_ranks(b)) if len(left) else np.nan
    pearson = np.nan if np.isnan(spearman) else float(np.corrcoef(a, b)[0, 1])
    return DistanceAgreement(spearman, pearson, len(left), total > _MAX_PAIRS)


def unit_ranks(distances: Float[np.ndarray, " p"]) -> Float[np.ndarray, " p"]:
    """Ranks, centered and of norm 1: their scalar product is Spearman's correlation; NaN where all are equal.

    >>> unit_ranks(np.array([5.0, 9.0, 7.0])).round(6).tolist()
    [-0.707107, 0.707107, 0.0]
    """
    from scipy.stats import rankdata  # noqa: PLC0415 - a third of a second

    if len(distances) < 2 or np.ptp(distances) <= _ROUNDING * distances.max():
        return np.full(len(distances), np.nan)
    ranks = rankdata(distances)
    ranks -= ranks.mean()
    return ranks / np.linalg.norm(ranks)


def _distances(vectors, left, right, metric):
    """Distances between the rows `left` and the rows `right`, in blocks of bounded memory."""
    points = unit_rows(vectors) if metric == "cosine" else vectors.astype(np.float64)
    distances = np.empty(len(left))
    for start in range(0, len(left), _BLOCK):
        rows, block = points[left[start : start + _BLOCK]], slice(start, start + _BLOCK)
        others = points[right[block]]
        distances[block] = (
            1 - np.einsum("ij,ij->i", rows, others) if metric == "cosine" else np.linalg.norm(rows - others, axis=1)
        )
    return distances
