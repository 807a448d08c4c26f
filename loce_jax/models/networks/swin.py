"""Swin transformers in Flax NNX, from a folder in the Hugging Face layout; no PyTorch, no transformers.

Stages on ever coarser grids, with attention inside windows, see `windows.py`.  Any input size works.  The names:
``encoder.layers.N`` is what stage N hands on, so after its downsampling, as in transformers (the last stage has none);
``stageN``, counted from 1, is its last block, before the downsampling, as in transformers' AutoBackbone, which
normalizes it; ``features.N`` is torchvision's path.
Where a grid is smaller than the window, transformers stops; here zeros fill up the window, as in torchvision.
Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows", 2021.
Shapes: b images, h x w pixels, gh x gw cells, c channels, n x m windows of t cells each, d channels a head.
"""

import functools as ft
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from loce_jax.models.checkpoints.heads import Heads, linear_head
from loce_jax.models.checkpoints.weights import KeyMap
from loce_jax.models.edits import Layers, tap
from loce_jax.models.networks.family import Family, Kind, pooled_and_logits
from loce_jax.models.nn.convolution import Convolution
from loce_jax.models.nn.gelu import gelu
from loce_jax.models.nn.windows import Windows, relative_positions


@dataclass(frozen=True)
class Config:
    """The entries of ``config.json`` that define the network; names and defaults are transformers'."""

    patch_size: int = 4
    embed_dim: int = 96
    depths: tuple[int, ...] = (2, 2, 6, 2)
    num_heads: tuple[int, ...] = (3, 6, 12, 24)
    window_size: int = 7
    mlp_ratio: float = 4.0
    qkv_bias: bool = True
    layer_norm_eps: float = 1e-5

    def channels(self, stage: int) -> int:
        """Length of the vectors in a stage, counted from 0."""
        return self.embed_dim * 2**stage


class Embeddings(nnx.Module):
    """Patches as normalized vectors; attributes carry the checkpoint's names, here and in the classes below."""

    def __init__(self, config: Config, *, rngs: nnx.Rngs):
        self.side = config.patch_size
        project = Convolution(3, config.embed_dim, self.side, self.side, padding=0, bias=True)
        self.patch_embeddings = nnx.Dict(projection=project)
        self.norm = layer_norm(config.embed_dim, rngs=rngs)

    def __call__(self, images: Float[Array, "b h w 3"]) -> Float[Array, "b gh gw c"]:
        """One vector a patch; zeros fill up the last patches."""
        fill = [(0, 0), *((0, -n % self.side) for n in images.shape[1:3]), (0, 0)]
        return self.norm(self.patch_embeddings["projection"](jnp.pad(images, fill)))


class Attention(nnx.Module):
    """Self-attention of all cells of a window."""

    def __init__(self, config: Config, stage: int, *, rngs: nnx.Rngs):
        c, bias = config.channels(stage), config.qkv_bias
        self.heads, self.side = config.num_heads[stage], config.window_size
        self.query, self.key, self.value = (nnx.Linear(c, c, use_bias=bias, rngs=rngs) for _ in range(3))
        self.relative_position_bias_table = nnx.Param(jnp.zeros(((2 * self.side - 1) ** 2, self.heads)))

    def __call__(self, x: Float[Array, "b n m t c"], windows: Windows) -> Float[Array, "b n m t c"]:
        """Softmax attention, heads before cells, biased by how far apart two cells are."""
        query, key, value = (
            linear(x).reshape(*x.shape[:-1], self.heads, -1).swapaxes(3, 4)
            for linear in (self.query, self.key, self.value)
        )
        bias = self.displacement_scores()[relative_positions(self.side)]
        scores = windows.add_shift_mask(self.scores(query, key) + jnp.moveaxis(bias, 2, 0))
        return (jax.nn.softmax(scores) @ value).swapaxes(3, 4).reshape(x.shape)

    def scores(
        self, query: Float[Array, "b n m heads t d"], key: Float[Array, "b n m heads t d"]
    ) -> Float[Array, "b n m heads t t"]:
        """Attention logits by content."""
        return (query * query.shape[-1] ** -0.5) @ key.swapaxes(4, 5)

    def displacement_scores(self) -> Float[Array, "displacements heads"]:
        """Attention logits by relative position."""
        return self.relative_position_bias_table[...]


