"""What detectors share: the heads that find classes and boxes in the vectors of queries or detection tokens.

Shapes: b images, d vectors an image, c channels, k numbers.
"""

import jax
from flax import nnx
from jaxtyping import Array, Float

BOX = 4  # center x and y, width and height, as shares of the picture's
DETECTORS = ("class_labels_classifier", "bbox_predictor")


class PredictionHead(nnx.Module):
    """An MLP of three linear maps with ReLU between."""

    def __init__(self, channels: int, out: int, *, rngs: nnx.Rngs):
        self.layers = nnx.List([nnx.Linear(channels, n, rngs=rngs) for n in (channels, channels, out)])

    def __call__(self, x: Float[Array, "b d c"]) -> Float[Array, "b d k"]:
        """Each vector by itself."""
        *inner, last = self.layers
        for layer in inner:
            x = jax.nn.relu(layer(x))
        return last(x)
