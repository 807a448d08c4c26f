"""The ridge recipe's objective for ONE sample: logistic regression with a squared penalty.

With whitened activations x, an unpenalized bias b, U the resize to the target's grid, and class weights w of its pixels
that sum to 1::

    z = U(x @ v) + b,    L(v, b) = sum w (softplus(z) - t z) + l2 / 2 |v|^2

L is strictly convex in v, so its minimum is unique and does not depend on the initialization.  Where there are more
channels than cells, the minimum is a linear combination of the cells' features, ``v = X.T @ a``, and `a` is the unknown
(the kernel form, with the Gram matrix of the cells).
Shapes: h x w grid cells of the layer, p = h * w, c channels, H x W the target's grid, m = c or p unknowns.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from loce_jax.recipes import RidgeRecipe
from loce_jax.solver.paper.sample import Resize, upsample
from loce_jax.solver.whitening import DeviceWhitening, on_device
from loce_jax.statistics import Statistics

ROUNDING = 1e-6  # by how much, relatively, equal cells may differ
MIN_VARIANCE = 0.1  # of an image's whitened cells, all channels together; photographs have at least a tenth a channel


class Config(NamedTuple):
    """What all samples share, as arrays: other numbers need no other program."""

    whitening: DeviceWhitening
    l2: Float[Array, ""]
    class_weight_power: Float[Array, ""]

    @classmethod
    def of(cls, statistics: Statistics, recipe: RidgeRecipe) -> "Config":
        """The numbers of `recipe` in float32, with the whitening that `statistics` define."""
        whitening = on_device(statistics.whitening(recipe.whitening))
        return cls(whitening, jnp.float32(recipe.l2), jnp.float32(recipe.class_weight_power))


class Features(NamedTuple):
    """One image's whitened activations, and their Gram matrix if there are fewer cells than channels."""

    cells: Float[Array, "h w c"]
    gram: Float[Array, "p p"] | None


def image_features(cells: Float[Array, "h w c"]) -> Features:
    """What the concepts of an image share, from its whitened activations.

    Where all cells of an image are equal up to rounding, they are replaced by zeros: rounding is no signal.  So are
    cells that vary so little beside the data set's that the penalty would leave nothing of their vector.
    """
    h, w, c = cells.shape
    flat = cells.reshape(h * w, c)
    deviations = flat - flat.mean(axis=0)
    equal = jnp.all(jnp.abs(deviations) <= ROUNDING * jnp.max(jnp.abs(flat)))  # False if one is NaN
    negligible = jnp.sum(deviations**2) < MIN_VARIANCE * h * w
    flat = jnp.where(equal | negligible, 0, flat)
    return Features(flat.reshape(h, w, c), flat @ flat.T if h * w < c else None)


class Parametrization(NamedTuple):
    """How a vector v is represented by unknowns: by v itself, or by the `a` of ``v = X.T @ a``.

    Attributes:
        size: number of unknowns, m.
        matvec: from unknowns to ``X @ v``.
        matvec_transpose: from a derivative by the response to the derivative by v, ``X.T @ derivative``, as unknowns.
        inner: from unknowns, their response, and other unknowns to the inner product of the two vectors.
        vector: from unknowns to v.
    """

    size: int
    matvec: Callable
    matvec_transpose: Callable
    inner: Callable
    vector: Callable

    @classmethod
    def of(cls, features: Features) -> "Parametrization":
        """By `a` if there are fewer cells than channels, else by v."""
        (h, w, c), gram = features.cells.shape, features.gram
        flat = features.cells.reshape(h * w, c)
        if gram is None:
            return cls(
                c,
                lambda v: flat @ v,
                lambda grad: grad @ flat,
                lambda v, _, other: v @ other,
                lambda v: v,
            )
        return cls(
            h * w,
            lambda a: gram @ a,
            lambda grad: grad,
            lambda _, r, other: r @ other,
            lambda a: a @ flat,
        )


class Params(NamedTuple):
    """Unknowns, their response and a bias; or a step of these."""

    unknowns: Float[Array, " m"]
    response: Float[Array, " p"]
    bias: Float[Array, ""]


class Iterate(NamedTuple):
    """Parameters, the objective there, and its first and second derivatives by the logits, on the target's grid."""

    params: Params
    loss: Float[Array, ""]
    derivative: Float[Array, "H W"]
    curvature: Float[Array, "H W"]


class Objective(NamedTuple):
    """The objective of one row, which is a target on the features of an image."""

    parametrization: Parametrization
    target: Float[Array, "H W"]
    weights: Float[Array, "H W"]
    resize: Resize
    l2: Float[Array, ""]
    tolerance: float

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of the layer."""
        return self.resize[0].shape[1], self.resize[1].shape[1]

    def evaluate(self, params: Params) -> Iterate:
        """The objective and its derivatives by the logits."""
        logits = upsample(params.response.reshape(self.grid), self.resize) + params.bias
        decay = jnp.exp(-jnp.abs(logits))
        probability = jnp.where(logits < 0, decay, 1) / (1 + decay)
        softplus = jnp.maximum(logits, 0) + jnp.log1p(decay)
        squared_norm = self.parametrization.inner(params.unknowns, params.response, params.unknowns)
        loss = jnp.sum(self.weights * (softplus - self.target * logits)) + self.l2 / 2 * squared_norm
        derivative = self.weights * (probability - self.target)
        return Iterate(params, loss, derivative, self.weights * probability * (1 - probability))


def class_weights(target: Float[Array, "H W"], power: Float[Array, ""] | float) -> Float[Array, "H W"]:
    """Weights of pixels, of sum 1.

    If the concept covers the share s, each of its pixels weighs ``((1 - s) / s)**power`` times as much as another.

    >>> weights = class_weights(jnp.array([[1.0, 0.0, 0.0, 0.0]]), 1.0)
    >>> float(weights.sum()), float(weights[0, 0] / weights[0, 1])
    (1.0, 3.0)
    """
    share = jnp.mean(target)
    weights = (1 - share) ** power * target + share**power * (1 - target)
    total = jnp.sum(weights)
    return weights / jnp.where(total > 0, total, 1)
