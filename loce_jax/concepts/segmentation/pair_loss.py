"""Net2Vec's loss of a response map and a mask, and its derivative.

Shapes: p pairs of an image and a concept, gh x gw grid cells of the layer, H x W pixels of the masks.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from loce_jax.batch_sizes import IMAGES_PER_ITERATION
from loce_jax.solver.losses import OBJECTIVES, loss
from loce_jax.solver.project import upsample


def foreground_weights(shares: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """Net2Vec's alpha: one minus the mean share of pixels that show the concept; 1 where all pixels of all images do.

    There masks are labels of whole images, and nothing is background: Net2Vec's loss without weights.

    >>> foreground_weights(np.array([0.25, 1.0])).tolist()
    [0.75, 1.0]
    """
    return np.where(shares < 1, 1 - shares, 1).astype(np.float32)


def pair_loss(response: Float[Array, "gh gw"], mask: Bool[Array, "H W"], alpha: Float[Array, ""]) -> Float[Array, ""]:
    """Weighted disagreement of ``M = sigmoid(upsample(response))`` and the mask L.

    Summed over pixels, with an `alpha` of the concept::

        loss = -sum(alpha * M * L + (1 - alpha) * (1 - M) * (1 - L))

    Range: from ``-(alpha * sum(L) + (1 - alpha) * sum(1 - L))``, never quite reached, up to 0.
    Source: Fong & Vedaldi, "Net2Vec", CVPR 2018, section 3.1.
    """
    height, width = mask.shape
    return loss(OBJECTIVES["bce"], upsample(response, (height, width)), mask.astype(jnp.float32), alpha)


def pair_derivatives(
    responses: Float[Array, "p gh gw"], masks: Bool[Array, "p H W"], alphas: Float[Array, " p"]
) -> Float[Array, "p gh gw"]:
    """The derivatives of `pair_loss` by the responses; pair by pair on a CPU, whose cache holds the maps of one."""
    one, size = jax.grad(pair_loss), 1 if jax.default_backend() == "cpu" else IMAGES_PER_ITERATION
    return jax.lax.map(lambda pair: one(*pair), (responses, masks, alphas), batch_size=size)
