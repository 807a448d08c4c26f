"""Claims about depth: slow twins, calibration under the null, power on planted bands, and all three verdicts."""

import itertools

import numpy as np
import pytest

from loce_jax.analysis.bootstrap import BootstrapOptions, Estimate, estimate
from loce_jax.checks import InputError
from loce_jax.concepts.comparison.depth_profiles import (
    ReadoutOptions,
    mean_estimate,
    relative_depths,
    same_concepts,
    similar_depth,
)

FEW = ReadoutOptions(orders=199)


def noise(rng, l, m=None):  # noqa: E741
    """A matrix without any order of layers; symmetric with ones for one network."""
    if m is not None:
        return rng.random((l, m))
    matrix = np.triu(rng.random((l, l)), 1)
    return matrix + matrix.T + np.eye(l)


def banded(rng, first, second, height=0.2, spread=0.05):
    return 0.3 + height * (np.abs(first[:, None] - second) <= 0.2) + spread * rng.normal(size=(len(first), len(second)))


def resampled(matrix, rng, spread=0.01, number=20):
    return matrix + spread * rng.normal(size=(number, *matrix.shape))


def slow_contrast(matrix, first, second, own, band):
    """Row and column effects by least squares on a list of entries, then two means."""
    places = [(i, j) for i in range(len(first)) for j in range(len(second)) if not (own and i == j)]
    design = np.zeros((len(places), len(first) + len(second)))
    for row, (i, j) in enumerate(places):
        design[row, i] = design[row, len(first) + j] = 1
    values = np.array([matrix[place] for place in places])
    residuals = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
    near = [abs(first[i] - second[j]) <= band + 1e-9 for i, j in places]
    return np.mean(residuals[near]) - np.mean(residuals[np.logical_not(near)])


@pytest.mark.parametrize("own", [True, False])
def test_all_orders_are_those_of_a_loop(own):
    rng = np.random.default_rng(0)
    first = relative_depths(5) if own else relative_depths(4)
    second = first if own else np.array([0, 0.4, 1])
    matrix = noise(rng, 5) if own else noise(rng, 4, 3)
    found = similar_depth(matrix, resampled(matrix, rng), first, None if own else second, ReadoutOptions(band=0.3))
    true = slow_contrast(matrix, first, second, own, 0.3)
    np.testing.assert_allclose(found.difference.value, true, rtol=1e-9)
    others = []
    for p in itertools.permutations(range(len(first))):
        for q in [p] if own else itertools.permutations(range(len(second))):
            others.append(slow_contrast(matrix[np.ix_(p, q)], first, second, own, 0.3))
    np.testing.assert_allclose(found.p_value, np.mean(np.array(others) >= true - 1e-9), rtol=1e-12)


def test_random_orders_give_nearly_the_exact_p_value():
    rng = np.random.default_rng(3)
    matrix, depths = noise(rng, 6), relative_depths(6)
    exact = similar_depth(matrix, resampled(matrix, rng), depths).p_value
    drawn = similar_depth(matrix, resampled(matrix, rng), depths, options=ReadoutOptions(orders=700)).p_value
    assert abs(exact - drawn) < 4 * 0.5 / np.sqrt(700) and exact != drawn


@pytest.mark.parametrize("own", [True, False])
def test_it_holds_as_rarely_as_it_should_without_any_order(own):
    """Of 200 draws of the null 5 % are significant, 3 standard deviations of sqrt(.05 * .95 / 200) around."""
    rng = np.random.default_rng(1)
    sizes = (5, None) if own else (4, 4)
    first = relative_depths(sizes[0])
    p_values = []
    for _ in range(200):
        matrix = noise(rng, *sizes)
        found = similar_depth(matrix, matrix[None], first, None if own else first, ReadoutOptions(band=0.3))
        p_values.append(found.p_value)
    assert 0.05 - 0.046 <= np.mean(np.array(p_values) <= 0.05) <= 0.05 + 0.046


@pytest.mark.slow
@pytest.mark.parametrize("own", [True, False])
def test_random_orders_are_calibrated(own):
    """More layers than can be permuted in all orders: 5 % of 600 draws, within 3 standard deviations of 0.9 %."""
    rng = np.random.default_rng(2)
    first, second = relative_depths(9), relative_depths(7)
    p_values = []
    for _ in range(600):
        matrix = noise(rng, 9) if own else noise(rng, 9, 7)
        p_values.append(similar_depth(matrix, matrix[None], first, None if own else second, FEW).p_value)
    assert 0.023 <= np.mean(np.array(p_values) <= 0.05) <= 0.077


