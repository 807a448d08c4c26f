"""Do the first photographs enter a network as it expects them?  What its first layers and its classes say of it.

A first layer adds a bias to a weighted sum of pixels.  Where the numbers that enter are far too small, the bias is all
that is left, and every place of every photo gives nearly the same; where they are far too large, the bias vanishes.
Measured on 12 photographs of COCO with YOLOX-Nano, FastestDet, DINOv2 ViT-S/14 and EfficientNet-Lite0: with right
pixels the lowest contrast among the first layers is 0.1 and the lowest share of the bias 0.06; with numbers 255 times
too small a contrast is below 0.0003, with numbers 255 times too large a share is below 0.00007 (but for
EfficientNet-Lite0, whose activations are clipped at 6 and hide it).  Red and blue exchanged change neither.

A classifier is also less sure of what it sees.  EfficientNet-Lite0 gives the likeliest of its 1,000 classes 0.29 to
0.56 on average over 8 photographs (6 times 8 of COCO), numbers of 0 to 255 0.13 to 0.25; noise has 0.18.  Exchanged
colors lower it by 0.05, so that this sees the second fault, mostly, and not the third.
Shapes: b images, h x w pixels.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from loce_jax.models.base import Network, Output

FIRST_LAYERS = 8
MIN_CONTRAST, MIN_BIAS_SHARE = 0.01, 0.001
MIN_CONFIDENCE, FEWEST_CLASSES = 0.2, 100  # with few classes, chance itself is as likely
MIN_DEVIATION = 5.0  # of pixels, 0 to 255; photos of less say nothing
MOST_IMAGES = 8


@dataclass(frozen=True)
class FirstResponse:
    """What the first layers, and the last, make of some photos.

    Attributes:
        contrast: the lowest share, among the layers, of the mean square of activations that is their variance over
            places and photos; 0 to 1.
        bias_share: the lowest ratio, among the layers, of the mean square for numbers that are all 0 to that for the
            photos; None where all layers give 0 for 0.
        confidence: the probability of the likeliest class, mean over the photos; None where the network has no
            `logits` of at least 100 classes.
    """

    contrast: float
    bias_share: float | None
    confidence: float | None


def first_response(network: Network, images: UInt8[np.ndarray, "b h w 3"]) -> FirstResponse:
    """What the first layers of `network`, and its classes, make of resized photos."""
    layers = tuple(layer.name for layer in network.layers()[:FIRST_LAYERS])
    classes = tuple(out.name for out in network.outputs if _is_of_many_classes(out))

    @jax.jit
    def measure(params, images):
        numbers = network.preprocess.normalize(images).astype(network.dtype)
        seen = network.forward(params, numbers, layers + classes)
        empty = network.forward(params, jnp.zeros_like(numbers[:1]), layers)
        moments = {name: _moments(seen[name], empty[name]) for name in layers}
        return moments, [jax.nn.softmax(seen[name].astype(jnp.float32)).max(axis=1).mean() for name in classes]

    moments, sure = jax.device_get(measure(network.params, jnp.asarray(images[:MOST_IMAGES])))
    shares = [empty / square for square, _, empty in moments.values() if empty > 0 < square]
    contrasts = [variance / square for square, variance, _ in moments.values() if square > 0]
    return FirstResponse(
        contrast=float(min(contrasts, default=1.0)),
        bias_share=float(min(shares)) if shares else None,
        confidence=float(sure[0]) if sure else None,
    )


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
    if found.confidence is not None and found.confidence < MIN_CONFIDENCE:
        return (
            f"wrong pixels? {network.name!r} recognizes little in the photographs: the likeliest class has probability "
            f"{found.confidence:.2g} on average (0.3 and more is usual for ImageNet's 1,000 classes), as where numbers "
            f"are too large, or photographs of another kind. Photographs enter as {how}; if that is not how the "
            "network was trained, say it with `preprocess`."
        )
    return None


def _is_of_many_classes(output: Output) -> bool:
    return output.name == "logits" and len(output.shape) == 1 and output.shape[0] >= FEWEST_CLASSES


def _moments(seen: jax.Array, empty: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Mean square, variance over places and images, and mean square without an image; of a vector of channels."""
    seen, empty = (x.astype(jnp.float32) for x in (seen, empty))
    variance = jnp.square(seen - seen.mean((0, 1, 2))).mean()
    return jnp.square(seen).mean(), variance, jnp.square(empty).mean()
