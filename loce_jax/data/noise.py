"""Noise on photographs, to test the robustness of embeddings.

Shapes: H x W pixels.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from loce_jax.checks import InputError


def add_gaussian_noise(
    photo: UInt8[np.ndarray, "H W 3"], percent: int | float, *, seed: int | Sequence[int], paper: bool = False
) -> UInt8[np.ndarray, "H W 3"]:
    """A copy of `photo` with independent normal noise on every pixel and channel.

    The standard deviation is ``percent / 100 * 255`` gray levels; sums are cut to 0..255 and rounded to the nearest
    level.  What is cut off moves the mean of dark photos up and of bright ones down.

    Args:
        photo: not changed.
        percent: 0 or more.
        seed: of NumPy's generator.  The same seed and size give the same field of noise; for another field in every
            photo give a pair such as ``(seed, image_id)``.
        paper: do as the released code of Mikriukov et al., IJCV 2025: truncate, which darkens by half a level, with
            noise of NumPy's older generator, which takes a single number.

    >>> gray = np.full((100, 100, 3), 128, np.uint8)
    >>> round(float(add_gaussian_noise(gray, 10, seed=0).std()))
    25
    """
    if not 0 <= percent < np.inf:
        raise InputError(f"`percent` must be 0 or more, the noise's share of 255 levels, but got {percent}. Give 5.")
    deviation = percent / 100 * 255
    if paper:
        noise = np.random.RandomState(seed).normal(0, deviation, photo.shape)
        return np.clip(photo + noise, 0, 255).astype(np.uint8)
    noise = np.random.default_rng(seed).normal(0, deviation, photo.shape)
    return np.clip(photo + noise, 0, 255).round().astype(np.uint8)


def add_salt_and_pepper(
    photo: UInt8[np.ndarray, "H W 3"], percent: int | float, *, seed: int | Sequence[int], paper: bool = False
) -> UInt8[np.ndarray, "H W 3"]:
    """A copy of `photo` with ``percent`` of its pixels, all different, half of them white and half of them black.

    Of an odd number of pixels one more is white.

    Args:
        photo: not changed.
        percent: 0 to 100; the number of pixels is rounded.
        seed: as in `add_gaussian_noise`.
        paper: do as the released code of Mikriukov et al., IJCV 2025: channels are counted as pixels, and positions
            are drawn with replacement, black over white, so that "5 %" alters 14 % of the pixels; NumPy's older
            generator.

    >>> gray = np.full((10, 10, 3), 128, np.uint8)
    >>> noisy = add_salt_and_pepper(gray, 5, seed=0)
    >>> [int((noisy == level).all(axis=2).sum()) for level in (0, 128, 255)]
    [2, 95, 3]
    """
    if not 0 <= percent <= 100:
        raise InputError(f"`percent` must be from 0 to 100, a share of the pixels, but got {percent}. Give 5.")
    noisy = photo.copy()
    if paper:
        random = np.random.RandomState(seed)
        for level in (255, 0):
            rows, columns, _ = (random.randint(0, side, int(percent / 100 * photo.size / 2)) for side in photo.shape)
            noisy[rows, columns] = level
        return noisy
    height, width, _ = photo.shape
    places = np.random.default_rng(seed).permutation(height * width)[: round(percent / 100 * height * width)]
    pixels = noisy.reshape(-1, 3)
    pixels[places[::2]], pixels[places[1::2]] = 255, 0
    return noisy
