"""Average precision: against scikit-learn and loops, and what a histogram may make of it."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from loce_jax.concepts.evaluation.average_precision import (
    BINS,
    average_precision,
    binned_precision,
    bounded_precision,
    score_bins,
)


def draw(seed, n=300, ties=False):
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < 0.2
    scores = 1 / (1 + np.exp(-rng.normal(size=n) * 4 - 2 * truth))
    return (scores.round(1) if ties else scores).astype("f4"), truth


def histogram(bins, truth, number):
    counts = np.zeros((2, number))
    np.add.at(counts, (truth.astype(int), bins), 1)
    return counts


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_it_is_that_of_scikit_learn(seed, ties):
    scores, truth = draw(seed, ties=ties)
    np.testing.assert_allclose(average_precision(scores, truth), average_precision_score(truth, scores), rtol=1e-12)


def test_it_is_the_mean_precision_at_the_positives():
    scores, truth = draw(0, ties=True)
    precisions = [
        sum(t and s >= own for s, t in zip(scores, truth, strict=True)) / sum(s >= own for s in scores)
        for own, positive in zip(scores, truth, strict=True)
        if positive
    ]
    np.testing.assert_allclose(average_precision(scores, truth), np.mean(precisions), rtol=1e-12)


def test_without_a_positive_it_is_undefined():
    assert np.isnan(average_precision(np.ones(3), np.zeros(3, bool)))
    assert np.isnan(average_precision(np.ones(0), np.zeros(0, bool)))
    assert np.isnan(binned_precision(np.ones((2, 3)) * [[1], [0]]))


def test_bins_keep_the_order_of_scores_and_are_narrow():
    rng = np.random.default_rng(0)
    odds = np.exp(rng.uniform(-16, 16, size=20_000))
    scores = np.sort(np.concatenate([(odds / (1 + odds)).astype("f4"), np.linspace(0, 1, 5000, dtype="f4")]))
    bins = score_bins(scores)
    assert (np.diff(bins) >= 0).all() and bins[0] == 0 and bins[-1] < BINS
    inside = (scores > 1e-6) & (scores < 1 - 1e-4)  # above, float32 itself is coarser
    odds = scores[inside].astype(float) / (1 - scores[inside].astype(float))
    for one in np.unique(bins[inside])[::50]:
        mine = odds[bins[inside] == one]
        assert mine.max() / mine.min() < 1.02  # 1/128 of a float, and as much again of its distance from 1


@pytest.mark.parametrize("bins", [1, 3, 40])
@pytest.mark.parametrize("seed", range(4))
def test_every_order_inside_of_bins_stays_within_the_error(seed, bins):
    """Scores are drawn anew inside of their bins, with ties and without, the extreme orders included."""
    scores, truth = draw(seed, n=60)
    of_bin = np.minimum((scores * bins).astype(int), bins - 1)
    value, error = bounded_precision(histogram(of_bin, truth, bins))
    rng = np.random.default_rng(seed)
    inside = [
        rng.random(60),
        rng.integers(0, 3, 60) / 3,
        truth * 0.5,
        ~truth * (0.3 + 0.5 * rng.random(60)),
        0 * scores,
    ]
    inside.append(~truth * 0.5 + 0.4 * rng.random(60))
    found = [average_precision(of_bin + within * 0.99, truth) for within in inside]
    assert np.abs(found - value).max() <= error + 1e-12
    np.testing.assert_allclose(value, average_precision_score(truth, of_bin), rtol=1e-12)


def test_the_error_is_reached():
    """One bin, positives above all negatives: the bound is what happens."""
    truth = np.arange(10) < 4
    value, error = bounded_precision(histogram(np.zeros(10, int), truth, 1))
    np.testing.assert_allclose([value, value + error], [0.4, 1])


def test_weights_of_a_resample_are_counts():
    scores, truth = draw(1)
    rng = np.random.default_rng(0)
    times = rng.integers(0, 3, size=len(scores))
    bins = (scores * 20).astype(int)
    counts = np.zeros((2, 21))
    np.add.at(counts, (truth.astype(int), bins), times)
    expected = average_precision(np.repeat(bins.astype(float), times), np.repeat(truth, times))
    np.testing.assert_allclose(binned_precision(counts), expected, rtol=1e-12)
