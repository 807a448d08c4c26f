"""A layer's statistics: whole or in parts the same, and coordinates as leveled as asked."""

import functools as ft
import inspect

import jax.numpy as jnp
import numpy as np
import pytest

from loce_jax import InputError, Statistics


def make_activations(n=6, h=4, w=3, c=5, seed=0):
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(c, c)) * np.geomspace(10, 0.1, c)
    return (rng.normal(size=(n, h, w, c)) @ mixing + 20 * rng.normal(size=c)).astype("float32")


def test_statistics_are_those_of_numpy():
    activations = make_activations()
    pixels = activations.reshape(-1, 5).astype(float)
    found = Statistics.of(activations)
    assert found.count == len(pixels)
    np.testing.assert_allclose(found.mean, pixels.mean(axis=0), rtol=1e-13)  # float64 throughout
    covariance = np.cov(pixels, rowvar=False, bias=True)
    np.testing.assert_allclose(found.scatter / found.count, covariance, rtol=0, atol=1e-13 * covariance.max())


@pytest.mark.parametrize("shape", [(6, 4, 3, 5), (9, 7, 7, 64), (12, 1, 3, 33)])
@pytest.mark.parametrize("cuts", [(1, 2), (3,), (1, 2, 3, 4, 5)])
def test_parts_merge_to_the_whole_in_any_order(cuts, shape):
    """To float64 rounding: a sum of N numbers of size M is off by at most N * 2**-53 * M, here less than 1e-13 * M.
    For the mean, M is the largest activation; for the scatter, N * M is at most the sum of all squares.
    """
    activations = make_activations(*shape)
    pixels = activations.reshape(-1, shape[-1]).astype(float)
    whole = Statistics.of(activations)
    parts = [Statistics.of(part) for part in np.split(activations, cuts)]
    for order in (parts, parts[::-1]):
        merged = ft.reduce(Statistics.merge, order)
        assert merged.count == whole.count
        np.testing.assert_allclose(merged.mean, whole.mean, rtol=0, atol=1e-13 * np.abs(pixels).max())
        np.testing.assert_allclose(merged.scatter, whole.scatter, rtol=0, atol=1e-13 * (pixels**2).sum())


def test_more_images_than_fit_a_block_change_nothing(monkeypatch):
    activations = make_activations(7)
    whole = Statistics.of(activations)
    for numbers in (1, 130):  # one image a block, and two
        monkeypatch.setattr("loce_jax.statistics.BLOCK_NUMBERS", numbers)
        found = Statistics.of(activations)
        np.testing.assert_allclose(found.mean, whole.mean, rtol=1e-13)
        np.testing.assert_allclose(found.scatter, whole.scatter, rtol=0, atol=1e-13 * np.abs(whole.scatter).max())


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_summed_in_float64(dtype):
    half = make_activations().astype(jnp.dtype(dtype))
    found, expected = Statistics.of(half), Statistics.of(np.asarray(half.astype("float32")))
    np.testing.assert_array_equal(found.scatter, expected.scatter)


def test_images_that_are_not_finite_are_left_out():
    activations = make_activations()
    clean = Statistics.of(activations[1:])
    activations[0, 2, 1, 3] = np.inf
    found = Statistics.of(activations)
    assert found.count == clean.count
    np.testing.assert_array_equal(found.scatter, clean.scatter)
    none = Statistics.of(activations[:1])
    assert none.count == 0 and none.merge(found) is found and found.merge(none) is found
    with pytest.raises(InputError, match="must hold a pixel"):
        none.whitening(0.5)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_variances_are_leveled_by_the_power_asked_for(power):
    activations = make_activations(n=200)
    whitening = Statistics.of(activations).whitening(power)
    pixels = activations.reshape(-1, 5).astype(float)
    before = np.linalg.eigvalsh(np.cov(pixels, rowvar=False, bias=True))
    shrunk = before + 0.01 * before.mean()
    after = np.cov(np.asarray(whitening(activations)).reshape(-1, 5), rowvar=False, bias=True)
    expected = before / shrunk.mean() * (shrunk / shrunk.mean()) ** -power
    np.testing.assert_allclose(np.linalg.eigvalsh(after), np.sort(expected), rtol=1e-2, atol=1e-6)
    np.testing.assert_allclose(np.asarray(whitening(activations)).reshape(-1, 5).mean(axis=0), 0, atol=1e-3)


def test_one_sample_alone_is_refused():
    unchecked = inspect.unwrap(Statistics.of.__func__)  # users run without the tests' own shape checker
    with pytest.raises(InputError, match=r"`activations\[None\]`"):
        unchecked(Statistics, make_activations()[0])
