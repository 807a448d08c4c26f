"""How much the score of a class depends on concept vectors: shares and sizes of directional derivatives.  NumPy.

Shapes: n images of the class, k vectors, c channels.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from loce_jax.arrays import as_array
from loce_jax.checks import InputError


@dataclass(frozen=True)
class TcavScores:
    """Scores of k vectors.

    With ``S = gradients @ v / |v|``, the derivative of each image's class score along a vector of unit length:

    Attributes:
        sign: share of images with ``S > 0``, 0 to 1: the TCAV score of Kim et al., ICML 2018, section 3.4.  A
            derivative of exactly 0 is not positive.  NaN without a vector or an image, as all numbers here.
        mean: the mean of S, in the class score's unit per unit of activation; captum calls it magnitude.
        magnitude: the sum of positive S by the sum of all ``|S|``; 0 to 1, 0.5 where both signs balance; NaN where
            every S is 0.
        zeros: number of images with S exactly 0.
        images: number of images, all with finite gradients.
        left_out: number of further ones, whose gradients are not finite.
    """

    sign: Float[np.ndarray, " k"]
    mean: Float[np.ndarray, " k"]
    magnitude: Float[np.ndarray, " k"]
    zeros: Int[np.ndarray, " k"]
    images: int
    left_out: int


def tcav_scores(gradients: Any, vectors: Any) -> TcavScores:
    """TCAV scores of concept vectors for the images of a class.

    Args:
        gradients: of the class score of each image by the layer, summed over cells, ``[n c]``, as
            `loce_jax.attribution.channel_gradients` gives them.
        vectors: ``[k c]``, of any length, e.g. those of `loce_jax.concepts.activation_vectors.cavs.cav`.

    Raises:
        InputError: shapes do not fit.

    >>> found = tcav_scores(np.array([[1.0, 0.0], [3.0, -1.0]]), np.array([[2.0, 0.0], [0.0, 5.0]]))
    >>> found.sign.tolist(), found.mean.tolist(), found.magnitude.tolist(), found.zeros.tolist()
    ([1.0, 0.0], [2.0, -0.5], [1.0, 0.0], [0, 1])
    """
    gradients, vectors = (
        np.asarray(as_array(name, array), np.float64)
        for name, array in (("gradients", gradients), ("vectors", vectors))
    )
    if gradients.ndim != 2 or vectors.ndim != 2 or vectors.shape[1] != gradients.shape[1]:
        raise InputError(
            f"`gradients` and `vectors` must have shapes [n c] and [k c], but got {gradients.shape} and "
            f"{vectors.shape}. Sum gradients over cells; one vector needs `vector[None]`."
        )
    finite = gradients[np.isfinite(gradients).all(axis=1)]
    derivatives = finite @ unit_vectors(vectors).T
    usable = np.isfinite(derivatives).all(axis=0) & (len(finite) > 0)
    sign, mean = (derivatives > 0).sum(axis=0) / max(len(finite), 1), derivatives.sum(axis=0) / max(len(finite), 1)
    positive, total = np.maximum(derivatives, 0).sum(axis=0), np.abs(derivatives).sum(axis=0)
    magnitude = np.divide(positive, total, out=np.full(len(vectors), np.nan), where=total > 0)
    zeros = (derivatives == 0).sum(axis=0)
    sign, mean = (np.where(usable, numbers, np.nan) for numbers in (sign, mean))
    return TcavScores(sign, mean, magnitude, zeros, len(finite), len(gradients) - len(finite))


def unit_vectors(vectors: Float[np.ndarray, "k c"]) -> Float[np.ndarray, "k c"]:
    """Vectors of length 1 that point where these do; NaN for zeros.

    >>> unit_vectors(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.8], [nan, nan]]
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, np.nan)
