"""Convolutions that XLA makes slow on CPU, written so that they are fast there, and no slower elsewhere.

Shapes: b images, h x w cells, c channels, k kernel size.
"""

import functools as ft
from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from loce_jax.models.nn.winograd import winograd

Padding = int | tuple[int, int] | Literal["SAME"]  # on every side as in PyTorch; (before, after); TensorFlow's


class Convolution(nnx.Module):
    """Dense k x k convolution with PyTorch's cross-correlation and, by default, its usual padding k // 2.

    A 3 x 3 with stride 1 is Winograd's on CPU, from 32 channels on and in float32.  Milliseconds of one core, batch 8:

        grid x channels   56 x 64   28 x 128   14 x 256   7 x 512
        Winograd             12.0        9.3        9.0      13.6
        XLA's                18.5       18.1       18.6      20.5
        oneDNN's             17.5       16.4       15.7      14.9

    Sums of shifted products and products of gathered patches win up to a sixth on 14 x 512 and 7 x 512, with stride 2
    too, and lose up to a factor of four on large grids: not worth a branch.
    """

    def __init__(  # noqa: PLR0913 - what a convolution is
        self,
        channels: int,
        out: int,
        kernel: int,
        stride: int = 1,
        padding: Padding | None = None,
        *,
        dilation: int = 1,
        bias: bool = False,
    ):
        self.stride, self.dilation = stride, dilation
        self.padding: Padding = dilation * (kernel // 2) if padding is None else padding
        self.kernel = nnx.Param(jnp.zeros((kernel, kernel, channels, out)))
        self.bias = nnx.Param(jnp.zeros(out)) if bias else None

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c2"]:
        """The convolution of `x`."""
        kernel, (k, _, channels, _) = self.kernel[...], self.kernel.shape
        around = pads(x.shape[1:3], k, self.stride, self.padding, self.dilation)
        direct = ft.partial(
            jax.lax.conv_general_dilated,
            window_strides=(self.stride, self.stride),
            padding=around,
            rhs_dilation=(self.dilation, self.dilation),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        if (k, self.stride, self.dilation) == (3, 1, 1) and channels >= 32 and x.dtype == jnp.float32:
            y = jax.lax.platform_dependent(x, kernel, cpu=ft.partial(winograd, pads=around), default=direct)
        else:
            y = direct(x, kernel)
        return y if self.bias is None else y + self.bias[...]


class Pointwise(nnx.Module):
    """1 x 1 convolution, as the matrix product it is: on CPU nearly twice as fast as XLA's convolution."""

    def __init__(self, channels: int, out: int, stride: int = 1, *, bias: bool = False):
        self.stride = stride
        self.kernel = nnx.Param(jnp.zeros((1, 1, channels, out)))
        self.bias = nnx.Param(jnp.zeros(out)) if bias else None

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c2"]:
        """The 1 x 1 convolution of every `stride`-th cell."""
        y = x[:, :: self.stride, :: self.stride] @ self.kernel[0, 0]
        return y if self.bias is None else y + self.bias[...]


class Depthwise(nnx.Module):
    """Depthwise convolution as a sum of k * k shifted and scaled copies.

    XLA's grouped convolution is 4 to 60 times slower than this on CPU.
    """

    def __init__(
        self,
        channels: int,
        kernel: int,
        stride: int = 1,
        padding: Padding = "SAME",
        *,
        dilation: int = 1,
        bias: bool = False,
    ):
        self.stride, self.dilation = stride, dilation
        self.padding: Padding = padding
        self.kernel = nnx.Param(jnp.zeros((kernel, kernel, 1, channels)))
        self.bias = nnx.Param(jnp.zeros(channels)) if bias else None

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
        """Every channel filtered by its own k x k kernel."""
        k, weight = self.kernel.shape[0], self.kernel[...]
        windows = shifted(x, k, self.stride, self.padding, self.dilation)
        taps = weight.reshape(k * k, -1)
        y = ft.reduce(jnp.add, (window * tap for window, tap in zip(windows, taps, strict=True)))
        return y if self.bias is None else y + self.bias[...]


class BatchNorm(nnx.Module):
    """Batch normalization with its frozen statistics: one multiplication and one addition per value."""

    def __init__(self, channels: int, epsilon: float = 1e-5):
        self.epsilon = epsilon
        self.scale, self.var = nnx.Param(jnp.ones(channels)), nnx.Param(jnp.ones(channels))
        self.bias, self.mean = nnx.Param(jnp.zeros(channels)), nnx.Param(jnp.zeros(channels))

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """``(x - mean) / sqrt(var + epsilon) * scale + bias``; the factor is computed in float32."""
        factor = self.scale[...] * jax.lax.rsqrt(self.var[...].astype(jnp.float32) + self.epsilon)
        shift = self.bias[...] - self.mean[...] * factor
        return x * factor.astype(x.dtype) + shift.astype(x.dtype)


def max_pool(x: Float[Array, "b h w c"], kernel: int, stride: int, padding: Padding = 0) -> Float[Array, "b h2 w2 c"]:
    """The largest value of each k x k window; the border counts as minus infinity."""
    return ft.reduce(jnp.maximum, shifted(x, kernel, stride, padding, border=-jnp.inf))


def pads(grid: Sequence[int], kernel: int, stride: int, padding: Padding, dilation: int = 1) -> list[tuple[int, int]]:
    """Cells to add before and after each axis of `grid`.

    >>> pads((4, 5), 3, 2, 1), pads((4, 5), 3, 2, "SAME")
    ([(1, 1), (1, 1)], [(0, 1), (1, 1)])
    """
    if padding == "SAME":
        reach = dilation * (kernel - 1) + 1
        return list(jax.lax.padtype_to_pads(grid, (reach, reach), (stride, stride), "SAME"))
    return [(padding, padding) if isinstance(padding, int) else padding] * 2


def shifted(
    x: Float[Array, "b h w c"], kernel: int, stride: int, padding: Padding, dilation: int = 1, border: float = 0.0
) -> list[Float[Array, "b h2 w2 c"]]:
    """The k * k shifted, strided copies of padded `x`, row by row: the inputs of each position of a kernel."""
    around = pads(x.shape[1:3], kernel, stride, padding, dilation)
    padded = jnp.pad(x, ((0, 0), *around, (0, 0)), constant_values=border)
    reach = dilation * (kernel - 1)
    rows, columns = ((n - reach - 1) // stride * stride + 1 for n in padded.shape[1:3])
    starts = range(0, reach + 1, dilation)
    return [padded[:, i : i + rows : stride, j : j + columns : stride] for i in starts for j in starts]