class Block(nnx.Module):
    """Attention in windows, then a small network on each cell; each normalized before, and added."""

    attention_type = Attention

    def __init__(self, config: Config, stage: int, index: int, *, rngs: nnx.Rngs):
        c, eps = config.channels(stage), config.layer_norm_eps
        wide = int(config.mlp_ratio * c)
        attention = self.attention_type(config, stage, rngs=rngs)
        self.side, self.shift = attention.side, index % 2 * (config.window_size // 2)
        self.layernorm_before, self.layernorm_after = layer_norm(c, eps, rngs=rngs), layer_norm(c, eps, rngs=rngs)
        output = nnx.Dict(dense=nnx.Linear(c, c, rngs=rngs))
        self.attention: nnx.Dict[Any] = nnx.Dict({"self": attention, "output": output})
        self.intermediate = nnx.Dict(dense=nnx.Linear(c, wide, rngs=rngs))
        self.output = nnx.Dict(dense=nnx.Linear(wide, c, rngs=rngs))

    def __call__(self, x: Float[Array, "b gh gw c"]) -> Float[Array, "b gh gw c"]:
        """One block."""
        x = x + self.attend(self.layernorm_before(x))
        return x + self.mlp(self.layernorm_after(x))

    def windows(self, grid: tuple[int, int]) -> Windows:
        """How a grid is cut: not shifted where one window spans one of its sides."""
        return Windows(grid, self.side, self.shift if min(grid) > self.side else 0)

    def attend(self, x: Float[Array, "b gh gw c"]) -> Float[Array, "b gh gw c"]:
        """Each cell, mixed from its window's."""
        windows = self.windows((x.shape[1], x.shape[2]))
        mixed = self.attention["self"](windows.cut(x), windows)
        return windows.join(self.attention["output"]["dense"](mixed))

    def mlp(self, x: Float[Array, "b gh gw c"]) -> Float[Array, "b gh gw c"]:
        """Each cell by itself: two linear maps with a GELU between."""
        return self.output["dense"](gelu(self.intermediate["dense"](x)))


class Merging(nnx.Module):
    """Halves the grid: four neighbors become one cell of twice the channels; zeros fill up an odd grid."""

    norm_first = True

    def __init__(self, channels: int, *, rngs: nnx.Rngs):
        self.reduction = nnx.Linear(4 * channels, 2 * channels, use_bias=False, rngs=rngs)
        self.norm = layer_norm((4 if self.norm_first else 2) * channels, rngs=rngs)

    def __call__(self, x: Float[Array, "b gh gw c"]) -> Float[Array, "b gh2 gw2 c2"]:
        """The coarser grid; a cell's neighbors come column by column."""
        x = jnp.pad(x, [(0, 0), *((0, n % 2) for n in x.shape[1:3]), (0, 0)])
        b, rows, columns, c = x.shape
        x = x.reshape(b, rows // 2, 2, columns // 2, 2, c).transpose(0, 1, 3, 4, 2, 5)
        x = x.reshape(b, rows // 2, columns // 2, 4 * c)
        return self.reduction(self.norm(x)) if self.norm_first else self.norm(self.reduction(x))


class Swin(nnx.Module):
    """Embeddings, stages of blocks with a merging after each but the last, and a last norm."""

    block_type, merging_type = Block, Merging

    def __init__(self, config: Config, heads: Heads, *, rngs: nnx.Rngs):
        self.embeddings = Embeddings(config, rngs=rngs)
        stages = []
        for i, depth in enumerate(config.depths):
            blocks = nnx.List([self.block_type(config, i, j, rngs=rngs) for j in range(depth)])
            is_last = i == len(config.depths) - 1
            merging = {} if is_last else {"downsample": self.merging_type(config.channels(i), rngs=rngs)}
            stages.append(nnx.Dict(blocks=blocks, **merging))
        self.encoder = nnx.Dict(layers=nnx.List(stages))
        last = config.channels(len(stages) - 1)
        self.layernorm = layer_norm(last, config.layer_norm_eps, rngs=rngs)
        self.classifier = heads.linear("classifier", last, rngs=rngs)

    def layers(self, images: Float[Array, "b h w 3"]) -> Layers:
        """Every layer from input to output, on its grid."""
        x = yield from tap("embeddings", self.embeddings(images))
        for i, stage in enumerate(self.encoder["layers"]):
            for j, block in enumerate(stage["blocks"]):
                x = yield from tap(f"encoder.layers.{i}.blocks.{j}", block(x))
            if "downsample" in stage:
                x = yield from tap(f"encoder.layers.{i}.downsample", stage["downsample"](x))
        x = yield from tap("layernorm", self.layernorm(x))
        return pooled_and_logits(x.mean(axis=(1, 2)), self.classifier)


def layer_norm(channels: int, epsilon: float = 1e-5, *, rngs: nnx.Rngs) -> nnx.LayerNorm:
    """Normalization over the channels, its variance computed in two passes."""
    return nnx.LayerNorm(channels, epsilon=epsilon, use_fast_variance=False, rngs=rngs)


def describe(prefix: str, config: Config, name: str) -> tuple[Kind, tuple[str, ...]]:
    """Other names of a layer: transformers' paths, with and without a task model's `prefix`, then all the others'."""
    paths, others = [name], []
    match name.split("."):
        case ["embeddings"]:
            others = ["stem", "features.0"]
        case ["layernorm"]:
            others = ["norm"]
        case [_, _, stage, "downsample"]:
            paths += [f"encoder.layers.{stage}"]
            others = [f"features.{2 * int(stage) + 2}"]
        case [_, _, stage, _, block]:
            features = f"features.{2 * int(stage) + 1}"
            others = [f"{features}.{block}"]
            if int(block) == config.depths[int(stage)] - 1:
                others += [f"stage{int(stage) + 1}", features]
                paths += [f"encoder.layers.{stage}"] if int(stage) == len(config.depths) - 1 else []
    return "tokens", (*paths[1:], *(prefix + path for path in paths), *others)


def faults(config: Config) -> list[str]:
    """What is wrong with a configuration whose entries are each fine by themselves."""
    if len(config.num_heads) != len(config.depths):
        return ["`num_heads` and `depths` are not of the same length"]
    if any(config.channels(stage) % heads for stage, heads in enumerate(config.num_heads)):
        return ["the channels of a stage are not a multiple of its `num_heads`"]
    if int(config.mlp_ratio * config.embed_dim) < 1:
        return ["`mlp_ratio` leaves the first stage no hidden unit"]
    return []


CHOICES = {"hidden_act": ("gelu",), "use_absolute_embeddings": (False,)}
UNUSED = (
    r"embeddings\.mask_token",
    r".*\.relative_(position_index|coords_table)",
    r"(classifier|decoder|hidden_states_norms)\..*",
)
HEADS = (linear_head("classifier"),)
FAMILY = Family(
    title="Swin",
    config=Config,
    build=Swin,
    describe=ft.partial(describe, "swin."),
    keys=KeyMap(
        dialects=(
            (r"\.attention\.q_proj\.", ".attention.self.query."),
            (r"\.attention\.k_proj\.", ".attention.self.key."),
            (r"\.attention\.v_proj\.", ".attention.self.value."),
            (r"\.attention\.o_proj\.", ".attention.output.dense."),
            (r"\.attention\.relative_position_bias\.", ".attention.self."),
            (r"\.mlp\.fc1\.", ".intermediate.dense."),
            (r"\.mlp\.fc2\.", ".output.dense."),
        ),
        prefixes=("swin.",),
        unused=UNUSED,
        heads=HEADS,
    ),
    choices=CHOICES,
    faults=faults,
)
