"""Average precision of scores in [0, 1], exactly from all scores, or within stated bounds from a histogram of them.

Shapes: m scores, b bins from the lowest to the highest scores.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

_PER_OCTAVE = 16  # bits of a float32 that are dropped, so that 7 bits of its fraction are left: 128 bins an octave
_LOWEST = (127 - 24) << 7  # the bin of 2**-24, the distance of 1 from the next float32 below; lower scores share it
_HALF = (126 << 7) - _LOWEST
BINS = 5896  # two sides of 23 octaves each, and some that stay empty: 8 * 737


def average_precision(scores: Float[np.ndarray, " m"], truth: Bool[np.ndarray, " m"]) -> float:
    """Mean precision over the positives, each at the threshold that is its own score.

    With ``P_i`` the share of positives among all scores at least as high as that of the positive i:

        AP = mean over i of P_i

    in [0, 1], 1 is best; the share of positives, approximately, for random scores.  Equal scores share one threshold,
    as in scikit-learn's ``average_precision_score``.  NaN without a positive.

    Source: Everingham et al., "The PASCAL Visual Object Classes Challenge", IJCV 2010, section 4.2, without
    interpolation.

    >>> average_precision(np.array([0.9, 0.8, 0.1, 0.1]), np.array([True, False, True, False]))
    0.75
    """
    positives, negatives = np.sort(scores[truth]), np.sort(scores[~truth])  # far faster than to sort them together
    if not len(positives):
        return np.nan
    own, counts = np.unique(positives, return_counts=True)
    found = counts[::-1].cumsum()[::-1]
    return float((counts * found / (found + len(negatives) - np.searchsorted(negatives, own))).sum() / len(positives))


def score_bins(scores: Float[np.ndarray, "*shape"]) -> Int[np.ndarray, "*shape"]:
    """The bin of each score, from 0 to below `BINS`; a higher score never has a lower bin.

    Bins are 128 an octave of the score below 0.5, and of its distance from 1 above, so that their width is below 1 %
    of the odds, but for scores below 2**-24, which are in one bin.  Found from the bits of a float32: no rounding can
    move a score.

    >>> score_bins(np.array([0.0, 0.25, 0.5, 1.0], "float32")).tolist()
    [0, 2816, 2944, 5888]
    """
    scores = np.ascontiguousarray(scores, np.float32)
    upper = scores > 0.5
    nearest = np.where(upper, 1 - scores, scores)  # exact above one half
    bins = np.maximum((nearest.view(np.int32) >> _PER_OCTAVE) - _LOWEST, 0)
    return np.where(upper, 2 * _HALF - bins, bins)


class BoundedPrecision(NamedTuple):
    """Average precision of binned scores, and how far that of the scores themselves can be from it."""

    value: Float[np.ndarray, "*shape"]
    error: Float[np.ndarray, "*shape"]


def binned_precision(counts: Float[np.ndarray, "*shape 2 b"]) -> Float[np.ndarray, "*shape"]:
    """`average_precision` of scores of which nothing but the bin is known; NaN without a positive.

    Args:
        counts: of negatives and of positives in each bin, from the lowest scores up; may be weighted.

    >>> binned_precision(np.array([[1.0, 1, 0], [1, 0, 1]]))
    array(0.75)
    """
    negatives, positives = _from_the_top(counts)
    found, missed = positives.cumsum(axis=-1), negatives.cumsum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(positives > 0, found / (found + missed), 0)
        return np.asarray((positives * precision).sum(axis=-1) / found[..., -1])


def bounded_precision(counts: Float[np.ndarray, "*shape 2 b"]) -> BoundedPrecision:
    """`binned_precision` with the largest error that any order of the scores inside of the bins can make of it.

    With ``P`` positives and ``N`` negatives above a bin of ``p`` and ``q``: the precisions at its positives sum to
    ``p (P + p) / (P + N + p + q)`` where all scores are equal, to no more than ``p (P + p) / (P + N + p)`` (positives
    above, all equal), and to no less than ``sum over i = 1 ... p of (P + i) / (P + N + q + i)`` (positives below, all
    different).

    >>> round(float(bounded_precision(np.array([[1.0, 1, 0], [1, 0, 1]])).error), 3)
    0.083
    """
    from scipy.special import digamma  # noqa: PLC0415 - a third of a second

    negatives, p = _from_the_top(counts)
    above, others = p.cumsum(axis=-1) - p, negatives.cumsum(axis=-1)  # P, and N + q
    with np.errstate(invalid="ignore", divide="ignore"):
        highest = np.where(p > 0, p * (above + p) / (above + p + others - negatives), 0).sum(axis=-1)
        rank = above + others
        lowest = (p - others * (digamma(rank + p + 1) - digamma(rank + 1))).sum(axis=-1)  # the sum, in closed form
        value, total = binned_precision(counts), p.sum(axis=-1)
        return BoundedPrecision(value, np.asarray(np.maximum(highest / total - value, value - lowest / total)))


def _from_the_top(counts):
    """Negatives and positives of each bin, from the highest scores down."""
    return np.moveaxis(np.asarray(counts, np.float64)[..., ::-1], -2, 0)
