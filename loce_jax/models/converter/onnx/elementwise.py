"""ONNX operations on every number by itself."""

import functools as ft
from collections.abc import Callable
from typing import Any

import numpy as np

from loce_jax.models.converter.graph import DType
from loce_jax.models.converter.onnx.recording import Call, Const, Value

FLOATS = ("FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE")
WHOLE = {"INT64": "int32", "INT32": "int32", "INT16": "int16", "INT8": "int8", "UINT8": "uint8", "BOOL": "bool"}


def operands(call: Call) -> list[Any]:
    """The inputs; a constant with one number as that number, which takes the others' type and shape."""
    rank = max(len(value.shape) for value in call.inputs if isinstance(value, Value))
    return [_number(value, rank) for value in call.inputs]


def cast(call: Call) -> Any:
    """To another type; every float is of the network's own precision."""
    from onnx import TensorProto  # noqa: PLC0415 - only who converts needs it

    x, name = call.first, TensorProto.DataType.Name(call.setting("to"))
    if name in FLOATS:
        return x if isinstance(x, Value) and x.is_float else call.emit("aten.type_as.default", x, call.recorder.images)
    if name not in WHOLE:
        raise call.error(f"numbers of type {name} are unknown here")
    return call.emit("aten._to_copy.default", x, dtype=DType(WHOLE[name]))


def clip(call: Call) -> Any:
    """Cut to a range."""
    limits = (call.setting(name, position=i) for i, name in enumerate(("min", "max"), 1))
    return call.emit("aten.clamp.default", call.first, *(None if x is None else np.asarray(x).item() for x in limits))


def divide(call: Call) -> Any:
    """A quotient; of whole numbers, without what is behind the point."""
    if all(value.is_float for value in call.inputs if isinstance(value, Value)):
        return call.emit("aten.div.Tensor", *operands(call))
    return call.emit("aten.div.Tensor_mode", *operands(call), rounding_mode="trunc")


def hard_sigmoid(call: Call) -> Any:
    """``max(0, min(1, alpha x + beta))``."""
    scaled = call.emit("aten.mul.Tensor", call.first, call.setting("alpha", 0.2))
    return call.emit("aten.clamp.default", call.emit("aten.add.Tensor", scaled, call.setting("beta", 0.5)), 0.0, 1.0)


def prelu(call: Call) -> Any:
    """A slope for each number below 0, broadcast."""
    x, slope = call.inputs
    below = call.emit("aten.mul.Tensor", x, slope)
    return call.emit("aten.where.self", call.emit("aten.gt.Scalar", x, 0), x, below)


def power(call: Call) -> Any:
    """One to the power of the other."""
    base, exponent = operands(call)
    kind = "Tensor_Tensor" if isinstance(exponent, (Value, Const)) else "Tensor_Scalar"
    return call.emit(f"aten.pow.{kind}", base, exponent)


def average(call: Call) -> Any:
    """Mean of all inputs."""
    return call.emit("aten.div.Tensor", _fold("aten.add.Tensor")(call), len(call.inputs))


def unchanged(call: Call) -> Any:
    """The first input itself."""
    if call.outputs > 1:
        raise call.error("only its first output is known here")
    return call.first


def _fold(op: str) -> Callable[[Call], Any]:
    """An operation on two, applied to all inputs one after the other."""
    return lambda call: ft.reduce(ft.partial(call.emit, op), call.inputs)


def _unary(op: str) -> Callable[[Call], Any]:
    return lambda call: call.emit(f"aten.{op}.default", call.first)


def _binary(op: str) -> Callable[[Call], Any]:
    return lambda call: call.emit(op, *operands(call))


def _with(op: str, **settings: Any) -> Callable[[Call], Any]:
    """An operation whose further arguments are these attributes, given here with ONNX's defaults."""
    return lambda call: call.emit(op, call.first, *(call.setting(name, other) for name, other in settings.items()))


def _number(value: Value | Const | None, rank: int) -> Any:
    if isinstance(value, Const) and value.array.size == 1 and value.array.ndim <= rank:
        return float(value.array.item()) if value.array.dtype.kind in "fV" else value.array.item()
    return value


OPS = {
    **{name: _unary(name.lower()) for name in "Abs Ceil Cos Erf Exp Floor Log Mish Neg Reciprocal Relu".split()},
    **{name: _unary(name.lower()) for name in "Round Selu Sigmoid Sign Sin Softplus Sqrt Tan Tanh".split()},
    **{name: _binary(f"aten.{name.lower()}.Tensor") for name in ("Add", "Sub", "Mul")},
    "And": _binary("aten.logical_and.default"),
    "Cast": cast,
    "Clip": clip,
    "Div": divide,
    "Dropout": unchanged,
    "Elu": _with("aten.elu.default", alpha=1.0),
    "Equal": _binary("aten.eq.Tensor"),
    "Gelu": lambda call: call.emit("aten.gelu.default", call.first, approximate=call.setting("approximate", "none")),
    "Greater": _binary("aten.gt.Tensor"),
    "GreaterOrEqual": _binary("aten.ge.Tensor"),
    "HardSigmoid": hard_sigmoid,
    "HardSwish": _unary("hardswish"),
    "Identity": unchanged,
    "LeakyRelu": _with("aten.leaky_relu.default", alpha=0.01),
    "Less": _binary("aten.lt.Tensor"),
    "LessOrEqual": _binary("aten.le.Tensor"),
    "Max": _fold("aten.maximum.default"),
    "Mean": average,
    "Min": _fold("aten.minimum.default"),
    "Not": _unary("logical_not"),
    "Or": _binary("aten.logical_or.default"),
    "PRelu": prelu,
    "Pow": power,
    "Softsign": lambda call: call.emit(
        "aten.div.Tensor", call.first, call.emit("aten.add.Tensor", call.emit("aten.abs.default", call.first), 1.0)
    ),
    "Sum": _fold("aten.add.Tensor"),
    "Where": _binary("aten.where.self"),
}
