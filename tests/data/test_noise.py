"""Noise on photographs: recorded photos of the original code, the share and the spread that are asked for."""

import numpy as np
import pytest

from loce_jax.checks import InputError
from loce_jax.data.noise import add_gaussian_noise, add_salt_and_pepper
from loce_jax.models.base import Preprocess


@pytest.fixture(scope="module")
def recorded(shared):
    return np.load(shared("golden", "analysis.npz"))


def make_photo(seed, size=(40, 50)):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def changed(noisy, photo):
    return (noisy != photo).any(axis=2)


@pytest.mark.parametrize("percent", [5, 20])
def test_gaussian_noise_of_the_original_code(recorded, percent):
    noisy = add_gaussian_noise(recorded["load_64x48"], percent, seed=3, paper=True)
    np.testing.assert_array_equal(noisy, recorded[f"gauss{percent}_seed3_64x48"])


def test_salt_and_pepper_of_the_original_code(recorded):
    noisy = add_salt_and_pepper(recorded["load_64x48"], 5, seed=3, paper=True)
    np.testing.assert_array_equal(noisy, recorded["saltpepper5_seed3_64x48"])


def test_photos_are_resized_as_the_original_loader_does(recorded):
    np.testing.assert_array_equal(Preprocess(size=(48, 64)).resize(recorded["noise_src"]), recorded["load_64x48"])


def test_gaussian_noise_has_the_spread_that_is_said_and_no_drift():
    gray = np.full((200, 200, 3), 128, np.uint8)
    for percent in (2, 5, 10):
        noise = add_gaussian_noise(gray, percent, seed=0) - 128.0
        spread, count = percent / 100 * 255, noise.size
        assert abs(noise.mean()) < 4 * spread / np.sqrt(count)  # four standard errors
        assert abs(noise.var() - spread**2 - 1 / 12) < 4 * spread**2 * np.sqrt(2 / count)  # 1/12 from rounding
    truncated = add_gaussian_noise(gray, 5, seed=0, paper=True) - 128.0
    assert truncated.mean() == pytest.approx(-0.5, abs=4 * 12.75 / np.sqrt(truncated.size))


def test_gaussian_noise_matches_slow_twin():
    photo = make_photo(0, (6, 7))
    noise = np.random.default_rng(5).normal(0, 0.3 * 255, photo.shape)
    noisy = add_gaussian_noise(photo, 30, seed=5)
    for place in np.ndindex(photo.shape):
        assert noisy[place] == min(255, max(0, round(float(photo[place]) + float(noise[place]))))
    assert {0, 255} <= set(noisy.ravel().tolist())  # the ends are reached, and not passed


@pytest.mark.parametrize("percent", [0, 0.04, 1, 5, 33.3, 50, 99, 100])
def test_salt_and_pepper_alters_the_share_that_is_said(percent):
    photo = make_photo(1) // 2 + 60  # neither black nor white
    noisy = add_salt_and_pepper(photo, percent, seed=0)
    white, black = (noisy == 255).all(axis=2), (noisy == 0).all(axis=2)
    expected = round(percent / 100 * 2000)
    assert changed(noisy, photo).sum() == expected
    assert (white.sum(), black.sum()) == ((expected + 1) // 2, expected // 2)
    np.testing.assert_array_equal(white | black, changed(noisy, photo))


def test_the_original_salt_and_pepper_alters_nearly_three_times_as_many():
    photo = make_photo(1, (480, 640)) // 2 + 60
    share = changed(add_salt_and_pepper(photo, 5, seed=0, paper=True), photo).mean()
    # 3/2 * 5 % of the pixels are drawn with replacement, for white and for black: 1 - exp(-0.15)
    assert share == pytest.approx(1 - np.exp(-0.15), abs=0.002)


def test_salt_and_pepper_falls_everywhere_alike():
    photo = np.full((10, 10, 3), 128, np.uint8)
    counts = np.sum([changed(add_salt_and_pepper(photo, 20, seed=seed), photo) for seed in range(2000)], axis=0)
    # Binomial counts of mean 400 and deviation 18: one of 100 beyond 5 deviations has a chance below 1e-4.
    assert abs(counts - 400).max() < 5 * np.sqrt(2000 * 0.2 * 0.8)


@pytest.mark.parametrize("add", [add_gaussian_noise, add_salt_and_pepper])
def test_the_seed_decides_and_the_photo_stays(add):
    photo = make_photo(2)
    before = photo.copy()
    first, again, other = (add(photo, 10, seed=seed) for seed in ((7, 1), (7, 1), (7, 2)))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    np.testing.assert_array_equal(photo, before)
    for paper in (False, True):
        np.testing.assert_array_equal(add(photo, 0, seed=0, paper=paper), photo)


def test_impossible_shares_are_refused():
    photo = make_photo(3)
    for percent in (-1, np.nan, np.inf):
        with pytest.raises(InputError, match="`percent` must be 0 or more"):
            add_gaussian_noise(photo, percent, seed=0)
    for percent in (-1, 101, np.nan):
        with pytest.raises(InputError, match="`percent` must be from 0 to 100"):
            add_salt_and_pepper(photo, percent, seed=0)
