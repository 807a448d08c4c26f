"""Small ONNX models for the tests, and what onnxruntime makes of any model."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper

SIZE = (10, 13)


def node(op, *inputs, outputs=("y",), name="", **attributes):
    """A node; arrays among its inputs become initializers."""
    return op, inputs, outputs, name, attributes


def build(*nodes, opset=13, image=("x", [1, 3, *SIZE]), dtype=np.float32, result="y"):
    """A model of these nodes on one image."""
    stored, made = [], []

    def stand_in(value):
        if isinstance(value, str):
            return value
        name = f"c{len(stored)}"
        stored.append(onnx.numpy_helper.from_array(np.asarray(value), name))
        return name

    for op, inputs, outputs, name, attributes in nodes:
        names = [stand_in(value) for value in inputs]
        made.append(helper.make_node(op, names, list(outputs), name=name, **attributes))
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    images = [helper.make_tensor_value_info(image[0], kind, image[1])]
    results = [helper.make_tensor_value_info(result, kind, image[1])]
    graph = helper.make_graph(made, "test", images, results, stored)
    return helper.make_model(
        graph, opset_imports=[*map(helper.make_opsetid, ("", "com.microsoft"), (opset, 1))], ir_version=8
    )


def reference(model, image) -> dict[str, Any]:
    """Every node's outputs by name, as onnxruntime computes them."""
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    del whole.graph.output[:]
    names = [name for one in model.graph.node for name in one.output if name]
    whole.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(whole.SerializeToString(), options)
    return dict(zip(names, session.run(None, {model.graph.input[0].name: image}), strict=True))


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def ints(*values):
    return np.array(values, np.int64)
