"""A network of a few lines, for tests of what lies around networks."""

import jax.numpy as jnp

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
