"""What TCAV looks at, read from a network.

Shapes: m images of the class, n images of a concept, r random images of a set, h x w pixels after resizing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8

from loce_jax.activations import make_extractor
from loce_jax.attribution.gradients import channel_gradients
from loce_jax.attribution.scores import class_score
from loce_jax.batch_sizes import IMAGES_PER_BATCH
from loce_jax.checks import InputError
from loce_jax.concepts.tcav import LayerSamples
from loce_jax.models.base import Network


def layer_samples(
    network: Network,
    layers: Sequence[str],
    target: int | str,
    images: UInt8[np.ndarray, "m h w 3"],
    concepts: Mapping[str, UInt8[np.ndarray, "n h w 3"]],
    randoms: Sequence[UInt8[np.ndarray, "r h w 3"]],
) -> dict[str, LayerSamples]:
    """Pooled activations and gradients of a class score at layers, for `loce_jax.concepts.tcav.tcav`.

    Activations are averaged over cells, and gradients summed over them: a concept vector is added in every cell.
    The activations of all m images are held for one layer at a time, those of the others for a batch.

    Args:
        network: whose ``logits`` hold the class.
        layers: names that `Network.resolve` knows.
        target: the class, by its number or its name.
        images: photos of the class, resized to the network's input.
        concepts: resized photos of each concept, by its name.
        randoms: sets of resized random photos, at least as many together as a concept has.

    Raises:
        InputError: a name is not known, or photos are not of the network's size.
    """
    names = [layer.name for layer in network.resolve(layers)]
    given = {"images": images, "randoms": np.concatenate([*randoms, images[:0]])}
    for name, photos in {**given, **{f"concepts[{name!r}]": photos for name, photos in concepts.items()}}.items():
        if photos.dtype != np.uint8 or photos.shape[1:] != (*network.preprocess.size, 3) or not len(photos):
            raise InputError(
                f"`{name}` must be photos [n h w 3] of 8 bits and size {network.preprocess.size}, but got "
                f"{photos.dtype} of shape {photos.shape}. Resize with `network.preprocess`."
            )
    extract = make_extractor(network, names)
    pooled = {name: _pooled(extract, photos) for name, photos in concepts.items()}
    random = [_pooled(extract, photos) for photos in randoms if len(photos)]
    return {
        name: LayerSamples(
            _gradients(network, name, target, images),
            {concept: found[name] for concept, found in pooled.items()},
            [found[name] for found in random],
        )
        for name in names
    }


def _pooled(extract: Any, photos: np.ndarray) -> dict[str, np.ndarray]:
    """Activations averaged over cells, by layer; float32."""
    means = []
    for start in range(0, len(photos), IMAGES_PER_BATCH):
        found = extract(photos[start : start + IMAGES_PER_BATCH])
        means.append({name: np.asarray(maps).astype(np.float32).mean((1, 2)) for name, maps in found.items()})
    return {name: np.concatenate([one[name] for one in means]) for name in means[0]}


def _gradients(network, layer, target, images):
    score = class_score(network, layer, target)
    maps = np.asarray(make_extractor(network, [layer])(images)[layer])
    return channel_gradients(score, maps, score.context(images)).sums
