"""Whitening in JAX: float32 on the device, in any program.

Shapes: h x w grid cells, c channels.
"""

from typing import NamedTuple
from weakref import WeakKeyDictionary

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from loce_jax.solver.precision import matmul
from loce_jax.statistics import Whitening


class DeviceWhitening(NamedTuple):
    """A `Whitening` as float32 arrays of a device, a pytree: programs take it as an argument."""

    mean: Float[Array, " c"]
    matrix: Float[Array, "c c"]

    def __call__(self, activations: Float[Array | np.ndarray, "*axes c"]) -> Float[Array, "*axes c"]:
        """Whitened activations, float32.

        >>> DeviceWhitening(jnp.array([3.0]), jnp.array([[0.5]]))(jnp.array([7.0])).tolist()
        [2.0]
        """
        return matmul(jnp.asarray(activations).astype(self.matrix.dtype) - self.mean, self.matrix)


_KEPT: WeakKeyDictionary[Whitening, DeviceWhitening] = WeakKeyDictionary()


def on_device(whitening: Whitening) -> DeviceWhitening:
    """The whitening on JAX's default device, copied there once for as long as `whitening` lives."""
    if whitening not in _KEPT:
        with jax.ensure_compile_time_eval():  # arrays, not tracers, even if the first caller is traced
            mean, matrix = (jnp.asarray(part, jnp.float32) for part in (whitening.mean, whitening.matrix))
        _KEPT[whitening] = DeviceWhitening(mean, matrix)
    return _KEPT[whitening]
