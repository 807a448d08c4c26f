"""Resizing as a matrix per axis: ``resized = rows @ image @ columns.T``.  NumPy only, shared by data and solver.

A separable linear resize is fixed by what it does to the unit impulses of each axis, so every operator here is a
small matrix ``[n_out, n_in]``, built once per pair of lengths and kept.
Shapes: h x w the grid resized from, H x W the grid resized to.
"""

import functools as ft
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Num

from loce_jax.arrays import as_array
from loce_jax.checks import InputError, check_arguments


@ft.lru_cache(maxsize=256)
def bilinear_matrix(n_in: int, n_out: int) -> Float[np.ndarray, "n_out n_in"]:
    """Bilinear interpolation between pixel centers, two taps per row, clamped at the border; float64.

    The convention of ``torch.nn.functional.interpolate(mode="bilinear", align_corners=False)``.

    >>> bilinear_matrix(2, 4)
    array([[1.  , 0.  ],
           [0.75, 0.25],
           [0.25, 0.75],
           [0.  , 1.  ]])
    """
    position = np.clip((np.arange(n_out) + 0.5) * n_in / n_out - 0.5, 0, n_in - 1)
    left = np.minimum(position.astype(int), max(n_in - 2, 0))
    share = position - left
    matrix = np.zeros((n_out, n_in))
    rows = np.arange(n_out)
    np.add.at(matrix, (rows, left), 1 - share)
    np.add.at(matrix, (rows, np.minimum(left + 1, n_in - 1)), share)
    return _frozen(matrix)


class Taps(NamedTuple):
    """A resize of one axis by two taps: ``resized[i] = near[i] * image[first[i]] + far[i] * image[first[i] + 1]``."""

    first: Int[np.ndarray, " n_out"]
    near: Float[np.ndarray, " n_out"]
    far: Float[np.ndarray, " n_out"]


def two_taps(matrix: Float[np.ndarray, "n_out n_in"], dtype: type = np.float32) -> Taps:
    """The taps of a matrix that has at most two a row, side by side; of one pixel, the second tap is 0.

    >>> two_taps(bilinear_matrix(2, 4)).far
    array([0.  , 0.25, 0.75, 1.  ], dtype=float32)
    """
    n_out, n_in = matrix.shape
    first = np.minimum((matrix != 0).argmax(axis=1), max(n_in - 2, 0))
    rows = np.arange(n_out)
    far = matrix[rows, first + 1] if n_in > 1 else np.zeros(n_out)
    return Taps(first, matrix[rows, first].astype(dtype), far.astype(dtype))


def resize_bilinear(image: Float[np.ndarray, "*maps h w"], size: tuple[int, int]) -> Float[np.ndarray, "*maps H W"]:
    """A map, or several, resized with `bilinear_matrix`, float64.

    >>> resize_bilinear(np.array([[0.0, 4.0]]), (1, 4))
    array([[0., 1., 3., 4.]])
    """
    rows, columns = (bilinear_matrix(*lengths) for lengths in zip(image.shape[-2:], size, strict=True))
    return rows @ image.astype(np.float64) @ columns.T


@ft.lru_cache(maxsize=32)
def antialias_matrix(n_in: int, n_out: int) -> Float[np.ndarray, "n_out n_in"]:
    """What ``skimage.transform.resize`` does to one axis of a float image, measured on unit impulses; float64.

    Shrinking smooths first, with a Gaussian of ``sigma = (n_in / n_out - 1) / 2``; growing is linear interpolation
    with mirrored borders.

    >>> antialias_matrix(4, 2).sum(axis=1)
    array([1., 1.])
    """
    from skimage.transform import resize  # noqa: PLC0415 - half a second that most imports of this file never need

    return _frozen(np.asarray(resize(np.eye(n_in), (n_out, n_in), order=1, anti_aliasing=n_out < n_in)))


@check_arguments
def resize_mask(
    mask: Bool[np.ndarray, "H W"] | Num[np.ndarray, "H W"], size: tuple[int, int]
) -> Float[np.ndarray, "h w"]:
    """The solver's target: the mask resized to `size` with anti-aliasing, float32 in [0, 1].

    Equal to ``skimage.transform.resize(mask.astype(float), size)`` up to rounding, as the reference
    implementation of LoCE uses it (Mikriukov et al., IJCV 2025).

    >>> resize_mask(np.eye(4) > 0, (2, 2)).round(2)
    array([[0.45, 0.05],
           [0.05, 0.45]], dtype=float32)
    """
    mask = as_array("mask", mask)
    if mask.ndim != 2:
        raise InputError(f"`mask` must have 2 axes, height and width, but got shape {mask.shape}. Give one mask.")
    rows, columns = (_narrow_antialias_matrix(n_in, n_out) for n_in, n_out in zip(mask.shape, size, strict=True))
    y, x = (_reach(mask.any(axis=1 - axis)) for axis in (0, 1))
    return np.clip(rows[:, y] @ mask[y, x].astype(np.float32) @ columns[:, x].T, 0, 1)


@ft.lru_cache(maxsize=1024)  # as many as there are heights and widths of photos
def _narrow_antialias_matrix(n_in, n_out):
    return _frozen(antialias_matrix(n_in, n_out).astype(np.float32))


def _reach(present):
    """The slice from the first to the last True; beyond it a mask is 0, and most masks are small."""
    places = np.flatnonzero(present)
    return slice(places[0], places[-1] + 1) if len(places) else slice(0, 0)


def _frozen(matrix):
    matrix.setflags(write=False)
    return matrix
