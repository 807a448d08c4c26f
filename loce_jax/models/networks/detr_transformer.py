"""DETR's transformer: blocks of the encoder, and the decoder; attributes carry the checkpoint's names.

Shapes: b images, gh x gw cells of the last grid, t = gh * gw tokens, q queries, c channels.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float


def sine_positions(height: int, width: int, channels: int) -> Float[np.ndarray, "gh gw c"]:
    """Sinusoidal position embeddings: of the row in the first half of the channels, of the column in the second.

    Cells count from 1 and the last one is at 2 pi; wavelengths grow from 2 pi to nearly 10000 times that; sine and
    cosine alternate.

    >>> sine_positions(3, 2, 4)[:, 0, 1].round(3)
    array([-0.5, -0.5,  1. ])
    """
    wavelengths = 10000.0 ** (np.arange(0, channels // 2, 2) / (channels // 2))

    def waves(count):
        angles = 2 * np.pi * np.arange(1, count + 1)[:, None] / (count + 1e-6) / wavelengths
        return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(count, -1)

    half = (height, width, channels // 2)
    rows, columns = waves(height)[:, None], waves(width)[None]
    return np.concatenate([np.broadcast_to(rows, half), np.broadcast_to(columns, half)], axis=-1)


class Block(nnx.Module):
    """Self-attention and an MLP on each token; each is added to its input and normalized after."""

    def __init__(self, channels: int, heads: int, hidden: int, *, rngs: nnx.Rngs):
        self.self_attn = Attention(channels, heads, rngs=rngs)
        self.self_attn_layer_norm, self.final_layer_norm = (_norm(channels, rngs=rngs) for _ in range(2))
        self.fc1, self.fc2 = nnx.Linear(channels, hidden, rngs=rngs), nnx.Linear(hidden, channels, rngs=rngs)

    def attend_to_itself(self, x: Float[Array, "b t c"], positions: Float[Array, "t c"]) -> Float[Array, "b t c"]:
        """The first part of a block; values have no position embeddings."""
        placed = x + positions
        return self.self_attn_layer_norm(x + self.self_attn(placed, placed, x))

    def mlp(self, x: Float[Array, "b t c"]) -> Float[Array, "b t c"]:
        """The last part of a block."""
        return self.final_layer_norm(x + self.fc2(jax.nn.relu(self.fc1(x))))


class EncoderBlock(Block):
    """Self-attention, then the MLP."""

    def __call__(self, x: Float[Array, "b t c"], positions: Float[Array, "t c"]) -> Float[Array, "b t c"]:
        """One block."""
        return self.mlp(self.attend_to_itself(x, positions))


class DecoderBlock(Block):
    """Self-attention, attention to the encoder's tokens, then the MLP."""

    def __init__(self, channels: int, heads: int, hidden: int, *, rngs: nnx.Rngs):
        super().__init__(channels, heads, hidden, rngs=rngs)
        self.encoder_attn = Attention(channels, heads, rngs=rngs)
        self.encoder_attn_layer_norm = _norm(channels, rngs=rngs)

    def __call__(
        self,
        x: Float[Array, "b q c"],
        queries: Float[Array, "q c"],
        tokens: Float[Array, "b t c"],
        positions: Float[Array, "t c"],
    ) -> Float[Array, "b q c"]:
        """One block; `queries` and `positions` are position embeddings, of `x` and of the encoder's `tokens`."""
        x = self.attend_to_itself(x, queries)
        x = self.encoder_attn_layer_norm(x + self.encoder_attn(x + queries, tokens + positions, tokens))
        return self.mlp(x)


class Decoder(nnx.Module):
    """Blocks on zeros, which only their position embeddings, the queries, tell apart, and a norm.

    With `norm_after_each`, that norm follows every block, and again the last one: so transformers computes networks
    that were trained with losses of every block (``auxiliary_loss``).
    """

    def __init__(self, blocks: list[DecoderBlock], channels: int, *, norm_after_each: bool, rngs: nnx.Rngs):
        self.layers, self.layernorm = nnx.List(blocks), _norm(channels, rngs=rngs)
        self.norm_after_each = norm_after_each

    def __call__(
        self, queries: Float[Array, "q c"], tokens: Float[Array, "b t c"], positions: Float[Array, "t c"]
    ) -> Float[Array, "b q c"]:
        """What the queries have found in the encoder's `tokens`, whose position embeddings are `positions`."""
        x = jnp.zeros((len(tokens), *queries.shape), tokens.dtype)
        for block in self.layers:
            x = block(x, queries, tokens, positions)
            x = self.layernorm(x) if self.norm_after_each else x
        return self.layernorm(x)


class Attention(nnx.Module):
    """Softmax attention with a linear map of its queries, keys, values and results each."""

    def __init__(self, channels: int, heads: int, *, rngs: nnx.Rngs):
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (
            nnx.Linear(channels, channels, rngs=rngs) for _ in range(4)
        )

    def __call__(
        self, query: Float[Array, "b q c"], key: Float[Array, "b t c"], value: Float[Array, "b t c"]
    ) -> Float[Array, "b q c"]:
        """One vector for each of the queries."""

        def heads_first(x):
            return x.reshape(*x.shape[:2], self.heads, -1).swapaxes(1, 2)

        shape = query.shape
        query, key, value = map(heads_first, (self.q_proj(query), self.k_proj(key), self.v_proj(value)))
        scores = (query * query.shape[-1] ** -0.5) @ key.swapaxes(2, 3)
        mixed = jax.nn.softmax(scores) @ value
        return self.out_proj(mixed.swapaxes(1, 2).reshape(shape))


def _norm(channels: int, *, rngs: nnx.Rngs) -> nnx.LayerNorm:
    return nnx.LayerNorm(channels, epsilon=1e-5, use_fast_variance=False, rngs=rngs)
