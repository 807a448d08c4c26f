"""A graph as JSON text, and back.

Literals are JSON's own; ``{"ref": 3}`` is the value of node 3, ``{"dtype": "float32"}`` a type, and
``{"float": "inf"}`` a number that JSON has no literal for.

Text is untrusted input: what is not exactly this is an error.
"""

import json
import math
import sys
from dataclasses import asdict
from typing import Any

from loce_jax.checks import InputError, one_line, suggest
from loce_jax.framing import PLACEMENTS
from loce_jax.models.base import Layer, Output
from loce_jax.models.converter.graph import IMAGES, WEIGHT, DType, Graph, Node, Ref
from loce_jax.models.converter.ops import OPS
from loce_jax.models.preprocess.description import CHANNELS, FILTERS, LARGEST_SIDE, Preprocess

FORMAT, VERSION = "loce_jax converted network", 3
PREPROCESS = ("size", "mean", "std", "resample", "channels", "pad", "placement", "source", "declared")
DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64")
WORDS = ("inf", "-inf", "nan")
LARGEST, DEEPEST, LONGEST_WORD = 2**63, 8, 1000  # of a whole number, of tuples in tuples and axes, of a text


class _Fault(ValueError):
    """What is wrong with the text, as the end of a sentence."""


def graph_to_text(graph: Graph) -> str:
    """The graph as JSON; equal graphs give equal text."""
    content = {
        "format": FORMAT,
        "version": VERSION,
        "name": graph.name,
        "preprocess": {name: getattr(graph.preprocess, name) for name in PREPROCESS},
        "any_batch": graph.any_batch,
        "layers": [{**_layer_to_json(layer), "node": graph.taps[layer.name]} for layer in graph.layers],
        "outputs": [{**asdict(output), "node": graph.taps[output.name]} for output in graph.outputs],
        "nodes": [_node_to_json(node) for node in graph.nodes],
    }
    return json.dumps(content, allow_nan=False, separators=(",", ":")).replace('{"op":', '\n{"op":') + "\n"


def graph_from_text(text: str, *, source: str) -> Graph:
    """The graph that `text` describes; `source` names it in the `InputError` for any other text."""
    try:
        content = json.loads(text, parse_constant=_no_constant)
        return _graph(content)
    except (_Fault, ValueError, RecursionError) as error:
        raise InputError(
            f"{source!r} must be a graph of version {VERSION} as `loce_jax.models.convert` writes it, but "
            f"{one_line(error)}. Convert the network again with this version of loce_jax."
        ) from error


def _layer_to_json(layer: Layer) -> dict[str, Any]:
    names = ("name", "channels", "grid", "stride", "kind", "aliases")
    return {name: getattr(layer, name) for name in names}


def _node_to_json(node: Node) -> dict[str, Any]:
    kwargs = {key: _to_json(value) for key, value in node.kwargs.items()}
    return {"op": node.op, "args": _to_json(node.args), "kwargs": kwargs, "module": node.module}


