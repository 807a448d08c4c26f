"""Every ONNX operation's variants against onnxruntime."""

import jax.numpy as jnp
import numpy as np
import pytest

from loce_jax.models.base import Preprocess
from loce_jax.models.converter.graph import Graph
from loce_jax.models.converter.interpret import evaluate
from loce_jax.models.converter.onnx.recording import Recorder
from loce_jax.models.converter.onnx.translating import OPS, translate

onnx = pytest.importorskip("onnx", reason="onnx, which reads the files, is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime, the reference here, is not installed")
from tests.support.onnx_models import SIZE, build, ints, node, noise, reference  # noqa: E402 - needs both

pytestmark = pytest.mark.onnx


def ours(model, image):
    """Every node's outputs that depend on the image ``[1 3 h w]``."""
    recorder = Recorder(image.shape[2:])
    images = recorder.emit("x", "aten.permute.default", (recorder.images, (0, 3, 1, 2)), {})
    found = {name: value.index for name, (value, _) in translate(model, {"x": images}, recorder).items()}
    graph = Graph("test", Preprocess(image.shape[2:]), False, tuple(recorder.nodes), (), found)
    weights = {name: jnp.asarray(array) for name, array in recorder.weights.items()}
    return evaluate(graph, weights, jnp.asarray(image.transpose(0, 2, 3, 1), jnp.float32), tuple(found))


def conv(*shape, **attributes):
    return node("Conv", "x", noise(*shape), noise(shape[0], seed=1), **attributes)


def turned(*shape, **attributes):
    return node("ConvTranspose", "x", noise(*shape), noise(shape[1] * attributes.get("group", 1), seed=1), **attributes)


def resize(scales=None, sizes=None, **attributes):
    scales, sizes = np.array(scales or [], np.float32), [ints(*sizes)] if sizes else []
    return node("Resize", "x", np.zeros(0, np.float32), scales, *sizes, **attributes)


def on_positive(op, *others, **attributes):
    """The operation on the absolute value, plus a little."""
    return [
        node("Abs", "x", outputs=["a"]),
        node("Add", "a", np.float32(0.1), outputs=["p"]),
        node(op, "p", *others, **attributes),
    ]


