"""Matrix products, and attention made of them.

Shapes: b images, h heads, t queries, s keys, d channels of a head.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array


def linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """``x @ weight.T + bias``, the weight being ``[o i]``."""
    y = jax.lax.dot_general(x, weight, (((x.ndim - 1,), (1,)), ((), ())))
    return y if bias is None else y + bias


def addmm(x: Array, first: Array, second: Array, *, beta: float | int = 1, alpha: float | int = 1) -> Array:
    """``beta * x + alpha * first @ second``, for matrices and batches of them."""
    y = first @ second
    return x * beta + (y if alpha == 1 else y * alpha)


def attend(
    query: Array,
    key: Array,
    value: Array,
    mask: Array | None = None,
    dropout: float = 0.0,
    causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Array:
    """Softmax attention: query ``[... h t d]``, key and value ``[... h s d]``.

    A boolean mask keeps where it is set, a mask of numbers is added; a query without an allowed key gets zeros.  With
    `enable_gqa` several heads of the query share one of key and value.
    """
    if enable_gqa:
        key, value = (jnp.repeat(x, query.shape[-3] // x.shape[-3], -3) for x in (key, value))
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    logits = jnp.einsum("...td,...sd->...ts", query * scale, key)
    if causal:
        mask = jnp.tril(jnp.ones(logits.shape[-2:], bool))
    if mask is None:
        return jax.nn.softmax(logits) @ value
    logits = jnp.where(mask, logits, -jnp.inf) if mask.dtype == bool else logits + mask
    attends = logits.max(-1, keepdims=True) > -jnp.inf
    return jax.nn.softmax(jnp.where(attends, logits, 0)) * attends @ value


def einsum(equation: str, arrays: Sequence[Array], *, path: object = None) -> Array:
    """Einstein's sum."""
    return jnp.einsum(equation, *arrays)


OPS = {
    "aten.linear.default": linear,
    "aten.matmul.default": jnp.matmul,
    "aten.bmm.default": jnp.matmul,
    "aten.mm.default": jnp.matmul,
    "aten.mv.default": jnp.matmul,
    "aten.dot.default": jnp.matmul,
    "aten.addmm.default": addmm,
    "aten.baddbmm.default": addmm,
    "aten.einsum.default": einsum,
    "aten.scaled_dot_product_attention.default": attend,
}
