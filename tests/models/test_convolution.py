"""Convolutions, pooling and frozen batch norms against plain sums in float64, written from the definitions."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from loce_jax.models.nn.convolution import BatchNorm, Convolution, Depthwise, Pointwise, max_pool
from loce_jax.models.nn.winograd import winograd
from tests.support.selection import further

# The largest difference from float64, relative to the largest value: float32 rounds at 6e-8, and sums of up to 300
# products gather some 10 of that.
TOLERANCE = 2e-6


def windows(x, k, stride, pads, dilation=1, border=0.0):
    """``[b h2 w2 k k c]``: what a k x k kernel sees at each place."""
    padded = np.pad(x.astype(float), ((0, 0), pads, pads, (0, 0)), constant_values=border)
    reach = dilation * (k - 1) + 1
    rows, columns = ((n - reach) // stride + 1 for n in padded.shape[1:3])
    out = np.empty((len(x), rows, columns, k, k, x.shape[-1]))
    for r, c in itertools.product(range(rows), range(columns)):
        top, left = r * stride, c * stride
        out[:, r, c] = padded[:, top : top + reach : dilation, left : left + reach : dilation]
    return out


def fill(module, seed=0):
    """`module` with random numbers, and its kernel and bias."""
    rng = np.random.default_rng(seed)
    for name in ("kernel", "bias"):
        if getattr(module, name) is not None:
            parameter = getattr(module, name)
            parameter[...] = jnp.asarray(rng.normal(size=parameter.shape), jnp.float32)
    return np.asarray(module.kernel[...], float), 0 if module.bias is None else np.asarray(module.bias[...], float)


def photos(height, width, channels, seed=1):
    return np.random.default_rng(seed).normal(size=(2, height, width, channels)).astype(np.float32)


def assert_close(found, expected):
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=TOLERANCE * np.abs(expected).max(), rtol=0)


@pytest.mark.parametrize(
    ("height", "width", "pads"),
    [
        *((7, 10, (1, 1)), (1, 2, (0, 2))),
        *further((8, 8, (1, 1)), (1, 2, (1, 1)), (5, 1, (1, 1)), (8, 8, (0, 2)), (7, 10, (0, 2)), (5, 1, (0, 2))),
        *further((8, 8, (2, 0)), (7, 10, (2, 0)), (1, 2, (2, 0)), (5, 1, (2, 0))),
    ],
)
def test_winograd_is_the_direct_sum(height, width, pads):
    x, kernel = photos(height, width, 32), np.random.default_rng(2).normal(size=(3, 3, 32, 5)).astype(np.float32)
    expected = np.einsum("bhwijc,ijco->bhwo", windows(x, 3, 1, pads), kernel)
    assert_close(jax.jit(winograd, static_argnums=2)(x, kernel, (pads, pads)), expected)


@pytest.mark.parametrize(
    ("channels", "kernel", "stride", "padding", "dilation", "pads"),
    [
        (32, 3, 1, None, 1, (1, 1)),
        (32, 3, 1, 0, 1, (0, 0)),
        (32, 3, 2, None, 1, (1, 1)),
        (4, 3, 1, None, 2, (2, 2)),
        (3, 7, 2, None, 1, (3, 3)),
        (3, 4, 4, 0, 1, (0, 0)),
        (3, 3, 2, (0, 1), 1, (0, 1)),
        (3, 3, 2, "SAME", 1, (0, 1)),
    ],
)
def test_convolution_is_the_direct_sum(channels, kernel, stride, padding, dilation, pads):
    layer = Convolution(channels, 6, kernel, stride, padding, dilation=dilation, bias=True)
    weight, bias = fill(layer)
    x = photos(10, 12, channels)
    seen = windows(x, kernel, stride, pads, dilation)
    assert_close(nnx.jit(layer)(jnp.asarray(x)), np.einsum("bhwijc,ijco->bhwo", seen, weight) + bias)


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_pointwise_is_the_direct_sum(stride):
    layer = Pointwise(5, 6, stride, bias=True)
    weight, bias = fill(layer)
    x = photos(7, 10, 5)
    assert_close(nnx.jit(layer)(jnp.asarray(x)), x[:, ::stride, ::stride].astype(float) @ weight[0, 0] + bias)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation", "pads"),
    [(3, 1, 1, 1, (1, 1)), (7, 1, 3, 1, (3, 3)), (3, 2, "SAME", 1, (0, 1)), (3, 1, "SAME", 2, (2, 2))],
)
def test_depthwise_is_the_direct_sum(kernel, stride, padding, dilation, pads):
    layer = Depthwise(5, kernel, stride, padding, dilation=dilation, bias=True)
    weight, bias = fill(layer)
    x = photos(10, 12, 5)
    seen = windows(x, kernel, stride, pads, dilation)
    assert_close(nnx.jit(layer)(jnp.asarray(x)), np.einsum("bhwijc,ijc->bhwc", seen, weight[:, :, 0]) + bias)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (7, 10), (1, 1)])
def test_max_pool_never_takes_the_border(height, width):
    x = photos(height, width, 3) - 10
    expected = windows(x, 3, 2, (1, 1), border=-np.inf).max((3, 4))
    np.testing.assert_array_equal(jax.jit(max_pool, static_argnums=(1, 2, 3))(jnp.asarray(x), 3, 2, 1), expected)


def test_batch_norm_uses_its_frozen_statistics():
    layer, rng = BatchNorm(4, epsilon=1e-2), np.random.default_rng(0)
    numbers = {name: rng.uniform(0.5, 2, 4).astype(np.float32) for name in ("scale", "bias", "mean", "var")}
    for name, values in numbers.items():
        getattr(layer, name)[...] = jnp.asarray(values)
    x = photos(3, 2, 4)
    expected = (x - numbers["mean"]) / np.sqrt(numbers["var"] + 1e-2) * numbers["scale"] + numbers["bias"]
    assert_close(nnx.jit(layer)(jnp.asarray(x)), expected)
