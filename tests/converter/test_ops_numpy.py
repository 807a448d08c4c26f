"""Common operations of the converter against loops in NumPy, float64: what runs where PyTorch is not installed.

`test_ops.py` compares all operations with PyTorch's own.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from loce_jax.models.converter.ops import OPS


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


X, MAP = numbers(3, 4, 5), numbers(2, 3, 7, 6)
KERNEL, BIAS, SCALE = numbers(4, 3, 3, 2, seed=1), numbers(4, seed=2), numbers(3, seed=3)
Q, K, V = numbers(2, 5, 8), numbers(2, 6, 8, seed=1), numbers(2, 6, 8, seed=2)


def windows(x, kernel, stride, padding, fill=0.0):
    """``{(row, column): window}`` over the last two axes."""
    pads = [(0, 0)] * (x.ndim - 2) + [(padding[0],) * 2, (padding[1],) * 2]
    padded = np.pad(x.astype(float), pads, constant_values=fill)
    (height, width), (down, right) = kernel, stride
    rows, columns = (padded.shape[-2] - height) // down + 1, (padded.shape[-1] - width) // right + 1
    return {
        (i, j): padded[..., down * i : down * i + height, right * j : right * j + width]
        for i in range(rows)
        for j in range(columns)
    }


def on_grid(values):
    """The values of all windows as ``[... rows columns]``."""
    rows, columns = (max(place) + 1 for place in zip(*values, strict=True))
    first = next(iter(values.values()))
    found = np.zeros((*np.shape(first), rows, columns))
    for (i, j), value in values.items():
        found[..., i, j] = value
    return found


def convolution(x, kernel, bias, stride, padding):
    of = windows(x, kernel.shape[2:], stride, padding)
    return on_grid({k: np.einsum("bchw,ochw->bo", v, kernel.astype(float)) + bias for k, v in of.items()})


def max_pool(x, kernel, stride, padding):
    return on_grid({k: v.max((-1, -2)) for k, v in windows(x, kernel, stride, padding, -np.inf).items()})


def avg_pool(x, kernel, stride, padding):
    return on_grid({k: v.mean((-1, -2)) for k, v in windows(x, kernel, stride, padding).items()})


def adaptive_avg_pool(x, size):
    spans = [[(i * n // m, -(-(i + 1) * n // m)) for i in range(m)] for n, m in zip(x.shape[-2:], size, strict=True)]
    cells = {
        (i, j): x[..., top:bottom, left:right].mean((-1, -2), dtype=float)
        for i, (top, bottom) in enumerate(spans[0])
        for j, (left, right) in enumerate(spans[1])
    }
    return on_grid(cells)


def normalized(x, axes):
    x = x.astype(float)
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5)


def group_norm(x, groups, weight, bias):
    found = normalized(x.reshape(len(x), groups, -1), -1).reshape(x.shape)
    return found * weight[:, None, None] + bias[:, None, None]


def batch_norm(x, weight, bias, mean, variance, training, momentum, eps):
    weight, bias, mean, variance = (v.astype(float)[:, None, None] for v in (weight, bias, mean, variance))
    return weight * (x - mean) / np.sqrt(variance + eps) + bias


def softmax(x, axis):
    powers = np.exp(x.astype(float))
    return powers / powers.sum(axis, keepdims=True)


def attention(query, key, value):
    return softmax(query @ key.swapaxes(-1, -2) / math.sqrt(query.shape[-1]), -1) @ value


def upsample(x, size, corners):
    """Bilinear, pixel centers where `corners` is False; written for one new cell at a time."""
    height, width = x.shape[-2:]
    found = np.zeros((*x.shape[:-2], *size))
    for i in range(size[0]):
        for j in range(size[1]):
            y, z = ((k + 0.5) * old / new - 0.5 for k, old, new in zip((i, j), (height, width), size, strict=True))
            if corners:
                y, z = i * (height - 1) / (size[0] - 1), j * (width - 1) / (size[1] - 1)
            y, z = max(y, 0), max(z, 0)
            top, left = int(y), int(z)
            bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
            a, b = y - top, z - left
            upper = (1 - b) * x[..., top, left] + b * x[..., top, right]
            lower = (1 - b) * x[..., bottom, left] + b * x[..., bottom, right]
            found[..., i, j] = (1 - a) * upper + a * lower
    return found


def pixel_shuffle(x, factor):
    b, c, h, w = x.shape
    found = np.zeros((b, c // factor**2, h * factor, w * factor))
    for channel in range(c):
        to, rest = divmod(channel, factor**2)
        found[:, to, rest // factor :: factor, rest % factor :: factor] = x[:, channel]
    return found


def gelu(x):
    return np.vectorize(lambda v: v * (1 + math.erf(v / math.sqrt(2))) / 2)(x.astype(float))


CASES = [
    ("conv2d.default", convolution, (MAP, KERNEL, BIAS, (2, 1), (1, 0))),
    ("max_pool2d.default", max_pool, (MAP, (3, 2), (2, 2), (1, 1))),
    ("avg_pool2d.default", avg_pool, (MAP, (3, 2), (2, 1), (1, 0))),
    ("adaptive_avg_pool2d.default", adaptive_avg_pool, (MAP, (3, 4))),
    ("layer_norm.default", lambda x, shape: normalized(x, -1), (X, (5,))),
    ("group_norm.default", group_norm, (numbers(2, 4, 3, 5), 2, BIAS, BIAS + 1)),
    ("batch_norm.default", batch_norm, (MAP, SCALE, SCALE + 1, SCALE - 1, SCALE**2, False, 0.1, 1e-5)),
    ("softmax.int", softmax, (X, 1)),
    ("scaled_dot_product_attention.default", attention, (Q, K, V)),
    ("upsample_bilinear2d.vec", lambda x, size, corners, _: upsample(x, size, corners), (MAP, (10, 4), False, None)),
    ("upsample_bilinear2d.vec", lambda x, size, corners, _: upsample(x, size, corners), (MAP, (10, 4), True, None)),
    ("pixel_shuffle.default", pixel_shuffle, (numbers(2, 12, 3, 4), 2)),
    ("gelu.default", gelu, (3 * X,)),
    ("linear.default", lambda x, w, b: x @ w.T.astype(float) + b, (X, numbers(4, 5), BIAS)),
    ("remainder.Scalar", lambda x, n: x - n * np.floor(x / n), (4 * X, -1.5)),
    ("cat.default", lambda parts, axis: np.concatenate(parts, axis), ([X, X[:, :2]], 1)),
    ("slice.Tensor", lambda x, axis, start, stop, step: x[:, start:stop:step], (X, 1, 1, 4, 2)),
    ("roll.default", lambda x, by, axes: np.roll(x, by, axes), (MAP, [2, -3], [2, 3])),
]


@pytest.mark.parametrize(("name", "twin", "arguments"), CASES, ids=[f"{name}{i}" for i, (name, *_) in enumerate(CASES)])
def test_matches_the_twin(name, twin, arguments):
    given = jax.tree.map(lambda each: jnp.asarray(each) if isinstance(each, np.ndarray) else each, list(arguments))
    found = np.asarray(OPS[f"aten.{name}"](*given))
    expected = twin(*arguments)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)  # float32 sums of at most 18 terms of size 1
