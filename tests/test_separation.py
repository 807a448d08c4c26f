"""`pairwise_separation` against recorded values of the original code, a slow twin, and symmetries it must obey."""

import numpy as np
import pytest
from sklearn.metrics.pairwise import euclidean_distances

from loce_jax.analysis.separation import pairwise_separation
from loce_jax.checks import InputError


def make_clouds(seed, n=30, channels=5):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, channels)), rng.permutation(np.arange(n) % 4)


def separate_slowly(vectors, labels, i, j):
    def distances(rows, columns):
        return [float(np.sqrt(((a - b) ** 2).sum())) for a in rows for b in columns]

    first, second = vectors[labels == i], vectors[labels == j]
    both = np.vstack([first, second])
    return min(distances(first, second)) / (max(distances(both, both)) + 1e-6)


@pytest.mark.parametrize("layer", ["1", "2"])
def test_reproduces_the_original_code(layer, shared):
    recorded = np.load(shared("golden", "analysis.npz"))
    vectors, labels, expected = recorded[f"X{layer}"], recorded["labels"], recorded[f"pairwise_sep_L{layer}"]
    result = pairwise_separation(vectors, labels)
    assert result.concepts == (3, 6, 8, 17, 18, 24)
    np.testing.assert_allclose(result.matrix, expected, rtol=0, atol=1e-7)
    # What is left is float32: it expands distances into dot products and divides in that precision.  Redo it so.
    rounded = euclidean_distances(vectors)
    for row, i in enumerate(result.concepts):
        for column, j in enumerate(result.concepts[:row]):
            both = np.isin(labels, (i, j))
            gap, size = rounded[np.ix_(labels == i, labels == j)].min(), rounded[np.ix_(both, both)].max()
            assert float(gap / (size + 1e-6)) == pytest.approx(expected[row, column], abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_matches_slow_twin(seed):
    vectors, labels = make_clouds(seed)
    result = pairwise_separation(vectors, labels)
    assert result.concepts == (0, 1, 2, 3)
    for i in range(4):
        for j in range(4):
            expected = 0 if i == j else separate_slowly(vectors, labels, i, j)
            assert result.matrix[i, j] == pytest.approx(expected, rel=1e-12)


def test_hand_computed_values():
    vectors = np.array([[0.0, 0.0], [0.0, 4.0], [3.0, 0.0]])
    assert pairwise_separation(vectors, ["a", "a", "b"]).matrix[0, 1] == pytest.approx(3 / (5 + 1e-6), rel=1e-14)


@pytest.mark.parametrize("seed", range(3))
def test_scale_shift_and_order_change_nothing(seed):
    vectors, labels = make_clouds(seed)
    expected = pairwise_separation(vectors, labels).matrix
    order = np.random.default_rng(seed + 100).permutation(len(labels))
    np.testing.assert_allclose(pairwise_separation(1000 * vectors, labels).matrix, expected, rtol=1e-5)  # the 1e-6
    np.testing.assert_allclose(pairwise_separation(vectors + 7, labels).matrix, expected, rtol=1e-12)
    np.testing.assert_array_equal(pairwise_separation(vectors[order], labels[order]).matrix, expected)
    np.testing.assert_array_equal(expected, expected.T)


def test_blocks_do_not_change_the_result(monkeypatch):
    vectors, labels = make_clouds(0)
    expected = pairwise_separation(vectors, labels).matrix
    monkeypatch.setattr("loce_jax.analysis.separation._BLOCK", 3)
    np.testing.assert_array_equal(pairwise_separation(vectors, labels).matrix, expected)


def test_coinciding_none_and_single_vectors():
    assert pairwise_separation(np.ones((4, 2)), ["a", "a", "b", "b"]).matrix.tolist() == [[0, 0], [0, 0]]
    assert pairwise_separation(np.zeros((0, 2)), []).matrix.shape == (0, 0)
    assert pairwise_separation(np.ones((1, 2)), ["a"]).matrix.tolist() == [[0]]


def test_bad_rows_are_refused_with_the_cure():
    with pytest.raises(InputError, match=r"1 of 3 rows hold NaN or infinity. Drop them first"):
        pairwise_separation(np.array([[0.0], [np.nan], [1.0]]), ["a", "a", "b"])
    with pytest.raises(InputError, match=r"`labels` must have shape \(3,\) \(one per vector\), but got \(2,\)"):
        pairwise_separation(np.zeros((3, 1)), ["a", "b"])
