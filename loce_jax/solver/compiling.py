"""How Numba compiles the solver's loops; imported only where they are used, since Numba takes half a second."""

import inspect
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from numba import njit
from numba.core.dispatcher import Dispatcher
from numba.core.registry import cpu_target


def compiled(function: Callable, *, reorder: bool = True) -> Dispatcher:
    """`function`, arithmetic on arrays and scalars, as machine code that becomes part of what calls it.

    Only so is code read from disk the same, to the last bit of its results, as code compiled in this process.

    Args:
        function: what to compile; it is compiled when it is first called.
        reorder: allow sums in any order, which vectorised sums need.
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


def widens_half() -> bool:
    """Whether this processor turns float16 into float32; without, LLVM would call a function that is not there."""
    target: Any = cpu_target.target_context
    triple, _, features = target.codegen().magic_tuple()
    return triple.startswith(("aarch64", "arm64")) or "+f16c" in features.split(",")
