"""How well do the embeddings redraw their masks?  Counts, IoU and failures, concept by concept.

Letters: n rows of a run's table, one per (image, concept) pair.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from loce_jax.checks import check_shape


@dataclass(frozen=True)
class Summary:
    """One concept at one layer, or all concepts together.

    Attributes:
        concept: its name; None in the row that pools every concept.
        pairs: number of (image, concept) pairs.
        loces: pairs whose status is "ok".
        skipped: the other pairs.
        mean_iou: mean over the LoCEs, 0 to 1, higher is better; NaN without any.
        median_iou: the same with the median.
        failures: share of LoCEs whose IoU is exactly 0, the released code's "non-converged"; lower is better;
            NaN without any LoCE.
    """

    concept: str | None
    pairs: int
    loces: int
    skipped: int
    mean_iou: float
    median_iou: float
    failures: float


def summarise(
    iou: Float[np.ndarray, " n"], status: Sequence | np.ndarray, concept: Sequence | np.ndarray
) -> tuple[Summary, ...]:
    """One `Summary` per concept, in order of first appearance, and a last one over all pairs.

    The overall row pools the pairs, so a concept counts as often as it occurs.  A LoCE without a finite IoU counts
    as a LoCE and is left out of the three IoU columns.

    >>> rows = summarise(np.array([0.5, 0.0, np.nan]), ["ok", "ok", "mask_empty"], ["cat", "cat", "dog"])
    >>> [(row.concept, row.loces, row.skipped, row.mean_iou, row.failures) for row in rows]
    [('cat', 2, 0, 0.25, 0.5), ('dog', 0, 1, nan, nan), (None, 2, 1, 0.25, 0.5)]
    """
    ok, concept = np.asarray(status) == "ok", np.asarray(concept)
    check_shape("status", ok, iou.shape, meaning="one per IoU", fix="")
    check_shape("concept", concept, iou.shape, meaning="one per IoU", fix="")
    rows = [_summary(str(name), iou, ok, concept == name) for name in dict.fromkeys(concept.tolist())]
    return (*rows, _summary(None, iou, ok, np.ones(len(ok), bool)))


def _summary(name, iou, ok, mine):
    values = iou[ok & mine]
    values = values[np.isfinite(values)].astype(np.float64)
    mean, median, failures = (
        (float(values.mean()), float(np.median(values)), float((values == 0).mean())) if len(values) else [np.nan] * 3
    )
    pairs, loces = int(mine.sum()), int((ok & mine).sum())
    return Summary(name, pairs, loces, pairs - loces, mean, median, failures)
