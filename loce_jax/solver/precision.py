"""Matrix products in full float32 precision on every device."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def matmul(a: Float[Array | np.ndarray, "..."], b: Float[Array | np.ndarray, "..."]) -> Float[Array, "..."]:
    """``a @ b``, where a GPU would round float32 factors to 10 bits (TF32) and a TPU to 8 (bfloat16) by default.

    >>> matmul(jnp.array([[1.0, 2.0]]), jnp.array([3.0, 4.0])).tolist()
    [11.0]
    """
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
