"""What a network makes of activations at one of its layers: the network cut there."""

import functools as ft
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from loce_jax.checks import InputError
from loce_jax.models.programs import to_program

Context = tuple[Array | np.ndarray, ...]


@dataclass(frozen=True)
class Rest:
    """A network from a layer on; `Network.rest` makes it.

    Attributes:
        layer: the layer's name.
        to: names of later layers, or of outputs.
        forward: the whole network, see `Network.forward`.
        normalize: from resized photos to what `forward` takes.
        size: height and width of the photos.
        shape: of the layer's map, ``(gh, gw, c)``.
        dtype: in which the network computes.
    """

    layer: str
    to: tuple[str, ...]
    forward: Callable[..., Mapping[str, Array]] = field(repr=False)
    normalize: Callable[[Array], Array] = field(repr=False)
    size: tuple[int, int]
    shape: tuple[int, int, int]
    dtype: str

    def __call__(
        self, params: Any, activations: Float[Array | np.ndarray, "b gh gw c"], context: Context | None = None
    ) -> dict[str, Array]:
        """What comes out at `to` when the layer holds `activations`.  Pure, differentiable, fit for `jit`, any b.

        Args:
            params: the network's weights, ``network.params``.
            activations: of the layer, as `Network.activations` gives them, or changed.
            context: from `context`, for the same images.

        Raises:
            InputError: activations are not of the layer's shape, there is no context, or one too many.
        """
        if jnp.shape(activations)[1:] != self.shape or not len(activations):
            raise InputError(
                f"`activations` must have shape [b gh gw c] with {self.shape} an image, as layer {self.layer!r} has, "
                f"but got {jnp.shape(activations)}. One image needs `activations[None]`."
            )
        cut = self._cut(params, len(activations))
        given = () if context is None else context
        if len(given) != cut.context:
            raise InputError(
                f"`context` must hold the {cut.context} arrays that go around layer {self.layer!r}, but holds "
                f"{len(given)}. `rest.context(params, images)` gives them."
            )
        return dict(zip(self.to, cut.after(*jax.tree.leaves(params), activations, *given), strict=True))

    def context(self, params: Any, images: UInt8[Array, "b h w 3"]) -> Context | None:
        """What else goes on beside the layer's map, for resized photos: CLS tokens, registers, shortcuts.

        None where nothing does.  Pure; fit for `jit`.
        """
        cut = self._cut(params, len(images))
        return tuple(cut.before(*jax.tree.leaves(params), self.normalize(images))) or None

    def _cut(self, params: Any, batch: int) -> "_Cut":
        leaves, structure = jax.tree.flatten(params)
        shapes = tuple(jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves)
        return _cut(self, structure, shapes, batch)


@dataclass(frozen=True)
class _Cut:
    """A network in two parts, compiled when they are called.

    Attributes:
        before: from weights and images to the arrays of the context.
        after: from weights, activations and the context to the end.
        context: how many arrays it has.
    """

    before: Callable[..., list[Array]]
    after: Callable[..., list[Array]]
    context: int


@ft.lru_cache(maxsize=64)
def _cut(rest: Rest, structure: Any, shapes: tuple[jax.ShapeDtypeStruct, ...], batch: int) -> _Cut:
    images = jax.ShapeDtypeStruct((batch, *rest.size, 3), jnp.dtype(rest.dtype))
    activations = jax.ShapeDtypeStruct((batch, *rest.shape), jnp.dtype(rest.dtype))

    def whole(params, images, activations):
        found = rest.forward(params, images, rest.to, {rest.layer: lambda _: activations})
        return [found[name] for name in rest.to]

    program, _ = to_program(whole, jax.tree.unflatten(structure, shapes), images, activations)
    *weights, seen, changed = program.inputs
    after = program.depends_on([changed])
    before = program.depends_on([seen])
    unchanged = [name for name, one in zip(rest.to, program.outputs, strict=True) if one not in after]
    if unchanged:
        raise InputError(
            f"`to` must name what lies behind layer {rest.layer!r}, but nothing of it goes on to "
            f"{', '.join(map(repr, unchanged))}. Name a later layer, or an output."
        )
    later = program.part([*weights, changed], program.outputs)
    context = sorted({one for step in later.steps if step.reads() & after for one in step.reads() & (before - after)})
    first = program.part([*weights, seen], context)
    second = program.part([*weights, changed, *context], program.outputs)
    return _Cut(jax.jit(first.run), jax.jit(second.run), len(context))
