"""Operations that move numbers without changing them: views, cuts, joins, orders; and whole numbers about shapes."""

import math
import operator
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

Sizes = Sequence[int]
PAD_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def reshape(x: Array, shape: Sizes) -> Array:
    """The same numbers in row-major order; one size may be -1."""
    return x.reshape(shape)


def flatten(x: Array, first: int = 0, last: int = -1) -> Array:
    """Axes `first` to `last`, both included, as one."""
    first, last = first % max(x.ndim, 1), last % max(x.ndim, 1)
    return x.reshape(*x.shape[:first], math.prod(x.shape[first : last + 1]), *x.shape[last + 1 :])


def unflatten(x: Array, axis: int, sizes: Sizes) -> Array:
    """One axis as several."""
    axis %= x.ndim
    return x.reshape(*x.shape[:axis], *sizes, *x.shape[axis + 1 :])


def squeeze(x: Array, axes: int | Sizes | None = None) -> Array:
    """Without the given axes as far as they have length 1; without any axis of length 1 if none is given."""
    chosen = range(x.ndim) if axes is None else [axes] if isinstance(axes, int) else axes
    return jnp.squeeze(x, tuple(axis for axis in chosen if x.shape[axis] == 1))


def expand(x: Array, sizes: Sizes, *, implicit: bool = False) -> Array:
    """Repeated along axes of length 1; -1 keeps an axis."""
    old = (1,) * (len(sizes) - x.ndim) + x.shape
    return jnp.broadcast_to(x, [o if size == -1 else size for o, size in zip(old, sizes, strict=True)])


def swap(x: Array, first: int = 0, second: int = 1) -> Array:
    """Two axes exchanged."""
    return jnp.swapaxes(x, first, second) if x.ndim > 1 else x


