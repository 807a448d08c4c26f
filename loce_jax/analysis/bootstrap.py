"""Bootstrap intervals over images, or over groups of images that belong together, such as the frames of a sequence.

Shapes: n images, b resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped

from loce_jax.checks import CheckedOptions, InputError


@dataclass(frozen=True)
class BootstrapOptions(CheckedOptions):
    """How intervals are made.

    Attributes:
        resamples: how often the groups are drawn anew.
        level: share of the resamples that the interval holds, between 0 and 1.
        seed: random seed.
    """

    resamples: int = 1000
    level: float = 0.95
    seed: int = 0

    def __post_init__(self):
        super().__post_init__()
        if self.resamples < 2 or not 0 < self.level < 1:
            raise InputError(
                "`resamples` must be at least 2 and `level` between 0 and 1, to make an interval, but got "
                f"{self.resamples} and {self.level}. Leave them out for 1000 and 0.95."
            )


BOOTSTRAP = BootstrapOptions()


@dataclass(frozen=True, eq=False)
class Estimate:
    """A number of a sample of images, with the numbers of its resamples; or several of them.

    Attributes:
        value: of all images.
        low, high: the ends of the percentile interval; NaN where nothing can be resampled.
        draws: of each resample; NaN where a resample lacks what the number is made of.
    """

    value: Float[np.ndarray, "*shape"]
    low: Float[np.ndarray, "*shape"]
    high: Float[np.ndarray, "*shape"]
    draws: Float[np.ndarray, "b ..."]


def as_groups(groups: Sequence | np.ndarray | None, n: int) -> Shaped[np.ndarray, " n"]:
    """One value per image; without groups, each image is one of its own.

    >>> as_groups(None, 3).tolist(), as_groups(["a", "a"], 2).tolist()
    ([0, 1, 2], ['a', 'a'])
    """
    groups = np.arange(n) if groups is None else np.asarray(groups)
    if groups.shape != (n,):
        raise InputError(
            f"`groups` must hold one value for each of the {n} images, but has shape {groups.shape}. Give the "
            "sequence of each image, or leave `groups` out."
        )
    return groups


def resample(groups: Shaped[np.ndarray, " n"], options: BootstrapOptions) -> Float[np.ndarray, "b n"]:
    """How often each image occurs in each resample: whole groups are drawn with replacement, as many as there are.

    A sum over images becomes its resamples by ``counts @ values``.  NaN with fewer than two groups, of which
    nothing can be learned about others.

    Sources: Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 6 and 13; Davison & Hinkley,
    "Bootstrap Methods and their Application", 1997, section 3.8 (groups).

    >>> np.unique(resample(np.array(["a", "a", "b"]), BOOTSTRAP), axis=0).tolist()
    [[0.0, 0.0, 2.0], [1.0, 1.0, 1.0], [2.0, 2.0, 0.0]]
    """
    names, rows = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        return np.full((options.resamples, len(groups)), np.nan)
    rng = np.random.default_rng(options.seed)
    counts = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=options.resamples)
    return counts[:, rows].astype(np.float64)


def estimate(
    value: Float[np.ndarray, "*shape"] | Float[np.floating, ""] | float,
    draws: Float[np.ndarray, "b ..."],
    options: BootstrapOptions,
) -> Estimate:
    """The percentile interval of resampled values; resamples that are NaN are left out.

    >>> found = estimate(2.0, np.arange(5.0), BootstrapOptions(level=0.5))
    >>> float(found.low), float(found.high)
    (1.0, 3.0)
    """
    value, ends = np.asarray(value, np.float64), np.full((2, *draws.shape[1:]), np.nan)
    there = ~np.isnan(draws).all(axis=0)
    if there.any():
        tail = 50 * (1 - options.level)
        ends[:, there] = np.nanpercentile(draws[:, there], [tail, 100 - tail], axis=0)
    return Estimate(value, np.asarray(ends[0]), np.asarray(ends[1]), draws)
