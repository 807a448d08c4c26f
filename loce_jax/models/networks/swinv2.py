"""Swin transformers, version 2, in Flax NNX, from a folder in the Hugging Face layout; no PyTorch, no transformers.

They differ from the first version, see `swin.py`, in this: cells compare by the angle between them; a small network
draws the bias from any displacement; and what attention, MLP and merging give is normalized, instead of what they take.
Liu et al., "Swin Transformer V2: Scaling Up Capacity and Resolution", 2022.
Shapes: b images, gh x gw cells, c channels, n x m windows of t = w * w cells each, d channels a head.
"""

import functools as ft
import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from loce_jax.models.checkpoints.weights import KeyMap
from loce_jax.models.networks import swin
from loce_jax.models.networks.family import Family
from loce_jax.models.nn.windows import Windows

SHARPEST = math.log(100)  # bound of the logarithm of what cosines are multiplied with
HIDDEN = 512  # width of the network that draws the bias


@dataclass(frozen=True)
class Config(swin.Config):
    """The entries of ``config.json`` that define the network; names and defaults are transformers'."""

    image_size: int = 224
    pretrained_window_sizes: tuple[int, ...] = (0, 0, 0, 0)

    def grid_side(self, stage: int) -> int:
        """Rows, and columns, of a stage's grid at the size of `image_size`."""
        return self.image_size // self.patch_size // 2**stage


class Attention(swin.Attention):
    """Attention of every cell of a window to every cell of it, by cosine similarity."""

    def __init__(self, config: Config, stage: int, *, rngs: nnx.Rngs):
        c, bias = config.channels(stage), config.qkv_bias
        self.heads, self.side = config.num_heads[stage], min(config.window_size, config.grid_side(stage))
        self.reach = config.pretrained_window_sizes[stage] or self.side
        self.query, self.value = (nnx.Linear(c, c, use_bias=bias, rngs=rngs) for _ in range(2))
        self.key = nnx.Linear(c, c, use_bias=False, rngs=rngs)
        self.logit_scale = nnx.Param(jnp.zeros((self.heads, 1, 1)))
        wide, narrow = nnx.Linear(2, HIDDEN, rngs=rngs), nnx.Linear(HIDDEN, self.heads, use_bias=False, rngs=rngs)
        self.continuous_position_bias_mlp = nnx.Dict({"0": wide, "2": narrow})

    def scores(
        self, query: Float[Array, "b n m heads t d"], key: Float[Array, "b n m heads t d"]
    ) -> Float[Array, "b n m heads t t"]:
        """Cosines, each head's sharpened by its own factor."""
        sharpness = jnp.exp(jnp.minimum(self.logit_scale[...], SHARPEST))
        return (_unit(query) * sharpness) @ _unit(key).swapaxes(4, 5)

    def displacement_scores(self) -> Float[Array, "displacements heads"]:
        """From 0 to 16, drawn by a small network from the logarithm of a displacement."""
        x = jnp.asarray(log_displacements(self.side, self.reach), self.logit_scale.dtype)
        mlp = self.continuous_position_bias_mlp
        return 16 * jax.nn.sigmoid(mlp["2"](jax.nn.relu(mlp["0"](x))))


def log_displacements(side: int, reach: int) -> Float[np.ndarray, "displacements 2"]:
    """Down and right, for each of the (2 side - 1)² displacements in a window, on a logarithmic scale.

    A displacement across the window of `reach` cells that the network learned with becomes log2(9) / 3 = 1.06.

    >>> log_displacements(2, 2)[:3].round(2)
    array([[-1.06, -1.06],
           [-1.06,  0.  ],
           [-1.06,  1.06]])
    """
    steps = np.arange(1 - side, side) * 8 / max(reach - 1, 1)
    steps = np.sign(steps) * np.log2(1 + np.abs(steps)) / 3
    down, right = np.meshgrid(steps, steps, indexing="ij")
    return np.stack([down.ravel(), right.ravel()], axis=-1)


def _unit(x: Float[Array, "*any d"]) -> Float[Array, "*any d"]:
    """Vectors of length 1; those of almost no length stay so."""
    return x * jax.lax.rsqrt(jnp.maximum((x * x).sum(-1, keepdims=True), 1e-24))


class Block(swin.Block):
    """Attention in windows, then a small network on each cell; each normalized after, and added."""

    attention_type = Attention

    def __init__(self, config: Config, stage: int, index: int, *, rngs: nnx.Rngs):
        super().__init__(config, stage, index, rngs=rngs)
        self.shift = self.shift if config.grid_side(stage) > self.side else 0

    def __call__(self, x: Float[Array, "b gh gw c"]) -> Float[Array, "b gh gw c"]:
        """One block."""
        x = x + self.layernorm_before(self.attend(x))
        return x + self.layernorm_after(self.mlp(x))

    def windows(self, grid: tuple[int, int]) -> Windows:
        """How a grid is cut: as `image_size` of the configuration says, whatever the size of the input."""
        return Windows(grid, self.side, self.shift)


class Merging(swin.Merging):
    """Halves the grid, and normalizes after."""

    norm_first = False


class SwinV2(swin.Swin):
    """The first version's frame around the second version's blocks."""

    block_type, merging_type = Block, Merging


def _faults(config: Config) -> list[str]:
    faults = swin.faults(config)
    if len(config.pretrained_window_sizes) < len(config.depths) or 1 in config.pretrained_window_sizes:
        faults.append("`pretrained_window_sizes` does not hold 0 or a number above 1 for each of `depths`")
    if config.grid_side(len(config.depths) - 1) < 1:
        faults.append("`image_size` leaves no cell to the last stage")
    return faults


FAMILY = Family(
    title="Swin V2",
    config=Config,
    build=SwinV2,
    describe=ft.partial(swin.describe, "swinv2."),
    keys=KeyMap(prefixes=("swinv2.",), unused=swin.UNUSED, heads=swin.HEADS),
    choices=swin.CHOICES,
    faults=_faults,
)
