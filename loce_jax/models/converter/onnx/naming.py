"""Names of an ONNX network's layers that a person can choose by, besides those of the file.

- a module's path, ``backbone.stem``, from exporters that write scopes (``/backbone/stem/conv/Conv``): the last node
  below it; or from a weight's name (``head.cls_preds.0.weight``);
- an operator's path, ``stride8.Conv_3``: the third convolution whose map has a cell for every 8 pixels;
- ``stride8``: the last layer before the first one of a larger stride, as backbones are read.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from loce_jax.models.base import Layer
from loce_jax.models.converter.onnx.recording import Value

PARAMETERS = (".weight", ".bias", ".kernel")


def name_by_path(
    model: Any, found: Mapping[str, tuple[Value, Sequence[str]]], values: Mapping[str, Value], layers: Sequence[Layer]
) -> list[Layer]:
    """`layers` with these names as further aliases; one that the file only numbers is called by the first of them.

    Args:
        model: the ONNX model.
        found: by name of output its value, as `translate` returns it.
        values: by layer its value.
        layers: from input to output, with the aliases of the file.
    """
    nodes = {output: node for node in model.graph.node for output in node.output}
    made: dict[int, Any] = {}
    for output, (value, _) in found.items():
        made.setdefault(value.index, nodes[output])
    modules = _modules(model)
    ends = _ends_of_strides(layers)
    taken = {name for layer in layers for name in (layer.name, *layer.aliases)}
    counts: Counter[str] = Counter()
    named = []
    for place, layer in enumerate(layers):
        node = made[values[layer.name].index]
        operator = f"stride{layer.stride:g}.{node.op_type}"
        counts[operator] += 1
        paths = [*modules.get(node.output[0], ()), f"{operator}_{counts[operator]}", *ends.get(place, ())]
        new = [path for path in dict.fromkeys(paths) if path not in taken]
        taken.update(new)
        named.append(_named(layer, new))
    return named


def _named(layer: Layer, paths: Sequence[str]) -> Layer:
    if _is_number(layer.name) and paths:
        return replace(layer, name=paths[0], aliases=(*paths[1:], layer.name, *layer.aliases))
    return replace(layer, aliases=(*layer.aliases, *paths))


def _is_number(name: str) -> bool:
    """Whether an exporter only numbered the output: ``683``, ``onnx::Conv_760``."""
    return name.isdigit() or name.startswith("onnx::")


def _modules(model: Any) -> dict[str, list[str]]:
    """By name of output the modules that return it, the outermost first."""
    last: dict[str, str] = {}
    for node in model.graph.node:
        for path in _paths(node):
            last[path] = node.output[0]
    found: dict[str, list[str]] = {}
    for path, output in sorted(last.items(), key=lambda one: one[0].count(".")):
        found.setdefault(output, []).append(path)
    return found


def _paths(node: Any) -> Iterator[str]:
    """The modules around a node, and the one whose weight it reads."""
    scope = node.name.strip("/").split("/")[:-1] if node.name.startswith("/") else []
    yield from (".".join(scope[: depth + 1]) for depth in range(len(scope)))
    for name in node.input[1:]:
        for ending in PARAMETERS:
            if name.endswith(ending) and "::" not in name:
                yield name.removesuffix(ending)


def _ends_of_strides(layers: Sequence[Layer]) -> dict[int, list[str]]:
    """By place of a layer the stride that it is the last of, before the first layer of a larger one."""
    found: dict[int, list[str]] = {}
    largest = 0.0
    for place, layer in enumerate(layers):
        before = layers[place - 1] if place else None
        if before and before.stride == largest and layer.stride != largest and f"stride{largest:g}" not in _flat(found):
            found[place - 1] = [f"stride{largest:g}"]
        largest = max(largest, layer.stride)
    if layers and layers[-1].stride == largest and f"stride{largest:g}" not in _flat(found):
        found[len(layers) - 1] = [f"stride{largest:g}"]
    return found


def _flat(found: Mapping[int, Sequence[str]]) -> set[str]:
    return {name for names in found.values() for name in names}
