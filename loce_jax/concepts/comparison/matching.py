"""Pairs of two layers' concepts, or of two fits' components, so that each is in one pair at most.

Shapes: k and m concepts, p pairs, the smaller number of both.
"""

import numpy as np
from jaxtyping import Float, Int


def match(similarity: Float[np.ndarray, "k m"]) -> Int[np.ndarray, "p 2"]:
    """The pairs (row, column) of the largest sum of similarities, by row; NaN is less than every number.

    Source: Kuhn, "The Hungarian method for the assignment problem", Naval Research Logistics Quarterly 2, 1955.

    >>> match(np.array([[0.9, 0.8], [0.8, 0.1]])).tolist()
    [[0, 1], [1, 0]]
    """
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415 - slow to import

    there = np.isfinite(similarity)
    lowest = -1 - 2 * min(similarity.shape) * np.abs(similarity[there]).max(initial=0)  # no sum of others is worth one
    return np.stack(linear_sum_assignment(np.where(there, similarity, lowest), maximize=True), axis=1)
