"""From vectors and activations to the redrawn mask.

Letters: h x w grid cells of the layer, c channels, H x W the grid asked for.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from loce_jax.resampling import bilinear_matrix
from loce_jax.solver.precision import matmul


def enlarge(responses: Float[Array | np.ndarray, "*rows h w"], size: tuple[int, int]) -> Float[Array, "*rows H W"]:
    """Response maps resized bilinearly to `size`, as `loce_jax.resampling.bilinear_matrix` does it; float32."""
    rows, columns = (
        jnp.asarray(bilinear_matrix(*ab), jnp.float32) for ab in zip(responses.shape[-2:], size, strict=True)
    )
    return matmul(matmul(rows, responses.astype(jnp.float32)), columns.T)


def project(
    activations: Float[Array, "h w c"],
    vector: Float[Array, " c"],
    size: tuple[int, int] = (100, 100),
    bias: Float[Array, ""] | np.floating | float = 0.0,
) -> Float[Array, "H W"]:
    """The mask that `vector` draws on one sample's `activations`: ``sigmoid(activations @ vector + bias)`` at `size`.

    A vector of the ridge recipe has a bias and asks for whitened activations, see `Statistics.whitening`.

    Any vector will do, also another image's or a mean over many.  Values in [0, 1]; 0.5 is the paper's threshold.

    >>> bool((project(jnp.ones((2, 2, 3)), jnp.zeros(3), (4, 4)) == 0.5).all())
    True
    """
    response = matmul(activations.astype(jnp.float32), vector.astype(jnp.float32)) + bias
    return jax.nn.sigmoid(enlarge(response, size))
