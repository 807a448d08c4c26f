"""Scores: one number for one image, as a pure function of its activations at a layer.

``score(activations)`` or, where something goes around the layer, ``score(activations, context)``, both of ONE image.
Any differentiable JAX function will do; `class_score` makes one of a network.
Shapes: n images, gh x gw grid cells, c channels.
"""

import functools as ft
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from loce_jax.arrays import as_array
from loce_jax.batch_sizes import IMAGES_PER_BATCH
from loce_jax.checks import InputError, check_known
from loce_jax.models.base import Network
from loce_jax.models.rest import Rest

Score = Callable[..., Array]


@ft.partial(jax.tree_util.register_dataclass, data_fields=["params"], meta_fields=["rest", "output", "index"])
@dataclass(frozen=True, eq=False)
class ClassScore:
    """A network's value for one class, from a layer on; `class_score` makes it.  A pytree of the network's weights.

    Attributes:
        params: the network's weights.
        rest: the network from the layer on.
        output: the name of an output.
        index: of the class.
    """

    params: Any
    rest: Rest
    output: str
    index: int

    def __call__(self, activations: Float[Array, "gh gw c"], context: Any = None) -> Float[Array, ""]:
        """The class's value for ONE image's activations at the layer."""
        return self.rest(self.params, activations[None], context)[self.output][0, self.index]

    def context(self, images: UInt8[Any, "n h w 3"]) -> Any:
        """What goes around the layer for resized photos, n first in each array; None where nothing does."""
        return over_images(_context_of_one, self, images, None)


def class_score(network: Network, layer: str, target: int | str, *, output: str = "logits") -> ClassScore:
    """The value that a network gives to a class, as a function of one image's activations at a layer.

    Args:
        network: any network.
        layer: a name that `Network.resolve` knows.
        target: the class, by its number or its name.
        output: the name of an output with one value a class.

    Raises:
        InputError: a name is not known, the number is too large, or `output` is not one value a class.
    """
    check_known("output", [output], [one.name for one in network.outputs])
    (found,) = [one for one in network.outputs if one.name == output]
    if len(found.shape) != 1:
        raise InputError(
            f"`output` must be the name of one with a value a class, but {output!r} has shape {found.shape} an image. "
            "Write a score of your own with `network.rest`."
        )
    if isinstance(target, str):
        if not found.classes:
            raise InputError(
                f"`target` must be a number, because the {found.shape[0]} values of {output!r} have no names, but got "
                f"{target!r}. Give one from 0 to {found.shape[0] - 1}."
            )
        check_known("class", [target], found.classes)
        numbers = [number for number, name in enumerate(found.classes) if name == target]
        if len(numbers) > 1:
            raise InputError(
                f"`target` must name one class, but {', '.join(map(str, numbers))} are all named {target!r}. Give the "
                "number."
            )
        target = found.classes.index(target)
    if not isinstance(target, Integral) or not 0 <= target < found.shape[0]:
        raise InputError(
            f"`target` must be a whole number from 0 to {found.shape[0] - 1}, a class of {output!r}, but got "
            f"{target!r}."
        )
    return ClassScore(network.params, network.rest(layer, output), output, int(target))


def value_of(score: Score, activations: Array, context: Any) -> Array:
    """The score of one image."""
    return score(activations) if context is None else score(activations, context)


def over_images(function: Callable[..., Any], score: Score, images: Any, context: Any, *shared: Any) -> Any:
    """``function(score, image, context of the image, *shared)`` of every image: arrays of NumPy with n first.

    Compiled once for a function, a score and a number of images up to `IMAGES_PER_BATCH`; more come in batches of
    that size, the last one padded.
    """
    # a function of the caller's is a pytree without leaves, a `ClassScore` one of weights, so that neither is a
    # constant of the compiled program
    score = score if isinstance(score, ClassScore) else jax.tree_util.Partial(score)
    count, batches = len(images), []
    for start in range(0, count, IMAGES_PER_BATCH):
        part = np.minimum(np.arange(start, start + min(IMAGES_PER_BATCH, count)), count - 1)
        batch = jax.tree.map(lambda array, part=part: array[part], (images, context))
        kept = min(IMAGES_PER_BATCH, count - start)
        found = _compiled(function, score, *batch, *shared)
        batches.append(jax.tree.map(lambda array, kept=kept: np.asarray(array)[:kept], found))
    return jax.tree.map(lambda *arrays: np.concatenate(arrays), *batches)


def check_activations(score: Score, activations: Any, context: Any) -> Array | np.ndarray:
    """Activations ``[n ... c]`` that fit the score.

    Raises:
        InputError: a shape does not fit, or the score does not return one number.
    """
    activations = as_array("activations", activations)
    if activations.ndim < 2 or not activations.size or not jnp.issubdtype(activations.dtype, jnp.floating):
        raise InputError(
            "`activations` must be floating-point numbers of shape [n gh gw c], or [n c] where pooled, but got "
            f"{activations.dtype} of shape {tuple(activations.shape)}. One image needs `activations[None]`."
        )
    if any(len(array) != len(activations) for array in jax.tree.leaves(context)):
        raise InputError(
            f"`context` must hold arrays of the {len(activations)} images of `activations`, but holds some of "
            f"{[len(array) for array in jax.tree.leaves(context)]}. `ClassScore.context(images)` gives them."
        )
    one = jax.tree.map(lambda array: jnp.asarray(array[0]), (activations, context))
    shape = jax.eval_shape(ft.partial(value_of, score), *one).shape
    if shape != ():
        raise InputError(
            f"`score` must return one number for one image's activations of shape {tuple(activations.shape[1:])}, but "
            f"returns shape {shape}. Pick a class: `lambda activations: logits(activations)[5]`."
        )
    return activations


@ft.partial(jax.jit, static_argnames="function")
def _compiled(function, score, images, context, *shared):
    return jax.vmap(lambda image, around: function(score, image, around, *shared))(images, context)


def _context_of_one(score, image, _):
    return score.rest.context(score.params, image[None])
