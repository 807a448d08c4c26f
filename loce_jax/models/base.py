"""The shape every network has here: layers with names, a preprocessing, and activations on a grid.

Shapes: b images, h x w pixels after resizing, c channels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from loce_jax.checks import InputError
from loce_jax.layer_names import resolve_layers
from loce_jax.models.preprocess.description import Preprocess

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
        aliases too.  Each layer comes once, in the requested order; see `loce_jax.layer_names`.

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
