"""Inverted residual blocks (Sandler et al., "MobileNetV2", 2018; Tan & Le, "EfficientNet", 2019).

Shapes: b images, h x w cells, c channels.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
from flax import nnx
from jaxtyping import Array, Float

from loce_jax.models.nn.convolution import BatchNorm, Convolution, Depthwise, Padding, Pointwise


@dataclass(frozen=True)
class BlockArgs:
    """One inverted residual.

    Attributes:
        channels, wide, out: channels of the input, in the middle, of the output.
        expands: whether a 1 x 1 convolution makes `wide` of `channels`; without it they are equal.
        kernel, stride, dilation, padding: of the depthwise convolution.
        squeezed: channels in the middle of squeeze-and-excitation; 0 for none.
        adds_input: whether the input is added to the output.
    """

    channels: int
    wide: int
    out: int
    expands: bool
    kernel: int = 3
    stride: int = 1
    dilation: int = 1
    padding: Padding = "SAME"
    squeezed: int = 0
    adds_input: bool = False


class InvertedResidual(nnx.Module):
    """Expansion, depthwise convolution, projection; the input is added where `BlockArgs` says so."""

    def __init__(self, args: BlockArgs, activation: Callable[[Array], Array], epsilon: float):
        self.expands, self.adds_input, self.activation = args.expands, args.adds_input, activation
        if args.expands:
            self.expand = Normalized(Pointwise(args.channels, args.wide), args.wide, epsilon)
        depthwise = Depthwise(args.wide, args.kernel, args.stride, args.padding, dilation=args.dilation)
        self.depthwise = Normalized(depthwise, args.wide, epsilon)
        self.excite = Excitation(args.wide, args.squeezed, activation) if args.squeezed else None
        self.project = Normalized(Pointwise(args.wide, args.out), args.out, epsilon)

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c2"]:
        """One block."""
        wide = self.activation(self.expand(x)) if self.expands else x
        wide = self.activation(self.depthwise(wide))
        if self.excite is not None:
            wide = self.excite(wide)
        y = self.project(wide)
        return x + y if self.adds_input else y


class Normalized(nnx.Module):
    """A convolution with its batch normalization."""

    def __init__(self, convolution: Convolution | Pointwise | Depthwise, channels: int, epsilon: float):
        self.convolution = convolution
        self.normalization = BatchNorm(channels, epsilon)

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c2"]:
        """The normalized map, not yet activated."""
        return self.normalization(self.convolution(x))


class Excitation(nnx.Module):
    """Squeeze-and-excitation: each channel is scaled by an MLP of all channels' means."""

    def __init__(self, channels: int, squeezed: int, activation: Callable[[Array], Array]):
        self.activation = activation
        self.reduce = Pointwise(channels, squeezed, bias=True)
        self.expand = Pointwise(squeezed, channels, bias=True)

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """The scaled map."""
        means = x.mean(axis=(1, 2), keepdims=True)
        return x * jax.nn.sigmoid(self.expand(self.activation(self.reduce(means))))


def rounded(channels: float | int, divisor: int, least: int) -> int:
    """`channels` as a multiple of `divisor`: the nearest, at least `least`, and not more than 10 % fewer.

    >>> rounded(24, 8, 8), rounded(11, 8, 8), rounded(4, 8, 8)
    (24, 16, 8)
    """
    multiple = max(least, int(channels + divisor / 2) // divisor * divisor)
    return multiple + divisor if multiple < 0.9 * channels else multiple
