"""Operations on every number by itself: arithmetic, comparisons, activation functions.

Python numbers take the array's type, as in PyTorch, so nothing is widened on the way.
"""

import math
import operator

import jax
import jax.numpy as jnp
from jax import Array

Number = Array | float | int


def add(x: Number, y: Number, *, alpha: float | int = 1) -> Number:
    """``x + alpha * y``."""
    return x + (y if alpha == 1 else y * alpha)


def sub(x: Number, y: Number, *, alpha: float | int = 1) -> Number:
    """``x - alpha * y``."""
    return x - (y if alpha == 1 else y * alpha)


def rsub(x: Number, y: Number, alpha: float | int = 1) -> Number:
    """``y - alpha * x``."""
    return sub(y, x, alpha=alpha)


def div(x: Number, y: Number, *, rounding_mode: str | None = None) -> Array:
    """``x / y``, rounded towards zero (``trunc``), down (``floor``) or not at all."""
    if rounding_mode == "floor":
        return jnp.floor_divide(x, y)
    if rounding_mode is None:
        return jnp.true_divide(x, y)
    if jnp.issubdtype(jnp.result_type(x, y), jnp.integer):
        return jnp.sign(x) * jnp.sign(y) * (jnp.abs(x) // jnp.abs(y))
    return jnp.trunc(jnp.true_divide(x, y))


def power(x: Number, exponent: Number) -> Number:
    """``x ** exponent``; whole exponents are products."""
    if isinstance(exponent, float) and exponent.is_integer():
        exponent = int(exponent)
    return x**exponent


def clamp(x: Array, low: Number | None = None, high: Number | None = None) -> Array:
    """``min(max(x, low), high)``."""
    x = x if low is None else jnp.maximum(x, low)
    return x if high is None else jnp.minimum(x, high)


def round_decimals(x: Array, *, decimals: int = 0) -> Array:
    """The nearest number with `decimals` digits behind the point; halves to even."""
    return jnp.round(x, decimals)


def addcmul(x: Array, y: Array, z: Array, *, value: float | int = 1) -> Array:
    """``x + value * y * z``."""
    return x + value * y * z


def addcdiv(x: Array, y: Array, z: Array, *, value: float | int = 1) -> Array:
    """``x + value * y / z``."""
    return x + value * y / z


def lerp(start: Array, end: Array, weight: Number) -> Array:
    """From `start` (weight 0) to `end` (weight 1) on a straight line."""
    return start + weight * (end - start)


def where(condition: Array, x: Number, y: Number) -> Array:
    """`x` where the condition holds, else `y`."""
    return jnp.where(condition, x, y)


def masked_fill(x: Array, mask: Array, value: Number) -> Array:
    """`value` where `mask` is set, in the type of `x`."""
    return jnp.where(mask, jnp.asarray(value, x.dtype), x)


def gelu(x: Array, *, approximate: str = "none") -> Array:
    """Gaussian error linear unit; ``approximate="tanh"`` is the cheaper formula."""
    if approximate == "tanh":
        return jax.nn.gelu(x, approximate=True)
    return 0.5 * x * (1 + jax.lax.erf(x * math.sqrt(0.5)))


def hardsigmoid(x: Array) -> Array:
    """A sigmoid of three straight lines."""
    return jnp.clip(x + 3, 0, 6) / 6


def hardswish(x: Array) -> Array:
    """``x * hardsigmoid(x)``."""
    return x * hardsigmoid(x)


def hardtanh(x: Array, low: float | int = -1, high: float | int = 1) -> Array:
    """``x`` cut to low..high."""
    return clamp(x, low, high)


def leaky_relu(x: Array, slope: float | int = 0.01) -> Array:
    """``x``, times `slope` below 0."""
    return jnp.where(x > 0, x, x * slope)


def elu(x: Array, alpha: float | int = 1.0, scale: float | int = 1.0, input_scale: float | int = 1.0) -> Array:
    """``scale * (x or alpha * (exp(x * input_scale) - 1))``, the second below 0."""
    below = alpha * jnp.expm1(jnp.minimum(x, 0) * input_scale)
    return scale * jnp.where(x > 0, x, below)


def selu(x: Array) -> Array:
    """Self-normalizing `elu`."""
    return elu(x, 1.6732632423543772, 1.0507009873554805)


def softplus(x: Array, beta: float | int = 1, threshold: float | int = 20) -> Array:
    """``log(1 + exp(beta * x)) / beta``; `x` itself where ``beta * x`` is above the threshold."""
    scaled = x * beta
    return jnp.where(scaled > threshold, x, jnp.logaddexp(scaled, 0.0) / beta)


def mish(x: Array) -> Array:
    """``x * tanh(softplus(x))``."""
    return x * jnp.tanh(softplus(x))


def prelu(x: Array, slope: Array) -> Array:
    """``x``, times the channel's own slope below 0; channels are axis 1."""
    shape = [1] * x.ndim
    shape[min(1, x.ndim - 1)] = slope.size
    return jnp.where(x > 0, x, x * slope.reshape(shape))


def threshold(x: Array, limit: float | int, value: float | int) -> Array:
    """``x`` where above `limit`, else `value`."""
    return jnp.where(x > limit, x, value)


def glu(x: Array, axis: int = -1) -> Array:
    """First half times the sigmoid of the second."""
    first, second = jnp.split(x, 2, axis)
    return first * jax.nn.sigmoid(second)


def logit(x: Array, eps: float | None = None) -> Array:
    """``log(x / (1 - x))`` of `x` cut to eps..1-eps."""
    x = x if eps is None else jnp.clip(x, eps, 1 - eps)
    return jnp.log(x / (1 - x))


def nan_to_num(x: Array, nan: float | None = None, high: float | None = None, low: float | None = None) -> Array:
    """Finite numbers for NaN and the infinities."""
    return jnp.nan_to_num(x, nan=nan or 0.0, posinf=high, neginf=low)


def _either(names: str, function) -> dict:
    """The same function for a tensor and for a Python number: ``add`` -> ``aten.add.Tensor``, ``aten.add.Scalar``."""
    return {f"aten.{name}.{kind}": function for name in names.split() for kind in ("Tensor", "Scalar")}


def _plain(**functions) -> dict:
    return {f"aten.{name}.default": function for name, function in functions.items()}


OPS = {
    **_either("add", add),
    **_either("sub", sub),
    **_either("rsub", rsub),
    **_either("mul", operator.mul),
    **_either("div true_divide", div),
    **_either("remainder", jnp.remainder),
    **_either("fmod", jnp.fmod),
    **_either("eq", operator.eq),
    **_either("ne", operator.ne),
    **_either("lt", operator.lt),
    **_either("le", operator.le),
    **_either("gt", operator.gt),
    **_either("ge", operator.ge),
    **_either("bitwise_and __and__", operator.and_),
    **_either("bitwise_or __or__", operator.or_),
    **_either("bitwise_xor __xor__", operator.xor),
    **_either("masked_fill", masked_fill),
    **_either("lerp", lerp),
    "aten.masked_fill.Tensor": masked_fill,
    "aten.div.Tensor_mode": div,
    "aten.div.Scalar_mode": div,
    "aten.pow.Tensor_Scalar": power,
    "aten.pow.Tensor_Tensor": power,
    "aten.pow.Scalar": power,
    "aten.clamp.Tensor": clamp,
    "aten.clamp_min.Tensor": clamp,
    "aten.clamp_max.Tensor": lambda x, high: clamp(x, None, high),
    "aten.round.decimals": round_decimals,
    "aten.where.self": where,
    "aten.where.Scalar": where,
    "aten.where.ScalarSelf": where,
    "aten.where.ScalarOther": where,
    **_plain(
        abs=jnp.abs,
        acos=jnp.arccos,
        addcdiv=addcdiv,
        addcmul=addcmul,
        asin=jnp.arcsin,
        atan=jnp.arctan,
        atan2=jnp.arctan2,
        bitwise_not=jnp.invert,
        ceil=jnp.ceil,
        celu=lambda x, alpha=1.0: elu(x, alpha, 1.0, 1 / alpha),
        clamp=clamp,
        clamp_max=lambda x, high: clamp(x, None, high),
        clamp_min=clamp,
        cos=jnp.cos,
        cosh=jnp.cosh,
        elu=elu,
        erf=jax.lax.erf,
        erfinv=jax.lax.erf_inv,
        exp=jnp.exp,
        exp2=jnp.exp2,
        expm1=jnp.expm1,
        floor=jnp.floor,
        floor_divide=jnp.floor_divide,
        gelu=gelu,
        glu=glu,
        hardsigmoid=hardsigmoid,
        hardswish=hardswish,
        hardtanh=hardtanh,
        isfinite=jnp.isfinite,
        isinf=jnp.isinf,
        isnan=jnp.isnan,
        leaky_relu=leaky_relu,
        log=jnp.log,
        log10=jnp.log10,
        log1p=jnp.log1p,
        log2=jnp.log2,
        log_sigmoid=jax.nn.log_sigmoid,
        logical_and=jnp.logical_and,
        logical_not=jnp.logical_not,
        logical_or=jnp.logical_or,
        logical_xor=jnp.logical_xor,
        logit=logit,
        maximum=jnp.maximum,
        minimum=jnp.minimum,
        mish=mish,
        nan_to_num=nan_to_num,
        neg=operator.neg,
        prelu=prelu,
        reciprocal=lambda x: 1 / x,
        relu=lambda x: jnp.maximum(x, 0),
        relu6=lambda x: jnp.clip(x, 0, 6),
        round=jnp.round,
        rsqrt=jax.lax.rsqrt,
        selu=selu,
        sgn=jnp.sign,
        sigmoid=jax.nn.sigmoid,
        sign=jnp.sign,
        silu=jax.nn.silu,
        sin=jnp.sin,
        sinh=jnp.sinh,
        softplus=softplus,
        sqrt=jnp.sqrt,
        square=jnp.square,
        tan=jnp.tan,
        tanh=jnp.tanh,
        threshold=threshold,
        trunc=jnp.trunc,
    ),
    "aten.floor_divide.Scalar": jnp.floor_divide,
    "aten.max.other": jnp.maximum,
    "aten.min.other": jnp.minimum,
}
