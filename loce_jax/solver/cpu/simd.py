"""A Numba type for several float32 numbers in one SIMD register, whose arithmetic is done as written.

LLVM vectorizes plain loops too, but spends half of the time of short rows on the code around the loop.  `Lanes` have
``+ - * /`` and comparisons, which give 1 where they hold and 0 elsewhere; a float32 scalar is broadcast to all lanes.
Arrays that are loaded from and stored to have rows of a multiple of `LANES`; the elements beyond the data are padding
lanes.
"""

import functools as ft
import math
import operator
from typing import Any, cast

import numpy as np
from jaxtyping import Float
from llvmlite import ir
from numba import types
from numba.core.cgutils import unpack_tuple
from numba.core.imputils import lower_builtin, lower_cast
from numba.core.typeconv.castgraph import Conversion
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, models, register_model

from loce_jax.solver.cpu.compiling import has_feature, inline_njit

ZERO, ONE, HALF = np.float32(0), np.float32(1), np.float32(0.5)
CACHE_LINE = 16  # float32 numbers of a cache line
LANES = 16 if has_feature("avx512f") else 8  # a register of AVX2 holds 8; LLVM uses two registers for SSE and ARM
INT = ir.IntType(32)
FLOATS, INTS, SHORTS, HALVES = (ir.VectorType(t, LANES) for t in (ir.FloatType(), INT, ir.IntType(16), ir.HalfType()))
FUSED = ("contract",)  # a product and the sum after it may be rounded once

inline_simd = ft.partial(inline_njit, reorder=False)
_lowered, _infer_global = cast("tuple[Any, Any]", (intrinsic, infer_global))  # they lack types


class Lanes(types.Type):
    """`LANES` float32 numbers."""

    def __init__(self):
        super().__init__("lanes")

    def can_convert_from(self, typingctx, other):  # noqa: ARG002
        """Whether Numba may convert `other`: a float32 scalar may be broadcast."""
        return Conversion.promote if other == types.float32 else None


lanes = Lanes()


@register_model(Lanes)
class _Register(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, FLOATS)


@lower_cast(types.float32, Lanes)
def _broadcast_scalar(context, builder, source, target, number):  # noqa: ARG001 - how Numba calls it
    one = builder.insert_element(ir.Constant(FLOATS, ir.Undefined), number, ir.Constant(INT, 0))
    return builder.shuffle_vector(one, one, _int_vector(0))


def _int_vector(number, size=LANES):
    """A constant vector of an integer, or of those given."""
    return ir.Constant(ir.VectorType(INT, size), number if isinstance(number, list) else [number] * size)


def _lower_operator(function, build):
    """Register with Numba an operator between lanes, or between lanes and a scalar."""

    @_infer_global(function)
    class _Template(AbstractTemplate):
        def generic(self, args, _):
            known = lanes in args and all(kind in (lanes, types.float32) for kind in args)
            return signature(lanes, lanes, lanes) if known else None

    @lower_builtin(function, lanes, lanes)
    def _lower(context, builder, signature, numbers):  # noqa: ARG001
        return build(builder, *numbers)


def _lower_comparison(function, sign):
    _lower_operator(function, lambda builder, a, b: builder.uitofp(builder.fcmp_ordered(sign, a, b), FLOATS))


_lower_operator(operator.add, lambda builder, a, b: builder.fadd(a, b, flags=FUSED))
_lower_operator(operator.sub, lambda builder, a, b: builder.fsub(a, b, flags=FUSED))
_lower_operator(operator.mul, lambda builder, a, b: builder.fmul(a, b, flags=FUSED))
_lower_operator(operator.truediv, lambda builder, a, b: builder.fdiv(a, b))
_lower_comparison(operator.gt, ">")
_lower_comparison(operator.ge, ">=")
_lower_comparison(operator.lt, "<")


@_lowered
def broadcast(typing_context, number):  # noqa: ARG001
    """A scalar in every lane."""
    return lanes(lanes), lambda context, builder, signature, numbers: numbers[0]


