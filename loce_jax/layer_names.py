"""Which layers a name means: one rule for networks, runs, commands and the activations of an extractor.

A name is tried, in this order, as an index from the end (``-1``, the network's last layer), as the layer's own name,
as one of its aliases (``stage3``), as the end of either (``layer3`` for ``backbone.layer3``), and as a glob
(``blocks.*``).
"""

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

from loce_jax.checks import InputError, suggest


@runtime_checkable
class Named(Protocol):
    """What a layer must have to be found: a name, and other names for it."""

    @property
    def name(self) -> str:
        """The canonical name."""
        ...

    @property
    def aliases(self) -> Sequence[str]:
        """Other names of the layer."""
        ...


L = TypeVar("L", bound=Named)


@dataclass(frozen=True)
class LayerRecord:
    """A layer as a run's plan describes it.

    Attributes:
        name: the canonical name.
        aliases: other names of the layer.
        index: its number from the end of the network, -1 for the last layer; None if unknown.
        channels: length of an activation vector.
        grid: height and width of the layer's map.
        stride: input pixels per grid cell.
        kind: ``"grid"`` or ``"tokens"``.
    """

    name: str
    aliases: Sequence[str] = ()
    index: int | None = None
    channels: int | None = None
    grid: Sequence[int] = ()
    stride: float | None = None
    kind: str = ""


def resolve_layers(
    names: Sequence[str], layers: Sequence[L], *, owner: str, indices: Sequence[int | None] | None = None
) -> tuple[L, ...]:
    """Those of `layers` that `names` mean, each once, in the requested order.

    Args:
        names: names, aliases, ends of either, indices from the end, or globs.
        layers: the layers there are.
        owner: what they are layers of, for messages, such as ``"network 'resnet-50'"``.
        indices: the number of each layer from the end of its network; -n to -1 if left out.

    Raises:
        InputError: a name that means no layer, with the nearest known names; one without a ``*`` that means several.

    >>> layers = LayerRecord("net.block.0", ("stem",)), LayerRecord("net.block.1")
    >>> [layer.name for layer in resolve_layers(["-1", "stem", "*.block.*"], layers, owner="network 'net'")]
    ['net.block.1', 'net.block.0']
    """
    found: dict[str, L] = {}
    for name in names:
        if not isinstance(name, str):
            raise InputError(
                f"a layer must be given by its name, but got {name!r}, a {type(name).__name__}. Give text: '-1' is the "
                "last layer."
            )
        meant = match_layers(name, layers, owner=owner, indices=indices)
        if not meant:
            known = suggest(name, [layer.name for layer in layers])
            raise InputError(f"unknown layer {name!r} of {owner}. {known}")
        found |= {layer.name: layer for layer in meant}
    return tuple(found.values())


def match_layers(
    name: str, layers: Sequence[L], *, owner: str, indices: Sequence[int | None] | None = None
) -> tuple[L, ...]:
    """Those of `layers` that one name means, none if it means none; else as `resolve_layers`."""
    if re.fullmatch("-[0-9]+", name):
        numbers = range(-len(layers), 0) if indices is None else indices
        if int(name) in numbers:
            return (layers[list(numbers).index(int(name))],)
    for means in (
        lambda layer: name == layer.name,
        lambda layer: name in layer.aliases,
        lambda layer: any(known.endswith(f".{name}") for known in (layer.name, *layer.aliases)),
    ):
        meant = tuple(layer for layer in layers if means(layer))
        if len(meant) > 1:
            raise InputError(
                f"layer {name!r} of {owner} must mean one layer, but means "
                f"{', '.join(layer.name for layer in meant)}. Give one of these names, or {f'*{name}'!r} for all."
            )
        if meant:
            return meant
    return tuple(layer for layer in layers if fnmatch.filter((layer.name, *layer.aliases), name))
