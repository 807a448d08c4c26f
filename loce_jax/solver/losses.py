"""Objectives, pixel by pixel: how well the projection agrees with the mask, lower is better.

An objective is two functions of one pixel's projection ``p = sigmoid(logit)``, its target in [0, 1], and the
`background`, the share of the mask's pixels where target is 0: the `value`, which is summed or averaged over the
mask, and its `derivative` with respect to ``p``.  They are plain float32 arithmetic, which JAX traces and Numba
compiles.  Adding an objective means adding the two functions and a line in `OBJECTIVES`, and its name in
`loce_jax.recipes`.
Shapes: H x W the target's grid.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

ONE, TWO = np.float32(1), np.float32(2)


def bce_value(p, target, background):
    """Weighted disagreement, the LoCE paper's objective; called "bce" there, but without a log.

    Summed over pixels, with ``a`` the background::

        loss = -sum(a * target * p + (1 - a) * (1 - target) * (1 - p))

    Range: from ``-(a * sum(target) + (1 - a) * sum(1 - target))``, never quite reached, up to 0.
    Every pixel that the smoothed mask touches counts as foreground, so ``1 - a`` exceeds ``mean(target)``: the
    background weighs a little too much, which makes weak signals fail.  Kept, because the published numbers have it.
    Source: Mikriukov, Schwalbe & Bade, IJCV 2025, and their code; after Fong & Vedaldi, "Net2Vec", CVPR 2018.
    """
    spared = (ONE - background) * (ONE - target)
    return (spared - background * target) * p - spared


def bce_derivative(p, target, background):  # noqa: ARG001 - all derivatives have one signature
    """Derivative of `bce_value`, the same for every projection."""
    return (ONE - background) * (ONE - target) - background * target


def mse_value(p, target, background):  # noqa: ARG001
    """Squared error ``(target - p)**2`` in [0, 1], averaged over pixels."""
    return (target - p) * (target - p)


def mse_derivative(p, target, background):  # noqa: ARG001
    """Derivative of `mse_value`."""
    return TWO * (p - target)


def mae_value(p, target, background):  # noqa: ARG001
    """Absolute error ``|target - p|`` in [0, 1], averaged over pixels; its derivative at 0 is 0."""
    return (target - p) * (ONE * (target > p) - ONE * (target < p))


def mae_derivative(p, target, background):  # noqa: ARG001
    """Derivative of `mae_value`: the sign of ``p - target``."""
    return ONE * (p > target) - ONE * (p < target)


class Objective(NamedTuple):
    """A pixel's value and derivative, and whether pixels are averaged; what is added is `PaperRecipe.penalized`."""

    value: Callable
    derivative: Callable
    averaged: bool


OBJECTIVES = {
    "bce": Objective(bce_value, bce_derivative, averaged=False),
    "mse": Objective(mse_value, mse_derivative, averaged=True),
    "mae": Objective(mae_value, mae_derivative, averaged=True),
}


def loss(
    objective: Objective, logits: Float[Array, "H W"], target: Float[Array, "H W"], background: Float[Array, ""]
) -> Float[Array, ""]:
    """The objective of one response map on the target's grid, without the penalty on the vector.

    `background` is the target's `background_share`; it is an argument because XLA would compute it in every step.

    >>> mask, half = jnp.array([[1.0, 0.0]]), jnp.array(0.5)
    >>> float(loss(OBJECTIVES["bce"], jnp.array([[30.0, -30.0]]), mask, half))
    -1.0
    >>> float(loss(OBJECTIVES["mse"], jnp.zeros((1, 2)), mask, half))
    0.25
    >>> float(loss(OBJECTIVES["mae"], jnp.zeros((1, 2)), mask, half))
    0.5
    """
    values = objective.value(jax.nn.sigmoid(logits), target, background)
    return jnp.mean(values) if objective.averaged else jnp.sum(values)


def background_share(target: Float[Array, "H W"]) -> Float[Array, ""]:
    """Share of pixels where the target is 0.

    >>> float(background_share(jnp.array([[0.0, 0.1, 1.0, 0.0]])))
    0.5
    """
    return jnp.sum(target <= 0) / np.float32(target.size)


def magnitude(values: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """``|values|`` with derivative 0 at 0, where `jnp.abs` has derivative 1.

    >>> float(jax.grad(magnitude)(0.0)), float(jax.grad(magnitude)(-2.0))
    (0.0, -1.0)
    """
    return values * jax.lax.stop_gradient(jnp.sign(values))
