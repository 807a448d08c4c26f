"""Our AdamW against Optax's, which differs by the float32 rounding of its bias correction, and against float64."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from loce_jax import PaperRecipe
from loce_jax.solver.paper.adamw import Moments, adamw_step, corrections

GRADIENTS = np.random.default_rng(0).normal(size=(50, 7)).astype("float32")


def walk():
    vector, moments = jnp.ones(7), Moments(jnp.zeros(7), jnp.zeros(7))
    for gradient, correction in zip(GRADIENTS, corrections(50), strict=True):
        vector, moments = adamw_step(vector, jnp.asarray(gradient), moments, jnp.asarray(correction), PaperRecipe())
    return np.asarray(vector)


def walk_slowly():
    v, m, s = np.ones(7), np.zeros(7), np.zeros(7)
    for t, g in enumerate(GRADIENTS.astype(float), 1):
        m, s = 0.9 * m + 0.1 * g, 0.999 * s + 0.001 * g**2
        v = v - 0.1 * (m / (1 - 0.9**t) / (np.sqrt(s / (1 - 0.999**t)) + 1e-8) + 0.01 * v)
    return v


@pytest.mark.slow
def test_agrees_with_float64():
    np.testing.assert_allclose(walk(), walk_slowly(), atol=2e-6)


def test_agrees_with_optax_up_to_its_rounding():
    optimizer, vector = optax.adamw(0.1, weight_decay=0.01), jnp.ones(7)
    state = optimizer.init(vector)
    for gradient in GRADIENTS:
        update, state = optimizer.update(jnp.asarray(gradient), state, vector)
        vector = optax.apply_updates(vector, update)
    np.testing.assert_allclose(walk(), np.asarray(vector), atol=1e-4)
