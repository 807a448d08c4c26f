"""CKA and RSA of whole layers on common cells: float64 twins, what leaves them alone, and chance."""

import itertools
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from loce_jax.checks import InputError
from loce_jax.concepts.comparison.feature_similarity import feature_similarity
from loce_jax.resampling import resize_bilinear


def layer(seed, grid=(4, 3), channels=5, n=4):
    return np.random.default_rng(seed).normal(size=(n, *grid, channels)).astype("f4")


def slow_cka(x, y):
    """HSIC_1 from kernels, loops over the sums of Song et al. (2012), eq. 5."""

    def hsic(k, l):  # noqa: E741
        n = len(k)
        k, l = k.copy(), l.copy()  # noqa: E741
        np.fill_diagonal(k, 0)
        np.fill_diagonal(l, 0)
        trace = sum(k[i] @ l[:, i] for i in range(n))
        return (trace + k.sum() * l.sum() / (n - 1) / (n - 2) - 2 / (n - 2) * (k @ l).sum()) / n / (n - 3)

    k, l = x @ x.T, y @ y.T  # noqa: E741
    return hsic(k, l) / np.sqrt(hsic(k, k) * hsic(l, l))


def slow_rsa(x, y):
    pairs = [(i, j) for i in range(len(x)) for j in range(i)]
    a, b = ([np.linalg.norm(z[i] - z[j]) for i, j in pairs] for z in (x, y))
    found: Any = spearmanr(a, b)
    return found.statistic


@pytest.mark.parametrize("seed", range(3))
def test_they_are_those_of_kernels_and_distances_on_the_smaller_grid(seed):
    first, second = layer(seed), layer(seed + 9, grid=(2, 6), channels=7)
    second[..., :5] += first[:, ::2].repeat(2, axis=2)
    found = feature_similarity([first, second])
    rows = []
    for one in (first, second):
        resized = [resize_bilinear(image.transpose(2, 0, 1), (2, 3)).transpose(1, 2, 0).reshape(6, -1) for image in one]
        rows.append(np.concatenate(resized))
    np.testing.assert_allclose([found.cka[0, 1], found.rsa[0, 1]], [slow_cka(*rows), slow_rsa(*rows)], rtol=1e-9)
    for matrix in (found.cka, found.rsa):
        np.testing.assert_array_equal(matrix, matrix.T)
        np.testing.assert_array_equal(matrix.diagonal(), 1)


def test_many_layers_are_compared_two_by_two():
    layers = [layer(0), layer(1, grid=(2, 6), channels=7), layer(2), layer(3, grid=(2, 2))]
    found = feature_similarity(layers, cells=10, seed=3)
    for i, j in itertools.combinations(range(4), 2):
        pair = feature_similarity([layers[i], layers[j]], cells=10, seed=3)
        assert (found.cka[i, j], found.rsa[i, j]) == (pair.cka[0, 1], pair.rsa[0, 1])


def test_a_rotation_of_the_channels_changes_nothing():
    first = layer(0)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(5, 5)))[0]
    found = feature_similarity([first, 3 * first @ turn + 1])
    np.testing.assert_allclose([found.cka, found.rsa], 1, atol=1e-6)  # float32 activations


def test_other_images_score_chance():
    first = layer(0, n=20)
    found = feature_similarity([first, first[np.roll(np.arange(20), 1)]])
    assert abs(found.cka[0, 1]) < 0.1 and abs(found.rsa[0, 1]) < 0.1


def test_cells_are_drawn_by_the_seed():
    first, second = layer(0), layer(1)
    found = [feature_similarity([first, second], cells=20, seed=seed).rsa[0, 1] for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2]
    assert found[0] != feature_similarity([first, second]).rsa[0, 1], "of all 48 cells"


def test_a_layer_without_differences_is_like_no_other():
    found = feature_similarity([layer(0), np.ones((4, 4, 3, 5), "f4")])
    assert np.isnan([found.cka[0, 1], found.rsa[0, 1]]).all()


@pytest.mark.wrong_types
def test_other_images_are_refused():
    with pytest.raises(InputError, match="of the same images"):
        feature_similarity([layer(0), layer(0, n=3)])
