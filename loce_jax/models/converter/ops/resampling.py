"""Resampling of maps: interpolation to another size, and reading at given positions.

Interpolation is linear and works on one axis at a time, so each axis is a small constant matrix ``[new old]``.
Shapes: b images, c channels, h x w cells, o new cells.
"""

import functools as ft
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

Sizes = Sequence[int]
Scales = Sequence[float | None]
CUBIC, CUBIC_ANTIALIAS = -0.75, -0.5  # the sharpness that PyTorch takes without and with antialiasing


def linear(x: Array, sizes: Sizes, corners: bool, scales: Scales = ()) -> Array:
    """Linear interpolation of the last axes to `sizes`; `corners` aligns the corner cells' centers."""
    return _by_axis(x, sizes, scales, ft.partial(_linear_matrix, corners=corners))


def cubic(x: Array, sizes: Sizes, corners: bool, scales: Scales = ()) -> Array:
    """Cubic interpolation."""
    return _by_axis(x, sizes, scales, ft.partial(_cubic_matrix, corners=corners))


def linear_antialias(x: Array, sizes: Sizes, corners: bool, scales: Scales = ()) -> Array:
    """Linear interpolation; where it shrinks, the triangle is as wide as the new cells."""
    return _by_axis(x, sizes, scales, ft.partial(_antialias_matrix, corners=corners, kernel=_triangle, reach=1))


def cubic_antialias(x: Array, sizes: Sizes, corners: bool, scales: Scales = ()) -> Array:
    """Cubic interpolation; where it shrinks, the kernel is as wide as the new cells."""
    kernel = ft.partial(_cubic_kernel, sharpness=CUBIC_ANTIALIAS)
    return _by_axis(x, sizes, scales, ft.partial(_antialias_matrix, corners=corners, kernel=kernel, reach=2))


