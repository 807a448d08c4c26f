"""ResNets in Flax NNX, from a folder in the Hugging Face layout; no PyTorch, no transformers.

Basic and bottleneck blocks, at any input size.  He et al., "Deep Residual Learning for Image Recognition", 2015.
Names are those of transformers' checkpoints; `TIMM` translates them to timm's and torchvision's (``layer3.5``), for
names that users know and for detectors whose backbone comes from there.
Shapes: b images, h x w pixels or cells, c channels.
"""

import functools as ft
import re
from dataclasses import dataclass
from itertools import pairwise

import jax
from flax import nnx
from jaxtyping import Array, Float

from loce_jax.models.checkpoints.heads import NO_HEADS, Heads, linear_head
from loce_jax.models.checkpoints.weights import KeyMap, Rules
from loce_jax.models.edits import Layers, tap
from loce_jax.models.networks.family import Family, Kind, pooled_and_logits
from loce_jax.models.nn.convolution import BatchNorm, Convolution, Pointwise, max_pool

REDUCTION = 4  # how much narrower a bottleneck is than its block
TIMM: Rules = (
    (r"embedder\.embedder\.convolution", "conv1"),
    (r"embedder\.embedder\.normalization", "bn1"),
    (r"shortcut\.convolution", "downsample.0"),
    (r"shortcut\.normalization", "downsample.1"),
    *((rf"encoder\.stages\.{i}(\.layers)?", f"layer{i + 1}") for i in range(4)),
    *((rf"\.layer\.{i}\.convolution", f".conv{i + 1}") for i in range(3)),
    *((rf"\.layer\.{i}\.normalization", f".bn{i + 1}") for i in range(3)),
)


def timm_name(name: str) -> str:
    """What timm and torchvision call a layer or a weight of a ResNet.

    >>> timm_name("encoder.stages.2.layers.5"), timm_name("encoder.stages.0.layers.0.layer.1.convolution.weight")
    ('layer3.5', 'layer1.0.conv2.weight')
    """
    return ft.reduce(lambda name, rule: re.sub(*rule, name), TIMM, name)


@dataclass(frozen=True)
class Config:
    """The entries of ``config.json`` that define the network; names and defaults are transformers'."""

    embedding_size: int = 64
    hidden_sizes: tuple[int, ...] = (256, 512, 1024, 2048)
    depths: tuple[int, ...] = (3, 4, 6, 3)
    layer_type: str = "bottleneck"
    downsample_in_first_stage: bool = False
    downsample_in_bottleneck: bool = False


class ResNet(nnx.Module):
    """Stem and stages; attributes carry the checkpoint's names, here and in the classes below.

    With `dilated`, the last stage keeps its input's grid and is dilated by 2 instead ("DC5").
    """

    def __init__(self, config: Config, heads: Heads = NO_HEADS, *, rngs: nnx.Rngs, dilated: bool = False):
        strides = [2 if config.downsample_in_first_stage else 1] + [2] * (len(config.depths) - 1)
        widths = pairwise((config.embedding_size, *config.hidden_sizes))
        last = len(config.depths) - 1 if dilated else None
        self.embedder = nnx.Dict(embedder=ConvNorm(3, config.embedding_size, 7, 2))
        self.encoder = nnx.Dict(
            stages=nnx.List(
                nnx.Dict(layers=nnx.List(_stage(config, i, o, stride, depth, dilated=number == last)))
                for number, ((i, o), stride, depth) in enumerate(zip(widths, strides, config.depths, strict=True))
            )
        )
        classifier = heads.linear("classifier", config.hidden_sizes[-1], rngs=rngs)
        self.classifier = None if classifier is None else nnx.Dict({"1": classifier})  # behind a flattening

    def layers(self, images: Float[Array, "b h w 3"]) -> Layers:
        """The stem before and after pooling, and every block."""
        x = yield from tap("embedder.embedder", jax.nn.relu(self.embedder["embedder"](images)))
        x = yield from tap("embedder", max_pool(x, 3, 2, 1))
        for i, stage in enumerate(self.encoder["stages"]):
            for j, block in enumerate(stage["layers"]):
                x = yield from tap(f"encoder.stages.{i}.layers.{j}", block(x))
        classifier = None if self.classifier is None else self.classifier["1"]
        return pooled_and_logits(x.mean(axis=(1, 2)), classifier)


def _stage(config: Config, channels: int, out: int, stride: int, depth: int, *, dilated: bool) -> list["Block"]:
    first = Block(config, channels, out, 1 if dilated else stride)
    return [first, *(Block(config, out, out, dilation=2 if dilated else 1) for _ in range(depth - 1))]


class Block(nnx.Module):
    """Two 3 x 3 convolutions, or one between two 1 x 1 where it is a bottleneck, added to the input."""

    def __init__(self, config: Config, channels: int, out: int, stride: int = 1, dilation: int = 1):
        if config.layer_type == "basic":
            steps = [(out, 3, stride), (out, 3, 1)]
        else:
            narrow, early = out // REDUCTION, config.downsample_in_bottleneck
            steps = [(narrow, 1, stride if early else 1), (narrow, 3, 1 if early else stride), (out, 1, 1)]
        widths = [channels, *(step[0] for step in steps)]
        self.layer = nnx.List(ConvNorm(c, *step, dilation) for c, step in zip(widths, steps, strict=False))
        self.shortcut = ConvNorm(channels, out, 1, stride) if channels != out or stride != 1 else None

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c2"]:
        """One block."""
        residual = self.shortcut(x) if self.shortcut else x
        *inner, last = self.layer
        for step in inner:
            x = jax.nn.relu(step(x))
        return jax.nn.relu(last(x) + residual)


class ConvNorm(nnx.Module):
    """A convolution and its normalization."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, dilation: int = 1):
        self.convolution = (
            Pointwise(channels, out, stride)
            if kernel == 1
            else Convolution(channels, out, kernel, stride, dilation=dilation)
        )
        self.normalization = BatchNorm(out)

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c2"]:
        """Convolved and normalized."""
        return self.normalization(self.convolution(x))


def _describe(config: Config, name: str) -> tuple[Kind, tuple[str, ...]]:
    known = [f"resnet.{name}"]
    if name == "embedder":
        known += ["stem", "embedder.pooler", "maxpool"]
    elif name.startswith("encoder"):
        stage, block = map(int, name.split(".")[2::2])
        known.append(timm_name(name))
        if block == config.depths[stage] - 1:
            whole = f"encoder.stages.{stage}"
            known += [f"stage{stage + 1}", timm_name(whole), whole, f"resnet.{whole}"]
    return "grid", tuple(known)


def _faults(config: Config) -> list[str]:
    faults = []
    if len(config.hidden_sizes) != len(config.depths):
        faults.append("`hidden_sizes` and `depths` have not the same length")
    if config.layer_type == "bottleneck" and any(size % REDUCTION for size in config.hidden_sizes):
        faults.append(f"not all `hidden_sizes` are multiples of {REDUCTION}")
    return faults


FAMILY = Family(
    title="ResNet",
    config=Config,
    build=ResNet,
    describe=_describe,
    keys=KeyMap(prefixes=("resnet.",), unused=(r"classifier\..*",), heads=(linear_head("classifier", "1"),)),
    choices={"hidden_act": ("relu",), "layer_type": ("bottleneck", "basic")},
    faults=_faults,
)
