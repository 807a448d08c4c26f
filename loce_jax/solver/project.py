"""From filters and activations to the predicted mask.

Shapes: h x w grid cells of the layer, c channels, H x W the requested grid.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from loce_jax.arrays import as_array
from loce_jax.resampling import bilinear_matrix
from loce_jax.solver.precision import matmul


def upsample(responses: Float[Array | np.ndarray, "*rows h w"], size: tuple[int, int]) -> Float[Array, "*rows H W"]:
    """Response maps resized bilinearly to `size`, as `loce_jax.resampling.bilinear_matrix` does it; float32."""
    rows, columns = (
        jnp.asarray(bilinear_matrix(*ab), jnp.float32) for ab in zip(responses.shape[-2:], size, strict=True)
    )
    return matmul(matmul(rows, responses.astype(jnp.float32)), columns.T)


def project(
    activations: Float[Array | np.ndarray, "h w c"],
    filters: Float[Array | np.ndarray, "*rows c"],
    offsets: Float[Array | np.ndarray, "*rows"] | np.floating | float,
    size: tuple[int, int] = (100, 100),
) -> Float[Array, "*rows H W"]:
    """The masks that filters segment in one sample: ``sigmoid(activations @ filter + offset)`` at `size`.

    Any filters will do, also another image's or a mean over many.  `Solution.raw_filters` and `Run.raw_filters` return
    filters and offsets of either recipe; the vectors of the ridge recipe weigh whitened activations, which is why
    `offsets` has no default.

    Args:
        activations: one sample's, as the network returned them.
        filters: weights of the channels.
        offsets: what is added to each filter's response; 0 for vectors of the paper's recipe.
        size: height and width of the result.

    Returns:
        Values in [0, 1]; a recipe's masks are where they exceed 0.5.

    >>> bool((project(jnp.ones((2, 2, 3)), jnp.zeros((5, 3)), jnp.zeros(5), (4, 4)) == 0.5).all())
    True
    """
    cells = jnp.asarray(as_array("activations", activations), jnp.float32)
    filters = jnp.asarray(as_array("filters", filters), jnp.float32)
    responses = jnp.einsum("...c,hwc->...hw", filters, cells, precision=jax.lax.Precision.HIGHEST)
    return jax.nn.sigmoid(upsample(responses + jnp.asarray(offsets, jnp.float32)[..., None, None], size))
