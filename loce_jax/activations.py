"""The only place where image meets network: resized photos in, activations of the asked layers out.

Letters: m photos, b photos a batch, h x w pixels, gh x gw grid cells, c channels.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from loce_jax.models.base import Network

# XLA's CPU fusion "YNN" writes out broadcasts: without it ResNet-50 took 7 % less time, ConvNeXt-T 22 % less CPU time.
WITHOUT_YNN = {"xla_cpu_experimental_ynn_fusion_type": ""}
Extract = Callable[[UInt8[np.ndarray, "m h w 3"]], dict[str, Float[Array, "m gh gw c"]]]


def make_extractor(network: Network, layers: Sequence[str], *, batch_size: int = 8) -> Extract:
    """A function from resized photos to activations at `layers` (any names `Network.resolve` knows), compiled once.

    The activations come under the layers' canonical names.
    It runs batches of one fixed size, the last one padded, so that any number of photos costs one compilation, and
    a photo's activations do not depend on its neighbours' number.
    """
    names = tuple(layer.name for layer in network.resolve(layers))
    options = WITHOUT_YNN if jax.default_backend() == "cpu" else None
    forward = jax.jit(lambda params, images: network.activations(params, images, names), compiler_options=options)

    def extract(images):
        padding = -len(images) % batch_size
        padded = np.concatenate([images, np.zeros((padding, *images.shape[1:]), images.dtype)])
        batches = [forward(network.params, padded[i : i + batch_size]) for i in range(0, len(padded), batch_size)]
        return {name: jnp.concatenate([batch[name] for batch in batches])[: len(images)] for name in names}

    return extract
