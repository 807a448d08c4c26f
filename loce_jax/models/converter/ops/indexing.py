"""Operations that read or write at indices given by other numbers: index, gather, scatter, sort."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array

Indices = Sequence[Array | None]


def index(x: Array, indices: Indices) -> Array:
    """``x[indices]`` where None keeps an axis whole."""
    return x[_index_tuple(x, indices)]


def index_put(x: Array, indices: Indices, values: Array, accumulate: bool = False) -> Array:
    """``x`` with ``x[indices] = values``, or ``+=``."""
    if len(indices) == 1 and indices[0] is not None and indices[0].dtype == bool and values.ndim == 0:
        mask = indices[0].reshape(indices[0].shape + (1,) * (x.ndim - indices[0].ndim))
        return jnp.where(mask, x + values if accumulate else values.astype(x.dtype), x)
    target, values = x.at[_index_tuple(x, indices)], values.astype(x.dtype)
    return target.add(values) if accumulate else target.set(values)


def index_select(x: Array, axis: int, indices: Array) -> Array:
    """The entries at `indices` along one axis."""
    return jnp.take(x, jnp.atleast_1d(indices), axis)


def gather(x: Array, axis: int, indices: Array, *, sparse_grad: bool = False) -> Array:
    """``out[i][j] = x[indices[i][j]][j]``, here along the first of two axes; the other axes may be longer in `x`."""
    axis %= x.ndim
    covered = tuple(slice(None) if i == axis else slice(n) for i, n in enumerate(indices.shape))
    return jnp.take_along_axis(x[covered], indices, axis)


def take_along(x: Array, indices: Array, axis: int | None = None) -> Array:
    """`gather` with broadcasting."""
    return jnp.take_along_axis(x, indices, axis)


def scatter(x: Array, axis: int, indices: Array, values: Array | float | int) -> Array:
    """The inverse of `gather`: ``out[indices[i][j]][j] = values[i][j]``."""
    return x.at[_along(axis % x.ndim, indices)].set(_covering(values, indices, x))


def scatter_add(x: Array, axis: int, indices: Array, values: Array) -> Array:
    """`scatter` that adds."""
    return x.at[_along(axis % x.ndim, indices)].add(_covering(values, indices, x))


def slice_scatter(
    x: Array, values: Array, axis: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Array:
    """``x`` with ``x[start:end:step] = values`` along one axis."""
    return x.at[(slice(None),) * (axis % x.ndim) + (slice(start, end, step),)].set(values.astype(x.dtype))


def select_scatter(x: Array, values: Array, axis: int, index: int) -> Array:
    """``x`` with ``x[index] = values`` along one axis."""
    return x.at[(slice(None),) * (axis % x.ndim) + (index,)].set(values.astype(x.dtype))


def embedding(table: Array, indices: Array, *_: object) -> Array:
    """Rows of a table."""
    return jnp.take(table, indices, axis=0)


def one_hot(indices: Array, classes: int) -> Array:
    """1 at the class, 0 elsewhere, along a new last axis; whole numbers."""
    return jax.nn.one_hot(indices, classes, dtype=jnp.int32)


def sort(x: Array, axis: int = -1, descending: bool = False) -> tuple[Array, Array]:
    """Sorted values, and where they were; equal values keep their order."""
    indices = argsort(x, axis, descending)
    return jnp.take_along_axis(x, indices, axis), indices


def argsort(x: Array, axis: int = -1, descending: bool = False) -> Array:
    """Where the sorted values are; equal values keep their order."""
    return jnp.argsort(x, axis, stable=True, descending=descending)


def topk(x: Array, k: int, axis: int = -1, largest: bool = True, in_order: bool = True) -> tuple[Array, Array]:
    """The `k` largest or smallest values, best first, and where they are."""
    values, indices = sort(x, axis, largest)
    keep = (slice(None),) * (axis % x.ndim) + (slice(k),)
    return values[keep], indices[keep]


def _index_tuple(x: Array, indices: Indices) -> tuple:
    """PyTorch's indices as NumPy's: None keeps an axis."""
    return tuple(slice(None) if one is None else one for one in indices)


def _along(axis: int, indices: Array) -> tuple[Array, ...]:
    grids = list(jnp.meshgrid(*map(jnp.arange, indices.shape), indexing="ij", sparse=True))
    grids[axis] = indices
    return tuple(grids)


def _covering(values: Array | float | int, indices: Array, x: Array) -> Array:
    """`values` in the type of `x`, cut to the shape of `indices`."""
    values = jnp.asarray(values, x.dtype)
    return values[tuple(map(slice, indices.shape))] if values.ndim else values


OPS = {
    "aten.index.Tensor": index,
    "aten.index_put.default": index_put,
    "aten.index_select.default": index_select,
    "aten.gather.default": gather,
    "aten.take_along_dim.default": take_along,
    "aten.scatter.src": scatter,
    "aten.scatter.value": scatter,
    "aten.scatter_add.default": scatter_add,
    "aten.slice_scatter.default": slice_scatter,
    "aten.select_scatter.default": select_scatter,
    "aten.embedding.default": embedding,
    "aten.one_hot.default": one_hot,
    "aten.sort.default": sort,
    "aten.sort.stable": lambda x, *, stable, dim=-1, descending=False: sort(x, dim, descending),
    "aten.argsort.default": argsort,
    "aten.argsort.stable": lambda x, *, stable, dim=-1, descending=False: argsort(x, dim, descending),
    "aten.topk.default": topk,
}
