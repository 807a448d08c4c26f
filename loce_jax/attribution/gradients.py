"""Gradients of a score by a layer's channels, and whether they are the same for every image.

Shapes: n images, cells of any grid or none, c channels.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from loce_jax.attribution.scores import Score, check_activations, over_images, value_of
from loce_jax.models.programs import to_program
from loce_jax.solver.solution import Status


@dataclass(frozen=True)
class ChannelGradients:
    """How much a score grows as a channel grows in all cells at once.

    Attributes:
        sums: the gradient of an image's score by its activations, summed over cells, in the score's unit per unit of
            activation; NaN where `status` is not ``Status.OK``.
        status: ``Status.OK`` or ``Status.NONFINITE`` an image.
        constant: whether the score is an affine function of the activations, so that one gradient holds for every
            image, which was then computed once.
    """

    sums: Float[np.ndarray, "n c"]
    status: Int[np.ndarray, " n"]
    constant: bool

    @property
    def ok(self) -> Bool[np.ndarray, " n"]:
        """True where the gradient is finite."""
        return self.status == Status.OK


def channel_gradients(score: Score, activations: Any, context: Any = None) -> ChannelGradients:
    """Gradients of every image's score by the layer's channels, each summed over cells.

    ``sums @ v`` is the derivative of the score as the vector v is added in every cell.

    Args:
        score: a function of ONE image's activations, see `loce_jax.attribution.scores`.
        activations: of the layer, ``[n gh gw c]``, or ``[n c]`` of a layer without cells.
        context: what goes around the layer, n first; see `ClassScore.context`.

    Raises:
        InputError: shapes do not fit, or the score is not one number an image.

    >>> found = channel_gradients(lambda a: (a**2).sum(), np.ones((1, 2, 2, 3), "f4"))
    >>> found.sums.tolist(), found.constant
    ([[8.0, 8.0, 8.0]], False)
    """
    activations = check_activations(score, activations, context)
    constant = gradient_is_constant(score, activations, context)
    first = jax.tree.map(lambda array: array[:1], (activations, context))
    sums = over_images(_sums_of_one, score, *(first if constant else (activations, context)))
    sums = np.repeat(sums, len(activations), axis=0) if constant else sums
    finite = np.asarray(np.isfinite(sums).all(axis=1))
    sums = np.where(finite[:, None], sums, np.nan).astype(sums.dtype)
    return ChannelGradients(sums, np.where(finite, Status.OK, Status.NONFINITE), constant)


def gradient_is_constant(score: Score, activations: Any, context: Any = None) -> bool:
    """Whether a score is provably affine in the activations, with one gradient for all images.

    It is read off the traced gradient: no operation on the way to it takes the activations or the context.  True is
    a proof for every input of this shape; False may also come of an operation that cancels out.

    >>> gradient_is_constant(lambda a: a.mean((0, 1)) @ np.arange(3), np.ones((5, 2, 2, 3), "f4"))
    True
    >>> gradient_is_constant(lambda a: jax.nn.relu(a).mean(), np.ones((5, 2, 2, 3), "f4"))
    False
    """
    one = jax.tree.map(lambda array: jax.ShapeDtypeStruct(array.shape[1:], array.dtype), (activations, context))
    program, _ = to_program(jax.grad(lambda *inputs: value_of(score, *inputs)), *one)
    (gradient,) = program.outputs
    return gradient not in program.depends_on(program.inputs)


def _sums_of_one(score, activations, context):
    gradient = jax.grad(lambda changed: value_of(score, changed, context))(activations)
    return gradient.astype(jnp.promote_types(gradient.dtype, jnp.float32)).sum(tuple(range(gradient.ndim - 1)))
