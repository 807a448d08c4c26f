"""From an ONNX model's nodes to our graph's nodes and tensors, for one image.

To add an operation: a function in the file of its theme, and one line in the table `OPS` at that file's end.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np

from loce_jax.checks import InputError, one_line
from loce_jax.models.converter.onnx import elementwise, reductions, resizing, shapes, windows
from loce_jax.models.converter.onnx.reading import need_onnx
from loce_jax.models.converter.onnx.recording import Call, Const, Recorder, Value

THEMES = (elementwise, shapes, reductions, windows, resizing)
OPS: dict[str, Callable[[Call], Any]] = {name: function for theme in THEMES for name, function in theme.OPS.items()}
KNOWN_BEFORE = ("Shape", "Size")  # what they return does not depend on the image's numbers
FOLDED = {*OPS, "Constant", "ConstantOfShape", "Mod", "NonZero", "OneHot", "Range", "ReduceProd"}

Values = dict[str, Value | Const]


def translate(model: Any, values: Values, recorder: Recorder) -> dict[str, tuple[Value, list[str]]]:
    """Write the model's nodes into `recorder`; what depends on the image by name of output, with further names.

    `values` holds what the nodes may read from the start: the image.
    """
    version = max(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    initial = values | {tensor.name: _const(tensor) for tensor in model.graph.initializer}
    _check_known(model.graph, set(initial) - set(values))
    values, found = dict(initial), {}
    for place, node in enumerate(model.graph.node):
        results = _result(node, place, version, values, recorder)
        for name, result in zip(node.output, results, strict=False):
            values[name] = result
            if isinstance(result, Value):
                found[name] = result, [node.name] if node.name and len(node.output) == 1 else []
    return found


def _const(tensor: Any) -> Const:
    onnx = need_onnx()
    try:
        return Const(tensor.name, onnx.numpy_helper.to_array(tensor))
    except Exception as error:  # its many words for a tensor that does not hold what it says
        raise InputError(
            f"the tensor {tensor.name!r} cannot be read: {error}. Export or download the model again."
        ) from error


def _result(node: Any, place: int, version: int, values: Values, recorder: Recorder) -> tuple[Value | Const, ...]:
    inputs = tuple(values[name] if name else None for name in node.input)
    call = Call(
        op=node.op_type,
        name=node.name or next(iter(node.output), "") or f"{node.op_type}_{place}",
        version=version,
        inputs=inputs,
        outputs=sum(map(bool, node.output)),
        attributes={attribute.name: _setting(attribute) for attribute in node.attribute},
        recorder=recorder,
    )
    try:
        if not any(isinstance(value, Value) for value in inputs):
            return _computed(node, version, [value for value in inputs if isinstance(value, Const)])
        result = OPS[node.op_type](call)
    except InputError:
        raise
    except Exception as error:  # whatever JAX and NumPy say to shapes that do not fit
        given = ", ".join("nothing" if value is None else str(value.shape) for value in inputs)
        reason = f"{type(error).__name__}: {one_line(error, longest=300)}"
        raise call.error(f"it does not fit its inputs, which have the shapes {given}: {reason}") from error
    return result if isinstance(result, tuple) else (result,)


def _setting(attribute: Any) -> Any:
    """An attribute's value; text as `str`."""
    found = need_onnx().helper.get_attribute_value(attribute)
    if isinstance(found, bytes):
        return found.decode("utf-8", errors="replace")
    return found


def _computed(node: Any, version: int, inputs: list[Const]) -> tuple[Const, ...]:
    """What ONNX's reference implementation makes of constants."""
    import onnx.reference  # noqa: PLC0415 - only who converts needs it

    evaluator = onnx.reference.ReferenceEvaluator(node, opsets={"": version})
    given = dict(zip(filter(None, node.input), (const.array for const in inputs), strict=True))
    results = evaluator.run(None, given)
    return tuple(Const(name, np.asarray(array)) for name, array in zip(node.output, results, strict=True))


def _check_known(graph: Any, known: set[str]) -> None:
    """One error for all nodes with operations that are unknown here."""
    unknown: dict[str, list[str]] = defaultdict(list)
    for node in graph.node:
        computed = all(name in known for name in node.input if name)
        if computed or node.op_type in KNOWN_BEFORE:
            known.update(node.output)
        standard = node.domain in ("", "ai.onnx") and not any(one.HasField("g") or one.graphs for one in node.attribute)
        if not standard or node.op_type not in (FOLDED if computed else OPS):
            unknown[f"{node.domain}.{node.op_type}".lstrip(".")].append(node.name or next(iter(node.output), ""))
    if unknown:
        listed = "; ".join(f"{op} ({len(names)} times: {', '.join(names[:3])})" for op, names in unknown.items())
        raise InputError(
            f"`path` must be a network of operations that are known here, but {len(unknown)} are not: {listed}. "
            "To add one, write a function in the file of its theme in `loce_jax/models/converter/onnx/`, and a line in "
            "the table `OPS` at that file's end; or keep only the part before them: `onnx.utils.extract_model`."
        )
