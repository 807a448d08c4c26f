"""Which LoCEs are analyzed: every step of a study and the page select their rows here.

A row is an (image, concept) pair.  It is good at a layer if its status there is "ok".  Shapes: n rows, l layers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from loce_jax.checks import InputError, check_known
from loce_jax.foreign_text import text_array
from loce_jax.study.selection.sources import RunLike


@dataclass(frozen=True, eq=False)
class SelectedRows:
    """Rows of a run's table.

    Attributes:
        rows: indices into the table, ascending.
        iou: 0 to 1, at each layer.
        below_min_iou: number of good rows that were left out for their IoU.
    """

    rows: Int[np.ndarray, " n"]
    iou: Float[np.ndarray, "l n"]
    below_min_iou: int


def good_rows(run: RunLike, layers: Sequence[str], concepts: Sequence[str] = ()) -> Int[np.ndarray, " n"]:
    """Rows that are good at all of `layers`, of `concepts` or of all if empty; there may be none."""
    good = np.ones(len(run.table["concept"]), bool)
    if concepts:
        good &= np.isin(run.table["concept"], text_array(concepts))
    for layer in layers:
        good &= run.column("status", layer) == "ok"
    return np.flatnonzero(good)


def rows_of_any_layer(run: RunLike) -> Int[np.ndarray, " n"]:
    """Rows that are good at one layer of the run at least: the points of the page."""
    found = [good_rows(run, [layer]) for layer in run.layers]
    return np.unique(np.concatenate(found)) if found else np.zeros(0, int)


def rows_of_all(rows: Sequence[Int[np.ndarray, " _"]]) -> Int[np.ndarray, " n"]:
    """Rows that are in each of `rows`: clusters of several layers are drawn from these.

    >>> rows_of_all([np.array([0, 1, 4]), np.array([1, 2, 4])])
    array([1, 4])
    """
    common = rows[0]
    for others in rows[1:]:
        common = np.intersect1d(common, others)
    return common


def pairs_of_all(pairs: Sequence[Sequence[tuple[str, str]]]) -> list[tuple[str, str]]:
    """(image, concept) pairs that are in each of `pairs`, in the order of the first: runs are compared on these.

    >>> pairs_of_all([[("1.jpg", "cat"), ("1.jpg", "dog")], [("2.jpg", "cat"), ("1.jpg", "dog")]])
    [('1.jpg', 'dog')]
    """
    common = set.intersection(*map(set, pairs))
    return [pair for pair in pairs[0] if pair in common]


def select_rows(
    run: RunLike, layers: Sequence[str], *, concepts: Sequence[str] = (), min_iou: float = 0.0
) -> SelectedRows:
    """The rows that are good at all of `layers`, of `concepts` or of all if empty, with an IoU of at least `min_iou`.

    Args:
        run: the run.
        layers: canonical names.
        concepts: names.
        min_iou: 0 to 1; a row whose IoU is below it at one of `layers` is left out.

    Raises:
        InputError: an unknown layer or concept, a `min_iou` that is no IoU, or no row left.
    """
    if not 0 <= min_iou <= 1:
        raise InputError(f"`min_iou` must be from 0 (all LoCEs) to 1, as an IoU is, but got {min_iou}. Try 0.3.")
    check_known("layer", layers, run.layers)
    check_known("concept", concepts, run.concepts)
    rows = good_rows(run, layers, concepts)
    if not len(rows):
        raise InputError(
            f"`run` must have a good LoCE at {', '.join(map(repr, layers))}, but all rows failed. `loce show` says why."
        )
    iou = np.stack([run.column("iou", layer)[rows] for layer in layers])
    kept = ~(iou < min_iou).any(axis=0)
    if not kept.any():
        raise InputError(
            f"`min_iou` must leave LoCEs to analyze, but all {len(rows)} good ones at {', '.join(map(repr, layers))} "
            f"are below {min_iou:g}; the best is {np.nanmax(iou.min(axis=0)):.3f}. Take a lower one."
        )
    return SelectedRows(rows[kept], iou[:, kept], int((~kept).sum()))
