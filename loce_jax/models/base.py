"""The shape every network has here: layers with names, a preprocessing, and activations on a grid.

Letters: b images, h x w pixels after resizing, c channels, H x W pixels of the photo as stored.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8
from PIL import Image

from loce_jax.checks import InputError
from loce_jax.layer_names import resolve_layers

Filter = Literal["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"]
DTYPES = ("float32", "bfloat16")


@dataclass(frozen=True)
class Layer:
    """One place where activations can be read.

    Attributes:
        name: dotted path taken from the checkpoint's keys, e.g. ``blocks.4``.
        channels: length of an activation vector, c.
        grid: height and width of the layer's map at the network's input size.
        stride: input pixels per grid cell.
        kind: ``"grid"`` for convolutional maps, ``"tokens"`` for patch tokens put back on their grid.
        aliases: other names that mean this layer.
    """

    name: str
    channels: int
    grid: tuple[int, int]
    stride: float
    kind: Literal["grid", "tokens"]
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Preprocess:
    """From a photo to the network's input: resize the whole picture, never crop, so that masks stay aligned.

    Attributes:
        size: ``(h, w)`` of the network's input.
        mean, std: per channel on the 0..1 scale; ``(photo / 255 - mean) / std`` enters the network.
        resample: Pillow's filter for the resize.
        first: ``(h, w)`` that photos are resized to before that, bicubic, where results depend on it.
    """

    size: tuple[int, int]
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    resample: Filter = "bicubic"
    first: tuple[int, int] | None = None

    def resize(self, photo: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "h w 3"]:
        """The whole photo at the network's input size; aspect ratio is not kept.  Host side, Pillow.

        >>> Preprocess(size=(2, 4)).resize(np.zeros((5, 7, 3), np.uint8)).shape
        (2, 4, 3)
        """
        steps: list[tuple[tuple[int, int], Filter]] = [(self.size, self.resample)]
        if self.first:
            steps.insert(0, (self.first, "bicubic"))
        image = Image.fromarray(photo)
        for (height, width), resample in steps:
            image = image.resize((width, height), Image.Resampling[resample.upper()])
        return np.asarray(image)

    def normalize(self, images: UInt8[Array, "b h w 3"]) -> Float[Array, "b h w 3"]:
        """0..255 pixels to the network's numbers, float32.  Device side, inside `jit`."""
        return (images.astype(jnp.float32) / 255 - jnp.asarray(self.mean)) / jnp.asarray(self.std)


@dataclass(frozen=True)
class Network:
    """A frozen network whose layers can be read.

    Attributes:
        name: what the user called it.
        fingerprint: hexadecimal digest of architecture and weights.
        preprocess: how photos become input.
        params: the weights, a pytree.
        forward: pure function ``(params, normalized images [b h w 3], layer names) -> {name: [b gh gw c]}``.
        all_layers: every layer that `forward` can return, from input to output.
        dtype: of weights and images, ``"float32"`` or ``"bfloat16"``; `astype` changes it.
    """

    name: str
    fingerprint: str
    preprocess: Preprocess
    params: Any = field(repr=False, compare=False)
    forward: Callable[[Any, jax.Array, tuple[str, ...]], Mapping[str, jax.Array]] = field(repr=False)
    all_layers: tuple[Layer, ...] = field(repr=False)
    dtype: str = "float32"

    def astype(self, dtype: str) -> "Network":
        """The same network computing in `dtype`: half the memory and less exact with ``"bfloat16"``."""
        if dtype not in DTYPES:
            raise InputError(f"`dtype` must be one of {', '.join(DTYPES)}, but got {dtype!r}. float32 is exact.")
        params = jax.tree.map(lambda x: x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x, self.params)
        return replace(self, params=params, dtype=dtype)

    def layers(self) -> tuple[Layer, ...]:
        """Every layer, from input to output."""
        return self.all_layers

    def resolve(self, names: Sequence[str]) -> tuple[Layer, ...]:
        """The layers that `names` mean: names, aliases, ends of either, indices from the end, or globs.

        ``"layer3"`` means ``"backbone.layer3"``, ``"-1"`` the last layer, ``"blocks.*"`` all that match; globs match
        aliases too.  Each layer comes once, in the order asked for; see `loce_jax.layer_names`.

        Raises:
            InputError: no name at all; one that means no layer, with the nearest known names; one without a ``*`` that
                means several layers, with those.
        """
        if not names:
            raise InputError("`layers` must name at least one layer, but got none. `Network.layers` lists them.")
        return resolve_layers(names, self.all_layers, owner=f"network {self.name!r}")

    def activations(
        self, params: Any, images: UInt8[Array, "b h w 3"], layers: tuple[str, ...]
    ) -> dict[str, Float[Array, "b gh gw c"]]:
        """Activations of resized photos at `layers` (canonical names), in `dtype`.

        Pure; any batch size; fit for `jit`, sharded arrays and threads.
        """
        maps = self.forward(params, self.preprocess.normalize(images).astype(self.dtype), layers)
        return {name: maps[name] for name in layers}