ONE = {  # a node, or several, in a version of the operations
    "conv": (11, conv(4, 3, 3, 3)),
    "conv, uneven padding": (11, conv(4, 3, 3, 3, pads=[0, 1, 2, 0], strides=[2, 1])),
    "conv, same upper": (11, conv(4, 3, 3, 3, auto_pad="SAME_UPPER", strides=[2, 2])),
    "conv, same lower": (11, conv(4, 3, 2, 4, auto_pad="SAME_LOWER", strides=[2, 2])),
    "conv, valid": (11, conv(4, 3, 3, 3, auto_pad="VALID", strides=[2, 3])),
    "conv, dilated": (11, conv(4, 3, 3, 2, dilations=[2, 3], pads=[2, 1, 2, 1])),
    "conv, depthwise": (11, conv(6, 1, 3, 3, group=3, pads=[1, 1, 1, 1])),
    "conv, 1 x 1": (11, node("Conv", "x", noise(5, 3, 1, 1), strides=[2, 2])),
    "transposed": (11, turned(3, 4, 3, 3, strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1])),
    "transposed, uneven": (11, turned(3, 4, 4, 3, strides=[2, 3], pads=[0, 1, 2, 0], dilations=[1, 2])),
    "transposed, groups": (11, turned(3, 2, 2, 2, strides=[2, 2], group=3)),
    "transposed, same": (11, turned(3, 4, 3, 3, strides=[2, 2], auto_pad="SAME_UPPER")),
    "transposed, shape": (11, turned(3, 4, 3, 3, strides=[2, 2], output_shape=[20, 26])),
    "max pool": (12, node("MaxPool", "x", kernel_shape=[3, 2], strides=[2, 2], pads=[1, 1, 1, 1])),
    "max pool, uneven": (12, node("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 2])),
    "max pool, ceil": (12, node("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1)),
    "max pool, uneven ceil": (
        12,
        node("MaxPool", "x", kernel_shape=[2, 2], strides=[3, 3], pads=[1, 0, 0, 1], ceil_mode=1),
    ),
    "max pool, same": (12, node("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER")),
    "max pool, dilated": (12, node("MaxPool", "x", kernel_shape=[2, 3], dilations=[3, 2])),
    "max pool, stride 1": (8, node("MaxPool", "x", kernel_shape=[5, 5], pads=[2, 2, 2, 2])),
    **{
        f"average pool, {name}, {'all' if counts else 'inner'}": (
            11,
            node("AveragePool", "x", kernel_shape=[3, 3], strides=[2, 2], count_include_pad=counts, **settings),
        )
        for counts in (0, 1)
        for name, settings in {
            "none": {},
            "even": {"pads": [1, 1, 1, 1]},
            "uneven": {"pads": [0, 1, 2, 0]},
            "same upper": {"auto_pad": "SAME_UPPER"},
            "same lower": {"auto_pad": "SAME_LOWER"},
            "ceil": {"pads": [1, 1, 1, 1], "ceil_mode": 1},
        }.items()
    },
    "average pool, uneven ceil": (
        19,
        node("AveragePool", "x", kernel_shape=[3, 2], strides=[2, 2], pads=[0, 1, 1, 0], ceil_mode=1),
    ),
    "global pools": (
        13,
        [
            node("GlobalAveragePool", "x", outputs=["a"]),
            node("GlobalMaxPool", "x", outputs=["b"]),
            node("Add", "a", "b"),
        ],
    ),
    "upsample 9": (9, node("Upsample", "x", np.array([1, 1, 2, 3], np.float32))),
    "upsample 9, linear": (9, node("Upsample", "x", np.array([1, 1, 2, 3], np.float32), mode="linear")),
    "upsample 7": (7, node("Upsample", "x", scales=[1.0, 1.0, 2.0, 1.5])),
    "resize 10": (10, node("Resize", "x", np.array([1, 1, 0.6, 2.5], np.float32))),
    "resize 10, linear": (10, node("Resize", "x", np.array([1, 1, 0.6, 2.5], np.float32), mode="linear")),
    "resize, doubled": (13, resize([1, 1, 2, 2], coordinate_transformation_mode="asymmetric", nearest_mode="floor")),
    **{
        f"resize, nearest, {rounding}, {coordinates}": (
            13,
            resize([1, 1, 0.5, 1.7], nearest_mode=rounding, coordinate_transformation_mode=coordinates),
        )
        for rounding in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
        for coordinates in ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")
    },
    **{
        f"resize, {mode}, {coordinates}, {name}": (
            19,
            resize(**target, mode=mode, coordinate_transformation_mode=coordinates),
        )
        for mode in ("linear", "cubic")
        for coordinates in ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "half_pixel_symmetric")
        for name, target in {"scales": {"scales": [1, 1, 2.3, 0.7]}, "sizes": {"sizes": (1, 3, 7, 20)}}.items()
    },
    "resize, for nearest neighbors": (
        11,
        resize([1, 1, 0.5, 2], coordinate_transformation_mode="tf_half_pixel_for_nn"),
    ),
    "resize, one cell": (
        13,
        resize(sizes=(1, 3, 1, 1), mode="linear", coordinate_transformation_mode="pytorch_half_pixel"),
    ),
    "resize, inner cells": (13, resize([1, 1, 1.5, 1.5], mode="cubic", exclude_outside=1, cubic_coeff_a=-0.5)),
    "resize, axes": (18, resize(sizes=(15, 20), axes=[2, 3], mode="linear")),
    "resize, aspect": (
        18,
        resize(sizes=(15, 15), axes=[2, 3], mode="linear", keep_aspect_ratio_policy="not_larger"),
    ),
    "slice 9": (9, node("Slice", "x", starts=[1, -5], ends=[8, -1], axes=[2, 3])),
    "slice, steps": (
        13,
        node("Slice", "x", ints(1, -100, 0), ints(2**62, 100, 3), ints(2, 3, -3), ints(2, 3, 1)),
    ),
    "slice, backwards": (13, node("Slice", "x", ints(-1, 8), ints(-(2**62), 2), ints(2, 3), ints(-1, -2))),
    "slice, backwards to the second": (13, node("Slice", "x", ints(9), ints(0), ints(2), ints(-3))),
    "split 11": (11, [node("Split", "x", outputs=["a", "b"], axis=3, split=[4, 9]), node("Concat", "b", "a", axis=-1)]),
    "split 13": (
        13,
        [node("Split", "x", ints(1, 2), outputs=["a", "b"], axis=1), node("Concat", "b", "a", axis=1)],
    ),
    "split, equal": (13, [node("Split", "x", outputs=["a", "b"], axis=2), node("Sub", "b", "a")]),
    "split 18, uneven": (
        18,
        [node("Split", "x", outputs=["a", "b"], axis=3, num_outputs=2), node("Concat", "b", "a", axis=3)],
    ),
    "reshape": (13, node("Reshape", "x", ints(0, -1, 5))),
    "reshape, zero": (14, node("Reshape", "x", ints(1, 3, -1), allowzero=1)),
    "flatten": (13, node("Flatten", "x", axis=-2)),
    "transpose": (13, [node("Transpose", "x", perm=[0, 2, 3, 1], outputs=["a"]), node("Transpose", "a")]),
    "squeeze 11": (11, [node("Squeeze", "x", axes=[0], outputs=["a"]), node("Unsqueeze", "a", axes=[0, 4])]),
    "squeeze 13": (
        13,
        [
            node("Squeeze", "x", ints(-4), outputs=["a"]),
            node("Unsqueeze", "a", ints(-1, 1)),
            node("Squeeze", "y", outputs=["z"]),
        ],
    ),
    "expand": (13, [node("Unsqueeze", "x", ints(1), outputs=["a"]), node("Expand", "a", ints(2, 1, 1, 1))]),
    "tile": (13, node("Tile", "x", ints(1, 2, 1, 3))),
    "gather": (
        13,
        [node("Gather", "x", np.int64(-1), axis=2, outputs=["a"]), node("Gather", "a", ints(2, -3), axis=1)],
    ),
    "gather, table": (13, node("Gather", "x", ints(0, 2, 1, 1).reshape(2, 2), axis=1)),
    "gather, by numbers": (
        13,
        [
            node("ArgMax", "x", axis=1, keepdims=0, outputs=["a"]),
            node("Gather", noise(4, 5), "a", outputs=["b"]),
            node("Cast", "a", to=1),
        ],
    ),
    "pad 10": (10, node("Pad", "x", pads=[0, 0, 1, 2, 0, 1, 0, 3], value=2.5)),
    "pad 11": (11, node("Pad", "x", ints(0, 0, 1, -2, 0, 0, 0, 3), np.float32(-1.5))),
    "pad, reflect": (13, node("Pad", "x", ints(0, 0, 1, 2, 0, 0, 3, 1), mode="reflect")),
    "pad, edge": (13, node("Pad", "x", ints(0, 0, 1, 2, 0, 0, 3, 1), mode="edge")),
    "pad 18, axes": (18, node("Pad", "x", ints(1, 2, 3, 4), "", ints(3, -2), mode="constant")),
    "pad 19, wrap": (19, node("Pad", "x", ints(0, 0, 1, 2, 0, 0, 3, 1), mode="wrap")),
    "depth to space": (13, [conv(8, 3, 1, 1, outputs=["a"]), node("DepthToSpace", "a", blocksize=2)]),
    "depth to space, CRD": (13, [conv(8, 3, 1, 1, outputs=["a"]), node("DepthToSpace", "a", blocksize=2, mode="CRD")]),
    "space to depth": (
        13,
        [node("Pad", "x", ints(0, 0, 0, 0, 0, 0, 2, 2), outputs=["a"]), node("SpaceToDepth", "a", blocksize=3)],
    ),
    "clip 6": (6, node("Clip", "x", min=-0.5, max=0.25)),
    "clip 11": (11, node("Clip", "x", np.float32(-0.5))),
    "clip 13": (13, node("Clip", "x", "", np.float32(0.3))),
    "softmax 11": (11, node("Softmax", "x", axis=2)),
    "softmax 13": (13, [node("Softmax", "x", axis=1, outputs=["a"]), node("LogSoftmax", "a")]),
    "reduce 11": (
        11,
        [node("ReduceMean", "x", axes=[2, 3], outputs=["a"]), node("ReduceSum", "x", axes=[-1], keepdims=0)],
    ),
    "reduce 13": (13, [node("ReduceSum", "x", ints(2), outputs=["a"]), node("ReduceMax", "x", axes=[1, 2])]),
    "reduce 18": (
        18,
        [
            node("ReduceMean", "x", ints(1, -1), outputs=["a"]),
            node("ReduceMin", "a", ints(2), outputs=["b"]),
            node("ReduceSum", "b", noop_with_empty_axes=1, outputs=["c"]),
            node("ReduceL2", "x", ints(1), outputs=["d"]),
            node("Add", "c", "d"),
            node("ReduceSum", "x", outputs=["e"]),
        ],
    ),
    "batch norm": (
        9,
        node("BatchNormalization", "x", *(np.abs(noise(3, seed=i)) + 0.1 for i in range(4)), epsilon=1e-3),
    ),
    "layer norm": (17, node("LayerNormalization", "x", noise(10, 13), noise(10, 13, seed=1), axis=-2, epsilon=1e-4)),
    "layer norm, no shift": (17, node("LayerNormalization", "x", noise(13))),
    "instance norm": (6, node("InstanceNormalization", "x", noise(3), noise(3, seed=1))),
    "group norm 21": (
        21,
        [conv(4, 3, 1, 1, outputs=["a"]), node("GroupNormalization", "a", noise(4), noise(4, seed=1), num_groups=2)],
    ),
    "gemm": (
        13,
        [
            node("Reshape", "x", ints(13, 30), outputs=["a"]),
            node("Gemm", "a", noise(7, 13), noise(7), transA=1, transB=1, alpha=0.5, beta=2.0, outputs=["b"]),
            node("Gemm", "b", noise(7, 2)),
        ],
    ),
    "matmul": (13, [node("MatMul", "x", noise(13, 10), outputs=["a"]), node("MatMul", "a", "x")]),
    "einsum": (13, node("Einsum", "x", noise(3, 4), equation="bchw,cd->bdhw")),
    "arithmetic": (
        13,
        [
            node("Mul", "x", noise(3, 1, 1), outputs=["a"]),
            node("Sub", np.float32(1), "a", outputs=["b"]),
            node("Div", "b", np.full((1, 1, 1, 1, 1), 3, np.float32), outputs=["c"]),
            node("Neg", "c", outputs=["d"]),
            node("Exp", "d", outputs=["e"]),
            node("Pow", "e", np.float32(2), outputs=["f"]),
            node("Pow", np.float32(2), "x", outputs=["g"]),
            node("Max", "f", "g", "x", outputs=["h"]),
            node("Min", "f", "x", outputs=["i"]),
            node("Sum", "h", "i", "x", outputs=["j"]),
            node("Mean", "j", "i"),
        ],
    ),
    "choices": (
        16,
        [
            node("Greater", "x", np.float32(0), outputs=["a"]),
            node("LessOrEqual", "x", np.float32(1), outputs=["b"]),
            node("And", "a", "b", outputs=["c"]),
            node("Not", "c", outputs=["d"]),
            node("Or", "d", "a", outputs=["e"]),
            node("Where", "c", "x", np.float32(-7), outputs=["f"]),
            node("Equal", "f", np.float32(-7), outputs=["g"]),
            node("Less", "x", "f", outputs=["h"]),
            node("GreaterOrEqual", "x", "f", outputs=["i"]),
            node("Cast", "g", to=1),
        ],
    ),
    "whole numbers": (
        13,
        [
            node("Mul", "x", np.float32(10), outputs=["a"]),
            node("Cast", "a", to=7, outputs=["b"]),
            node("Div", "b", np.int64(3), outputs=["c"]),
            node("Cast", "c", to=1),
        ],
    ),
    "dropout 7": (
        7,
        [node("Dropout", "x", ratio=0.5, outputs=["a"]), node("Identity", "a", outputs=["b"]), node("Relu", "b")],
    ),
    "dropout 13": (13, [node("Dropout", "x", np.float32(0.5), np.bool_(False), outputs=["a"]), node("Tanh", "a")]),
    "prelu": (13, node("PRelu", "x", noise(3, 1, 1))),
    "leaky": (13, [node("LeakyRelu", "x", outputs=["a"]), node("LeakyRelu", "a", alpha=0.3)]),
    "hard": (
        14,
        [
            node("HardSigmoid", "x", alpha=0.3, outputs=["a"]),
            node("HardSwish", "x", outputs=["b"]),
            node("Mul", "a", "b"),
        ],
    ),
    "elu": (13, [node("Elu", "x", alpha=0.5, outputs=["a"]), node("Selu", "x")]),
    "gelu": (20, [node("Gelu", "x", outputs=["a"]), node("Gelu", "x", approximate="tanh")]),
    "mish": (18, node("Mish", "x")),
    "softsign": (13, [node("Softsign", "x", outputs=["a"]), node("Softplus", "x")]),
    **{op: (13, node(op, "x")) for op in "Abs Ceil Cos Erf Floor Relu Round Sigmoid Sign Sin Tan".split()},
    **{op: (13, on_positive(op)) for op in "Log Reciprocal Sqrt".split()},
    "shapes as numbers": (
        13,
        [
            node("Shape", "x", outputs=["s"]),
            node("Size", "x", outputs=["n"]),
            node("Gather", "s", ints(0), outputs=["b"]),
            node("Gather", "s", np.int64(2), outputs=["h"]),
            node("Concat", "b", ints(-1), ints(13), outputs=["to"], axis=0),
            node("Reshape", "x", "to", outputs=["r"]),
            node("Range", np.int64(0), "h", np.int64(1), outputs=["at"]),
            node("Equal", "at", np.int64(3), outputs=["is"]),
            node("Where", "is", ints(0), "at", outputs=["rows"]),
            node("Gather", "x", "rows", axis=2, outputs=["g"]),
            node(
                "ConstantOfShape", "s", value=onnx.numpy_helper.from_array(np.array([2.5], np.float32)), outputs=["c"]
            ),
            node("Constant", outputs=["k"], value_float=0.5),
            node("Mul", "c", "k", outputs=["ck"]),
            node("Add", "g", "ck"),
        ],
    ),
}


@pytest.mark.parametrize("name", ONE)
def test_operations_compute_what_onnxruntime_computes(name):
    opset, nodes = ONE[name]
    model = build(*(nodes if isinstance(nodes, list) else [nodes]), opset=opset)
    onnx.checker.check_model(model)
    image = noise(1, 3, *SIZE, seed=5)
    expected, found = reference(model, image), ours(model, image)
    assert found
    for key, value in found.items():
        assert value.shape == expected[key].shape, key
        np.testing.assert_allclose(value, expected[key], rtol=1e-5, atol=1e-5, err_msg=key)


def test_every_operation_is_tested():
    tested = {op for _, nodes in ONE.values() for op, *_ in (nodes if isinstance(nodes, list) else [nodes])}
    assert set(OPS) <= tested
