"""DINOv2 vision transformers in Flax NNX, from a folder in the Hugging Face layout; no PyTorch, no transformers.

Every size works, from small to giant (SwiGLU), at any input size that is a multiple of the patch size.
Oquab et al., "DINOv2: Learning Robust Visual Features without Supervision", 2023.
Letters: b images, h x w pixels, gh x gw patches, t tokens (the CLS token, then gh * gw patches), c channels,
p patch size, s x s patches that the stored position embeddings are for.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from loce_jax.models.family import Family, Kind
from loce_jax.models.weights import KeyMap

PROJECTIONS = ("query", "key", "value")


@dataclass(frozen=True)
class Config:
    """The part of ``config.json`` that decides the numbers; names and defaults are transformers'."""

    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    mlp_ratio: float = 4.0
    image_size: int = 224
    patch_size: int = 14
    layer_norm_eps: float = 1e-6
    qkv_bias: bool = True
    use_swiglu_ffn: bool = False


def bicubic_matrix(n_in: int, n_out: int) -> Float[np.ndarray, "n_out n_in"]:
    """Bicubic interpolation of one axis as a matrix: four taps a row, clamped at the border.

    The convention of ``torch.nn.functional.interpolate(mode="bicubic", align_corners=False)``, with a = -3/4.

    >>> bicubic_matrix(3, 3)
    array([[1., 0., 0.],
           [0., 1., 0.],
           [0., 0., 1.]])
    """
    a = -0.75
    position = (np.arange(n_out) + 0.5) * n_in / n_out - 0.5
    left = np.floor(position).astype(int)
    matrix = np.zeros((n_out, n_in))
    for tap in (-1, 0, 1, 2):
        x = np.abs(position - left - tap)
        near, far = ((a + 2) * x - (a + 3)) * x**2 + 1, a * (((x - 5) * x + 8) * x - 4)
        np.add.at(matrix, (np.arange(n_out), np.clip(left + tap, 0, n_in - 1)), np.where(x <= 1, near, far))
    return matrix


class Dinov2(nnx.Module):
    """Embeddings, blocks and a last norm; attributes carry the checkpoint's names, here and in the classes below."""

    def __init__(self, config: Config, *, rngs: nnx.Rngs):
        self.embeddings = Embeddings(config, rngs=rngs)
        self.encoder = nnx.Dict(layer=nnx.List([Block(config, rngs=rngs) for _ in range(config.num_hidden_layers)]))
        self.layernorm = _norm(config, rngs=rngs)

    def layers(self, images: Float[Array, "b h w 3"]) -> Iterator[tuple[str, Array]]:
        """Every layer from input to output, its patch tokens on their grid, the CLS token left out."""
        tokens, grid = self.embeddings(images)

        def on_grid(tokens):
            return tokens[:, 1:].reshape(len(tokens), *grid, -1)

        yield "embeddings", on_grid(tokens)
        for i, block in enumerate(self.encoder["layer"]):
            tokens = block(tokens)
            yield f"encoder.layer.{i}", on_grid(tokens)
        yield "layernorm", on_grid(self.layernorm(tokens))


class Embeddings(nnx.Module):
    """Patches and the CLS token as vectors, with their positions added."""

    def __init__(self, config: Config, *, rngs: nnx.Rngs):
        self.side = config.image_size // config.patch_size
        self.cls_token = nnx.Param(jnp.zeros((1, 1, config.hidden_size)))
        self.position_embeddings = nnx.Param(jnp.zeros((1, 1 + self.side**2, config.hidden_size)))
        patch = (config.patch_size, config.patch_size)
        self.patch_embeddings = nnx.Dict(
            projection=nnx.Conv(3, config.hidden_size, patch, strides=patch, padding="VALID", rngs=rngs)
        )

    def __call__(self, images: Float[Array, "b h w 3"]) -> tuple[Float[Array, "b t c"], tuple[int, int]]:
        """The tokens, CLS first, and the grid of the patches."""
        patches = self.patch_embeddings["projection"](images)
        count, rows, columns, channels = patches.shape
        tokens = (patches + self._positions(rows, columns)).reshape(count, -1, channels)
        first = self.cls_token[...] + self.position_embeddings[:, :1]
        return jnp.concatenate([jnp.broadcast_to(first, (count, 1, channels)), tokens], axis=1), (rows, columns)

    def _positions(self, height: int, width: int) -> Float[Array, "gh gw c"]:
        stored = self.position_embeddings[0, 1:].reshape(self.side, self.side, -1)
        rows, columns = (bicubic_matrix(self.side, n).astype(np.float32) for n in (height, width))
        return jnp.einsum("ys,xr,src->yxc", rows, columns, stored, precision="highest")


