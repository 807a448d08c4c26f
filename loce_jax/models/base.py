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
from loce_jax.models.edits import Edits
from loce_jax.models.preprocess.description import Preprocess
from loce_jax.models.rest import Rest

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
class Output:
    """What a network returns besides layers.

    Attributes:
        name: ``logits``, ``pooled``, ``image_embeds``, ``pred_boxes``, ..., as the network's library calls it.
        shape: of one image's, e.g. ``(1000,)``.
        classes: the names that its last axis stands for, if it stands for classes with names.
    """

    name: str
    shape: tuple[int, ...]
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Network:
    """A frozen network whose layers can be read.

    Attributes:
        name: what the user called it.
        fingerprint: hexadecimal digest of architecture and weights.
        preprocess: how photos become input.
        params: the weights, a pytree.
        forward: pure function ``(params, normalized images [b h w 3], names) -> {name: array}`` for the names of layers
            ``[b gh gw c]`` and outputs; a fourth argument ``{layer: function}`` changes what layers hand on.
        all_layers: every layer that `forward` can return, from input to output.
        outputs: what comes out besides layers.
        dead_ends: names of layers from which nothing goes on to an output or to another layer, so that there is no
            `rest` of them.
        dtype: of weights and images, ``"float32"`` or ``"bfloat16"``; `astype` changes it.
    """

    name: str
    fingerprint: str
    preprocess: Preprocess
    params: Any = field(repr=False, compare=False)
    forward: Callable[..., Mapping[str, Array]] = field(repr=False)
    all_layers: tuple[Layer, ...] = field(repr=False)
    outputs: tuple[Output, ...] = field(default=(), repr=False)
    dead_ends: tuple[str, ...] = field(default=(), repr=False)
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
        maps = self.forward(params, self.normalize(images), layers)
        return {name: maps[name] for name in layers}

    def normalize(self, images: UInt8[Array, "b h w 3"]) -> Float[Array, "b h w 3"]:
        """Resized photos as `forward` takes them, in `dtype`."""
        return self.preprocess.normalize(images).astype(self.dtype)

    def rest(self, layer: str, to: str | Sequence[str]) -> Rest:
        """What the network makes of activations at `layer`, as a function ``(params, activations[, context])``.

        Nothing before the layer is computed; gradients, `jit` and any batch size work.  Example: the logits without
        what one direction ``v`` of a layer says, where nothing goes around the layer::

            rest = network.rest("blocks.10", "logits")
            cut = activations - (activations @ v)[..., None] * v
            rest(network.params, cut)["logits"]

        Args:
            layer: a name that `resolve` knows.
            to: names of `outputs`, or of later layers.

        Raises:
            InputError: a name is not known.
        """
        (start,) = self.resolve([layer])
        return Rest(
            layer=start.name,
            to=self._ends(to),
            forward=self.forward,
            normalize=self.normalize,
            size=self.preprocess.size,
            shape=(*start.grid, start.channels),
            dtype=self.dtype,
        )

    def edit(self, edits: Edits, to: str | Sequence[str]) -> Callable[[Any, UInt8[Array, "b h w 3"]], dict[str, Array]]:
        """The whole network with changed layers, as a function ``(params, resized photos) -> {name: array}``.

        Args:
            edits: for names of layers, a function of the layer's map ``[b gh gw c]``; what it returns goes on.  Without
                any, the network as it is.
            to: names of `outputs`, or of layers.

        Raises:
            InputError: a name is not known, or two of `edits` mean one layer; when called: one changes the shape.
        """
        for name, change in edits.items():
            if not callable(change):
                raise InputError(
                    f"`edits` must hold a function for each layer, but for {name!r} it holds a "
                    f"{type(change).__name__}. To multiply the map by 0, give `lambda maps: 0 * maps`."
                )
        names = self.resolve(list(edits)) if edits else ()
        if len(names) < len(edits):
            raise InputError(f"`edits` must name each layer once, but {', '.join(map(repr, edits))} mean fewer layers.")
        changed = zip((layer.name for layer in names), edits.values(), strict=True)
        changes = {name: _kept_in_shape(name, change) for name, change in changed}
        ends = self._ends(to)

        def edited(params: Any, images: UInt8[Array, "b h w 3"]) -> dict[str, Array]:
            found = self.forward(params, self.normalize(images), ends, changes)
            return {name: found[name] for name in ends}

        return edited

    def _ends(self, to: str | Sequence[str]) -> tuple[str, ...]:
        """Names of outputs as they are, those of layers resolved."""
        names, outputs = [to] if isinstance(to, str) else list(to), {output.name for output in self.outputs}
        if not names:
            raise InputError("`to` must name at least one output or layer, but got none. `Network.outputs` lists them.")
        return tuple(name if name in outputs else self.resolve([name])[0].name for name in names)


def _kept_in_shape(layer: str, change: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """An edit that is refused when it returns another shape: broadcasting would make of it what nobody meant."""

    def changed(maps: Array) -> Array:
        found = change(maps)
        if getattr(found, "shape", None) != maps.shape:
            raise InputError(
                f"`edits` must return what has the shape of the map of {layer!r}, {maps.shape}, but returned "
                f"{getattr(found, 'shape', type(found).__name__)}. For a constant, return `jnp.full_like(maps, value)`."
            )
        return found

    return changed
