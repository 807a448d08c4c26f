"""TCAV scores of vectors: planted functions of two inputs, a twin by loops, zeros and gradients that are not finite."""

import jax.numpy as jnp
import numpy as np
import pytest

from loce_jax import InputError
from loce_jax.attribution import channel_gradients
from loce_jax.concepts.activation_vectors.cavs import CavOptions, cav
from loce_jax.concepts.activation_vectors.tcav_scores import tcav_scores

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("method", ["mean_difference", "pattern", "linear_svm", "logistic"])
def test_a_function_of_two_inputs_has_scores_of_one_and_zero(method):
    """The first class grows with x1 and falls with x2, the second the other way round."""
    inputs = RNG.random((40, 2)).astype("f4")
    x1, x2 = (inputs * scale + shift for scale, shift in (([0.1, 1], [2, 0]), ([1, 0.1], [0, 2])))
    vectors = cav({"x1": x1, "x2": x2}, inputs, CavOptions(method)).vectors
    classes = [lambda x: jnp.exp(x[0] - x[1]), lambda x: jnp.exp(x[1] - x[0])]
    found = [tcav_scores(channel_gradients(score, inputs).sums, vectors) for score in classes]
    assert [scores.sign.tolist() for scores in found] == [[1.0, 0.0], [0.0, 1.0]]
    assert [scores.magnitude.tolist() for scores in found] == [[1.0, 0.0], [0.0, 1.0]]


def test_against_loops():
    gradients, vectors = RNG.normal(size=(7, 4)), RNG.normal(size=(3, 4)) * [[1], [100], [0.01]]
    found = tcav_scores(gradients, vectors)
    for k, vector in enumerate(vectors):
        length = sum(v * v for v in vector) ** 0.5
        derivatives = [sum(g * v for g, v in zip(row, vector, strict=True)) / length for row in gradients]
        positive = [s for s in derivatives if s > 0]
        np.testing.assert_allclose(found.sign[k], len(positive) / 7)
        np.testing.assert_allclose(found.mean[k], sum(derivatives) / 7)
        np.testing.assert_allclose(found.magnitude[k], sum(positive) / sum(map(abs, derivatives)))


def test_the_opposite_vector_has_the_opposite_scores():
    gradients, vectors = RNG.normal(size=(7, 4)), RNG.normal(size=(3, 4))
    plain, opposite = tcav_scores(gradients, vectors), tcav_scores(gradients, -3 * vectors)
    np.testing.assert_allclose(opposite.sign, 1 - plain.sign)
    np.testing.assert_allclose(opposite.mean, -plain.mean)
    np.testing.assert_allclose(opposite.magnitude, 1 - plain.magnitude)


def test_zeros_are_counted_and_are_not_positive():
    gradients = np.array([[0.0, 1.0], [1.0, 1.0], [0.0, 2.0]])
    for sign in (1, -1):
        found = tcav_scores(gradients, np.array([[sign, 0.0]]))
        assert found.sign == (1 / 3 if sign > 0 else 0) and found.zeros == 2
    nothing = tcav_scores(np.zeros((3, 2)), np.ones((1, 2)))
    assert nothing.sign == nothing.mean == 0 and nothing.zeros == 3 and np.isnan(nothing.magnitude)


def test_gradients_and_vectors_that_are_not_finite():
    gradients = np.array([[np.nan, 1.0], [1.0, 1.0], [np.inf, 2.0]])
    found = tcav_scores(gradients, np.array([[1.0, 0.0], [0.0, 0.0], [np.nan, 1.0]]))
    assert (found.images, found.left_out) == (1, 2)
    for numbers in (found.sign, found.mean, found.magnitude):
        np.testing.assert_array_equal(numbers, [1.0, np.nan, np.nan])
    assert np.isnan(tcav_scores(gradients[:1], np.ones((1, 2))).sign)


def test_shapes_are_named():
    with pytest.raises(InputError, match=r"must have shapes \[n c\] and \[k c\], but got \(2, 3\) and \(2, 4\)"):
        tcav_scores(np.ones((2, 3)), np.ones((2, 4)))
