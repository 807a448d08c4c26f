"""Whether two lists of numbers, such as the IoU at two layers, put the same pairs into the same order.

Shapes: n pairs, m numbers of the second, which must be n.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from loce_jax.checks import check_shape


@dataclass(frozen=True)
class RankAgreement:
    """What `rank_agreement` found; all from -1 to 1, 1 for the same order.

    Attributes:
        spearman: Pearson's correlation of the ranks (equal values share their mean rank).
        kendall: Kendall's tau-b.
        pairs: values compared.
    """

    spearman: float
    kendall: float
    pairs: int


def rank_agreement(first: Float[np.ndarray, " n"], second: Float[np.ndarray, " m"]) -> RankAgreement:
    """Rank correlation of two numbers of the same pairs, such as the IoU at two layers.

    Rows where either is not finite are left out.  NaN where fewer than two are left or one side is constant.

    Sources: Spearman, 1904; Kendall, "The treatment of ties in ranking problems", Biometrika 33, 1945.

    >>> found = rank_agreement(np.array([0.1, 0.5, 0.9]), np.array([0.2, 0.9, 0.8]))
    >>> round(found.spearman, 3), round(found.kendall, 3)
    (0.5, 0.333)
    """
    from scipy.stats import kendalltau, rankdata  # noqa: PLC0415 - a third of a second

    check_shape("second", second, first.shape, meaning="as long as `first`", fix="Match the rows with `align_rows`.")
    there = np.isfinite(first) & np.isfinite(second)
    first, second = first[there], second[there]
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return RankAgreement(np.nan, np.nan, len(first))
    spearman = np.corrcoef(rankdata(first), rankdata(second))[0, 1]
    kendall: Any = kendalltau(first, second)
    return RankAgreement(float(spearman), float(kendall.statistic), len(first))
