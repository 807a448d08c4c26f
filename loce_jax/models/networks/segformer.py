"""SegFormer in Flax NNX, from a folder in the Hugging Face layout; no PyTorch, no transformers.

Stages on ever coarser grids; a cell attends to all cells of a coarser copy of its grid, and a depthwise convolution in
each block encodes its position.  ``stageN``, counted from 1, is a stage's normalized grid, the input of segmentation
heads.
A checkpoint of ``SegformerForSemanticSegmentation`` has one layer more: the map that its head fuses from all stages
and classifies.  Any input size works that leaves every reduction a cell.
Xie et al., "SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers", 2021.
Shapes: b images, h x w pixels, gh x gw cells, c channels.
"""

import functools as ft
import itertools as it
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from loce_jax.models.checkpoints.heads import Heads, linear_head
from loce_jax.models.checkpoints.weights import KeyMap
from loce_jax.models.edits import Layers, tap
from loce_jax.models.networks.family import Family, Kind
from loce_jax.models.nn.convolution import BatchNorm, Convolution, Depthwise, Pointwise
from loce_jax.models.nn.gelu import gelu


@dataclass(frozen=True)
class Config:
    """The entries of ``config.json`` that define the network; names and defaults are transformers', but for the last.

    Attributes:
        has_decode_head: whether ``architectures`` names the network with the segmentation head.
    """

    num_encoder_blocks: int = 4
    depths: tuple[int, ...] = (2, 2, 2, 2)
    sr_ratios: tuple[int, ...] = (8, 4, 2, 1)
    hidden_sizes: tuple[int, ...] = (32, 64, 160, 256)
    patch_sizes: tuple[int, ...] = (7, 3, 3, 3)
    strides: tuple[int, ...] = (4, 2, 2, 2)
    num_attention_heads: tuple[int, ...] = (1, 2, 5, 8)
    mlp_ratios: tuple[int, ...] = (4, 4, 4, 4)
    decoder_hidden_size: int = 256
    has_decode_head: bool = False


class Segformer(nnx.Module):
    """Encoder and, maybe, the head; attributes carry the checkpoint's names, here and in the classes below."""

    def __init__(self, config: Config, heads: Heads, *, rngs: nnx.Rngs):
        stages = range(config.num_encoder_blocks)
        self.encoder = nnx.Dict(
            patch_embeddings=nnx.List([PatchEmbeddings(config, i, rngs=rngs) for i in stages]),
            block=nnx.List([nnx.List([Block(config, i, rngs=rngs) for _ in range(config.depths[i])]) for i in stages]),
            layer_norm=nnx.List([_norm(config.hidden_sizes[i], rngs=rngs) for i in stages]),
        )
        self.decode_head = DecodeHead(config, heads, rngs=rngs) if config.has_decode_head else None
        self.classifier = heads.linear("classifier", config.hidden_sizes[-1], rngs=rngs)

    def layers(self, images: Float[Array, "b h w 3"]) -> Layers:
        """Every layer from input to output, on its grid."""
        x, maps = images, []
        stages = zip(*(self.encoder[name] for name in ("patch_embeddings", "block", "layer_norm")), strict=True)
        for i, (embeddings, blocks, norm) in enumerate(stages):
            x = yield from tap(f"encoder.patch_embeddings.{i}", embeddings(x))
            for j, block in enumerate(blocks):
                x = yield from tap(f"encoder.block.{i}.{j}", block(x))
            x = yield from tap(f"encoder.layer_norm.{i}", norm(x))
            maps.append(x)
        if self.decode_head is not None:
            x = yield from tap("decode_head.activation", self.decode_head(maps))
            return {"logits": self.decode_head.classifier(x)} if self.decode_head.classifier else {}
        return {"logits": self.classifier(x.mean(axis=(1, 2)))} if self.classifier else {}


class PatchEmbeddings(nnx.Module):
    """Overlapping patches of the picture, or of the stage before, as normalized vectors."""

    def __init__(self, config: Config, stage: int, *, rngs: nnx.Rngs):
        before, channels = (3, *config.hidden_sizes)[stage : stage + 2]
        self.proj = Convolution(before, channels, config.patch_sizes[stage], config.strides[stage], bias=True)
        self.layer_norm = _norm(channels, rngs=rngs)

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b gh gw c2"]:
        """One vector a patch."""
        return self.layer_norm(self.proj(x))


