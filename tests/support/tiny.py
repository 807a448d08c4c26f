"""A network and a data set of a few lines, for tests of what lies around them."""

import jax.numpy as jnp
import numpy as np

from loce_jax.data.samples import Fault, Item, Pair, Reading
from loce_jax.models.base import Layer, Network, Preprocess

SIZE = (48, 64)


def tiny_network(*, broken_layer=None):
    """Two layers of color statistics on 8 x 8 cells; `broken_layer` returns NaN for images that are dark on top."""

    def forward(params, images, layers):
        b, h, w, _ = images.shape
        cells = images.reshape(b, h // 8, 8, w // 8, 8, 3)
        means, spreads = cells.mean((2, 4)), cells.std((2, 4))
        maps = {
            "shallow": jnp.concatenate([means, spreads], -1) * params["gain"],
            "deep": jnp.concatenate([means**2, means * jnp.roll(means, 1, -1), spreads], -1),
        }
        if broken_layer:
            dark = images[:, : h // 4].mean((1, 2, 3)) < 0.1
            maps[broken_layer] = jnp.where(dark[:, None, None, None], jnp.nan, maps[broken_layer])
        return {name: maps[name] for name in layers}

    grid = SIZE[0] // 8, SIZE[1] // 8
    layers = Layer("shallow", 6, grid, 8.0, "grid"), Layer("deep", 9, grid, 8.0, "grid")
    return Network("tiny", "0" * 64, Preprocess(SIZE), {"gain": jnp.float32(2)}, forward, layers)


class Boxes:
    """Two concepts in each of some images, lists instead of tuples, and no name."""

    fingerprint = "boxes 1"

    def __init__(self, count=8):
        self.concepts = ["left", "right"]
        self.items = [Item(f"{i}", i, (48, 64), (Pair("left"), Pair("right"))) for i in range(count)]

    def read(self, item):
        if item.image_id == 3:
            raise Fault("image_missing", "it was never taken")
        rng = np.random.default_rng(item.image_id)
        photo = rng.integers(0, 60, (48, 64, 3), np.uint8)
        masks = np.zeros((2, 48, 64), bool)
        masks[0, 10:30, 2:24], masks[1, 20:40, 36:60] = True, True
        photo[masks[0]] += np.array([150, 0, 0], np.uint8)
        photo[masks[1]] += np.array([0, 0, 150], np.uint8)
        return Reading(photo, tuple(masks))


class NoPhotos:
    """A data set without images."""

    items = ()

    def read(self, item: Item) -> Reading:
        raise Fault("image_missing", item.image)
