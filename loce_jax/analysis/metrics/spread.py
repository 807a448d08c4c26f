"""Distances within and between concepts, and the silhouettes that follow from them.

Shapes: n embeddings, c channels, k concepts.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.distance import cdist

_BLOCK = 1024  # rows of distances held at once


@dataclass(frozen=True)
class Spread:
    """Distances within and between concepts, by one definition.

    Attributes:
        within: a value per concept, at least 0, lower is better; NaN for a concept with one vector.
        between: at least 0, higher is better; NaN with one concept.
    """

    within: Float[np.ndarray, " k"]
    between: float

    @property
    def separability(self) -> float:
        """`between` over the unweighted mean of `within`, higher is better; the only number here without a scale.

        Concepts with one vector are left out.  Infinite if all others are single points apart from each other, NaN
        where there is nothing to divide.

        >>> round(Spread(np.array([5.57, 5.54, 4.83, 8.89, 5.35]), 17.8).separability, 2)
        2.95
        """
        within = self.within[np.isfinite(self.within)]
        mean = within.mean() if len(within) else np.nan
        if mean == 0:
            return np.inf if self.between > 0 else np.nan
        return float(self.between / mean)


def distance_sums(vectors: Float[np.ndarray, "n c"], codes: Int[np.ndarray, " n"], k: int) -> Float[np.ndarray, "n k"]:
    """For each vector, the sum of its distances to the vectors of each concept."""
    member = (codes[:, None] == np.arange(k)).astype(float)
    blocks = (vectors[start : start + _BLOCK] for start in range(0, len(vectors), _BLOCK))
    return np.concatenate([cdist(block, vectors) @ member for block in blocks])


def pair_spread(sums: Float[np.ndarray, "n k"], codes: Int[np.ndarray, " n"]) -> tuple[Spread, Float[np.ndarray, " k"]]:
    """The spread over pairs, and the mean silhouette of each concept; `sums` are those of `distance_sums`."""
    k = sums.shape[1]
    counts = np.bincount(codes, minlength=k)
    between = np.array([sums[codes == code].sum(axis=0) for code in range(k)])
    within = np.full(k, np.nan)
    several = counts > 1
    within[several] = between.diagonal()[several] / (counts * (counts - 1))[several]
    apart = between / np.outer(counts, counts)
    spread = Spread(within, float(apart[np.triu_indices(k, 1)].mean()) if k > 1 else np.nan)
    if k == 1:
        return spread, np.full(1, np.nan)
    own = sums[np.arange(len(codes)), codes] / np.maximum(counts[codes] - 1, 1)
    others = sums / counts
    others[np.arange(len(codes)), codes] = np.inf
    nearest = others.min(axis=1)
    larger = np.maximum(own, nearest)
    defined = several[codes] & (larger > 0)
    silhouettes = np.divide(nearest - own, larger, out=np.zeros(len(codes)), where=defined)
    return spread, np.bincount(codes, silhouettes, minlength=k) / counts


def centroid_spread(vectors: Float[np.ndarray, "n c"], codes: Int[np.ndarray, " n"]) -> Spread:
    """Mean distances to the mean of the concept, and between the means of every two concepts."""
    counts = np.bincount(codes)
    k = len(counts)
    means = np.array([vectors[codes == code].mean(axis=0) for code in range(k)])
    away = np.linalg.norm(vectors - means[codes], axis=1)
    within = np.where(counts > 1, np.bincount(codes, away, minlength=k) / counts, np.nan)
    return Spread(within, float(cdist(means, means)[np.triu_indices(k, 1)].mean()) if k > 1 else np.nan)
