"""EfficientNet in Flax NNX, from a folder in the Hugging Face layout; B0 to B7, at any input size.

Tan & Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019.
Shapes: b images, h x w pixels or cells, c channels.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import jax
from flax import nnx
from jaxtyping import Array, Float

from loce_jax.models.checkpoints.heads import Heads, linear_head
from loce_jax.models.checkpoints.weights import KeyMap
from loce_jax.models.edits import Layers, tap
from loce_jax.models.networks.family import Family, Kind, pooled_and_logits
from loce_jax.models.nn.convolution import Convolution, Padding, Pointwise
from loce_jax.models.nn.inverted_residual import BlockArgs, InvertedResidual, Normalized, rounded

STEM, HEAD = 32, 1280


@dataclass(frozen=True)
class Config:
    """The entries of ``config.json`` that define the network; names and defaults are transformers'."""

    width_coefficient: float = 2.0
    depth_coefficient: float = 3.1
    depth_divisor: int = 8
    kernel_sizes: tuple[int, ...] = (3, 3, 5, 3, 5, 5, 3)
    in_channels: tuple[int, ...] = (32, 16, 24, 40, 80, 112, 192)
    out_channels: tuple[int, ...] = (16, 24, 40, 80, 112, 192, 320)
    depthwise_padding: tuple[int, ...] = ()
    strides: tuple[int, ...] = (1, 2, 2, 2, 1, 2, 1)
    num_block_repeats: tuple[int, ...] = (1, 2, 2, 3, 3, 4, 1)
    expand_ratios: tuple[int, ...] = (1, 6, 6, 6, 6, 6, 6)
    squeeze_expansion_ratio: float = 0.25
    batch_norm_eps: float = 0.001
    pooling_type: str = field(default="mean", repr=False)

    def channels(self, base: int) -> int:
        """What `base` channels become at this width."""
        return rounded(base * self.width_coefficient, self.depth_divisor, self.depth_divisor)

    def repeats(self) -> list[int]:
        """Blocks in each stage at this depth."""
        return [math.ceil(self.depth_coefficient * count) for count in self.num_block_repeats]


class EfficientNet(nnx.Module):
    """Stem, blocks and a last convolution."""

    def __init__(self, config: Config, heads: Heads, *, rngs: nnx.Rngs):
        stem, head, epsilon = config.channels(STEM), config.channels(HEAD), config.batch_norm_eps
        self.embeddings = Normalized(Convolution(3, stem, 3, 2, (0, 1)), stem, epsilon)
        self.blocks = nnx.List([InvertedResidual(args, jax.nn.silu, epsilon) for args in _block_args(config)])
        self.top = Normalized(Pointwise(config.channels(config.out_channels[-1]), head), head, epsilon)
        self.pooling_type = config.pooling_type
        self.classifier = heads.linear("classifier", head, rngs=rngs)

    def layers(self, images: Float[Array, "b h w 3"]) -> Layers:
        """Every layer from input to output; first and last convolution after their activation."""
        x = yield from tap("embeddings", jax.nn.silu(self.embeddings(images)))
        for i, block in enumerate(self.blocks):
            x = yield from tap(f"encoder.blocks.{i}", block(x))
        x = yield from tap("encoder.top_activation", jax.nn.silu(self.top(x)))
        pooled = x.max(axis=(1, 2)) if self.pooling_type == "max" else x.mean(axis=(1, 2))
        return pooled_and_logits(pooled, self.classifier)


def _block_args(config: Config) -> Iterator[BlockArgs]:
    stages = zip(
        config.repeats(),
        config.kernel_sizes,
        config.strides,
        config.expand_ratios,
        map(config.channels, config.in_channels),
        map(config.channels, config.out_channels),
        strict=True,
    )
    number = 0
    for count, kernel, stride, expansion, channels, out in stages:
        for position in range(count):
            first = position == 0
            width = channels if first else out
            yield BlockArgs(
                channels=width,
                wide=width * expansion,
                out=out,
                expands=expansion > 1,
                kernel=kernel,
                stride=stride if first else 1,
                padding=_padding(kernel, stride if first else 1, is_even=number in config.depthwise_padding),
                squeezed=max(1, int(width * config.squeeze_expansion_ratio)),
                adds_input=not first,
            )
            number += 1


def _padding(kernel: int, stride: int, *, is_even: bool) -> Padding:
    """What TensorFlow's "SAME" does at the size that the network was trained on, kept at every size."""
    if stride == 1:
        return "SAME"
    return kernel // 2 if is_even else (kernel // 2 - 1, kernel // 2)


def _describe(config: Config, name: str) -> tuple[Kind, tuple[str, ...]]:
    short = {"embeddings": ("stem",), "encoder.top_activation": ("head",)}
    repeats = config.repeats()
    for stage in range(1, len(repeats) + 1):
        short[f"encoder.blocks.{sum(repeats[:stage]) - 1}"] = (f"stage{stage}",)
    return "grid", (f"efficientnet.{name}", *short.get(name, ()))


def _faults(config: Config) -> list[str]:
    lists = ("kernel_sizes", "in_channels", "out_channels", "strides", "num_block_repeats", "expand_ratios")
    faults = []
    if len({len(getattr(config, name)) for name in lists}) > 1 or not config.strides:
        faults.append(f"{', '.join(f'`{name}`' for name in lists)} are not equally long")
    if not set(config.strides) <= {1, 2}:
        faults.append(f"`strides` is {list(config.strides)!r}, and only 1 or 2 is built here")
    return faults


FAMILY = Family(
    title="EfficientNet",
    config=Config,
    build=EfficientNet,
    describe=_describe,
    keys=KeyMap(
        to_checkpoint=(
            (r"^embeddings\.normalization", "embeddings.batchnorm"),
            (r"^top\.convolution", "encoder.top_conv"),
            (r"^top\.normalization", "encoder.top_bn"),
            (r"^blocks\.", "encoder.blocks."),
            (r"\.expand\.convolution", ".expansion.expand_conv"),
            (r"\.expand\.normalization", ".expansion.expand_bn"),
            (r"\.depthwise\.convolution", ".depthwise_conv.depthwise_conv"),
            (r"\.depthwise\.normalization", ".depthwise_conv.depthwise_norm"),
            (r"\.excite\.", ".squeeze_excite."),
            (r"\.project\.convolution", ".projection.project_conv"),
            (r"\.project\.normalization", ".projection.project_bn"),
        ),
        prefixes=("efficientnet.",),
        unused=(r"classifier\..*",),
        heads=(linear_head("classifier"),),
    ),
    choices={"hidden_act": ("swish", "silu"), "pooling_type": ("mean", "max")},
    faults=_faults,
    smallest=lambda config: 2 * math.prod(config.strides),
)
