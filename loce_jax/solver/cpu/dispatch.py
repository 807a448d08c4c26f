"""Whether the code that Numba compiles can be used here; where it cannot, one warning says why, and others compute.

The code uses internals of Numba, so a release of Numba may break it.  Importing this file does not import Numba.
"""

import threading
from collections.abc import Callable

import numpy as np

from loce_jax.foreign_text import logger
from loce_jax.recipes import PaperRecipe

log = logger(__name__)

_lock = threading.Lock()
_compiles: dict[str, bool] = {}  # what was tried in this process, and whether it compiled


def cpu_supports(recipe: PaperRecipe, dtype: np.dtype) -> bool:
    """Whether `loce_jax.solver.cpu.solve` implements the recipe and compiles for activations of `dtype`.

    The first call for a dtype compiles, which takes about 10 s, or reads the machine code that an earlier process
    has stored.
    """

    def compile_solver():
        from loce_jax.solver.cpu.solve import compile_for  # noqa: PLC0415 - Numba, half a second

        compile_for(dtype)

    if recipe.couples_batch or not _compiles_once(f"solve {dtype}", compile_solver):
        return False
    from loce_jax.solver.cpu.loss_and_grad import COMPILED_OBJECTIVES  # noqa: PLC0415 - Numba

    return recipe.objective in COMPILED_OBJECTIVES


def counts_supported() -> bool:
    """Whether `loce_jax.solver.cpu.overlap_counts` compiles; the first call compiles or reads it."""

    def compile_counts():
        from loce_jax.solver.cpu.overlap_counts import count_overlap  # noqa: PLC0415 - Numba

        count_overlap(np.zeros((1, 1)), np.zeros((1, 1), bool))

    return _compiles_once("counts", compile_counts)


def _compiles_once(what: str, compile_it: Callable[[], object]) -> bool:
    """Whether `compile_it` returns; it is called once per process, and the first failure of all is logged."""
    with _lock:
        if what not in _compiles:
            try:
                compile_it()
                _compiles[what] = True
            except Exception as error:  # noqa: BLE001 - internals that changed raise anything
                if all(_compiles.values()):
                    reason = f"{type(error).__name__}: {error}".partition("\n")[0]
                    log.warning(
                        "Numba cannot compile the solver for CPUs here, so XLA solves instead, which takes about twice "
                        "the time (%s). Install a Numba that `pip install loce_jax` accepts.",
                        reason,
                    )
                _compiles[what] = False
        return _compiles[what]
