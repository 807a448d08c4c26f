"""Is a TCAV score one that random images could give?  Ranks, the published t-test, and Holm's rule.

Shapes: n samples of concept and random images, m images of the class, b draws, c channels.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import ttest_ind

from loce_jax.concepts.activation_vectors.cavs import CavOptions
from loce_jax.concepts.activation_vectors.classifiers import fit_classifier
from loce_jax.concepts.activation_vectors.tcav_scores import tcav_scores


class Comparison(NamedTuple):
    """How a concept's score lies among random ones.

    Attributes:
        p: two-sided p value; NaN where it is not defined.
        above: whether the score lies above the middle of the random ones.
    """

    p: float
    above: bool


def drawn_cavs(
    samples: Float[np.ndarray, "n c"],
    inside: Int[np.ndarray, "b n"],
    outside: Int[np.ndarray, "b n"],
    options: CavOptions,
) -> Float[np.ndarray, "b c"]:
    """CAVs of draws of samples; zeros where nothing tells them apart.

    Args:
        samples: finite, float64.
        inside: how often each sample is a positive one.
        outside: how often it is a negative one.
        options: the method.
    """
    if options.streams:
        centered = samples - samples.mean(axis=0)  # which the difference does not see, but rounding does
        weights = inside / inside.sum(axis=1, keepdims=True) - outside / outside.sum(axis=1, keepdims=True)
        return weights @ centered
    found, twice = [], np.concatenate([samples, samples])
    labels = np.arange(len(twice)) < len(samples)
    for counts in np.concatenate([inside, outside], axis=1):
        given = np.repeat(twice, counts, axis=0), np.repeat(labels, counts)
        found.append(fit_classifier(*given, options.method, options.C)[0])
    return np.stack(found)


def rank_test(gradients: Float[np.ndarray, "m c"], vectors: Float[np.ndarray, "b c"], statistic: str) -> Comparison:
    """The rank of the first vector's score among those of all of them; the others are of random images.

    ``"sign"`` ranks by the share of positive derivatives, and, where this is equal, by their mean: behind a linear
    classifier every share is 0 or 1, and ranks of shares alone would never be extreme.  ``"mean"`` ranks by the mean.
    The p value is twice the smaller share of scores that are as high, or as low, the first itself among them, so that
    it is never 0 (Phipson & Smyth, Statistical Applications in Genetics and Molecular Biology 9, 2010).
    """
    scores = tcav_scores(gradients, vectors)
    if not np.isfinite(scores.mean[0]):
        return Comparison(np.nan, False)
    usable = np.isfinite(scores.mean)
    means = scores.mean[usable]
    counts = np.rint(scores.sign[usable] * scores.images) if statistic == "sign" else np.zeros(len(means))
    equal = counts == counts[0]
    as_high = ((counts > counts[0]) | (equal & (means >= means[0]))).mean()
    as_low = ((counts < counts[0]) | (equal & (means <= means[0]))).mean()
    return Comparison(float(min(1, 2 * min(as_high, as_low))), bool(as_high < as_low))


def published_test(concept: Float[np.ndarray, " r"], random: Float[np.ndarray, " r"]) -> Comparison:
    """Student's two-sided t-test of two samples, as the published code compares scores of runs; NaN without spread."""
    if min(len(concept), len(random)) < 2 or np.ptp(concept) == np.ptp(random) == 0:
        return Comparison(np.nan, False)
    p: Any = ttest_ind(concept, random)[1]
    return Comparison(float(p), bool(concept.mean() > random.mean()))


def holm(p: Float[np.ndarray, " t"]) -> Float[np.ndarray, " t"]:
    """Corrected p values of t tests: with probability .95 none at or below .05 is a false one.

    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979.  NaN
    stays NaN and counts for no test.

    >>> holm(np.array([0.01, 0.04, np.nan, 0.03])).tolist()
    [0.03, 0.06, nan, 0.06]
    """
    order = np.argsort(p)[: np.isfinite(p).sum()]
    corrected = np.full(len(p), np.nan)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)), 1)
    return corrected