@_lowered
def load(typing_context, array, i):  # noqa: ARG001
    """``array[i : i + LANES]``; int16 holds the bits of float16, uint16 those of bfloat16."""

    def build(context, builder, signature, arguments):
        kind = {types.int16: SHORTS, types.uint16: SHORTS}.get(array.dtype, FLOATS)
        pointer = _element_pointer(context, builder, signature.args[0], arguments, kind)
        bits = builder.load(pointer, align=array.dtype.bitwidth // 8)
        if array.dtype == types.int16:
            return builder.fpext(builder.bitcast(bits, HALVES), FLOATS)
        if array.dtype == types.uint16:
            return builder.bitcast(builder.shl(builder.zext(bits, INTS), _int_vector(16)), FLOATS)
        return bits

    return lanes(array, types.intp), build


@_lowered
def store(typing_context, array, i, numbers):  # noqa: ARG001
    """``array[i : i + LANES] = numbers``."""

    def build(context, builder, signature, arguments):
        *where, numbers = arguments
        builder.store(numbers, _element_pointer(context, builder, signature.args[0], where, FLOATS), align=4)

    return types.void(array, types.intp, lanes), build


def _element_pointer(context, builder, array_type, where, kind):
    """The address of ``array[i]``, to read or write a `kind`."""
    array, i = where
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [i]), kind.as_pointer())


@_lowered
def store_lane_sums(typing_context, array, i, four):  # noqa: ARG001
    """``array[i : i + 4]`` become the sums of four lanes."""
    even, odd = (
        _int_vector(
            [4 * four + place for four in range(LANES // 4) for place in (at, at + 2, at + LANES, at + LANES + 2)]
        )
        for at in (0, 1)
    )

    def build(context, builder, signature, arguments):
        *where, four = arguments
        a, b, c, d = unpack_tuple(builder, four, 4)

        def fold(one, other):
            """For each four lanes, two sums of adjacent lanes of `one` and two of `other`."""
            return builder.fadd(builder.shuffle_vector(one, other, even), builder.shuffle_vector(one, other, odd))

        sums, size = fold(fold(a, b), fold(c, d)), LANES
        while size > 4:
            size //= 2
            low, high = (_int_vector(list(range(start, start + size)), size) for start in (0, size))
            sums = builder.fadd(builder.shuffle_vector(sums, sums, low), builder.shuffle_vector(sums, sums, high))
        builder.store(sums, _element_pointer(context, builder, signature.args[0], where, sums.type), align=4)

    return types.void(array, types.intp, types.UniTuple(lanes, 4)), build


@_lowered
def sum_lanes(typing_context, numbers):  # noqa: ARG001
    """The sum of all lanes, a float32."""

    def build(context, builder, signature, numbers):  # noqa: ARG001
        kind = ir.FunctionType(FLOATS.element, [FLOATS.element, FLOATS])
        add = builder.module.declare_intrinsic(f"llvm.vector.reduce.fadd.v{LANES}f32", (), kind)
        return builder.call(add, [ir.Constant(FLOATS.element, -0.0), *numbers], fastmath=("reassoc",))

    return types.float32(lanes), build


@_lowered
def fma(typing_context, total, a, b):  # noqa: ARG001
    """``total + a * b``, rounded once where the processor can."""

    def build(context, builder, signature, numbers):  # noqa: ARG001
        total, a, b = numbers
        kind = ir.FunctionType(FLOATS, [FLOATS] * 3)
        return builder.call(builder.module.declare_intrinsic(f"llvm.fmuladd.v{LANES}f32", (), kind), [a, b, total])

    return lanes(lanes, lanes, lanes), build


@_lowered
def clip(typing_context, numbers, low, high):  # noqa: ARG001
    """The numbers, limited to [low, high]; a NaN stays one."""

    def build(context, builder, signature, arguments):  # noqa: ARG001
        numbers, low, high = arguments
        numbers = builder.select(builder.fcmp_ordered("<", numbers, low), low, numbers)
        return builder.select(builder.fcmp_ordered(">", numbers, high), high, numbers)

    return lanes(lanes, lanes, lanes), build


@_lowered
def power_of_two(typing_context, numbers):  # noqa: ARG001
    """``2**n`` for the integer n, from -126 to 127, in the lowest bits of each lane."""

    def build(context, builder, signature, numbers):  # noqa: ARG001
        exponents = builder.shl(builder.bitcast(numbers[0], INTS), _int_vector(23))
        return builder.bitcast(builder.add(exponents, _int_vector(127 << 23)), FLOATS)

    return lanes(lanes), build


def padded_length(count: int) -> int:
    """`count`, rounded up to a multiple of `LANES`."""
    return -(-count // LANES) * LANES


def aligned_zeros(*shape: int) -> Float[np.ndarray, "..."]:
    """Zeros that begin with a cache line, so that no load of `LANES` numbers touches two lines."""
    size = math.prod(shape)
    buffer = np.zeros(size + CACHE_LINE, np.float32)
    skip = -(buffer.ctypes.data // buffer.itemsize) % CACHE_LINE
    return buffer[skip : skip + size].reshape(shape)
