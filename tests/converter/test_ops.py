"""Each operation with a meaning of its own, against PyTorch's operation of the same name and the same arguments."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch, the reference here, is not installed")

from loce_jax.models.converter.ops import OPS, THEMES  # noqa: E402

pytestmark = pytest.mark.torch


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def integers(high, *shape, seed=0):
    return np.random.default_rng(seed).integers(-high, high, size=shape).astype("int32")


X, MAP, LINE = numbers(3, 4, 5), numbers(2, 3, 7, 6), numbers(2, 3, 7)
PLACES = np.array([[0, 2, 1], [3, 0, 0]], "int64")
GRID = np.random.default_rng(1).uniform(-1.4, 1.4, size=(2, 4, 5, 2)).astype("float32")
Q, K, V = numbers(2, 4, 5, 8), numbers(2, 4, 6, 8, seed=1), numbers(2, 4, 6, 8, seed=2)
KEEP = np.random.default_rng(3).random((2, 1, 5, 6)) < 0.6
KEEP[0, 0, 2] = False  # a query that may look nowhere

CASES = [
    ("add.Tensor", (X, X), {"alpha": 2}),
    ("sub.Tensor", (integers(9, 4), 3), {"alpha": 2}),
    ("rsub.Scalar", (X, 2, 3), {}),
    ("mul.Tensor", (integers(9, 4), 0.5), {}),
    ("div.Tensor", (integers(9, 20), np.full(20, 4, "int32")), {}),
    ("div.Tensor_mode", (integers(9, 20), np.full(20, 4, "int32")), {"rounding_mode": "trunc"}),
    ("div.Tensor_mode", (integers(9, 20), np.full(20, 4, "int32")), {"rounding_mode": "floor"}),
    ("div.Tensor_mode", (4 * X, 1.5), {"rounding_mode": "trunc"}),
    ("div.Tensor_mode", (4 * X, 1.5), {"rounding_mode": "floor"}),
    ("floor_divide.default", (integers(9, 20), np.full(20, -4, "int32")), {}),
    ("remainder.Scalar", (integers(9, 20), -4), {}),
    ("fmod.Scalar", (4 * X, 1.5), {}),
    ("pow.Tensor_Scalar", (X, 3.0), {}),
    ("pow.Tensor_Scalar", (abs(X), 0.5), {}),
    ("pow.Scalar", (2.0, X), {}),
    ("clamp.default", (X, None, 0.5), {}),
    ("clamp.default", (integers(9, 20), -2, 3), {}),
    ("round.default", (np.array([0.5, 1.5, 2.5, -0.5, -1.4], "float32"),), {}),
    ("masked_fill.Scalar", (X, X > 0, float("-inf")), {}),
    ("where.self", (X > 0, X, np.float32(2)), {}),
    ("gelu.default", (3 * X,), {}),
    ("gelu.default", (3 * X,), {"approximate": "tanh"}),
    ("silu.default", (3 * X,), {}),
    ("hardswish.default", (4 * X,), {}),
    ("hardsigmoid.default", (4 * X,), {}),
    ("hardtanh.default", (4 * X, 0.0, 6.0), {}),
    ("leaky_relu.default", (X, 0.2), {}),
    ("elu.default", (X, 0.7), {}),
    ("celu.default", (X, 0.7), {}),
    ("selu.default", (X,), {}),
    ("softplus.default", (30 * X, 2, 5), {}),
    ("mish.default", (X,), {}),
    ("prelu.default", (MAP, numbers(3)), {}),
    ("glu.default", (MAP, -1), {}),
    ("threshold.default", (X, 0.1, -2), {}),
    ("reciprocal.default", (X,), {}),
    ("nan_to_num.default", (np.array([np.nan, np.inf, -np.inf, 1], "float32"), 2.0, 3.0, -4.0), {}),
    ("flatten.using_ints", (MAP, 1, -2), {}),
    ("unflatten.int", (MAP, -1, [2, -1]), {}),
    ("squeeze.default", (numbers(1, 3, 1),), {}),
    ("squeeze.dim", (numbers(1, 3, 1), 1), {}),
    ("squeeze.dims", (numbers(1, 3, 1), [0, -1]), {}),
    ("unsqueeze.default", (X, -2), {}),
    ("expand.default", (numbers(3, 1), [2, -1, 4]), {}),
    ("permute.default", (MAP, [0, -1, 1, 2]), {}),
    ("slice.Tensor", (X, -1, -3, 9223372036854775807), {}),
    ("slice.Tensor", (X, 1, 0, -1, 2), {}),
    ("select.int", (X, -2, -1), {}),
    ("narrow.default", (X, 2, -3, 2), {}),
    ("split.Tensor", (X, 2, -1), {}),
    ("split_with_sizes.default", (X, [1, 3], 1), {}),
    ("chunk.default", (X, 3, 2), {}),
    ("unbind.int", (X, 1), {}),
    ("cat.default", ([X, X[:, :2]], 1), {}),
    ("cat.default", ([numbers(0), LINE], 1), {}),
    ("stack.default", ([X, X], -1), {}),
    ("repeat.default", (X, [2, 1, 1, 3]), {}),
    ("repeat_interleave.self_int", (X, 2, 1), {}),
    ("flip.default", (X, [0, -1]), {}),
    ("roll.default", (MAP, [2, -3], [2, 3]), {}),
    ("roll.default", (X, [7]), {}),
    ("pad.default", (MAP, [1, -2, 0, 3]), {"value": 2.0}),
    ("pad.default", (MAP, [1, 2, 3, 0], "reflect"), {}),
    ("pad.default", (MAP, [1, 2, 3, 0], "replicate"), {}),
    ("pad.default", (MAP, [1, 2, 3, 0], "circular"), {}),
    ("constant_pad_nd.default", (X, [0, 1, 2, 0], 1), {}),
    ("pixel_shuffle.default", (numbers(2, 12, 3, 4), 2), {}),
    ("pixel_unshuffle.default", (numbers(2, 3, 6, 4), 2), {}),
    ("channel_shuffle.default", (numbers(2, 6, 3, 4), 3), {}),
    ("unfold.default", (MAP, 2, 3, 2), {}),
    ("im2col.default", (MAP, [3, 2], [1, 2], [1, 0], [2, 1]), {}),
    ("tril.default", (X, -1), {}),
    ("index.Tensor", (X, [None, np.array([0, 3, -1])]), {}),
    ("index.Tensor", (X, [np.array([0, 2]), None, np.array([1, -2])]), {}),
    ("index.Tensor", (MAP, [None, None, np.array([[0], [2]]), np.array([[1, 4]])]), {}),
    ("index_put.default", (X, [np.array([0, 2])], numbers(4, 5)), {}),
    ("index_put.default", (X, [np.array([0, 0])], numbers(2, 4, 5), True), {}),
    ("index_put.default", (X, [X > 0], np.float32(3)), {}),
    ("index_select.default", (X, -1, np.array([4, 0])), {}),
    ("gather.default", (numbers(4, 5), 0, PLACES), {}),
    ("gather.default", (numbers(4, 5), -1, PLACES), {}),
    ("scatter.src", (numbers(4, 5), 1, np.array([[0, 2, 1], [3, 0, 4]]), numbers(2, 3)), {}),
    ("scatter.value", (numbers(4, 5), 0, PLACES, 9.0), {}),
    ("scatter_add.default", (numbers(4, 5), 1, PLACES, numbers(3, 4)), {}),
    ("slice_scatter.default", (X, numbers(3, 2, 5), 1, -2), {}),
    ("select_scatter.default", (X, numbers(3, 5), 1, -2), {}),
    ("embedding.default", (numbers(6, 4), PLACES), {}),
    ("sort.default", (X, 1, True), {}),
    ("argsort.stable", (integers(2, 3, 8),), {"stable": True, "dim": -1, "descending": True}),
    ("topk.default", (X, 2, -1, True, True), {}),
    ("topk.default", (X, 2, 1, False, True), {}),
    ("sum.dim_IntList", (X, [0, -1], True), {}),
    ("sum.dim_IntList", (X, []), {}),
    ("mean.dim", (X, [1]), {}),
    ("amax.default", (X, [-1]), {}),
    ("max.dim", (X, 1, True), {}),
    ("argmax.default", (X, 1), {}),
    ("argmax.default", (X,), {}),
    ("any.dim", (X > 1, -1), {}),
    ("var.correction", (X, [1]), {"correction": 0}),
    ("var_mean.correction", (X, [1, 2]), {"keepdim": True}),
    ("std.correction", (X, [-1]), {}),
    ("linalg_vector_norm.default", (X, 2, [-1], True), {}),
    ("linalg_vector_norm.default", (X, 3, [-1]), {}),
    ("linalg_vector_norm.default", (X, float("inf"), [-1]), {}),
    ("cumsum.default", (X, 1), {}),
    ("cumsum.default", (X > 0, -1), {}),
    ("softmax.int", (X, 1), {}),
    ("log_softmax.int", (X, -1), {}),
    ("logsumexp.default", (X, [1]), {}),
    ("layer_norm.default", (X, [4, 5], numbers(4, 5), numbers(4, 5, seed=1), 1e-3), {}),
    ("rms_norm.default", (X, [5], numbers(5)), {}),
    ("group_norm.default", (numbers(2, 6, 4, 3), 3, numbers(6), numbers(6, seed=1), 1e-3), {}),
    ("batch_norm.default", (MAP, None, numbers(3), numbers(3), abs(numbers(3)), False, 0.1, 1e-3, False), {}),
    ("instance_norm.default", (MAP, numbers(3), None, None, None, True, 0.1, 1e-3, False), {}),
    ("conv1d.default", (LINE, numbers(4, 3, 3), numbers(4), [2], [1]), {}),
    ("conv2d.default", (MAP, numbers(4, 3, 3, 2), numbers(4), [2, 1], [1, 0], [1, 2]), {}),
    ("conv2d.default", (MAP, numbers(4, 3, 1, 1), numbers(4), [2, 2]), {}),
    ("conv2d.default", (MAP, numbers(4, 3, 1, 1), None, [1, 1], [1, 1]), {}),
    ("conv2d.default", (MAP, numbers(3, 1, 3, 3), numbers(3), [2, 2], [1, 1], [1, 1], 3), {}),
    ("conv2d.default", (MAP, numbers(6, 1, 3, 3), numbers(6), [1, 1], [2, 2], [2, 2], 3), {}),
    ("conv2d.default", (numbers(2, 4, 6, 6), numbers(6, 2, 3, 3), None, [2, 2], [1, 1], [1, 1], 2), {}),
    ("conv2d.padding", (MAP, numbers(4, 3, 4, 3), None, [1, 1], "same"), {}),
    ("conv_transpose2d.input", (MAP, numbers(3, 4, 2, 2), numbers(4), [2, 2]), {}),
    ("conv_transpose2d.input", (MAP, numbers(3, 4, 3, 3), None, [2, 2], [1, 1], [1, 1]), {}),
    ("conv_transpose2d.input", (numbers(2, 4, 5, 5), numbers(4, 3, 3, 3), None, [2, 1], [1, 0], [0, 0], 2, [1, 2]), {}),
    ("max_pool2d.default", (MAP, [3, 3], [2, 2], [1, 1]), {}),
    ("max_pool2d.default", (MAP, [3, 2], [2, 3], [1, 0], [1, 1], True), {}),
    ("max_pool2d.default", (MAP, [2, 2], [1, 1], [0, 0], [2, 3]), {}),
    ("max_pool2d.default", (MAP, [5, 5], [1, 1], [2, 2]), {}),
    ("avg_pool2d.default", (MAP, [2, 3]), {}),
    ("avg_pool2d.default", (MAP, [3, 3], [2, 2], [1, 1], True, False), {}),
    ("avg_pool2d.default", (MAP, [3, 3], [2, 2], [1, 1], True, True), {}),
    ("avg_pool2d.default", (MAP, [3, 3], [2, 2], [1, 1], False, True, 5), {}),
    ("adaptive_avg_pool2d.default", (MAP, [1, 4]), {}),
    ("adaptive_avg_pool2d.default", (MAP, [10, 3]), {}),
    ("linear.default", (X, numbers(2, 5), numbers(2)), {}),
    ("addmm.default", (numbers(4), numbers(3, 5), numbers(5, 4)), {"beta": 2, "alpha": 0.5}),
    ("baddbmm.default", (numbers(2, 3, 4), numbers(2, 3, 5), numbers(2, 5, 4)), {}),
    ("scaled_dot_product_attention.default", (Q, K, V), {}),
    ("scaled_dot_product_attention.default", (Q, K, V, KEEP), {"scale": 0.3}),
    ("scaled_dot_product_attention.default", (Q, K, V, numbers(4, 5, 6)), {}),
    ("scaled_dot_product_attention.default", (Q, K, V, None, 0.0, True), {}),
    ("scaled_dot_product_attention.default", (Q, K[:, :2], V[:, :2]), {"enable_gqa": True}),
    ("upsample_nearest2d.vec", (MAP, None, [2.0, 1.5]), {}),
    ("upsample_nearest2d.vec", (MAP, [3, 11], None), {}),
    ("_upsample_nearest_exact2d.vec", (MAP, [3, 11], None), {}),
    ("upsample_linear1d.vec", (LINE, [9], False, None), {}),
    *[
        (f"{name}2d.vec", (MAP, size, corners, factors), {})
        for name in ("upsample_bilinear", "upsample_bicubic")
        for corners in (False, True)
        for size, factors in (([11, 4], None), ([1, 1], None), (None, [1.7, 0.6]))
    ],
    *[
        (f"_{name}2d_aa.vec", (MAP, size, corners, factors), {})
        for name in ("upsample_bilinear", "upsample_bicubic")
        for corners in (False, True)
        for size, factors in (([11, 4], None), ([3, 2], None), (None, [1.7, 0.6]))
    ],
    *[
        ("grid_sampler.default", (MAP, GRID, mode, padding, corners), {})
        for mode in (0, 1, 2)
        for padding in (0, 1, 2)
        for corners in (False, True)
    ],
    ("full.default", ([2, 3], 7), {"dtype": "float32"}),
    ("full_like.default", (X, -1), {}),
    ("fill.Tensor", (X, np.float32(2)), {}),
    ("new_zeros.default", (X, [2, 2]), {}),
    ("arange.start_step", (1, 9, 3), {"dtype": "int64"}),
    ("arange.default", (4,), {"dtype": "float32"}),
    ("linspace.default", (0, 2, 5), {"dtype": "float32"}),
    ("_to_copy.default", (4 * X,), {"dtype": "int64"}),
    ("_to_copy.default", (X > 0,), {"dtype": "float32"}),
    ("to.dtype_layout", (4 * X,), {"dtype": "int64"}),
    ("copy.default", (X, numbers(4, 1)), {}),
]


def to_torch(value):
    if isinstance(value, (np.ndarray, np.generic)):
        tensor = torch.from_numpy(np.array(value))
        return tensor.long() if tensor.dtype == torch.int32 else tensor
    return [to_torch(item) for item in value] if isinstance(value, list) else value


def to_jax(value):
    if isinstance(value, (np.ndarray, np.generic)):
        return jnp.asarray(value)
    return tuple(to_jax(item) for item in value) if isinstance(value, list) else value


def as_list(result):
    return list(result) if isinstance(result, (tuple, list)) else [result]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_operation_is_pytorchs(case):
    name, args, kwargs = case
    operation = getattr(getattr(torch.ops.aten, name.split(".")[0]), name.split(".")[1])
    torch_kwargs = {key: getattr(torch, value) if key == "dtype" else value for key, value in kwargs.items()}
    jax_kwargs = {
        key: jax.dtypes.canonicalize_dtype(value) if key == "dtype" else value for key, value in kwargs.items()
    }
    expected = as_list(operation(*map(to_torch, args), **torch_kwargs))
    got = as_list(jax.jit(lambda: OPS[f"aten.{name}"](*map(to_jax, args), **jax_kwargs))())
    assert len(got) == len(expected) or name.startswith(("native", "_native"))
    for mine, theirs in zip(got, expected, strict=False):
        theirs = theirs.numpy()
        assert mine.shape == theirs.shape
        assert np.dtype(mine.dtype).kind == theirs.dtype.kind
        np.testing.assert_allclose(mine, theirs, rtol=2e-5, atol=2e-5)  # float32 rounding of sums and powers


FLOATS = [
    case
    for case in CASES
    if any(isinstance(a, np.ndarray) and a.dtype == np.float32 for a in case[1])
    and not {"dtype"} & case[2].keys()
    and case[0].split(".")[0] not in ("masked_fill", "nan_to_num")
]


@pytest.mark.parametrize("case", FLOATS, ids=lambda case: case[0])
def test_bfloat16_stays_bfloat16(case):
    name, args, kwargs = case
    floats = lambda x: x.astype(jnp.bfloat16) if getattr(x, "dtype", None) == jnp.float32 else x  # noqa: E731
    half = jax.tree.map(floats, list(map(to_jax, args)))
    for result in as_list(jax.eval_shape(lambda: OPS[f"aten.{name}"](*half, **kwargs))):
        assert result.dtype in (jnp.bfloat16, jnp.int32, jnp.bool)


def test_every_operation_has_one_home():
    assert sum(len(theme.OPS) for theme in THEMES) == len(OPS)
