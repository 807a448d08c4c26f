"""Operations that sum up along axes: sums, means, extrema, softmax, and the normalizations.

Shapes: b images, c channels.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

Axes = int | Sequence[int] | None


def total(x: Array, axes: Axes = None, keep: bool = False, *, dtype: Any = None) -> Array:
    """Sum; no axis means all of them."""
    return jnp.sum(x, _axes(axes), keepdims=keep, dtype=dtype)


def mean(x: Array, axes: Axes = None, keep: bool = False, *, dtype: Any = None) -> Array:
    """Mean; no axis means all of them."""
    return jnp.mean(x, _axes(axes), keepdims=keep, dtype=dtype)


def product(x: Array, axis: int | None = None, keep: bool = False, *, dtype: Any = None) -> Array:
    """Product."""
    return jnp.prod(x, axis, keepdims=keep, dtype=dtype)


def largest(x: Array, axes: Axes = None, keep: bool = False) -> Array:
    """Largest value."""
    return jnp.max(x, _axes(axes), keepdims=keep)


def smallest(x: Array, axes: Axes = None, keep: bool = False) -> Array:
    """Smallest value."""
    return jnp.min(x, _axes(axes), keepdims=keep)


def largest_and_place(x: Array, axis: int, keep: bool = False) -> tuple[Array, Array]:
    """Largest value along one axis, and where it first is."""
    return jnp.max(x, axis, keepdims=keep), jnp.argmax(x, axis, keepdims=keep)


def smallest_and_place(x: Array, axis: int, keep: bool = False) -> tuple[Array, Array]:
    """Smallest value along one axis, and where it first is."""
    return jnp.min(x, axis, keepdims=keep), jnp.argmin(x, axis, keepdims=keep)


def any_of(x: Array, axes: Axes = None, keep: bool = False) -> Array:
    """Whether any is not 0."""
    return jnp.any(x, _axes(axes), keepdims=keep)


def all_of(x: Array, axes: Axes = None, keep: bool = False) -> Array:
    """Whether none is 0."""
    return jnp.all(x, _axes(axes), keepdims=keep)


def variance(x: Array, axes: Axes = None, *, correction: float | int | None = None, keepdim: bool = False) -> Array:
    """Sum of squared distances to the mean, over n - correction; PyTorch's correction is 1 by default."""
    return jnp.var(x, _axes(axes), ddof=1 if correction is None else int(correction), keepdims=keepdim)


def deviation(x: Array, axes: Axes = None, *, correction: float | int | None = None, keepdim: bool = False) -> Array:
    """Square root of the `variance`."""
    return jnp.sqrt(variance(x, axes, correction=correction, keepdim=keepdim))


def variance_and_mean(
    x: Array, axes: Axes = None, *, correction: float | int | None = None, keepdim: bool = False
) -> tuple[Array, Array]:
    """`variance`, and mean."""
    return variance(x, axes, correction=correction, keepdim=keepdim), mean(x, axes, keepdim)


def vector_norm(x: Array, order: float | int = 2, axes: Axes = None, keep: bool = False, *, dtype: Any = None) -> Array:
    """``(sum |x|^order)^(1/order)``; infinite orders give the largest and smallest magnitude, 0 counts."""
    x = jnp.abs(x if dtype is None else x.astype(dtype))
    if order == math.inf:
        return largest(x, axes, keep)
    if order == -math.inf:
        return smallest(x, axes, keep)
    if order == 0:
        return total((x != 0).astype(x.dtype), axes, keep)
    if order == 2:
        return jnp.sqrt(total(x * x, axes, keep))
    return total(x**order, axes, keep) ** (1 / order)


def logsumexp(x: Array, axes: Axes, keep: bool = False) -> Array:
    """``log(sum(exp(x)))``."""
    return jax.nn.logsumexp(x, _axes(axes), keepdims=keep)


def cumulative_sum(x: Array, axis: int, *, dtype: Any = None) -> Array:
    """Running sum; whole numbers and booleans stay whole."""
    return jnp.cumsum(x.astype(jnp.int32) if x.dtype == bool and dtype is None else x, axis, dtype)


def softmax(x: Array, axis: int, dtype: Any = None) -> Array:
    """Exponentials over their sum; in `dtype` if given."""
    return jax.nn.softmax(x if dtype is None else x.astype(dtype), axis)


def inner_softmax(x: Array, axis: int, half_to_float: bool = False) -> Array:
    """`softmax`, in float32 if requested."""
    return softmax(x, axis, jnp.float32 if half_to_float else None)


def log_softmax(x: Array, axis: int, dtype: Any = None) -> Array:
    """Logarithm of `softmax`."""
    return jax.nn.log_softmax(x if dtype is None else x.astype(dtype), axis)


def layer_norm(
    x: Array, shape: Sequence[int], weight: Array | None = None, bias: Array | None = None, eps: float = 1e-5, *_: Any
) -> Array:
    """Each position's last axes, as long as `shape`, to mean 0 and variance 1; then scaled and shifted."""
    axes = tuple(range(-len(shape), 0))
    centered = x - jnp.mean(x, axes, keepdims=True)
    scale = jax.lax.rsqrt(jnp.mean(centered * centered, axes, keepdims=True) + eps)
    return _affine(centered * scale, weight, bias)


def native_layer_norm(
    x: Array, shape: Sequence[int], weight: Array | None, bias: Array | None, eps: float
) -> tuple[Array]:
    """`layer_norm`, first of a tuple."""
    return (layer_norm(x, shape, weight, bias, eps),)


def rms_norm(x: Array, shape: Sequence[int], weight: Array | None = None, eps: float | None = None) -> Array:
    """Each position's last axes divided by their root mean square; then scaled."""
    axes = tuple(range(-len(shape), 0))
    eps = float(jnp.finfo(x.dtype).eps) if eps is None else eps
    return _affine(x * jax.lax.rsqrt(jnp.mean(x * x, axes, keepdims=True) + eps), weight, None)


