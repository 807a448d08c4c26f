"""Activations of a network's layers: resized photos in, activations of the requested layers out.

Shapes: m photos, b photos per batch, h x w pixels, gh x gw grid cells, c channels.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from loce_jax.batch_sizes import IMAGES_PER_FORWARD
from loce_jax.checks import InputError, check_arguments
from loce_jax.layer_names import resolve_layers
from loce_jax.mesh import shard_over_images
from loce_jax.models.base import Layer, Network

# XLA's CPU fusion "YNN" writes out broadcasts: without it ResNet-50 took 7 % less time, ConvNeXt-T 22 % less CPU time.
WITHOUT_YNN = {"xla_cpu_experimental_ynn_fusion_type": ""}
Extract = Callable[[UInt8[np.ndarray, "m h w 3"]], "Activations"]


class Activations(dict[str, jax.Array]):
    """Activations [m gh gw c] by the canonical names of their layers; ``[...]`` takes any name that means one of these.

    A pytree, like a dict.
    """

    def __init__(self, arrays: Mapping[str, Any], network_layers: tuple[Layer, ...] = ()):
        super().__init__(arrays)
        self.network_layers = network_layers

    def __missing__(self, name: str) -> jax.Array:
        every = self.network_layers
        indices = [number - len(every) for number, layer in enumerate(every) if layer.name in self]
        mine = [layer for layer in every if layer.name in self]
        found, *others = resolve_layers([name], mine, owner="these activations", indices=indices)
        if others:
            names = ", ".join(layer.name for layer in (found, *others))
            raise InputError(f"`name` must mean one layer, but {name!r} means {names}. Name one of these.")
        return self[found.name]


jax.tree_util.register_pytree_with_keys(
    Activations,
    lambda found: (
        [(jax.tree_util.DictKey(name), found[name]) for name in sorted(found)],
        (tuple(sorted(found)), found.network_layers),
    ),
    lambda names_and_layers, arrays: Activations(
        dict(zip(names_and_layers[0], arrays, strict=True)), names_and_layers[1]
    ),
)


@check_arguments
def make_extractor(network: Network, layers: Sequence[str], *, batch_size: int = IMAGES_PER_FORWARD) -> Extract:
    """A function from resized photos to activations at `layers` (any names `Network.resolve` knows), compiled once.

    The activations come under the layers' canonical names, and are found by any name that means one of these layers.
    It runs batches of one fixed size, the last one padded, so that any number of photos costs one compilation, and
    a photo's activations do not depend on its neighbors' number.  Several local devices each take a share of a
    batch, which is `batch_size` photos for each of them.
    """
    names = tuple(layer.name for layer in network.resolve(layers))
    forward = compile_forward(network, names)
    count = batch_size * jax.local_device_count()

    def extract(images):
        padding = -len(images) % count
        padded = np.concatenate([images, np.zeros((padding, *images.shape[1:]), images.dtype)])
        batches = [forward(network.params, padded[i : i + count]) for i in range(0, len(padded), count)]
        if len(batches) == 1 and not padding:
            return Activations(batches[0], network.layers())
        joined = {name: jnp.concatenate([batch[name] for batch in batches])[: len(images)] for name in names}
        return Activations(joined, network.layers())

    return extract


def compile_forward(network: Network, names: tuple[str, ...]):
    """The function ``(params, images) -> {layer: activations}`` of one batch; compiled when it is first called."""

    def forward(params, images):
        return network.activations(params, images, names)

    if jax.local_device_count() > 1:
        return shard_over_images(forward, replicated=1)
    return jax.jit(forward, compiler_options=WITHOUT_YNN if jax.default_backend() == "cpu" else None)
