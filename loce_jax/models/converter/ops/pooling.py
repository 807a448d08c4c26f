"""Pooling, one axis after the other: sums and maxima over a box are those over its rows, then over its columns.

Axes are the last ones: ``[b c ...]`` or ``[c ...]``.
"""

import functools as ft
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax import Array

Sizes = Sequence[int]
MOST_CELLS = 1024  # of a pooling's window along an axis, and windows of an adaptive one


@dataclass(frozen=True)
class Slide:
    """How a window slides along one axis of length `size`.

    Attributes:
        size: length of the axis.
        kernel, stride, padding, dilation: as in PyTorch; padding is on both sides.
        ceil: whether a last window may reach beyond the padding, if it starts before it.
    """

    size: int
    kernel: int
    stride: int
    padding: int
    dilation: int
    ceil: bool

    @property
    def count(self) -> int:
        """How many windows there are."""
        span = self.size + 2 * self.padding - self.dilation * (self.kernel - 1) - 1
        count = -(-span // self.stride) + 1 if self.ceil else span // self.stride + 1
        late = self.ceil and (count - 1) * self.stride >= self.size + self.padding
        return count - late

    @property
    def after(self) -> int:
        """How many cells are missing behind the axis' end."""
        end = (self.count - 1) * self.stride + self.dilation * (self.kernel - 1) + 1
        return max(end - self.size - self.padding, 0)

    def cells(self, counts_padding: bool) -> np.ndarray:
        """Number of cells of each window, without those beyond the end, with padding if requested."""
        starts = np.arange(self.count) * self.stride - self.padding
        margin = self.padding if counts_padding else 0
        return np.minimum(starts + self.kernel, self.size + margin) - np.maximum(starts, -margin)


def max_pool(
    x: Array,
    kernel: Sizes,
    stride: Sizes = (),
    padding: Sizes = (0,),
    dilation: Sizes = (1,),
    ceil: bool = False,
) -> Array:
    """Largest value of each window."""
    for axis, slide in _slides(x, kernel, stride, padding, dilation, ceil):
        x = _combine(x, axis, slide, jnp.maximum, _lowest(x))
    return x


def avg_pool(
    x: Array,
    kernel: Sizes,
    stride: Sizes = (),
    padding: Sizes = (0,),
    ceil: bool = False,
    counts_padding: bool = True,
    divisor: int | None = None,
) -> Array:
    """Mean of each window; the padding counts as zeros by default."""
    slides = _slides(x, kernel, stride, padding, (1,), ceil)
    for axis, slide in slides:
        x = _combine(x, axis, slide, jnp.add, 0)
        if divisor is None:
            shares = (1 / slide.cells(counts_padding)).reshape(-1, *(1,) * (-1 - axis))
            x = x * jnp.asarray(shares, x.dtype)
    return x if divisor is None else x / divisor


def adaptive_avg_pool(x: Array, sizes: Sizes) -> Array:
    """Means of as many windows as `sizes` says; they overlap where the axis is no multiple."""
    _check_windows(sizes)
    for axis, size in zip(range(-len(sizes), 0), sizes, strict=True):
        if size == 1:
            x = x.mean(axis, keepdims=True)
        elif size != x.shape[axis]:
            shares = np.zeros((size, x.shape[axis]), np.float32)
            for row, (start, end) in zip(shares, _adaptive(x.shape[axis], size), strict=True):
                row[start:end] = 1 / (end - start)
            x = jnp.moveaxis(jnp.moveaxis(x, axis, -1) @ jnp.asarray(shares.T, x.dtype), -1, axis)
    return x


def adaptive_max_pool(x: Array, sizes: Sizes) -> Array:
    """Largest values of as many windows as `sizes` says."""
    _check_windows(sizes)
    for axis, size in zip(range(-len(sizes), 0), sizes, strict=True):
        pieces = [jnp.take(x, np.arange(*ends), axis).max(axis) for ends in _adaptive(x.shape[axis], size)]
        x = jnp.stack(pieces, axis)
    return x


def _adaptive(length: int, size: int) -> list[tuple[int, int]]:
    return [(i * length // size, math.ceil((i + 1) * length / size)) for i in range(size)]


def _slides(
    x: Array, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil: bool
) -> list[tuple[int, Slide]]:
    """One slide for each of the last axes; a setting of length 1 holds for all, no stride means the kernel's size."""
    _check_windows(kernel)
    axes = range(-len(kernel), 0)
    settings = map(itertools.cycle, (kernel, stride or kernel, padding, dilation))
    return [
        (axis, Slide(x.shape[axis], size, step, margin, spread, ceil))
        for axis, size, step, margin, spread in zip(axes, *settings, strict=False)
    ]


def _check_windows(sizes: Sizes) -> None:
    """Raise `ValueError` for numbers of a damaged graph that would take hours to lay out."""
    if max(sizes) > MOST_CELLS:
        raise ValueError(f"a pooling has at most {MOST_CELLS} cells a window and windows an axis, but got {sizes}")


def _combine(x: Array, axis: int, slide: Slide, combine: Callable, fill: float | int) -> Array:
    """Every window along one axis, as one cell."""
    pads = [(0, 0)] * x.ndim
    pads[axis] = (slide.padding, slide.after)
    padded = jnp.pad(x, pads, constant_values=jnp.asarray(fill, x.dtype))
    reach, ahead = (slide.count - 1) * slide.stride + 1, (slice(None),) * (x.ndim + axis)
    starts = (i * slide.dilation for i in range(slide.kernel))
    return ft.reduce(combine, (padded[(*ahead, slice(start, start + reach, slide.stride))] for start in starts))


def _lowest(x: Array) -> float | int:
    return -math.inf if jnp.issubdtype(x.dtype, jnp.floating) else int(jnp.iinfo(x.dtype).min)


OPS = {
    **{f"aten.max_pool{n}d.default": max_pool for n in (1, 2, 3)},
    "aten.max_pool2d_with_indices.default": lambda *args: (max_pool(*args),),
    **{f"aten.avg_pool{n}d.default": avg_pool for n in (1, 2, 3)},
    **{f"aten.adaptive_avg_pool{n}d.default": adaptive_avg_pool for n in (1, 2, 3)},
    "aten._adaptive_avg_pool2d.default": adaptive_avg_pool,
    **{f"aten.adaptive_max_pool{n}d.default": lambda x, sizes: (adaptive_max_pool(x, sizes),) for n in (1, 2)},
}
