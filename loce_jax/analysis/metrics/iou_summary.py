"""How well the embeddings segment their masks: counts, IoU and failures of each concept.

Shapes: n rows of a run's table, one per (image, concept) pair.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from loce_jax.checks import InputError, check_known, check_shape

CRITERIA = ("mean_iou", "failures", "ranks")


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
        std_iou: population standard deviation (division by the number of LoCEs) of the IoU; NaN without any.
        min_iou: the lowest IoU; NaN without any.
        max_iou: the highest IoU; NaN without any.
    """

    concept: str | None
    pairs: int
    loces: int
    skipped: int
    mean_iou: float
    median_iou: float
    failures: float
    std_iou: float
    min_iou: float
    max_iou: float


def summarize_iou(
    iou: Float[np.ndarray, " n"], status: Sequence | np.ndarray, concept: Sequence | np.ndarray
) -> tuple[Summary, ...]:
    """One `Summary` per concept, in order of first appearance, and a last one over all pairs.

    The overall row pools the pairs, so a concept counts as often as it occurs.  A LoCE without a finite IoU counts
    as a LoCE and is left out of everything about the IoU.

    >>> rows = summarize_iou(np.array([0.5, 0.0, np.nan]), ["ok", "ok", "mask_empty"], ["cat", "cat", "dog"])
    >>> [(row.concept, row.loces, row.skipped, row.mean_iou, row.failures) for row in rows]
    [('cat', 2, 0, 0.25, 0.5), ('dog', 0, 1, nan, nan), (None, 2, 1, 0.25, 0.5)]
    """
    ok, concept = np.asarray(status) == "ok", np.asarray(concept)
    check_shape("status", ok, iou.shape, meaning="one per IoU", fix="")
    check_shape("concept", concept, iou.shape, meaning="one per IoU", fix="")
    rows = [_summary(str(name), iou, ok, concept == name) for name in dict.fromkeys(concept.tolist())]
    return (*rows, _summary(None, iou, ok, np.ones(len(ok), bool)))


def best_layer(layers: Mapping[str, Sequence[Summary]], by: str = "mean_iou") -> str:
    """The layer whose LoCEs segment their masks best; the first of equally good ones.

    Every row counts once, whatever its number of LoCEs: give the rows of the concepts for a mean over concepts
    ("macro"), or only the pooled row.  Rows without a LoCE are left out; a layer without any is the worst.

    Args:
        layers: rows of `summarize_iou` by layer, the same concepts for each.
        by: "mean_iou", the highest mean of the rows' mean IoU; "failures", the lowest mean of their failures; or
            "ranks", the lowest sum of the two ranks (equal ones share the lower rank), as the released code's
            "overall" (Mikriukov et al., IJCV 2025).

    >>> early = summarize_iou(np.array([0.5, 0.7]), ["ok", "ok"], ["cat", "dog"])
    >>> late = summarize_iou(np.array([0.0, 0.9]), ["ok", "ok"], ["cat", "dog"])
    >>> best_layer({"early": early[:-1], "late": late[:-1]})
    'early'
    """
    check_known("criterion", [by], CRITERIA)
    if not layers:
        raise InputError("`layers` must hold at least one layer to choose from, but got none. Fit one first.")
    from scipy.stats import rankdata  # noqa: PLC0415 - a third of a second

    badness = {
        "mean_iou": [-_mean(row.mean_iou for row in rows) for rows in layers.values()],
        "failures": [_mean(row.failures for row in rows) for rows in layers.values()],
    }
    ranks = {name: rankdata(np.nan_to_num(values, nan=np.inf), method="min") for name, values in badness.items()}
    ranks["ranks"] = ranks["mean_iou"] + ranks["failures"]
    return list(layers)[int(np.argmin(ranks[by]))]


def _mean(values):
    there = [value for value in values if np.isfinite(value)]
    return float(np.mean(there)) if there else np.nan


def _summary(name, iou, ok, mine):
    values = iou[ok & mine]
    values = values[np.isfinite(values)].astype(np.float64)
    pairs, loces = int(mine.sum()), int((ok & mine).sum())
    if not len(values):
        return Summary(name, pairs, loces, pairs - loces, *[np.nan] * 6)
    numbers = (values.mean(), np.median(values), (values == 0).mean(), values.std(), values.min(), values.max())
    return Summary(name, pairs, loces, pairs - loces, *map(float, numbers))
