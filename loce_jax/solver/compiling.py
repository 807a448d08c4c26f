"""How Numba compiles the solver's loops; imported only where they are used, since Numba takes half a second."""

import inspect
from collections.abc import Callable
from contextlib import suppress

from numba import njit
from numba.core.dispatcher import Dispatcher


def compiled(function: Callable, *, reorder: bool = True) -> Dispatcher:
    """`function`, arithmetic on arrays and scalars, as machine code that other threads may run beside.

    Args:
        function: what to compile; it is compiled when it is first called.
        reorder: allow sums in any order, which vectorised sums need.
    """
    orders = {"contract", "nsz", "reassoc"} if reorder else {"contract"}
    return njit(nogil=True, error_model="numpy", fastmath=orders)(inspect.unwrap(function))


def kept(function: Dispatcher) -> Dispatcher:
    """`function`, its machine code kept on disk beside Python's own byte code, or in ``NUMBA_CACHE_DIR``."""
    with suppress(RuntimeError):  # neither place can be written: compile in every process
        function.enable_caching()
    return function