def _to_json(value: Any) -> Any:
    if isinstance(value, Ref):
        return {"ref": value.index}
    if isinstance(value, DType):
        return {"dtype": value.name}
    if isinstance(value, tuple):
        return [_to_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    return value


def _graph(content: Any) -> Graph:
    keys = {"format", "version", "name", "preprocess", "any_batch", "layers", "outputs", "nodes"}
    _expect(isinstance(content, dict) and content.get("format") == FORMAT, f'its "format" is not {FORMAT!r}')
    _expect(content.get("version") == VERSION, f'its "version" is {content.get("version")!r}')
    _expect(content.keys() == keys, f"it has other keys than {', '.join(sorted(keys))}")
    _expect(type(content["any_batch"]) is bool, '"any_batch" is neither true nor false')
    nodes = tuple(_node(node, index) for index, node in enumerate(_list(content["nodes"], "nodes")))
    layers = [_layer(layer, len(nodes)) for layer in _list(content["layers"], "layers")]
    outputs = [_output(output, len(nodes)) for output in _list(content["outputs"], "outputs")]
    taps = {one.name: node for one, node in (*layers, *outputs)}
    _expect(len(layers) > 0, "it has no layer")
    _expect(len(taps) == len(layers) + len(outputs), "two layers or outputs have the same name")
    return Graph(
        name=_word(content["name"], "name"),
        preprocess=_preprocess(content["preprocess"]),
        any_batch=content["any_batch"],
        nodes=nodes,
        layers=tuple(layer for layer, _ in layers),
        taps=taps,
        outputs=tuple(output for output, _ in outputs),
    )


def _node(node: Any, index: int) -> Node:
    where = f"node {index}"
    _expect(isinstance(node, dict) and node.keys() == {"op", "args", "kwargs", "module"}, f"{where} is no node")
    op, args, kwargs = node["op"], _list(node["args"], where), node["kwargs"]
    _expect(isinstance(op, str) and isinstance(kwargs, dict), f"{where} is no node")
    module = _word(node["module"], where)
    if op in (IMAGES, WEIGHT):
        plain = not kwargs and len(args) == (op == WEIGHT) and all(isinstance(arg, str) for arg in args)
        _expect(plain, f"{where} is no {op} node")
        return Node(op, tuple(args), {}, module)
    if op not in OPS:
        raise _Fault(f"{where} has the unknown operation {op[:100]!r}. {suggest(op[:100], tuple(OPS), most=0)}")
    return Node(
        op,
        tuple(_from_json(arg, index, 0) for arg in args),
        {key: _from_json(value, index, 0) for key, value in kwargs.items()},
        module,
    )


def _from_json(value: Any, index: int, depth: int) -> Any:
    where = f"an argument of node {index}"
    if isinstance(value, list):
        _expect(depth < DEEPEST, f"{where} holds lists in lists in lists")
        return tuple(_from_json(item, index, depth + 1) for item in value)
    if isinstance(value, dict):
        return _special(value, index, where)
    _expect(not isinstance(value, str) or len(value) <= LONGEST_WORD, f"{where} is a long text")
    _expect(type(value) is not int or abs(value) <= LARGEST, f"{where} is too large a number")
    return value


def _special(value: dict[str, Any], index: int, where: str) -> Ref | DType | float:
    kind, content = next(iter(value.items()), ("", None))
    if kind == "ref" and type(content) is int:
        _expect(0 <= content < index and len(value) == 1, f"{where} refers to node {content}, which is not earlier")
        return Ref(content)
    known = {"dtype": DTYPES, "float": WORDS}.get(kind, ())
    _expect(len(value) == 1 and content in known, f"{where} is {str(value)[:100]}")
    return DType(str(content)) if kind == "dtype" else float(str(content))


def _layer(layer: Any, count: int) -> tuple[Layer, int]:
    keys = {"name", "channels", "grid", "stride", "kind", "aliases", "node"}
    _expect(isinstance(layer, dict) and layer.keys() == keys, f"a layer has other keys than {', '.join(sorted(keys))}")
    name, node = _word(layer["name"], "a layer's name"), layer["node"]
    where = f"layer {name!r}"
    _expect(type(node) is int and 0 <= node < count, f"{where} is at node {node!r}, which is not there")
    _expect(_is_size(layer["grid"]) and _is_count(layer["channels"]), f"{where} has no grid and channels above 0")
    _expect(_is_number(layer["stride"]) and layer["stride"] > 0, f"{where} has no stride above 0")
    _expect(layer["kind"] in ("grid", "tokens"), f'{where} is neither "grid" nor "tokens"')
    aliases = tuple(_word(alias, where) for alias in _list(layer["aliases"], where))
    height, width = layer["grid"]
    return Layer(name, layer["channels"], (height, width), float(layer["stride"]), layer["kind"], aliases), node


def _output(output: Any, count: int) -> tuple[Output, int]:
    keys = {"name", "shape", "classes", "node"}
    fits = isinstance(output, dict) and output.keys() == keys
    _expect(fits, f"an output has other keys than {', '.join(sorted(keys))}")
    name, node, shape = _word(output["name"], "an output's name"), output["node"], output["shape"]
    where = f"output {name!r}"
    _expect(type(node) is int and 0 <= node < count, f"{where} is at node {node!r}, which is not there")
    fits = isinstance(shape, list) and len(shape) <= DEEPEST and all(map(_is_count, shape))
    _expect(fits, f"{where} has no shape of at most {DEEPEST} whole numbers above 0")
    classes = tuple(_word(label, where) for label in _list(output["classes"], where))
    fits = not classes or (len(shape) > 0 and shape[-1] == len(classes))
    _expect(fits, f"{where} has {len(classes)} names of classes, which are not as many as its last axis is long")
    return Output(name, tuple(shape), classes), node


def _preprocess(content: Any) -> Preprocess:
    _expect(isinstance(content, dict) and content.keys() == set(PREPROCESS), '"preprocess" is incomplete')
    size, mean, std, pad = content["size"], content["mean"], content["std"], content["pad"]
    _expect(
        _is_size(size) and max(size) <= LARGEST_SIDE,
        f'"size" of "preprocess" is not two whole numbers from 1 to {LARGEST_SIDE}',
    )
    _expect(_is_triple(mean) and _is_triple(std) and min(std) > 0, '"mean" and "std" are not three numbers each')
    for name, known in (("resample", FILTERS), ("channels", CHANNELS), ("placement", PLACEMENTS)):
        _expect(content[name] in known, f'"{name}" is none of {", ".join(known)}')
    _expect(pad is None or (type(pad) is int and 0 <= pad <= 255), '"pad" is neither null nor a gray from 0 to 255')
    return Preprocess(
        (size[0], size[1]),
        (mean[0], mean[1], mean[2]),
        (std[0], std[1], std[2]),
        content["resample"],
        channels=content["channels"],
        pad=pad,
        placement=content["placement"],
        source=_word(content["source"], '"source" of "preprocess"'),
        declared=content["declared"] is True,
    )


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise _Fault(otherwise)


def _list(value: Any, where: str) -> list[Any]:
    _expect(isinstance(value, list), f"{where} has something else where a list should be")
    return value


def _word(value: Any, where: str) -> str:
    _expect(isinstance(value, str) and len(value) <= LONGEST_WORD, f"{where} has something else than a short text")
    return value


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 < value < 2**31


def _is_size(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_count, value))


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


def _is_triple(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(map(_is_number, value))


def _no_constant(word: str) -> None:
    raise _Fault(f"it holds the number {word}")