def cut(x: Array, axis: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Array:
    """``x[start:end:step]`` along one axis, with Python's meaning of negative and too large bounds."""
    return x[(slice(None),) * (axis % x.ndim) + (slice(start, end, step),)]


def select(x: Array, axis: int, index: int) -> Array:
    """``x[index]`` along one axis."""
    return x[(slice(None),) * (axis % x.ndim) + (index,)]


def narrow(x: Array, axis: int, start: int, length: int) -> Array:
    """`length` entries from `start` on."""
    start = start + x.shape[axis] if start < 0 else start
    return cut(x, axis, start, start + length)


def split(x: Array, size: int | Sizes, axis: int = 0) -> tuple[Array, ...]:
    """Pieces of `size` along one axis, the last one shorter; or pieces of the given sizes."""
    length = x.shape[axis]
    sizes = [min(size, length - at) for at in range(0, length, size)] if isinstance(size, int) else size
    ends = np.cumsum([0, *sizes]).tolist()
    return tuple(cut(x, axis, start, end) for start, end in zip(ends, ends[1:], strict=False))


def chunk(x: Array, chunks: int, axis: int = 0) -> tuple[Array, ...]:
    """At most `chunks` equal pieces, the last one shorter."""
    return split(x, max(math.ceil(x.shape[axis] / chunks), 1), axis)


def unbind(x: Array, axis: int = 0) -> tuple[Array, ...]:
    """The entries along one axis, one by one."""
    return tuple(select(x, axis, i) for i in range(x.shape[axis]))


def cat(arrays: Sequence[Array], axis: int = 0) -> Array:
    """Joined along one axis; empty one-dimensional arrays, which PyTorch allows anywhere, count for nothing."""
    filled = [x for x in arrays if x.shape != (0,)] or list(arrays)
    return jnp.concatenate(filled, axis)


def stack(arrays: Sequence[Array], axis: int = 0) -> Array:
    """Joined along a new axis."""
    return jnp.stack(list(arrays), axis)


def repeat(x: Array, times: Sizes) -> Array:
    """The whole array repeated along each axis."""
    return jnp.tile(x, times)


def repeat_interleave(x: Array, times: int, axis: int | None = None, *, output_size: int | None = None) -> Array:
    """Every entry repeated."""
    return jnp.repeat(x, times, axis)


def flip(x: Array, axes: Sizes) -> Array:
    """Mirrored along `axes`."""
    return jnp.flip(x, tuple(axes))


def roll(x: Array, shifts: int | Sizes, axes: int | Sizes = ()) -> Array:
    """Shifted along `axes`, what falls off enters at the other end; without axes, the flat array."""
    shifts = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    axes = (axes,) if isinstance(axes, int) else tuple(axes)
    return jnp.roll(x, shifts, axes) if axes else jnp.roll(x, shifts[0])


def pad(x: Array, widths: Sizes, mode: str = "constant", value: float | int | None = None) -> Array:
    """Padded, or cut where a width is negative; `widths` go in pairs from the last axis to the first."""
    pairs = [(0, 0)] * x.ndim
    for i in range(len(widths) // 2):
        pairs[-1 - i] = (widths[2 * i], widths[2 * i + 1])
    for axis, (before, after) in enumerate(pairs):
        x = cut(x, axis, max(-before, 0), x.shape[axis] - max(-after, 0))
    pairs = [(max(before, 0), max(after, 0)) for before, after in pairs]
    if mode == "constant":
        return jnp.pad(x, pairs, constant_values=jnp.asarray(value or 0, x.dtype))
    return jnp.pad(x, pairs, mode=PAD_MODES[mode])  # type: ignore[arg-type] - three of the modes NumPy knows


def pixel_shuffle(x: Array, factor: int) -> Array:
    """``[... c*f*f h w] -> [... c h*f w*f]``."""
    *batch, channels, height, width = x.shape
    x = x.reshape(*batch, channels // factor**2, factor, factor, height, width)
    x = jnp.einsum("...cijhw->...chiwj", x)
    return x.reshape(*batch, channels // factor**2, height * factor, width * factor)


def pixel_unshuffle(x: Array, factor: int) -> Array:
    """``[... c h*f w*f] -> [... c*f*f h w]``."""
    *batch, channels, height, width = x.shape
    x = x.reshape(*batch, channels, height // factor, factor, width // factor, factor)
    x = jnp.einsum("...chiwj->...cijhw", x)
    return x.reshape(*batch, channels * factor**2, height // factor, width // factor)


def channel_shuffle(x: Array, groups: int) -> Array:
    """Channels dealt out anew: as a table of `groups` rows, read by columns."""
    table = x.reshape(x.shape[0], groups, x.shape[1] // groups, *x.shape[2:])
    return jnp.swapaxes(table, 1, 2).reshape(x.shape)


def windows(x: Array, axis: int, size: int, step: int) -> Array:
    """Sliding windows along one axis, as a new last axis (``Tensor.unfold``)."""
    starts = np.arange(0, x.shape[axis] - size + 1, step)
    found = jnp.take(x, starts[:, None] + np.arange(size), axis % x.ndim)
    return jnp.moveaxis(found, axis % x.ndim + 1, -1)


def patches(x: Array, kernel: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes) -> Array:
    """Every patch as a column: ``[b c h w] -> [b c*kh*kw n]`` (``torch.nn.functional.unfold``)."""
    ahead = [(padding[0], padding[0]), (padding[1], padding[1])]
    found = jax.lax.conv_general_dilated_patches(x, kernel, stride, ahead, rhs_dilation=dilation)
    return found.reshape(*found.shape[:2], -1)


def identity(x: Any, *_: Any, **__: Any) -> Any:
    """The value itself: copies and hints on memory mean nothing here."""
    return x


OPS = {
    "aten.alias.default": identity,
    "aten.clone.default": identity,
    "aten.contiguous.default": identity,
    "aten.detach.default": identity,
    "aten.detach_.default": identity,
    "aten.dropout.default": identity,
    "aten.lift_fresh_copy.default": identity,
    "aten.view.default": reshape,
    "aten.reshape.default": reshape,
    "aten._unsafe_view.default": reshape,
    "aten.view_as.default": lambda x, other: x.reshape(other.shape),
    "aten.flatten.using_ints": flatten,
    "aten.unflatten.int": unflatten,
    "aten.squeeze.default": squeeze,
    "aten.squeeze.dim": squeeze,
    "aten.squeeze.dims": squeeze,
    "aten.unsqueeze.default": jnp.expand_dims,
    "aten.expand.default": expand,
    "aten.expand_as.default": lambda x, other: jnp.broadcast_to(x, other.shape),
    "aten.permute.default": jnp.transpose,
    "aten.transpose.int": swap,
    "aten.t.default": swap,
    "aten.numpy_T.default": jnp.transpose,
    "aten.mT.default": lambda x: jnp.swapaxes(x, -1, -2),
    "aten.movedim.int": jnp.moveaxis,
    "aten.movedim.intlist": jnp.moveaxis,
    "aten.slice.Tensor": cut,
    "aten.select.int": select,
    "aten.narrow.default": narrow,
    "aten.split.Tensor": split,
    "aten.split.sizes": split,
    "aten.split_with_sizes.default": split,
    "aten.chunk.default": chunk,
    "aten.unbind.int": unbind,
    "aten.cat.default": cat,
    "aten.stack.default": stack,
    "aten.repeat.default": repeat,
    "aten.tile.default": repeat,
    "aten.repeat_interleave.self_int": repeat_interleave,
    "aten.flip.default": flip,
    "aten.roll.default": roll,
    "aten.pad.default": pad,
    "aten.constant_pad_nd.default": lambda x, widths, value=0: pad(x, widths, "constant", value),
    **{f"aten.reflection_pad{n}d.default": lambda x, widths: pad(x, widths, "reflect") for n in (1, 2, 3)},
    **{f"aten.replication_pad{n}d.default": lambda x, widths: pad(x, widths, "replicate") for n in (1, 2, 3)},
    "aten.pixel_shuffle.default": pixel_shuffle,
    "aten.pixel_unshuffle.default": pixel_unshuffle,
    "aten.channel_shuffle.default": channel_shuffle,
    "aten.unfold.default": windows,
    "aten.im2col.default": patches,
    "aten.meshgrid.default": lambda arrays: tuple(jnp.meshgrid(*arrays, indexing="ij")),
    "aten.meshgrid.indexing": lambda arrays, *, indexing: tuple(jnp.meshgrid(*arrays, indexing=indexing)),
    "aten.broadcast_tensors.default": lambda arrays: tuple(jnp.broadcast_arrays(*arrays)),
    "aten.diagonal.default": jnp.diagonal,
    "aten.tril.default": jnp.tril,
    "aten.triu.default": jnp.triu,
    "aten.sym_size.int": lambda x, axis: x.shape[axis],
    "aten.sym_numel.default": lambda x: x.size,
    "operator.getitem": operator.getitem,
    "operator.add": operator.add,
    "operator.sub": operator.sub,
    "operator.mul": operator.mul,
    "operator.floordiv": operator.floordiv,
    "operator.truediv": operator.truediv,
    "operator.mod": operator.mod,
    "operator.neg": operator.neg,
    "math.ceil": math.ceil,
    "math.floor": math.floor,
    "math.trunc": math.trunc,
    "torch.sym_max": max,
    "torch.sym_min": min,
    "torch.sym_float": float,
    "torch.sym_int": int,
}
