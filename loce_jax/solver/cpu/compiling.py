"""How Numba compiles the solver's loops, and the plainest of them; imported only where they are used.

Numba itself takes half a second, and NumPy's own ways to fill an array take seconds to compile.
"""

import inspect
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from numba import njit
from numba.core.dispatcher import Dispatcher
from numba.core.registry import cpu_target


def compiled(function: Callable, *, reorder: bool = True) -> Dispatcher:
    """`function`, arithmetic on arrays and scalars, as machine code that becomes part of what calls it.

    Only so is code read from disk the same, to the last bit of its results, as code compiled in this process.

    Args:
        function: what to compile; it is compiled when it is first called.
        reorder: allow sums in any order, which vectorized sums need.
    """
    options = {"forceinline": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}  # nobody else calls it
    return njit(**options, **_arithmetic(reorder))(inspect.unwrap(function))


def kept(function: Callable) -> Dispatcher:
    """`function` compiled for Python to call, beside other threads.

    Its machine code is kept on disk, next to Python's own byte code or in ``NUMBA_CACHE_DIR``.
    """
    entry = njit(nogil=True, **_arithmetic(reorder=True))(inspect.unwrap(function))
    with suppress(RuntimeError):  # neither place can be written: compile in every process
        entry.enable_caching()
    return entry


def _arithmetic(reorder):
    orders = {"contract", "nsz", "reassoc"} if reorder else {"contract"}
    return {"fastmath": orders, "error_model": "numpy"}


def has_feature(name: str) -> bool:
    """Whether the processor that Numba compiles for has a feature, as LLVM names them."""
    return f"+{name}" in _machine()[1].split(",")


def widens_half() -> bool:
    """Whether this processor turns float16 into float32; without, LLVM would call a function that is not there."""
    return _machine()[0].startswith(("aarch64", "arm64")) or has_feature("f16c")


def _machine():
    target: Any = cpu_target.target_context
    triple, _, features = target.codegen().magic_tuple()
    return triple, features


@compiled
def clear(values):
    """Set a matrix to 0."""
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            values[i, j] = np.float32(0)


@compiled
def copy(source, out):
    """``out = source``, a vector."""
    for i in range(source.size):
        out[i] = source[i]


@compiled
def fill(source, out):
    """Copy a matrix into the first columns of another."""
    for i in range(source.shape[0]):
        for j in range(source.shape[1]):
            out[i, j] = source[i, j]