def test_a_planted_band_is_found():
    """Power: 20 of 20 draws with a band of 4 standard deviations of the noise."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        first, second = relative_depths(8), relative_depths(6)
        matrix = banded(rng, first, second)
        found = similar_depth(matrix, resampled(matrix, rng), first, second, FEW)
        assert found.verdict == "holds" and found.p_value <= 0.05 and found.value > found.reference


def test_layers_that_resemble_all_others_make_no_band():
    """Main effects of layers of middle depth: the raw means differ, the contrast is 0."""
    depths = relative_depths(6)
    middle = 1 - 2 * np.abs(depths - 0.5)
    matrix = 0.2 * (middle[:, None] + middle)
    found = similar_depth(matrix, matrix[None] + np.zeros((5, 1, 1)), depths, depths)
    assert abs(found.difference.value) < 1e-12 and found.value > found.reference
    assert found.verdict != "holds"


@pytest.mark.parametrize("seed", range(3))
def test_the_order_in_which_layers_are_given_and_the_sides_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    first, second = relative_depths(4), relative_depths(3)
    matrix = banded(rng, first, second)
    draws = resampled(matrix, rng)
    found = similar_depth(matrix, draws, first, second)
    p, q = rng.permutation(4), rng.permutation(3)
    moved = similar_depth(matrix[np.ix_(p, q)], draws[:, p][:, :, q], first[p], second[q])
    turned = similar_depth(matrix.T, draws.transpose(0, 2, 1), second, first)
    for other in (moved, turned):
        np.testing.assert_allclose(other.difference.value, found.difference.value, rtol=1e-9)
        np.testing.assert_allclose(other.p_value, found.p_value, rtol=1e-12)


def test_undefined_entries_are_left_out():
    rng = np.random.default_rng(0)
    depths = relative_depths(8)
    matrix = banded(rng, depths, depths)
    matrix[2, 5] = np.nan
    found = similar_depth(matrix, resampled(matrix, rng), depths, depths, FEW)
    assert found.verdict == "holds"


def test_every_verdict_comes_with_its_reason():
    rng = np.random.default_rng(0)
    depths = relative_depths(6)
    even = 0.3 + 0.001 * noise(rng, 6)
    assert similar_depth(even, resampled(even, rng, 0.001), depths).verdict == "does not hold"
    wide = similar_depth(even, resampled(even, rng, 0.5), depths).verdict
    assert wide.startswith("cannot be told: the difference is between -")
    few = noise(rng, 4)
    found = similar_depth(few, few[None], relative_depths(4), options=ReadoutOptions(band=0.4))
    assert found.verdict.startswith("cannot be told: so few layers")
    assert "too few groups" in similar_depth(even, np.full((5, 6, 6), np.nan), depths).verdict


def test_the_same_concepts_are_told_from_shuffled_ones():
    rng = np.random.default_rng(0)

    def near(value, spread=0.01):
        return estimate(value, value + spread * rng.normal(size=200), BootstrapOptions())

    shuffled = 0.2 + 0.01 * rng.normal(size=99)
    assert same_concepts(near(0.5), shuffled).verdict == "holds"
    assert same_concepts(near(0.2), shuffled).verdict == "does not hold"
    assert "the difference is between" in same_concepts(near(0.2, 0.2), shuffled).verdict
    assert "so few layers or shuffles" in same_concepts(near(0.5), shuffled[:9]).verdict
    found = same_concepts(near(0.5), shuffled)
    np.testing.assert_allclose(found.difference.value, 0.5 - shuffled.mean())
    assert found.p_value == 0.01


def test_unrelated_similarities_seem_the_same_as_rarely_as_they_should():
    rng = np.random.default_rng(0)
    found = [
        same_concepts(Estimate(np.asarray(v), np.asarray(v), np.asarray(v), np.full(2, v)), rng.normal(size=39)).p_value
        <= 0.05
        for v in rng.normal(size=400)
    ]
    assert 0.017 <= np.mean(found) <= 0.083  # 5 % within 3 standard deviations of 1.1 %


def test_means_keep_the_resamples_together():
    draws = np.random.default_rng(0).normal(size=100)
    mean = mean_estimate(
        [Estimate(np.array(1.0), np.array(0.0), np.array(0.0), s * draws) for s in (1, -1)], BootstrapOptions()
    )
    assert mean.value == 1 and mean.low == mean.high == 0


@pytest.mark.parametrize(
    ("depths", "band", "words"),
    [(np.array([0, 2, 3.0]), 0.2, "relative, from 0 to 1"), (np.array([0, 0.5, 1]), 0.1, "`band` must leave pairs")],
)
def test_what_cannot_be_tested_is_refused(depths, band, words):
    matrix = np.ones((3, 3))
    with pytest.raises(InputError, match=words):
        similar_depth(matrix, matrix[None], depths, options=ReadoutOptions(band=band))
    with pytest.raises(InputError, match="at least 2"):
        relative_depths(1)
