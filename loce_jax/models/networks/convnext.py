"""ConvNeXt and ConvNeXt V2 in Flax NNX, from a folder in the Hugging Face layout; no PyTorch, no transformers.

Any input size.  Liu et al., "A ConvNet for the 2020s", 2022; Woo et al., "ConvNeXt V2: Co-designing and Scaling
ConvNets with Masked Autoencoders", 2023.
Shapes: b images, h x w pixels or cells, c channels.
"""

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from loce_jax.models.checkpoints.heads import Heads, linear_head
from loce_jax.models.checkpoints.weights import KeyMap
from loce_jax.models.edits import Layers, tap
from loce_jax.models.networks.family import Family, Kind, pooled_and_logits
from loce_jax.models.nn.convolution import Convolution, Depthwise

EPSILON = 1e-6  # of every norm of a map; the configuration's is for the pooled output
SECOND = "convnextv2"


@dataclass(frozen=True)
class Config:
    """The entries of ``config.json`` that define the network; names and defaults are transformers'."""

    model_type: str = "convnext"
    patch_size: int = 4
    hidden_sizes: tuple[int, ...] = (96, 192, 384, 768)
    depths: tuple[int, ...] = (3, 3, 9, 3)
    layer_norm_eps: float = field(default=1e-12, repr=False)


class ConvNeXt(nnx.Module):
    """Patch embedding and stages; attributes have the checkpoint's names, here and in the classes below."""

    def __init__(self, config: Config, heads: Heads, *, rngs: nnx.Rngs):
        first, *_ = sizes = config.hidden_sizes
        inputs = (first, *sizes[:-1])
        self.embeddings = nnx.Dict(
            patch_embeddings=Convolution(3, first, config.patch_size, config.patch_size, 0, bias=True),
            layernorm=_norm(first, rngs),
        )
        self.encoder = nnx.Dict(
            stages=nnx.List(
                Stage(config, i, o, depth, halves=number > 0, rngs=rngs)
                for number, (i, o, depth) in enumerate(zip(inputs, sizes, config.depths, strict=True))
            )
        )
        has_norm = "layernorm" in heads or "classifier" in heads
        self.layernorm = _norm(sizes[-1], rngs, config.layer_norm_eps) if has_norm else None
        self.classifier = heads.linear("classifier", sizes[-1], rngs=rngs)

    def layers(self, images: Float[Array, "b h w 3"]) -> Layers:
        """The patches, then every block."""
        x = self.embeddings["layernorm"](self.embeddings["patch_embeddings"](images))
        x = yield from tap("embeddings", x)
        for i, stage in enumerate(self.encoder["stages"]):
            for layer in stage.downsampling_layer:
                x = layer(x)
            for j, block in enumerate(stage.layers):
                x = yield from tap(f"encoder.stages.{i}.layers.{j}", block(x))
        return {} if self.layernorm is None else pooled_and_logits(self.layernorm(x.mean((1, 2))), self.classifier)


class Stage(nnx.Module):
    """Blocks on one grid, after the downsampling."""

    def __init__(self, config: Config, channels: int, out: int, depth: int, *, halves: bool, rngs: nnx.Rngs):
        self.downsampling_layer = nnx.List(
            [_norm(channels, rngs), Convolution(channels, out, 2, 2, 0, bias=True)] if halves else []
        )
        self.layers = nnx.List(Block(out, config.model_type, rngs=rngs) for _ in range(depth))


class Block(nnx.Module):
    """Depthwise 7 x 7 convolution, norm, and an MLP on each cell, added to the input."""

    def __init__(self, channels: int, model_type: str, *, rngs: nnx.Rngs):
        self.dwconv = Depthwise(channels, 7, padding=3, bias=True)
        self.layernorm = _norm(channels, rngs)
        self.pwconv1 = nnx.Linear(channels, 4 * channels, rngs=rngs)
        self.pwconv2 = nnx.Linear(4 * channels, channels, rngs=rngs)
        self.grn = ResponseNorm(4 * channels) if model_type == SECOND else None
        self.layer_scale_parameter = None if model_type == SECOND else nnx.Param(jnp.ones(channels))

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """One block."""
        y = jax.nn.gelu(self.pwconv1(self.layernorm(self.dwconv(x))), approximate=False)
        y = self.pwconv2(self.grn(y) if self.grn else y)
        return x + (y if self.layer_scale_parameter is None else y * self.layer_scale_parameter[...])


class ResponseNorm(nnx.Module):
    """Global response normalization: channels with large norms over the map are amplified."""

    def __init__(self, channels: int):
        self.weight = nnx.Param(jnp.zeros((1, 1, 1, channels)))
        self.bias = nnx.Param(jnp.zeros((1, 1, 1, channels)))

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """``x + weight * x * |channel| / mean of all |channel| + bias``; the norms are computed in at least float32."""
        response = jnp.sqrt(
            jnp.sum(jnp.square(x.astype(jnp.promote_types(x.dtype, jnp.float32))), axis=(1, 2), keepdims=True)
        )
        relative = response / (response.mean(-1, keepdims=True) + EPSILON)
        return x + self.weight[...] * (x * relative.astype(x.dtype)) + self.bias[...]


def _norm(channels: int, rngs: nnx.Rngs, epsilon: float = EPSILON) -> nnx.LayerNorm:
    return nnx.LayerNorm(channels, epsilon=epsilon, use_fast_variance=False, rngs=rngs)


def _describe(config: Config, name: str) -> tuple[Kind, tuple[str, ...]]:
    known = [f"{config.model_type}.{name}"]
    if name == "embeddings":
        return "grid", ("stem", *known)
    stage, block = map(int, name.split(".")[2::2])
    if block == config.depths[stage] - 1:
        whole = f"encoder.stages.{stage}"
        known += [f"stage{stage + 1}", whole, f"{config.model_type}.{whole}"]
    return "grid", tuple(known)


def _faults(config: Config) -> list[str]:
    same = len(config.hidden_sizes) == len(config.depths)
    return [] if same else ["`hidden_sizes` and `depths` have not the same length"]


FAMILY = Family(
    title="ConvNeXt",
    config=Config,
    build=ConvNeXt,
    describe=_describe,
    keys=KeyMap(
        prefixes=("convnext.", "convnextv2."),
        unused=(r"layernorm\..*", r"classifier\..*", r"hidden_states_norms\..*"),
        heads=(linear_head("layernorm"), linear_head("classifier")),
    ),
    choices={"model_type": ("convnext", SECOND), "hidden_act": ("gelu",)},
    faults=_faults,
    smallest=lambda config: config.patch_size * 2 ** (len(config.depths) - 1),
)
