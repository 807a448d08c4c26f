"""The plain vision transformer in Flax NNX, once: ViT, DeiT, YOLOS, DINOv2, DINOv3, CLIP and SigLIP are this module.

A family says in an `Architecture` what is its own, and in `Names` and a `KeyMap` what its checkpoints call it.
Dosovitskiy et al., "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale", 2021.
Shapes: b images, h x w pixels, gh x gw patches, t tokens (those before the patches, patches, those after), c channels,
d channels of one attention head.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from loce_jax.models.checkpoints.heads import Heads
from loce_jax.models.checkpoints.weights import KeyMap
from loce_jax.models.edits import Layers, tap
from loce_jax.models.networks.family import Family, Kind
from loce_jax.models.networks.vit.architecture import Architecture, Names
from loce_jax.models.nn.convolution import Convolution
from loce_jax.models.nn.gelu import gelu
from loce_jax.models.nn.positions import resample, rotate, rotations

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "gelu": gelu,
    "gelu_pytorch_tanh": jax.nn.gelu,
    "gelu_new": jax.nn.gelu,
    "quick_gelu": lambda x: x * jax.nn.sigmoid(1.702 * x),
    "silu": jax.nn.silu,
    "relu": jax.nn.relu,
}


class VisionTransformer(nnx.Module):
    """Embeddings, blocks and norms, and `heads`, which take all tokens and the place of the patches among them."""

    def __init__(self, a: Architecture, heads: nnx.Module, *, rngs: nnx.Rngs):
        self.architecture = a
        self.embeddings = Embeddings(a)
        self.pre_norm = layer_norm(a, rngs=rngs) if a.names.pre_norm else None
        self.layer = nnx.List([Block(a, rngs=rngs) for _ in range(a.depth)])
        self.norm = layer_norm(a, rngs=rngs) if a.names.norm else None
        self.heads: Any = heads
        if a.mid_positions:
            shape = (a.depth - 1, *self.embeddings.position_embeddings.shape)
            self.mid_position_embeddings = nnx.Param(jnp.zeros(shape))

    def layers(self, images: Float[Array, "b h w 3"]) -> Layers:
        """Every layer from input to output, its patch tokens on their grid, all other tokens left out."""
        a, names = self.architecture, self.architecture.names
        patches = yield from tap(names.patches, self.embeddings.patch_embeddings(images))
        grid = patches.shape[1:3]
        cells = slice(a.prefix, a.prefix + grid[0] * grid[1])

        def shown(name, tokens):  # the patch tokens of a layer; those around them go on as they are
            changed = yield name, tokens[:, cells].reshape(len(tokens), *grid, -1)
            return tokens if changed is None else tokens.at[:, cells].set(changed.reshape(*tokens[:, cells].shape))

        tokens = yield from shown(names.embeddings, self.embeddings(patches))
        if self.pre_norm:
            tokens = yield from shown(names.pre_norm, self.pre_norm(tokens))
        turns = None
        if a.rope_theta:
            turns = jnp.asarray(rotations(grid, a.width // a.heads, a.rope_theta, a.prefix), tokens.dtype)
        for i, block in enumerate(self.layer):
            tokens = yield from shown(names.block.format(i), block(tokens, turns))
            if a.mid_positions and i < a.depth - 1:
                tokens = tokens + self.embeddings.positions(self.mid_position_embeddings[i], grid)
        if self.norm:
            tokens = yield from shown(names.norm, self.norm(tokens))
        return self.heads(tokens, cells)


class Embeddings(nnx.Module):
    """Patches and learned tokens as vectors, with their positions added."""

    def __init__(self, a: Architecture):
        self.architecture = a
        bias = "patches" not in a.unbiased
        self.patch_embeddings = Convolution(3, a.width, a.patch, a.patch, padding=0, bias=bias)
        lead = () if a.flat else (1,)
        for name in a.leading:
            setattr(self, name, nnx.Param(jnp.zeros((*lead, *lead, a.width))))
        if a.registers:
            self.register_tokens = nnx.Param(jnp.zeros((1, a.registers, a.width)))
        if a.detection:
            self.detection_tokens = nnx.Param(jnp.zeros((1, a.detection, a.width)))
        if a.grid:
            count = len(a.leading) + a.grid[0] * a.grid[1] + a.detection
            self.position_embeddings = nnx.Param(jnp.zeros((*lead, count, a.width)))

    def __call__(self, patches: Float[Array, "b gh gw c"]) -> Float[Array, "b t c"]:
        """The tokens in their order: `leading`, registers, patches, detection tokens."""
        (b, *grid, c), a = patches.shape, self.architecture
        before, after = self._tokens(*a.leading), self._tokens("detection_tokens")
        patches = patches.reshape(b, -1, c)
        if a.grid:
            positions = self.positions(self.position_embeddings[...], tuple(grid))
            first, cells, last = jnp.split(positions, [len(before), len(positions) - len(after)])
            before, patches, after = before + first, patches + cells, after + last
        before = jnp.concatenate([before, self._tokens("register_tokens")])
        before, after = (jnp.broadcast_to(tokens, (b, *tokens.shape)) for tokens in (before, after))
        return jnp.concatenate([before, patches, after], axis=1)

    def positions(self, stored: Float[Array, "*one n c"], grid: tuple[int, ...]) -> Float[Array, "t c"]:
        """Stored positions for the patches at hand and the tokens around them."""
        a = self.architecture
        stored = stored.reshape(-1, a.width)
        counts = {"before": len(a.leading), "after": a.detection}
        return resample(stored, a.grid, grid, **counts, antialias=a.antialias)

    def _tokens(self, *names: str) -> Float[Array, "n c"]:
        found = [getattr(self, name)[...].reshape(-1, self.architecture.width) for name in names if hasattr(self, name)]
        return jnp.concatenate([jnp.zeros((0, self.architecture.width), self.patch_embeddings.kernel.dtype), *found])


class Block(nnx.Module):
    """Attention, then a small network on each token; each normalized before, scaled after, and added."""

    def __init__(self, a: Architecture, *, rngs: nnx.Rngs):
        self.norm1, self.norm2 = layer_norm(a, rngs=rngs), layer_norm(a, rngs=rngs)
        self.attention = Attention(a, rngs=rngs)
        self.mlp = MLP(a, rngs=rngs)
        self.layer_scale1, self.layer_scale2 = (LayerScale(a.width) if a.layer_scale else None for _ in range(2))

    def __call__(self, x: Float[Array, "b t c"], turns: Float[Array, "2 t d"] | None = None) -> Float[Array, "b t c"]:
        """One block; `turns` are rotary positions."""
        mixed = self.attention(self.norm1(x), turns)
        x = x + (self.layer_scale1(mixed) if self.layer_scale1 else mixed)
        mixed = self.mlp(self.norm2(x))
        return x + (self.layer_scale2(mixed) if self.layer_scale2 else mixed)


class Attention(nnx.Module):
    """Attention of all tokens, or of others, to all tokens."""

    def __init__(self, a: Architecture, *, rngs: nnx.Rngs):
        self.heads = a.heads
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (
            nnx.Linear(a.width, a.width, use_bias=name not in a.unbiased, rngs=rngs)
            for name in ("q_proj", "k_proj", "v_proj", "o_proj")
        )

    def __call__(
        self,
        x: Float[Array, "b t c"],
        turns: Float[Array, "2 t d"] | None = None,
        asking: Float[Array, "b t2 c"] | None = None,
    ) -> Float[Array, "b t2 c"]:
        """Softmax attention; heads come before tokens, which on CPU beats `jax.nn.dot_product_attention`.

        Without `asking`, every token asks.  Three products for query, key and value are faster there than one whose
        result is cut in three.
        """
        asking = x if asking is None else asking
        query, key, value = (
            project(given).reshape(*given.shape[:2], self.heads, -1).swapaxes(1, 2)
            for project, given in ((self.q_proj, asking), (self.k_proj, x), (self.v_proj, x))
        )
        if turns is not None:
            query, key = rotate(query, turns), rotate(key, turns)
        scores = (query * query.shape[-1] ** -0.5) @ key.swapaxes(2, 3)
        mixed = jax.nn.softmax(scores) @ value
        return self.o_proj(mixed.swapaxes(1, 2).reshape(asking.shape))


class MLP(nnx.Module):
    """Two linear maps with an activation function between, which may gate a third."""

    def __init__(self, a: Architecture, *, rngs: nnx.Rngs):
        self.activation = a.activation
        bias = "mlp" not in a.unbiased
        self.gate_proj = nnx.Linear(a.width, a.hidden, use_bias=bias, rngs=rngs) if a.gated else None
        self.up_proj = nnx.Linear(a.width, a.hidden, use_bias=bias, rngs=rngs)
        self.down_proj = nnx.Linear(a.hidden, a.width, use_bias=bias, rngs=rngs)

    def __call__(self, x: Float[Array, "b t c"]) -> Float[Array, "b t c"]:
        """Each token by itself."""
        activate, up = ACTIVATIONS[self.activation], self.up_proj(x)
        return self.down_proj(activate(self.gate_proj(x)) * up if self.gate_proj else activate(up))


class LayerScale(nnx.Module):
    """One factor a channel."""

    def __init__(self, width: int):
        self.lambda1 = nnx.Param(jnp.zeros(width))

    def __call__(self, x: Float[Array, "b t c"]) -> Float[Array, "b t c"]:
        """The scaled tokens."""
        return x * self.lambda1[...]


def layer_norm(a: Architecture, *, rngs: nnx.Rngs) -> nnx.LayerNorm:
    """Normalization over the channels, its variance computed in two passes."""
    return nnx.LayerNorm(a.width, epsilon=a.epsilon, use_fast_variance=False, rngs=rngs)


def vit_family(
    title: str,
    config: type,
    architecture: Callable[[Any], Architecture],
    heads: Callable[..., nnx.Module],
    keys: KeyMap,
    *others: Names,
    choices: Mapping[str, tuple[Any, ...]] = MappingProxyType({}),
    **more: Any,
) -> Family:
    """A family of plain vision transformers; `others` are further spellings of its layers' names.

    `heads` makes the module that computes the outputs, from the architecture and the checkpoint's `Heads`.
    """

    def build(config: Any, found: Heads, rngs: nnx.Rngs) -> VisionTransformer:
        a = architecture(config)
        return VisionTransformer(a, heads(a, found, rngs=rngs), rngs=rngs)

    def describe(config: Any, name: str) -> tuple[Kind, tuple[str, ...]]:
        number = name.rpartition(".")[2]
        names = asdict(architecture(config).names).items()
        part = next(part for part, pattern in names if pattern.format(number) == name)
        spellings = [getattr(spelling, part).format(number) for spelling in others]
        common = {"embeddings": "stem", "block": f"stage{int(number) + 1 if number.isdigit() else 0}"}
        aliases = dict.fromkeys(alias for alias in (common.get(part), *spellings) if alias and alias != name)
        return "grid" if part == "patches" else "tokens", tuple(aliases)

    return Family(
        title=title,
        config=config,
        build=build,
        describe=describe,
        keys=keys,
        choices={"hidden_act": tuple(ACTIVATIONS), **choices},
        faults=lambda config: architecture(config).faults(),
        size_multiple=lambda config: config.patch_size,
        **more,
    )
