"""Do the first photographs enter a network as it expects them?  What its first layers say of it.

A first layer adds a bias to a weighted sum of pixels.  Where the numbers that enter are far too small, the bias is all
that is left, and every place of every photo gives nearly the same; where they are far too large, the bias vanishes.
Measured on 12 photographs of COCO with YOLOX-Nano, FastestDet, DINOv2 ViT-S/14 and EfficientNet-Lite0: with right
pixels the lowest contrast among the first layers is 0.1 and the lowest share of the bias 0.06; with numbers 255 times
too small a contrast is below 0.0003, with numbers 255 times too large a share is below 0.00007 (but for
EfficientNet-Lite0, whose activations are clipped at 6 and hide it).  Red and blue exchanged change neither.
Shapes: b images, h x w pixels.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from loce_jax.models.base import Network

FIRST_LAYERS = 8
MIN_CONTRAST, MIN_BIAS_SHARE = 0.01, 0.001
MIN_DEVIATION = 5.0  # of pixels, 0 to 255; photos of less say nothing
MOST_IMAGES = 8


@dataclass(frozen=True)
class FirstResponse:
    """What the first layers make of some photos.

    Attributes:
        contrast: the lowest share, among the layers, of the mean square of activations that is their variance over
            places and photos; 0 to 1.
        bias_share: the lowest ratio, among the layers, of the mean square for numbers that are all 0 to that for the
            photos; None where all layers give 0 for 0.
    """

    contrast: float
    bias_share: float | None


def first_response(network: Network, images: UInt8[np.ndarray, "b h w 3"]) -> FirstResponse:
    """What the first layers of `network` make of resized photos."""
    names = tuple(layer.name for layer in network.layers()[:FIRST_LAYERS])

    @jax.jit
    def measure(params, images):
        numbers = network.preprocess.normalize(images).astype(network.dtype)
        seen = network.forward(params, numbers, names)
        empty = network.forward(params, jnp.zeros_like(numbers[:1]), names)
        return {name: _moments(seen[name], empty[name]) for name in names}

    moments = jax.device_get(measure(network.params, jnp.asarray(images[:MOST_IMAGES])))
    shares = [empty / square for square, _, empty in moments.values() if empty > 0 < square]
    contrasts = [variance / square for square, variance, _ in moments.values() if square > 0]
    return FirstResponse(float(min(contrasts, default=1.0)), float(min(shares)) if shares else None)


def doubt_pixels(network: Network, images: UInt8[np.ndarray, "b h w 3"]) -> str | None:
    """One sentence where resized photos cannot be what `network` expects; None where nothing speaks against them.

    Photos that are nearly of one color say nothing, and a network whose first layers have no bias neither.
    """
    if np.std(images[:MOST_IMAGES]) < MIN_DEVIATION:
        return None
    found = first_response(network, images)
    how = network.preprocess.describe()
    if found.contrast < MIN_CONTRAST:
        return (
            f"wrong pixels? The first layers of {network.name!r} give nearly the same for all places of all photos "
            f"({found.contrast:.1g} of their energy varies; 0.1 and more is usual), as where numbers are too small. "
            f"Photographs enter as {how}; for 0 to 255 give `preprocess` range=0..255 and the order of the channels."
        )
    if found.bias_share is not None and found.bias_share < MIN_BIAS_SHARE:
        return (
            f"wrong pixels? The biases of the first layers of {network.name!r} vanish beside the photographs "
            f"({found.bias_share:.1g} of the energy; 0.06 and more is usual), as where numbers are too large. "
            f"Photographs enter as {how}; for 0 to 1 give `preprocess` unit, or imagenet."
        )
    return None


def _moments(seen: jax.Array, empty: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Mean square, variance over places and images, and mean square without an image; of a vector of channels."""
    seen, empty = (x.astype(jnp.float32) for x in (seen, empty))
    variance = jnp.square(seen - seen.mean((0, 1, 2))).mean()
    return jnp.square(seen).mean(), variance, jnp.square(empty).mean()