def group_norm(
    x: Array, groups: int, weight: Array | None = None, bias: Array | None = None, eps: float = 1e-5, *_: Any
) -> Array:
    """Each image's group of channels to mean 0 and variance 1; then each channel scaled and shifted."""
    grouped = x.reshape(x.shape[0], groups, -1)
    centered = grouped - grouped.mean(-1, keepdims=True)
    scale = jax.lax.rsqrt(jnp.mean(centered * centered, -1, keepdims=True) + eps)
    return _affine((centered * scale).reshape(x.shape), _per_channel(weight, x), _per_channel(bias, x))


def native_group_norm(
    x: Array, weight: Array | None, bias: Array | None, n: int, c: int, area: int, groups: int, eps: float
) -> tuple[Array]:
    """`group_norm`, first of a tuple."""
    return (group_norm(x, groups, weight, bias, eps),)


def instance_norm(
    x: Array,
    weight: Array | None,
    bias: Array | None,
    running_mean: Array | None,
    running_var: Array | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    *_: Any,
) -> Array:
    """Each image's channel to mean 0 and variance 1, or by stored statistics; then scaled and shifted."""
    if use_input_stats or running_mean is None or running_var is None:
        return group_norm(x, x.shape[1], weight, bias, eps)
    return _by_statistics(x, weight, bias, running_mean, running_var, eps)


def batch_norm(
    x: Array,
    weight: Array | None,
    bias: Array | None,
    running_mean: Array,
    running_var: Array,
    training: bool,
    momentum: float,
    eps: float,
    *_: Any,
) -> Array:
    """Each channel by its stored mean and variance; networks are read as they are evaluated, never in training."""
    return _by_statistics(x, weight, bias, running_mean, running_var, eps)


def frozen_batch_norm(
    x: Array,
    weight: Array | None,
    bias: Array | None,
    running_mean: Array,
    running_var: Array,
    momentum: float,
    eps: float,
) -> tuple[Array]:
    """`batch_norm`, first of a tuple."""
    return (_by_statistics(x, weight, bias, running_mean, running_var, eps),)


def _by_statistics(x, weight, bias, running_mean, running_var, eps):
    """One multiplication and one addition for each number: mean and variance are folded into them."""
    scale = jax.lax.rsqrt(running_var + eps)
    scale = scale if weight is None else scale * weight
    shift = -running_mean * scale
    shift = shift if bias is None else shift + bias
    return x * _per_channel(scale, x) + _per_channel(shift, x)


def _per_channel(values: Array | None, x: Array) -> Any:
    """``[c] -> [c 1 1]``, to meet the channels of `x`."""
    return values if values is None else values.reshape(-1, *(1,) * (x.ndim - 2))


def _affine(x: Array, weight: Array | None, bias: Array | None) -> Array:
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


def _axes(axes: Axes) -> int | tuple[int, ...] | None:
    """NumPy's spelling: None for all axes, where PyTorch also says ``[]``."""
    return axes if isinstance(axes, int) or axes is None else tuple(axes) or None


OPS = {
    "aten.sum.default": total,
    "aten.sum.dim_IntList": total,
    "aten.mean.default": mean,
    "aten.mean.dim": mean,
    "aten.prod.default": product,
    "aten.prod.dim_int": product,
    "aten.amax.default": largest,
    "aten.amin.default": smallest,
    "aten.max.default": largest,
    "aten.min.default": smallest,
    "aten.max.dim": largest_and_place,
    "aten.min.dim": smallest_and_place,
    "aten.argmax.default": lambda x, axis=None, keep=False: jnp.argmax(x, axis, keepdims=keep),
    "aten.argmin.default": lambda x, axis=None, keep=False: jnp.argmin(x, axis, keepdims=keep),
    "aten.any.default": any_of,
    "aten.any.dim": any_of,
    "aten.any.dims": any_of,
    "aten.all.default": all_of,
    "aten.all.dim": all_of,
    "aten.all.dims": all_of,
    "aten.var.correction": variance,
    "aten.std.correction": deviation,
    "aten.var_mean.correction": variance_and_mean,
    "aten.var.dim": lambda x, axes, unbiased=True, keep=False: variance(
        x, axes, correction=int(unbiased), keepdim=keep
    ),
    "aten.std.dim": lambda x, axes, unbiased=True, keep=False: deviation(
        x, axes, correction=int(unbiased), keepdim=keep
    ),
    "aten.linalg_vector_norm.default": vector_norm,
    "aten.norm.ScalarOpt_dim": lambda x, order, axes, keep=False: vector_norm(
        x, 2 if order is None else order, axes, keep
    ),
    "aten.norm.Scalar": vector_norm,
    "aten.logsumexp.default": logsumexp,
    "aten.cumsum.default": cumulative_sum,
    "aten.cumprod.default": lambda x, axis, *, dtype=None: jnp.cumprod(x, axis, dtype),
    "aten.softmax.int": softmax,
    "aten._softmax.default": inner_softmax,
    "aten.log_softmax.int": log_softmax,
    "aten._log_softmax.default": lambda x, axis, half_to_float=False: log_softmax(x, axis),
    "aten.layer_norm.default": layer_norm,
    "aten.native_layer_norm.default": native_layer_norm,
    "aten.rms_norm.default": rms_norm,
    "aten.group_norm.default": group_norm,
    "aten.native_group_norm.default": native_group_norm,
    "aten.instance_norm.default": instance_norm,
    "aten.batch_norm.default": batch_norm,
    "aten._native_batch_norm_legit_no_training.default": frozen_batch_norm,
}
