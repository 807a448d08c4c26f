"""Layers that a module yields, and what may be changed in what they hand on.

A module is a generator: ``x = yield from tap("blocks.0", block(x))`` shows a map and goes on with it, or with what
was sent instead.  Shapes: b images, gh x gw grid cells, c channels.
"""

from collections.abc import Callable, Generator, Mapping
from types import MappingProxyType

from jaxtyping import Array, Float

Edits = Mapping[str, Callable[[Array], Array]]  # by the layers' names
NO_EDITS: Edits = MappingProxyType({})
Layers = Generator[tuple[str, Array], Array | None, Mapping[str, Array]]
Tap = Generator[tuple[str, Array], Array | None, Array]


def tap(name: str, activations: Float[Array, "b gh gw c"]) -> Tap:
    """Show a layer's map; what is returned goes on."""
    changed = yield name, activations
    return activations if changed is None else changed