class Block(nnx.Module):
    """Attention, then a small network; each normalized before, and added."""

    def __init__(self, config: Config, stage: int, *, rngs: nnx.Rngs):
        c = config.hidden_sizes[stage]
        self.layer_norm_1, self.layer_norm_2 = _norm(c, rngs=rngs), _norm(c, rngs=rngs)
        attention = Attention(c, config.num_attention_heads[stage], config.sr_ratios[stage], rngs=rngs)
        output = nnx.Dict(dense=nnx.Linear(c, c, rngs=rngs))
        self.attention: nnx.Dict[Any] = nnx.Dict({"self": attention, "output": output})
        self.mlp = MLP(c, config.mlp_ratios[stage] * c, rngs=rngs)

    def __call__(self, x: Float[Array, "b gh gw c"]) -> Float[Array, "b gh gw c"]:
        """One block."""
        x = x + self.attention["output"]["dense"](self.attention["self"](self.layer_norm_1(x)))
        return x + self.mlp(self.layer_norm_2(x))


class Attention(nnx.Module):
    """Attention of every cell to every cell of a grid that is `ratio` times coarser."""

    def __init__(self, channels: int, heads: int, ratio: int, *, rngs: nnx.Rngs):
        self.heads = heads
        self.query, self.key, self.value = (nnx.Linear(channels, channels, rngs=rngs) for _ in range(3))
        self.sr = Convolution(channels, channels, ratio, ratio, padding=0, bias=True) if ratio > 1 else None
        self.layer_norm = _norm(channels, rngs=rngs) if ratio > 1 else None

    def __call__(self, x: Float[Array, "b gh gw c"]) -> Float[Array, "b gh gw c"]:
        """Softmax attention, heads before cells."""
        seen = x if self.sr is None or self.layer_norm is None else self.layer_norm(self.sr(x))
        query, key, value = (
            linear(cells).reshape(len(x), -1, self.heads, x.shape[-1] // self.heads).swapaxes(1, 2)
            for linear, cells in ((self.query, x), (self.key, seen), (self.value, seen))
        )
        scores = (query * query.shape[-1] ** -0.5) @ key.swapaxes(2, 3)
        return (jax.nn.softmax(scores) @ value).swapaxes(1, 2).reshape(x.shape)


class MLP(nnx.Module):
    """Two linear maps with a 3 x 3 depthwise convolution and a GELU between."""

    def __init__(self, channels: int, wide: int, *, rngs: nnx.Rngs):
        self.dense1, self.dense2 = nnx.Linear(channels, wide, rngs=rngs), nnx.Linear(wide, channels, rngs=rngs)
        self.dwconv = nnx.Dict(dwconv=Depthwise(wide, 3, padding=1, bias=True))

    def __call__(self, x: Float[Array, "b gh gw c"]) -> Float[Array, "b gh gw c"]:
        """Each cell with its eight neighbors."""
        return self.dense2(gelu(self.dwconv["dwconv"](self.dense1(x))))


class DecodeHead(nnx.Module):
    """All stages fused into one map on the first stage's grid, and a classifier of its cells."""

    def __init__(self, config: Config, heads: Heads, *, rngs: nnx.Rngs):
        c = config.decoder_hidden_size
        self.linear_c = nnx.List(
            [nnx.Dict(proj=nnx.Linear(channels, c, rngs=rngs)) for channels in config.hidden_sizes]
        )
        self.linear_fuse = Pointwise(c * len(config.hidden_sizes), c)
        self.batch_norm = BatchNorm(c)
        classes = dict(heads.sizes).get("decode_head.classifier")
        self.classifier = Pointwise(c, classes, bias=True) if classes else None

    def __call__(self, maps: list[Float[Array, "b _ _ _"]]) -> Float[Array, "b gh gw c"]:
        """The classifier's input.

        The checkpoint's matrix fuses stages that are upsampled and stacked, the last one first; since it commutes with
        enlarging, each stage's part of it is applied on its own coarse grid here, and the results are added.
        """
        grid, c = maps[0].shape[:3], self.batch_norm.bias.shape[-1]
        matrices = self.linear_fuse.kernel[...].reshape(len(maps), c, c)[::-1]
        parts = (linear["proj"](x) @ matrix for linear, x, matrix in zip(self.linear_c, maps, matrices, strict=True))
        upsampled = (jax.image.resize(part, (*grid, c), "linear", antialias=False) for part in parts)
        return jax.nn.relu(self.batch_norm(ft.reduce(jnp.add, upsampled)))


def _norm(channels: int, *, rngs: nnx.Rngs) -> nnx.LayerNorm:
    return nnx.LayerNorm(channels, epsilon=1e-5, use_fast_variance=False, rngs=rngs)  # whatever `layer_norm_eps` says


def _flatten(content: dict[str, Any]) -> dict[str, Any]:
    return content | {"has_decode_head": "SegformerForSemanticSegmentation" in str(content.get("architectures"))}


def _describe(_config: Config, name: str) -> tuple[Kind, tuple[str, ...]]:
    """Beside the name, transformers 4's path: transformers 5's, both with a task model's prefix, and the stage's."""
    part, _, number = name.removeprefix("encoder.").partition(".")
    if part == "decode_head":
        return "grid", ()
    stage, _, block = number.partition(".")
    path = f"stages.{stage}" + {"patch_embeddings": ".patch_embeddings", "block": f".blocks.{block}"}.get(part, "")
    aliases = path, f"segformer.{name}", f"segformer.{path}"
    if part == "layer_norm":
        return "grid", (*aliases, f"stage{int(stage) + 1}")
    return "tokens", (*aliases, "stem") if name == "encoder.patch_embeddings.0" else aliases


def _faults(config: Config) -> list[str]:
    lists = ("depths", "sr_ratios", "hidden_sizes", "patch_sizes", "strides", "num_attention_heads", "mlp_ratios")
    faults = [
        f"`{name}` does not hold `num_encoder_blocks` numbers"
        for name in lists
        if len(getattr(config, name)) != config.num_encoder_blocks
    ]
    heads = zip(config.hidden_sizes, config.num_attention_heads, strict=False)
    if any(channels % count for channels, count in heads):
        faults.append("`hidden_sizes` are not multiples of `num_attention_heads`")
    return faults


def _smallest(config: Config) -> int:
    def leaves_cells(n: int) -> bool:
        for kernel, stride, ratio in zip(config.patch_sizes, config.strides, config.sr_ratios, strict=True):
            n = (n + kernel // 2 * 2 - kernel) // stride + 1
            if n < ratio:
                return False
        return True

    return next(filter(leaves_cells, it.count(1)))


FAMILY = Family(
    title="SegFormer",
    config=Config,
    build=Segformer,
    describe=_describe,
    keys=KeyMap(
        dialects=(
            (r"^stages\.(\d+)\.patch_embeddings\.", r"encoder.patch_embeddings.\1."),
            (r"^stages\.(\d+)\.blocks\.", r"encoder.block.\1."),
            (r"^stages\.(\d+)\.layer_norm\.", r"encoder.layer_norm.\1."),
            (r"\.attention\.sequence_reduction\.sequence_reduction\.", ".attention.self.sr."),
            (r"\.attention\.sequence_reduction\.layer_norm\.", ".attention.self.layer_norm."),
            (r"\.attention\.q_proj\.", ".attention.self.query."),
            (r"\.attention\.k_proj\.", ".attention.self.key."),
            (r"\.attention\.v_proj\.", ".attention.self.value."),
            (r"\.attention\.o_proj\.", ".attention.output.dense."),
            (r"\.mlp\.fc(\d)\.", r".mlp.dense\1."),
            (r"\.layernorm_before\.", ".layer_norm_1."),
            (r"\.layernorm_after\.", ".layer_norm_2."),
            (r"^decode_head\.linear_projections\.", "decode_head.linear_c."),
        ),
        prefixes=("segformer.",),
        unused=(r"(decode_head\.)?classifier\..*",),
        heads=(linear_head("classifier"), linear_head("decode_head.classifier")),
    ),
    choices={"hidden_act": ("gelu",)},
    flatten=_flatten,
    faults=_faults,
    smallest=_smallest,
)
