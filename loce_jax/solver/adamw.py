"""AdamW for one vector, with the bias corrections computed in float64 (Loshchilov & Hutter, ICLR 2019, algorithm 2).

``optax.adamw`` computes ``1 - 0.999**t`` in float32, which is off by 1e-5 in the first steps; the L1 penalty of the
"mse" and "mae" objectives turns that into other signs, so the published numbers could not be reproduced with it.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


class Moments(NamedTuple):
    """Running means of the gradient and of its square."""

    first: Float[Array, " c"]
    second: Float[Array, " c"]


def corrections(num_steps: int) -> Float[np.ndarray, "t 2"]:
    """For each step ``1 / (1 - beta1**t)`` and ``1 / sqrt(1 - beta2**t)``, float32 rounded from float64.

    >>> corrections(1).round(4).tolist()
    [[10.0, 31.622800827026367]]
    """
    t = np.arange(1, num_steps + 1)
    return np.stack([1 / (1 - BETA1**t), 1 / np.sqrt(1 - BETA2**t)], axis=1).astype(np.float32)


def adamw_step(
    vector: Float[Array, " c"],
    slope: Float[Array, " c"],
    moments: Moments,
    correction: Float[Array, "2"],
    rates: tuple[float, float],
) -> tuple[Float[Array, " c"], Moments]:
    """One step down `slope`; `rates` are the learning rate and the weight decay."""
    learning_rate, weight_decay = rates
    first = BETA1 * moments.first + (1 - BETA1) * slope
    second = BETA2 * moments.second + (1 - BETA2) * slope**2
    update = correction[0] * first / (jnp.sqrt(second) * correction[1] + EPSILON)
    return vector * (1 - learning_rate * weight_decay) - learning_rate * update, Moments(first, second)
