"""Gradients summed over cells, and the proof that they are the same for every image."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from loce_jax.attribution import channel_gradients, directional_derivatives, gradient_is_constant
from loce_jax.solver import Status

RNG = np.random.default_rng(0)
ACTIVATIONS = RNG.normal(size=(3, 2, 4, 5)).astype("f4")
WEIGHTS = RNG.normal(size=5).astype("f4")


def test_sums_are_derivatives_along_channels():
    def score(activations):
        return jnp.tanh(activations).sum() ** 2

    expected = directional_derivatives(score, ACTIVATIONS, np.eye(5)).sums
    found = channel_gradients(score, ACTIVATIONS)
    np.testing.assert_allclose(found.sums, expected, rtol=1e-5)  # float32 sums of 8 cells in another order
    assert not found.constant


@pytest.mark.parametrize(
    "score",
    [
        lambda a: a.mean((0, 1)) @ WEIGHTS + 3,
        lambda a: jax.jit(jnp.dot)(a.max() * 0 + 1, 1.0) * a.mean((0, 1)) @ WEIGHTS,
        lambda a: jax.nn.relu(a).mean((0, 1)) @ WEIGHTS,
        lambda a: (a / 2 + a / 2).sum((0, 1)) @ WEIGHTS,
        lambda a: a.mean((0, 1)) @ WEIGHTS / jnp.linalg.norm(a),
    ],
)
def test_the_proof_is_never_wrong(score):
    gradients = np.stack([jax.grad(score)(one) for one in jnp.concatenate([ACTIVATIONS, -ACTIVATIONS])])
    if gradient_is_constant(score, ACTIVATIONS):
        np.testing.assert_array_equal(gradients, np.broadcast_to(gradients[0], gradients.shape))


def test_affine_scores_are_found_and_others_are_not():
    assert gradient_is_constant(lambda a: a.mean((0, 1)) @ WEIGHTS + 3, ACTIVATIONS)
    assert not gradient_is_constant(lambda a: jax.nn.relu(a).mean(), ACTIVATIONS)
    assert not gradient_is_constant(lambda a, scale: a.mean() * scale, ACTIVATIONS, np.ones(3, "f4"))


def test_one_gradient_is_computed_for_an_affine_score_even_where_activations_are_not_finite():
    activations = ACTIVATIONS.copy()
    activations[0] = np.nan
    found = channel_gradients(lambda a: a.mean((0, 1)) @ WEIGHTS, activations)
    assert found.constant and found.ok.all()
    np.testing.assert_allclose(found.sums, np.tile(WEIGHTS, (3, 1)), rtol=1e-6)


def test_a_gradient_that_is_not_finite_is_a_status():
    activations = np.abs(ACTIVATIONS)
    activations[1, 0, 0, 0] = 0
    found = channel_gradients(lambda a: jnp.sqrt(a).sum(), activations)
    assert found.status.tolist() == [Status.OK, Status.NONFINITE, Status.OK]
    assert np.isnan(found.sums[1]).all() and np.isfinite(found.sums[[0, 2]]).all()
