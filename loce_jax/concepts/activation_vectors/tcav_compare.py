"""One concept at one layer: its TCAV score, an interval, and how the score lies among those of random images.

Shapes: m images of the class, n images of the concept, r random images, c channels.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from loce_jax.checks import CheckedOptions, InputError
from loce_jax.concepts.activation_vectors.cavs import CavOptions
from loce_jax.concepts.activation_vectors.tcav_null import Comparison, drawn_cavs, published_test, rank_test
from loce_jax.concepts.activation_vectors.tcav_scores import tcav_scores
from loce_jax.solver.solution import Status

MIDDLE = 2.5, 97.5  # percentiles


@dataclass(frozen=True)
class TcavOptions(CheckedOptions):
    """How TCAV scores are found and tested.

    Attributes:
        cav: how CAVs are found.
        statistic: what is tested: ``"sign"``, the share of images with a positive derivative, or ``"mean"``, the mean
            derivative along the vector of unit length.
        form: ``"rank"`` or ``"paper"``; see `loce_jax.concepts.activation_vectors.tcav.tcav`.
        draws: number of random directions under ``form="rank"``.  The smallest p value is ``2 / (draws + 1)``, and
            Holm's rule multiplies it by the number of tests.
        bootstraps: number of resamples for the intervals, 0 for none.
        level: of the verdict, for corrected p values.
        seed: of random directions and resamples.
    """

    cav: CavOptions = field(default_factory=CavOptions)
    statistic: Literal["sign", "mean"] = "sign"
    form: Literal["rank", "paper"] = "rank"
    draws: int = 1999
    bootstraps: int = 200
    level: float = 0.05
    seed: int = 0

    def __post_init__(self):
        super().__post_init__()
        if self.draws < 1 or self.bootstraps < 0 or not 0 < self.level < 1:
            raise InputError(
                "`draws` must be at least 1, `bootstraps` at least 0 and `level` between 0 and 1, but got "
                f"{self.draws}, {self.bootstraps} and {self.level}. Leave them out."
            )


@dataclass(frozen=True)
class Outcome:
    """What was found.

    Attributes:
        numbers: fields of a `loce_jax.concepts.activation_vectors.tcav.TcavRow`.
        comparison: with random images.
        status: a `loce_jax.solver.Status`.
    """

    numbers: dict[str, Any]
    comparison: Comparison
    status: int


def compare_ranks(
    gradients: Float[np.ndarray, "m c"],
    images: Float[np.ndarray, "n c"],
    randoms: list[Float[np.ndarray, "r c"]],
    options: TcavOptions,
) -> Outcome:
    """One vector of the concept against all random images, ranked among vectors of random against random ones."""
    positives, negatives = _finite(images), _finite(np.concatenate(randoms))
    status = _status(gradients, len(positives), len(negatives) > 1)  # two can be divided
    if status != Status.OK:
        return _untested(gradients, status)
    rng, counts = np.random.default_rng(options.seed), (len(positives), len(negatives))
    samples = np.concatenate([positives, negatives])
    size = min(counts[0], counts[1] // 2)
    drawn = np.broadcast_to(np.arange(counts[1]) < size, (options.draws, counts[1]))
    drawn = np.pad(rng.permuted(drawn, axis=1).astype(int), ((0, 0), (counts[0], 0)))
    mine, random = np.repeat([1, 0], counts), np.repeat([0, 1], counts)
    vectors = drawn_cavs(samples, np.vstack([mine, drawn]), np.vstack([random, random - drawn]), options.cav)
    scores, comparison = tcav_scores(gradients, vectors[:1]), rank_test(gradients, vectors, options.statistic)
    numbers = {"sign": scores.sign[0], "mean": scores.mean[0], "magnitude": scores.magnitude[0]}
    intervals = _bootstrap(gradients, samples, counts, vectors[0], options)
    return _outcome(gradients, numbers, intervals, scores.zeros[0], comparison)


def compare_runs(
    gradients: Float[np.ndarray, "m c"],
    images: Float[np.ndarray, "n c"],
    randoms: list[Float[np.ndarray, "r c"]],
    options: TcavOptions,
) -> Outcome:
    """Vectors of the concept against each random set, compared with those of each random set against the next."""
    positives, sets = _finite(images), [finite for finite in map(_finite, randoms) if len(finite)]
    status = _status(gradients, len(positives), len(sets) > 1)
    if status != Status.OK:
        return _untested(gradients, status)

    def runs(firsts):
        pairs = [(np.repeat([1, 0], [len(one), len(other)])[None], [one, other]) for one, other in firsts]
        found = [drawn_cavs(np.concatenate(both), mine, 1 - mine, options.cav) for mine, both in pairs]
        return tcav_scores(gradients, np.concatenate(found))

    concept = runs([(positives, one) for one in sets])
    random = runs(list(zip(sets, sets[1:] + sets[:1], strict=True)))
    both = [getattr(scores, options.statistic) for scores in (concept, random)]
    each = {name: getattr(concept, name)[np.isfinite(concept.mean)] for name in ("sign", "mean", "magnitude")}
    numbers = {name: values.mean() if len(values) else np.nan for name, values in each.items()}
    intervals = [_percentiles(each[name]) for name in ("sign", "mean")]
    comparison = published_test(*(values[np.isfinite(values)] for values in both))
    return _outcome(gradients, numbers, intervals, concept.zeros.sum(), comparison)


def _bootstrap(gradients, samples, counts, vector, options):
    """Intervals of the share of positive derivatives and of their mean, as images of all three kinds are resampled.

    Resampled vectors are divided by the length of the concept's: each by its own, noise would make all means smaller.
    """
    number, (positives, negatives), finite = options.bootstraps, counts, _finite(gradients)
    rng = np.random.default_rng([options.seed, 1])
    drawn = [rng.multinomial(count, np.full(count, 1 / count), number) for count in (positives, negatives, len(finite))]
    if not number or not vector.any():
        return [_percentiles(np.zeros(0))] * 2
    inside = np.pad(drawn[0], ((0, 0), (0, negatives)))
    outside = np.pad(drawn[1], ((0, 0), (positives, 0)))
    derivatives = finite @ drawn_cavs(samples, inside, outside, options.cav).T / np.linalg.norm(vector)
    weights = drawn[2].T / len(finite)
    return [_percentiles((weights * values).sum(axis=0)) for values in (derivatives > 0, derivatives)]


def _outcome(gradients, numbers, intervals, zeros, comparison):
    numbers = {name: float(value) for name, value in numbers.items()}
    held = [(min(low, one), max(high, one)) for (low, high), one in zip(intervals, numbers.values(), strict=False)]
    numbers |= {"sign_interval": held[0], "mean_interval": held[1], "zeros": int(zeros)}
    numbers["left_out"] = len(gradients) - len(_finite(gradients))
    return Outcome(numbers, comparison, int(Status.OK if np.isfinite(comparison.p) else Status.DEGENERATE))


def _untested(gradients, status):
    numbers, nothing = dict.fromkeys(("sign", "mean", "magnitude"), np.nan), _percentiles(np.zeros(0))
    found = _outcome(gradients, numbers, [nothing] * 2, 0, Comparison(np.nan, False))
    return Outcome(found.numbers, found.comparison, int(status))


def _status(gradients, positives, negatives):
    if not len(_finite(gradients)):
        return Status.NONFINITE
    return Status.OK if positives and negatives else Status.MASK_FULL if positives else Status.MASK_EMPTY


def _finite(images):
    return images[np.isfinite(images).all(axis=1)]


def _percentiles(values):
    low, high = np.percentile(values, MIDDLE) if len(values) else (np.nan, np.nan)
    return float(low), float(high)
