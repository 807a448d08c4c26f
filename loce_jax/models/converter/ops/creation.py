"""Operations that create arrays, or convert their type."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import Array

Sizes = Sequence[int]


def full(sizes: Sizes, value: float | int | Array, *, dtype: Any = None) -> Array:
    """The same number everywhere."""
    return jnp.full(sizes, value, dtype)


def full_like(x: Array, value: float | int | Array, *, dtype: Any = None) -> Array:
    """The same number everywhere, in the shape of `x` and, by default, its type."""
    return jnp.full(x.shape, value, dtype or x.dtype)


def new_full(x: Array, sizes: Sizes, value: float | int, *, dtype: Any = None) -> Array:
    """The same number everywhere, in the type of `x` by default."""
    return jnp.full(sizes, value, dtype or x.dtype)


def zeros(sizes: Sizes, *, dtype: Any = None) -> Array:
    """Zeros; also for memory that PyTorch leaves as it is until it is written."""
    return jnp.zeros(sizes, dtype)


def new_zeros(x: Array, sizes: Sizes, *, dtype: Any = None) -> Array:
    """Zeros in the type of `x` by default."""
    return jnp.zeros(sizes, dtype or x.dtype)


def convert(x: Array, *, dtype: Any = None) -> Array:
    """The numbers in another type; to a whole number by cutting off what is behind the point."""
    return x if dtype is None else jnp.asarray(x).astype(dtype)


def copy(x: Array, source: Array) -> Array:
    """The numbers of `source` in shape and type of `x`."""
    return jnp.broadcast_to(source, x.shape).astype(x.dtype)


OPS = {
    "aten.full.default": full,
    "aten.full_like.default": full_like,
    "aten.new_full.default": new_full,
    "aten.fill.Scalar": full_like,
    "aten.fill.Tensor": full_like,
    "aten.zeros.default": zeros,
    "aten.empty.memory_format": zeros,
    "aten.ones.default": lambda sizes, *, dtype=None: jnp.ones(sizes, dtype),
    "aten.zeros_like.default": lambda x, *, dtype=None: full_like(x, 0, dtype=dtype),
    "aten.empty_like.default": lambda x, *, dtype=None: full_like(x, 0, dtype=dtype),
    "aten.ones_like.default": lambda x, *, dtype=None: full_like(x, 1, dtype=dtype),
    "aten.new_zeros.default": new_zeros,
    "aten.new_empty.default": new_zeros,
    "aten.new_ones.default": lambda x, sizes, *, dtype=None: new_full(x, sizes, 1, dtype=dtype),
    "aten.arange.default": lambda end, *, dtype=None: jnp.arange(end, dtype=dtype),
    "aten.arange.start": lambda start, end, *, dtype=None: jnp.arange(start, end, dtype=dtype),
    "aten.arange.start_step": lambda start, end, step=1, *, dtype=None: jnp.arange(start, end, step, dtype),
    "aten.linspace.default": lambda start, end, steps, *, dtype=None: jnp.linspace(start, end, steps, dtype=dtype),
    "aten.scalar_tensor.default": lambda value, *, dtype=None: jnp.asarray(value, dtype),
    "aten.eye.default": lambda n, *, dtype=None: jnp.eye(n, dtype=dtype),
    "aten.eye.m": lambda n, m, *, dtype=None: jnp.eye(n, m, dtype=dtype),
    "aten._to_copy.default": convert,
    "aten.to.dtype_layout": convert,
    "aten.to.dtype": lambda x, dtype, *_: convert(x, dtype=dtype),
    "aten.type_as.default": lambda x, other: x.astype(other.dtype),
    "aten.copy.default": copy,
}
