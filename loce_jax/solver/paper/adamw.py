"""AdamW for one vector, with the bias corrections computed in float64 (Loshchilov & Hutter, ICLR 2019, algorithm 2).

``optax.adamw`` computes ``1 - 0.999**t`` in float32, which is off by 1e-5 in the first steps; the L1 penalty of the
"mse" and "mae" objectives turns that into other signs, so the published numbers could not be reproduced with it.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from loce_jax.recipes import PaperRecipe

BETA1, BETA2 = 0.9, 0.999


class Moments(NamedTuple):
    """Running means of the gradient and of its square."""

    first: Float[Array, " c"]
    second: Float[Array, " c"]


def corrections(num_steps: int) -> Float[np.ndarray, "t 2"]:
    """For each step ``1 - beta1**t`` and ``sqrt(1 - beta2**t)``, float32 rounded from float64.

    >>> corrections(1).round(4)
    array([[0.1   , 0.0316]], dtype=float32)
    """
    t = np.arange(1, num_steps + 1)
    return np.stack([1 - BETA1**t, np.sqrt(1 - BETA2**t)], axis=1).astype(np.float32)


def adamw_step(
    vector: Float[Array, " c"],
    gradient: Float[Array, " c"],
    moments: Moments,
    correction: Float[Array, "2"],
    recipe: PaperRecipe,
) -> tuple[Float[Array, " c"], Moments]:
    """One step against `gradient`; learning rate, weight decay and epsilon come from `recipe`."""
    first = moments.first + (1 - BETA1) * (gradient - moments.first)
    second = BETA2 * moments.second + (1 - BETA2) * gradient**2
    step = first / (jnp.sqrt(second) / correction[1] + recipe.epsilon)
    shrunk = vector * (1 - recipe.learning_rate * recipe.weight_decay)
    return shrunk - recipe.learning_rate / correction[0] * step, Moments(first, second)
