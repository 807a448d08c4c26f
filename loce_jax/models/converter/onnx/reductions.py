"""ONNX operations that sum up along axes: reductions, softmax, normalizations, matrix products."""

import math
from collections.abc import Callable
from typing import Any

from loce_jax.models.converter.onnx.recording import Call
from loce_jax.models.converter.onnx.shapes import reshaped


def reduction(op: str) -> Callable[[Call], Any]:
    """A reduction along axes, or along all of them if none is given."""

    def reduce(call: Call) -> Any:
        axes = call.ints("axes", position=1)
        if not axes and call.setting("noop_with_empty_axes", 0):
            return call.first
        return call.emit(op, call.first, axes or tuple(range(len(call.first.shape))), bool(call.setting("keepdims", 1)))

    return reduce


def over_map(op: str) -> Callable[[Call], Any]:
    """A reduction of each channel's whole map."""
    return lambda call: call.emit(op, call.first, tuple(range(2, len(call.first.shape))), True)


def norm_2(call: Call) -> Any:
    """Square root of the sum of squares."""
    axes = call.ints("axes", position=1) or tuple(range(len(call.first.shape)))
    return call.emit("aten.linalg_vector_norm.default", call.first, 2, axes, bool(call.setting("keepdims", 1)))


def arg_max(call: Call) -> Any:
    """Where the largest value first is."""
    if call.setting("select_last_index", 0):
        raise call.error("it requires the last of several largest values")
    axis, keep = call.setting("axis", 0), bool(call.setting("keepdims", 1))
    return call.emit("aten.argmax.default", call.first, axis, keep)


def softmax(op: str) -> Callable[[Call], Any]:
    """Along one axis; before version 13, along all axes from one on."""

    def apply(call: Call) -> Any:
        x = call.first
        if call.version >= 13:
            return call.emit(op, x, call.setting("axis", -1))
        axis = call.setting("axis", 1) % len(x.shape)
        flat = reshaped(call, x, (*x.shape[:axis], math.prod(x.shape[axis:])))
        return reshaped(call, call.emit(op, flat, -1), x.shape)

    return apply


def batch_norm(call: Call) -> Any:
    """Each channel by its stored mean and variance."""
    if call.setting("training_mode", 0):
        raise call.error("it is in training mode")
    x, scale, bias, mean, variance = call.inputs
    eps = call.setting("epsilon", 1e-5)
    return call.emit("aten.batch_norm.default", x, scale, bias, mean, variance, False, 0.0, eps)


def layer_norm(call: Call) -> Any:
    """The axes from one on to mean 0 and variance 1."""
    if call.outputs > 1:
        raise call.error("only its first output is known here")
    x = call.first
    shape = x.shape[call.setting("axis", -1) :]
    eps = call.setting("epsilon", 1e-5)
    return call.emit("aten.layer_norm.default", x, shape, call.inputs[1], call.input(2), eps)


def instance_norm(call: Call) -> Any:
    """Each image's channel to mean 0 and variance 1."""
    x, scale, bias = call.inputs
    eps = call.setting("epsilon", 1e-5)
    return call.emit("aten.group_norm.default", x, call.first.shape[1], scale, bias, eps)


def group_norm(call: Call) -> Any:
    """Each image's group of channels to mean 0 and variance 1; before version 21, scale and shift are one per group."""
    groups, (x, *affine) = call.setting("num_groups"), call.inputs
    if call.version < 21:
        repeats = call.first.shape[1] // groups
        affine = [call.emit("aten.repeat_interleave.self_int", each, repeats, 0) for each in affine]
    return call.emit("aten.group_norm.default", x, groups, *affine, call.setting("epsilon", 1e-5))


def gemm(call: Call) -> Any:
    """``alpha a b + beta c``, a and b transposed if requested."""
    a, b = (
        call.emit("aten.t.default", each) if call.setting(flag, 0) else each
        for each, flag in zip(call.inputs, ("transA", "transB"), strict=False)
    )
    product, c = call.emit("aten.matmul.default", a, b), call.input(2)
    alpha, beta = call.setting("alpha", 1.0), call.setting("beta", 1.0)
    product = product if alpha == 1 else call.emit("aten.mul.Tensor", product, alpha)
    return product if c is None else call.emit("aten.add.Tensor", product, c, alpha=beta)


OPS = {
    "ArgMax": arg_max,
    "BatchNormalization": batch_norm,
    "Einsum": lambda call: call.emit("aten.einsum.default", call.setting("equation"), call.inputs),
    "Gemm": gemm,
    "GlobalAveragePool": over_map("aten.mean.dim"),
    "GlobalMaxPool": over_map("aten.amax.default"),
    "GroupNormalization": group_norm,
    "InstanceNormalization": instance_norm,
    "LayerNormalization": layer_norm,
    "LogSoftmax": softmax("aten.log_softmax.int"),
    "MatMul": lambda call: call.emit("aten.matmul.default", *call.inputs),
    "ReduceL2": norm_2,
    "ReduceMax": reduction("aten.amax.default"),
    "ReduceMean": reduction("aten.mean.dim"),
    "ReduceMin": reduction("aten.amin.default"),
    "ReduceSum": reduction("aten.sum.dim_IntList"),
    "Softmax": softmax("aten.softmax.int"),
}
