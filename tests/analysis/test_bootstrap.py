"""Bootstrap intervals: whole groups, coverage, and what cannot be resampled."""

import numpy as np
import pytest

from loce_jax.analysis.bootstrap import BootstrapOptions, as_groups, estimate, resample
from loce_jax.checks import InputError


def test_groups_are_drawn_whole():
    groups = np.array(list("aabbbc"))
    counts = resample(groups, BootstrapOptions(resamples=200))
    for name in "abc":
        assert (np.ptp(counts[:, groups == name], axis=1) == 0).all()
    of_group = counts[:, [0, 2, 5]]
    assert (of_group.sum(axis=1) == 3).all()
    np.testing.assert_allclose(of_group.mean(axis=0), 1, atol=0.2)  # 3.5 standard deviations of sqrt(2/3/200)


def test_one_group_has_no_interval():
    draws = resample(np.zeros(5), BootstrapOptions(resamples=10)) @ np.ones(5)
    found = estimate(5.0, draws, BootstrapOptions())
    assert found.value == 5 and np.isnan([found.low, found.high]).all()


def test_intervals_hold_the_mean_as_often_as_they_say():
    rng, options = np.random.default_rng(0), BootstrapOptions(resamples=200, level=0.9)
    held = 0
    for seed in range(300):
        values = rng.normal(size=40)
        weights = resample(np.arange(40), BootstrapOptions(resamples=200, seed=seed))
        found = estimate(values.mean(), weights @ values / 40, options)
        held += found.low <= 0 <= found.high
    assert 0.82 < held / 300 < 0.95  # 0.88 is expected of 40 values and percentiles, +- 3 standard deviations of 0.019


def test_undefined_resamples_are_left_out():
    draws = np.array([[np.nan, np.nan], [1, np.nan], [3, np.nan]])
    found = estimate(np.array([2.0, np.nan]), draws, BootstrapOptions())
    np.testing.assert_allclose(found.low, [1.05, np.nan])


@pytest.mark.parametrize("fields", [{"resamples": 1}, {"level": 1.0}, {"level": 95.0}])
def test_options_are_checked(fields):
    with pytest.raises(InputError, match="`resamples` must be at least 2"):
        BootstrapOptions(**fields)


def test_groups_of_another_length_are_refused():
    with pytest.raises(InputError, match="each of the 3 images"):
        as_groups(["a"], 3)
