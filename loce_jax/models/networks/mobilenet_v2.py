"""MobileNetV2 in Flax NNX, from a folder in the Hugging Face layout.

Every width and output stride, TensorFlow's padding and PyTorch's, at any input size.
Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018.
Shapes: b images, h x w pixels or cells, c channels.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import jax
from flax import nnx
from jaxtyping import Array, Float

from loce_jax.models.checkpoints.heads import Heads, linear_head
from loce_jax.models.checkpoints.weights import KeyMap
from loce_jax.models.edits import Layers, tap
from loce_jax.models.networks.family import Family, Kind, pooled_and_logits
from loce_jax.models.nn.convolution import Convolution, Pointwise
from loce_jax.models.nn.inverted_residual import BlockArgs, InvertedResidual, Normalized, rounded

STEM, FIRST, HEAD = 32, 16, 1280
STAGES = ((2, 2, 24), (3, 2, 32), (4, 2, 64), (3, 1, 96), (3, 2, 160), (1, 1, 320))  # blocks, stride, channels
ENDS = {f"layer.{sum(count for count, *_ in STAGES[: i + 1]) - 1}": i + 2 for i in range(len(STAGES))}


@dataclass(frozen=True)
class Config:
    """The entries of ``config.json`` that define the network; names and defaults are transformers'."""

    depth_multiplier: float = 1.0
    depth_divisible_by: int = 8
    min_depth: int = 8
    expand_ratio: float = 6.0
    output_stride: int = 32
    first_layer_is_expansion: bool = True
    finegrained_output: bool = True
    tf_padding: bool = True
    layer_norm_eps: float = 0.001

    def channels(self, wanted: float) -> int:
        """About `wanted` channels, as many as this configuration allows."""
        return rounded(round(wanted), self.depth_divisible_by, self.min_depth)

    @property
    def head(self) -> int:
        """Channels of the last convolution; narrow networks may keep all of them."""
        keeps_all = self.finegrained_output and self.depth_multiplier < 1
        return HEAD if keeps_all else self.channels(HEAD * self.depth_multiplier)


class MobileNetV2(nnx.Module):
    """Stem, 16 blocks and a last convolution; attributes carry the checkpoint's names."""

    def __init__(self, config: Config, heads: Heads, *, rngs: nnx.Rngs):
        stem, first, *_ = _widths(config)
        self.conv_stem = nnx.Dict(
            first_conv=Normalized(Convolution(3, stem, 3, 2, _padding(config, 1)), stem, config.layer_norm_eps),
            block=_block(config, BlockArgs(stem, stem, first, expands=not config.first_layer_is_expansion)),
        )
        self.layer = nnx.List([_block(config, args) for args in _block_args(config)])
        last = _widths(config)[-1]
        self.conv_1x1 = Normalized(Pointwise(last, config.head), config.head, config.layer_norm_eps)
        self.classifier = heads.linear("classifier", config.head, rngs=rngs)

    def layers(self, images: Float[Array, "b h w 3"]) -> Layers:
        """Every layer from input to output; first and last convolution after their activation."""
        x = yield from tap("conv_stem.first_conv", jax.nn.relu6(self.conv_stem["first_conv"](images)))
        x = yield from tap("conv_stem", self.conv_stem["block"](x))
        for i, block in enumerate(self.layer):
            x = yield from tap(f"layer.{i}", block(x))
        x = yield from tap("conv_1x1", jax.nn.relu6(self.conv_1x1(x)))
        return pooled_and_logits(x.mean(axis=(1, 2)), self.classifier)


def _widths(config: Config) -> list[int]:
    """Channels after the first convolution, the stem, and each block."""
    bases = [STEM, FIRST, *(channels for count, _, channels in STAGES for _ in range(count))]
    return [config.channels(base * config.depth_multiplier) for base in bases]


def _block_args(config: Config) -> Iterator[BlockArgs]:
    """The blocks after the stem; where the output stride is reached, dilation takes the place of stride."""
    _, channels, *widths = _widths(config)
    strides = [1 if i else stride for count, stride, _ in STAGES for i in range(count)]
    reached, next_dilation = 2, 1
    for out, wanted in zip(widths, strides, strict=True):
        if reached == config.output_stride:
            stride, dilation = 1, next_dilation
            next_dilation *= wanted
        else:
            stride, dilation = wanted, 1
            reached *= wanted
        yield BlockArgs(
            channels=channels,
            wide=config.channels(channels * config.expand_ratio),
            out=out,
            expands=True,
            stride=stride,
            dilation=dilation,
            padding=_padding(config, dilation),
            adds_input=stride == 1 and channels == out,
        )
        channels = out


def _block(config: Config, args: BlockArgs) -> InvertedResidual:
    return InvertedResidual(args, jax.nn.relu6, config.layer_norm_eps)


def _padding(config: Config, dilation: int):
    return "SAME" if config.tf_padding else dilation


def _describe(_config: Config, name: str) -> tuple[Kind, tuple[str, ...]]:
    short = {"conv_stem.first_conv": ("stem",), "conv_stem": ("stage1",), "conv_1x1": ("head",)}
    if name in ENDS:
        short[name] = (f"stage{ENDS[name]}",)
    return "grid", (f"mobilenet_v2.{name}", *short.get(name, ()))


FAMILY = Family(
    title="MobileNetV2",
    config=Config,
    build=MobileNetV2,
    describe=_describe,
    keys=KeyMap(
        to_checkpoint=(
            (r"^conv_stem\.block\.", "conv_stem."),
            (r"\.expand\.", ".expand_1x1."),
            (r"\.depthwise\.", ".conv_3x3."),
            (r"\.project\.", ".reduce_1x1."),
        ),
        prefixes=("mobilenet_v2.",),
        unused=(r"classifier\..*", r"segmentation_head\..*"),
        heads=(linear_head("classifier"),),
    ),
    choices={"hidden_act": ("relu6",)},
)
