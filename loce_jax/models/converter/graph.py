"""A converted network as plain data: nodes in order, each an ATen operation on earlier nodes and on literals.

Every value is a node.  A node ``images`` is the batch ``[b h w 3]``; a node ``weight`` is a tensor of the
weights' file; the others name a function of `loce_jax.models.converter.ops`.  A layer's activations, or an output, are
the node that `taps` names.
"""

import functools as ft
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from loce_jax.models.base import Layer, Output, Preprocess
from loce_jax.models.programs import find_dead_ends

IMAGES, WEIGHT = "images", "weight"
ARRANGING = ("aten.permute.default", "aten.slice.Tensor", "aten.unflatten.int", "aten.reshape.default")  # to the grid
SHAPE_ONLY = ("aten.sym_size", "aten.full_like", "aten.zeros_like", "aten.ones_like", "aten.empty_like", "aten.new_")


@dataclass(frozen=True)
class Ref:
    """The value of an earlier node."""

    index: int


@dataclass(frozen=True)
class DType:
    """A NumPy data type by name, e.g. ``float32``."""

    name: str


@dataclass(frozen=True)
class Node:
    """One operation.

    Attributes:
        op: its name, e.g. ``aten.add.Tensor``.
        args, kwargs: numbers, booleans, strings, None, `Ref`, `DType`, and tuples of these.
        module: dotted path of the PyTorch module it came from, for messages.
    """

    op: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    module: str = ""

    def sources(self) -> Iterator[int]:
        """The nodes it reads."""
        yield from _references((*self.args, *self.kwargs.values()))


@dataclass(frozen=True)
class Graph:
    """A network without its weights.

    Attributes:
        name: what the user called it.
        preprocess: how photos become its input.
        any_batch: whether the nodes hold for every batch size; else they hold for one image.
        nodes: from input to output; each reads only those before it.
        layers: every layer, from input to output.
        taps: for each layer's name the node that holds its activations ``[b gh gw c]``, and for each output's its node.
        outputs: what the network returns; none has a layer's name.
    """

    name: str
    preprocess: Preprocess
    any_batch: bool
    nodes: tuple[Node, ...] = field(repr=False)
    layers: tuple[Layer, ...] = field(repr=False)
    taps: Mapping[str, int] = field(repr=False)
    outputs: tuple[Output, ...] = field(default=(), repr=False)

    def needed(self, names: Iterable[str]) -> list[int]:
        """The nodes that the layers and outputs `names` depend on, in order."""
        seen, waiting = set(), [self.taps[name] for name in names]
        while waiting:
            if (index := waiting.pop()) not in seen:
                seen.add(index)
                waiting.extend(self.nodes[index].sources())
        return sorted(seen)

    @ft.cached_property
    def made(self) -> frozenset[int]:
        """The nodes whose numbers come neither from the images nor from the weights: positions, masks, sizes."""
        found: set[int] = set()
        for index, node in enumerate(self.nodes):
            own = node.op not in (IMAGES, WEIGHT) and all(source in found for source in node.sources())
            if own or node.op.startswith(SHAPE_ONLY):
                found.add(index)
        return frozenset(found)

    def arrangement(self, name: str) -> tuple[int, ...]:
        """The nodes that lead from what the layer's module returned to the layer's map, first and last included.

        The first is the value that goes on in the network; where that is the map itself, it is the only one.
        """
        chain = [self.taps[name]]
        while (node := self.nodes[chain[0]]).op in ARRANGING and not node.module and not self._is_read(chain):
            chain.insert(0, next(node.sources()))
        return tuple(chain)

    def dead_ends(self) -> tuple[str, ...]:
        """The layers from whose maps nothing goes on to an output or to another layer."""
        starts = {layer.name: self.arrangement(layer.name)[0] for layer in self.layers}
        links = [((index,), node.sources()) for index, node in enumerate(self.nodes)]
        return find_dead_ends(starts, self.taps, links)

    def _is_read(self, chain: Sequence[int]) -> bool:
        """Whether another node than those of the chain reads the first of it."""
        return not self._readers.get(chain[0], set()) <= set(chain)

    @ft.cached_property
    def _readers(self) -> Mapping[int, set[int]]:
        """For each node that is read, by which."""
        found: dict[int, set[int]] = {}
        for index, node in enumerate(self.nodes):
            for source in node.sources():
                found.setdefault(source, set()).add(index)
        return found

    def weights(self) -> set[str]:
        """The names of the tensors it reads."""
        return {node.args[0] for node in self.nodes if node.op == WEIGHT}


def name_outputs(outputs: Iterable[Output], layers: Iterable[Layer]) -> tuple[Output, ...]:
    """The outputs, those that are called like a layer with ``output.`` in front of their names."""
    taken, named = {name for layer in layers for name in (layer.name, *layer.aliases)}, []
    for output in outputs:
        name = output.name
        while name in taken:
            name = f"output.{name}"
        taken.add(name)
        named.append(replace(output, name=name))
    return tuple(named)


def _references(value: Any) -> Iterator[int]:
    if isinstance(value, Ref):
        yield value.index
    elif isinstance(value, tuple):
        for item in value:
            yield from _references(item)