def nearest(x: Array, sizes: Sizes, scales: Scales = (), *, offset: float = 0.0) -> Array:
    """The old cell that a new cell's start (or, with `offset` 0.5, its center) falls into."""
    for axis, size, scale in _axes(sizes, scales):
        old = x.shape[axis]
        if size == 2 * old or old == 1:
            x = jnp.repeat(x, size // old, axis)
        elif size != old:
            step = np.float32(1 / scale if scale else old / size)
            positions = np.floor((np.arange(size, dtype=np.float32) + np.float32(offset)) * step).astype(int)
            x = jnp.take(x, np.minimum(positions, old - 1), axis)
    return x


def grid_sample(x: Array, grid: Array, mode: int = 0, padding: int = 0, corners: bool = False) -> Array:
    """Read ``[b c h w]`` at `grid` ``[b oh ow 2]``: x and y from -1 to 1.

    `mode` is 0 linear, 1 nearest, 2 cubic; `padding` beyond the edge is 0 zeros, 1 the edge's value, 2 mirrored.
    """
    sizes = (x.shape[3], x.shape[2])
    positions = [_pixels(grid[..., i], size, corners) for i, size in enumerate(sizes)]
    if mode != 2:
        positions = [_inside(position, size, padding, corners) for position, size in zip(positions, sizes, strict=True)]
    taps = [_taps(position, mode) for position in positions]
    total = jnp.zeros((*x.shape[:2], *grid.shape[1:3]), x.dtype)
    for (column, share_x), (row, share_y) in itertools.product(*taps):
        cells = [column, row]
        if mode == 2:
            cells = [_inside(cell, size, padding, corners) for cell, size in zip(cells, sizes, strict=True)]
        total += _read(x, cells[1], cells[0]) * (share_x * share_y)[:, None].astype(x.dtype)
    return total


def _by_axis(x: Array, sizes: Sizes, scales: Scales, matrix: Callable[..., np.ndarray]) -> Array:
    for axis, size, scale in _axes(sizes, scales):
        if size != x.shape[axis] or scale not in (None, 1.0):
            weights = jnp.asarray(matrix(x.shape[axis], size, scale=scale).astype(np.float32), x.dtype)
            x = jnp.moveaxis(jnp.tensordot(x, weights, ((axis,), (1,))), -1, axis)
    return x


def _axes(sizes: Sizes, scales: Scales) -> list[tuple[int, int, float | None]]:
    axes, scales = range(-len(sizes), 0), tuple(scales) or (None,) * len(sizes)
    return list(zip(axes, sizes, scales, strict=True))


def _vectorized(function: Callable[..., Array]) -> Callable[..., Array]:
    """For the overloads that take sizes or factors, whichever is not None."""

    def call(x: Array, sizes: Sizes | None, *rest) -> Array:
        *options, factors = rest
        if sizes is None:
            sizes = [math.floor(old * factor) for old, factor in zip(x.shape[-len(factors) :], factors, strict=True)]
        return function(x, sizes, *options, factors or ())

    return call


def _split_scales(function: Callable[..., Array], options: int) -> Callable[..., Array]:
    """For the overloads that take each axis' factor as an argument of its own, after `options` options."""
    return lambda x, sizes, *rest: function(x, sizes, *rest[:options], rest[options:])


def _centers(old: int, new: int, corners: bool, scale: float | None) -> np.ndarray:
    """Where the new cells' centers are among the old cells' centers."""
    at = np.arange(new, dtype=np.float32)
    if corners:
        return at * np.float32((old - 1) / (new - 1) if new > 1 else 0)
    return (at + np.float32(0.5)) * np.float32(1 / scale if scale else old / new) - np.float32(0.5)


def _linear_matrix(old: int, new: int, *, corners: bool, scale: float | None) -> np.ndarray:
    centers = np.maximum(_centers(old, new, corners, scale), 0)
    first = np.minimum(np.floor(centers).astype(int), old - 1)
    share = centers - first
    matrix = np.zeros((new, old))
    np.add.at(matrix, (np.arange(new), first), 1 - share)
    np.add.at(matrix, (np.arange(new), np.minimum(first + 1, old - 1)), share)
    return matrix


def _cubic_matrix(old: int, new: int, *, corners: bool, scale: float | None) -> np.ndarray:
    centers = _centers(old, new, corners, scale)
    first, matrix = np.floor(centers).astype(int), np.zeros((new, old))
    for tap in range(-1, 3):
        share = _cubic_kernel(centers - (first + tap), CUBIC)
        np.add.at(matrix, (np.arange(new), np.clip(first + tap, 0, old - 1)), share)
    return matrix


def _antialias_matrix(
    old: int, new: int, *, corners: bool, scale: float | None, kernel: Callable[[np.ndarray], np.ndarray], reach: int
) -> np.ndarray:
    step = ((old - 1) / (new - 1) if new > 1 else 0) if corners else (1 / scale if scale else old / new)
    wide, matrix = max(step, 1.0), np.zeros((new, old))
    for row, center in zip(matrix, step * (np.arange(new) + 0.5), strict=True):
        low = max(int(center - reach * wide + 0.5), 0)
        high = min(int(center + reach * wide + 0.5), old)
        row[low:high] = kernel((np.arange(low, high) - center + 0.5) / wide)
    return matrix / matrix.sum(1, keepdims=True)


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.maximum(1 - np.abs(x), 0)


def _cubic_kernel(x: Any, sharpness: float) -> Any:
    """The cubic convolution kernel of Keys, "Cubic convolution interpolation", 1981; 0 from distance 2 on."""
    numpy = np if isinstance(x, np.ndarray) else jnp
    x, a = abs(x), sharpness
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return numpy.where(x <= 1, near, numpy.where(x < 2, far, 0.0))


def _pixels(position: Array, size: int, corners: bool) -> Array:
    """From -1..1 to cells."""
    return (position + 1) / 2 * (size - 1) if corners else ((position + 1) * size - 1) / 2


def _inside(position: Array, size: int, padding: int, corners: bool) -> Array:
    """Positions beyond the edge moved to it, or mirrored at it."""
    if padding == 0:
        return position
    if padding == 2:
        low, span = (0.0, float(size - 1)) if corners else (-0.5, float(size))
        away = jnp.abs(position - low) % (2 * span) if span else jnp.zeros_like(position)
        position = jnp.where(away > span, 2 * span - away, away) + low
    return jnp.clip(position, 0, size - 1)


def _taps(position: Array, mode: int) -> list[tuple[Array, Array]]:
    """The cells that a position reads along one axis, and their shares."""
    if mode == 1:
        return [(jnp.round(position), jnp.ones_like(position))]
    first = jnp.floor(position)
    if mode == 0:
        return [(first, first + 1 - position), (first + 1, position - first)]
    return [(first + tap, _cubic_kernel(position - first - tap, CUBIC)) for tap in range(-1, 3)]


def _read(x: Array, rows: Array, columns: Array) -> Array:
    """``[b c h w]`` at whole-numbered rows and columns ``[b oh ow]``; 0 beyond the edge."""
    b, c, h, w = x.shape
    inside = (rows >= 0) & (rows <= h - 1) & (columns >= 0) & (columns <= w - 1)
    flat = jnp.clip(rows, 0, h - 1).astype(int) * w + jnp.clip(columns, 0, w - 1).astype(int)
    found = jnp.take_along_axis(x.reshape(b, c, h * w), flat.reshape(b, 1, -1), 2)
    return jnp.where(inside[:, None], found.reshape(b, c, *rows.shape[1:]), 0)


def _overloads(name: str, function: Callable[..., Array], options: int) -> dict[str, Callable[..., Array]]:
    return {f"aten.{name}.default": _split_scales(function, options), f"aten.{name}.vec": _vectorized(function)}


exact = ft.partial(nearest, offset=0.5)
OPS = {
    **_overloads("upsample_linear1d", linear, 1),
    **_overloads("upsample_bilinear2d", linear, 1),
    **_overloads("upsample_trilinear3d", linear, 1),
    **_overloads("upsample_bicubic2d", cubic, 1),
    **_overloads("_upsample_bilinear2d_aa", linear_antialias, 1),
    **_overloads("_upsample_bicubic2d_aa", cubic_antialias, 1),
    **{key: op for n in (1, 2, 3) for key, op in _overloads(f"upsample_nearest{n}d", nearest, 0).items()},
    **{key: op for n in (1, 2, 3) for key, op in _overloads(f"_upsample_nearest_exact{n}d", exact, 0).items()},
    "aten.grid_sampler.default": grid_sample,
    "aten.grid_sampler_2d.default": grid_sample,
}