class Block(nnx.Module):
    """Attention, then a small network on each token; each normalised before, scaled after, and added."""

    def __init__(self, config: Config, *, rngs: nnx.Rngs):
        self.norm1, self.norm2 = _norm(config, rngs=rngs), _norm(config, rngs=rngs)
        self.attention = Attention(config, rngs=rngs)
        self.mlp = SwiGLU(config, rngs=rngs) if config.use_swiglu_ffn else MLP(config, rngs=rngs)
        self.layer_scale1, self.layer_scale2 = LayerScale(config), LayerScale(config)

    def __call__(self, x: Float[Array, "b t c"]) -> Float[Array, "b t c"]:
        """One block."""
        x = x + self.layer_scale1(self.attention(self.norm1(x)))
        return x + self.layer_scale2(self.mlp(self.norm2(x)))


class Attention(nnx.Module):
    """Every token looks at every token."""

    def __init__(self, config: Config, *, rngs: nnx.Rngs):
        c, bias = config.hidden_size, config.qkv_bias
        self.heads = config.num_attention_heads
        self.attention = nnx.Dict({name: nnx.Linear(c, c, use_bias=bias, rngs=rngs) for name in PROJECTIONS})
        self.output = nnx.Dict(dense=nnx.Linear(c, c, rngs=rngs))

    def __call__(self, x: Float[Array, "b t c"]) -> Float[Array, "b t c"]:
        """Softmax attention; heads come before tokens, which on CPU beats `jax.nn.dot_product_attention`."""
        query, key, value = (
            self.attention[name](x).reshape(*x.shape[:2], self.heads, -1).swapaxes(1, 2) for name in PROJECTIONS
        )
        scores = (query * query.shape[-1] ** -0.5) @ key.swapaxes(2, 3)
        mixed = jax.nn.softmax(scores) @ value
        return self.output["dense"](mixed.swapaxes(1, 2).reshape(x.shape))


class MLP(nnx.Module):
    """Two linear maps with a GELU between."""

    def __init__(self, config: Config, *, rngs: nnx.Rngs):
        wide = int(config.hidden_size * config.mlp_ratio)
        self.fc1 = nnx.Linear(config.hidden_size, wide, rngs=rngs)
        self.fc2 = nnx.Linear(wide, config.hidden_size, rngs=rngs)

    def __call__(self, x: Float[Array, "b t c"]) -> Float[Array, "b t c"]:
        """Each token by itself."""
        return self.fc2(jax.nn.gelu(self.fc1(x), approximate=False))


class SwiGLU(nnx.Module):
    """A gated MLP with about two thirds of the width, rounded up to a multiple of 8."""

    def __init__(self, config: Config, *, rngs: nnx.Rngs):
        wide = (int(int(config.hidden_size * config.mlp_ratio) * 2 / 3) + 7) // 8 * 8
        self.weights_in = nnx.Linear(config.hidden_size, 2 * wide, rngs=rngs)
        self.weights_out = nnx.Linear(wide, config.hidden_size, rngs=rngs)

    def __call__(self, x: Float[Array, "b t c"]) -> Float[Array, "b t c"]:
        """Each token by itself."""
        gate, up = jnp.split(self.weights_in(x), 2, axis=-1)
        return self.weights_out(jax.nn.silu(gate) * up)


class LayerScale(nnx.Module):
    """One factor a channel."""

    def __init__(self, config: Config):
        self.lambda1 = nnx.Param(jnp.zeros(config.hidden_size))

    def __call__(self, x: Float[Array, "b t c"]) -> Float[Array, "b t c"]:
        """The scaled tokens."""
        return x * self.lambda1[...]


def _norm(config: Config, *, rngs: nnx.Rngs) -> nnx.LayerNorm:
    return nnx.LayerNorm(config.hidden_size, epsilon=config.layer_norm_eps, use_fast_variance=False, rngs=rngs)


def _describe(config: Config, name: str) -> tuple[Kind, tuple[str, ...]]:
    kind, _, number = name.rpartition(".")
    if kind:
        return "tokens", (f"stage{int(number) + 1}",)
    return "tokens", ("stem",) if name == "embeddings" else ()


def _faults(config: Config) -> list[str]:
    faults = []
    if config.hidden_size % config.num_attention_heads:
        faults.append("`hidden_size` is not a multiple of `num_attention_heads`")
    if config.image_size < config.patch_size:
        faults.append("`image_size` is below `patch_size`")
    return faults


FAMILY = Family(
    title="DINOv2",
    config=Config,
    build=Dinov2,
    describe=_describe,
    keys=KeyMap(prefixes=("dinov2.",), unused=("embeddings.mask_token", r"classifier\..*")),
    choices={"hidden_act": ("gelu",)},
    faults=_faults,
    granule=lambda config: config.patch_size,
)
load_dinov2 = FAMILY.load
