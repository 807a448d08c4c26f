"""A held-out part of a data set, by image or by group: no group has images on both sides.

Shapes: n images, t of them for training, h held out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from jaxtyping import Int

from loce_jax.checks import InputError

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Split:
    """What `split` found, as rows of the data set, ascending.

    Attributes:
        train: to fit on.
        held_out: to evaluate on.
    """

    train: Int[np.ndarray, " t"]
    held_out: Int[np.ndarray, " h"]


def split(groups: int | Sequence | np.ndarray, share: float = 1 / 3, seed: int = 0) -> Split:
    """A random part of the images held out, whole groups at a time.

    Of groups in random order, the first are held out, so many that their share of the images is as near to `share`
    as that order allows; either side has a group at least.

    Args:
        groups: a number of images, each on its own; or one value per image, such as its sequence.
        share: of the images to be held out, between 0 and 1.
        seed: random seed of the order.

    >>> parts = split(["a", "a", "b", "b", "c", "c"], share=1 / 3, seed=0)
    >>> parts.train.tolist(), parts.held_out.tolist()
    ([0, 1, 2, 3], [4, 5])
    """
    groups = np.arange(groups) if isinstance(groups, int | np.integer) else np.asarray(groups)
    names, rows, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(names) < 2 or groups.ndim != 1:
        raise InputError(
            f"`groups` must name at least two groups, one to fit on and one to hold out, but got {len(names)} of shape "
            f"{groups.shape}. Give one value per image, or the number of images to split image by image."
        )
    check_share(share)
    order = np.random.default_rng(seed).permutation(len(names))
    reached = sizes[order].cumsum()[:-1] / len(groups)
    held_out = np.isin(rows, order[: np.abs(reached - share).argmin() + 1])
    return Split(np.flatnonzero(~held_out), np.flatnonzero(held_out))


def check_share(share: float) -> None:
    """Raise `InputError` unless `share` is between 0 and 1."""
    if not 0 < share < 1:
        raise InputError(f"`share` must be between 0 and 1, so that both sides have images, but got {share}. Try 0.33.")


def fit_on_halves(
    fit: Callable[[Int[np.ndarray, " m"]], T], groups: int | Sequence | np.ndarray, seed: int = 0
) -> tuple[T, T]:
    """The same fit on either half of the images: how alike two results are that differ in nothing but their images.

    An upper reference level for the similarity of two layers or networks; another is the same fit with two seeds.

    Args:
        fit: what takes rows of the data set and returns concepts.
        groups: see `split`.
        seed: see `split`.

    >>> fit_on_halves(lambda rows: rows.tolist(), 4)
    ([1, 3], [0, 2])
    """
    halves = split(groups, 0.5, seed)
    return fit(halves.train), fit(halves.held_out)
