"""Objectives for ONE sample: ``loss(logits, target) -> scalar``, lower is better.

`logits` is the response map on the target's grid, `target` the soft mask in [0, 1].  Adding an objective means
adding a function and a line in `OBJECTIVES`.
Letters: H x W the target's grid, c channels.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def pseudo_bce(logits: Float[Array, "H W"], target: Float[Array, "H W"]) -> Float[Array, ""]:
    """Weighted agreement of projection and mask, the LoCE paper's objective; called "bce" there, but without a log.

    With ``p = sigmoid(logits)`` and ``a`` the share of pixels where target is 0::

        loss = -sum(a * target * p + (1 - a) * (1 - target) * (1 - p))

    Range: from ``-(a * sum(target) + (1 - a) * sum(1 - target))``, never quite reached, up to 0.
    Every pixel that the smoothed mask touches counts as foreground, so ``1 - a`` exceeds ``mean(target)``: the
    background weighs a little too much, which makes weak signals fail.  Kept, because the published numbers have it.
    Source: Mikriukov, Schwalbe & Bade, IJCV 2025, and their code; after Fong & Vedaldi, "Net2Vec", CVPR 2018.

    >>> mask = jnp.array([[1.0, 0.0]])
    >>> float(pseudo_bce(jnp.array([[30.0, -30.0]]), mask))
    -1.0
    """
    prediction, weight = jax.nn.sigmoid(logits), jnp.sum(target <= 0) / target.size
    return -jnp.sum(weight * target * prediction + (1 - weight) * (1 - target) * (1 - prediction))


def mse(logits: Float[Array, "H W"], target: Float[Array, "H W"]) -> Float[Array, ""]:
    """Mean squared error ``mean((target - sigmoid(logits))**2)`` in [0, 1].

    >>> float(mse(jnp.zeros((1, 2)), jnp.array([[1.0, 0.0]])))
    0.25
    """
    return jnp.mean((target - jax.nn.sigmoid(logits)) ** 2)


def mae(logits: Float[Array, "H W"], target: Float[Array, "H W"]) -> Float[Array, ""]:
    """Mean absolute error ``mean(|target - sigmoid(logits)|)`` in [0, 1].

    >>> float(mae(jnp.zeros((1, 2)), jnp.array([[1.0, 0.0]])))
    0.5
    """
    return jnp.mean(magnitude(target - jax.nn.sigmoid(logits)))


def magnitude(values: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """``|values|`` with slope 0 at 0, where `jnp.abs` has slope 1.

    >>> float(jax.grad(magnitude)(0.0)), float(jax.grad(magnitude)(-2.0))
    (0.0, -1.0)
    """
    return values * jax.lax.stop_gradient(jnp.sign(values))


class Objective(NamedTuple):
    """A loss, and whether the reference adds ``||v||_1 + ||v||_2`` to it."""

    loss: Callable[[Float[Array, "H W"], Float[Array, "H W"]], Float[Array, ""]]
    penalised: bool


OBJECTIVES = {"bce": Objective(pseudo_bce, False), "mse": Objective(mse, True), "mae": Objective(mae, True)}
