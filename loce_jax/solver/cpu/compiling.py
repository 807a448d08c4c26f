"""How Numba compiles the solver, where machine code is stored, and the plainest loops.

Only what uses compiled code imports this file: Numba itself takes half a second.  The loops stand here because NumPy's
own ways to fill an array take seconds to compile.
"""

import hashlib
import inspect
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numba.core.dispatcher import Dispatcher
from numba.core.registry import cpu_target

FOLDER = Path(__file__).parent
SOURCES = (*sorted(FOLDER.glob("*.py")), FOLDER.parent / "losses.py", FOLDER.parent / "paper" / "adamw.py")


def digest_of_sources() -> str:
    """SHA-256 of all files with compiled functions or constants of such, 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for file in SOURCES:
        with suppress(OSError):  # an installation without sources
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def inline_njit(function: Callable, *, reorder: bool = True) -> Dispatcher:
    """Compile `function`, arithmetic on arrays and scalars, into each compiled function that calls it.

    Inlined, code that is read from disk gives the same bits as code compiled in this process.

    Args:
        function: what to compile; it is compiled when it is first called.
        reorder: allow sums in any order, which vectorized sums need.
    """
    options = {"forceinline": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}  # Python does not call it
    return njit(**options, **_arithmetic(reorder))(inspect.unwrap(function))


def cached_njit(function: Callable) -> Dispatcher:
    """Compile `function` for Python to call without the GIL, and store the machine code on disk.

    It is stored in ``NUMBA_CACHE_DIR`` or beside Python's byte code, in a file named by the function.  The name gets a
    digest of all sources, because Numba itself looks at the file of `function` only, not at those that it calls.
    """
    function = inspect.unwrap(function)
    function.__qualname__ = f"{function.__qualname__}_{digest_of_sources()}"
    entry = njit(nogil=True, **_arithmetic(reorder=True))(function)
    with suppress(RuntimeError):  # neither folder can be written: each process compiles
        entry.enable_caching()
    return entry


def read_only(array: np.ndarray, dtype: np.dtype | type | None = None) -> np.ndarray:
    """`array` as aligned, C-contiguous, read-only view or copy, so that all inputs are of one type for Numba.

    Memory order, alignment and the permission to write are part of an array's type, and each type compiles anew; arrays
    of JAX are read-only, those of NumPy mostly not.
    """
    view = np.require(array, dtype, ["C", "A", "E"]).view()
    view.flags.writeable = False
    return view


def has_feature(name: str) -> bool:
    """Whether the processor that Numba compiles for has a feature, by its name in LLVM."""
    return f"+{name}" in _machine()[1].split(",")


def widens_half() -> bool:
    """Whether this processor converts float16 to float32; without, LLVM would call a function that is not there."""
    return _machine()[0].startswith(("aarch64", "arm64")) or has_feature("f16c")


def _machine():
    target: Any = cpu_target.target_context
    triple, _, features = target.codegen().magic_tuple()
    return triple, features


def _arithmetic(reorder):
    orders = {"contract", "nsz", "reassoc"} if reorder else {"contract"}
    return {"fastmath": orders, "error_model": "numpy"}


@inline_njit
def set_zero(values):
    """Set a matrix to 0."""
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            values[i, j] = np.float32(0)


@inline_njit
def copy_vector(source, out):
    """Copy a vector into the first elements of another."""
    for i in range(source.size):
        out[i] = source[i]


@inline_njit
def copy_rows(source, out):
    """Copy a matrix into the first columns of another."""
    for i in range(source.shape[0]):
        for j in range(source.shape[1]):
            out[i, j] = source[i, j]
