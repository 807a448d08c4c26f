"""How Numba compiles the solver: one program for all inputs, a cache that notices changes, and a way out."""

import importlib
import logging
import os
import pkgutil
import shutil
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher
from numba.core.errors import TypingError

import loce_jax
from loce_jax import PaperRecipe, solve
from loce_jax.solver import cpu
from loce_jax.solver.cpu import dispatch, kernel, overlap_counts
from loce_jax.solver.cpu import solve as threads
from loce_jax.solver.cpu.compiling import SOURCES, read_only
from loce_jax.solver.iou import mask_iou
from loce_jax.solver.xla import solve_by_xla

RNG = np.random.default_rng(0)
ACTIVATIONS = RNG.normal(size=(2, 3, 4, 5)).astype("float32")
MASKS = (RNG.random((2, 3, 9, 8)) > 0.5).astype("float32")
OPTIONS = PaperRecipe(num_steps=3)


def test_inputs_of_numpy_and_jax_run_one_program():
    """Whatever may be written, in any memory order, and whether mask and start vectors are given as numbers or bits."""
    solve(ACTIVATIONS, MASKS, OPTIONS)
    known = list(kernel.solve_images.signatures)
    frozen = ACTIVATIONS.copy()
    frozen.flags.writeable = False
    unaligned = np.frombuffer(b"0" + ACTIVATIONS.tobytes(), np.float32, offset=1).reshape(ACTIVATIONS.shape)
    assert not unaligned.flags.aligned
    for activations in (jnp.asarray(ACTIVATIONS), frozen, np.asfortranarray(ACTIVATIONS), unaligned):
        for masks in (jnp.asarray(MASKS), MASKS > 0.5, np.asfortranarray(MASKS), MASKS[:, 0]):
            solve(activations, masks, OPTIONS)
    valid, initial = jnp.ones((2, 3), bool), np.zeros((2, 3, 5))
    solve(ACTIVATIONS, jnp.asarray(MASKS), PaperRecipe("mse", penalty="sample"), valid=valid, initial=initial)
    assert list(kernel.solve_images.signatures) == known


def test_projections_and_masks_of_any_kind_run_one_program():
    values, mask = RNG.random((3, 4)), RNG.random((9, 8)) > 0.5
    mask_iou(values, mask)
    known = list(overlap_counts.count_pixels.signatures)
    expected = mask_iou(values, mask)
    for projection, there in (
        (values.T.copy().T, mask),
        (read_only(values), read_only(mask)),
        (values, mask.T.copy().T),
    ):
        assert mask_iou(projection, there) == expected
    assert list(overlap_counts.count_pixels.signatures) == known


def test_read_only_views_copy_no_more_than_they_must():
    given = np.zeros((2, 3), np.float32)
    view = read_only(given)
    assert np.shares_memory(view, given) and not view.flags.writeable and given.flags.writeable
    assert read_only(given.T).flags.c_contiguous


@pytest.fixture
def untried(monkeypatch):
    """As in a new process."""
    monkeypatch.setattr(dispatch, "_compiles", {})


@pytest.mark.slow
@pytest.mark.usefixtures("untried")
def test_where_the_solver_cannot_be_compiled_one_warning_is_given_and_xla_solves(monkeypatch, caplog):
    def fail(*_):
        raise TypingError("no such internal\nand a long traceback")

    monkeypatch.setattr(threads, "solve_images", fail)
    monkeypatch.setattr(overlap_counts, "count_pixels", fail)
    with caplog.at_level(logging.WARNING):
        for activations in (ACTIVATIONS, jnp.asarray(ACTIVATIONS, "bfloat16"), ACTIVATIONS):
            found = solve(activations, MASKS, OPTIONS)
        iou = mask_iou(np.array([[0.9, 0.2]]), np.array([[True, True, False, False]]))
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert "XLA solves instead" in warning and "(TypingError: no such internal)" in warning
    start = np.zeros((2, 3, 5), np.float32)
    expected = solve_by_xla(tuple(map(jnp.asarray, (ACTIVATIONS, MASKS, np.ones((2, 3), bool), start))), OPTIONS)
    np.testing.assert_array_equal(found.vectors, expected.vectors)
    assert iou == 1


def test_an_error_that_is_not_of_compiling_is_not_hidden(monkeypatch):
    solve(ACTIVATIONS, MASKS, OPTIONS)

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(threads, "solve_images", fail)
    with pytest.raises(MemoryError):
        solve(ACTIVATIONS, MASKS, OPTIONS)


BROKEN_IMPORT = """
import sys
sys.modules["numba.core.typing.templates"] = None  # a release that moved it
import numpy as np
from loce_jax import PaperRecipe, solve
for _ in range(2):
    found = solve(np.eye(2, dtype="float32").reshape(1, 2, 2, 1), np.eye(2)[None], PaperRecipe(num_steps=2))
print(found.ok.tolist())
"""


@pytest.mark.slow
def test_a_numba_whose_internals_moved_is_done_without():
    done = subprocess.run([sys.executable, "-c", BROKEN_IMPORT], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[True]"
    assert done.stderr.count("XLA solves instead") == 1


COUNT = """
import numpy as np
from loce_jax.solver.cpu.overlap_counts import count_overlap, count_pixels
count_overlap(np.ones((1, 1)), np.ones((2, 2), bool))
print(sum(count_pixels.stats.cache_hits.values()))
"""


@pytest.mark.slow
def test_machine_code_is_compiled_anew_after_a_change_of_any_source(tmp_path):
    """Also of a file that the function, whose code is stored, does not stand in."""
    shutil.copytree(Path(loce_jax.__file__).parent, tmp_path / "loce_jax", ignore=shutil.ignore_patterns("__pycache__"))
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}

    def hits():
        command = [sys.executable, "-c", COUNT]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert [hits(), hits()] == [0, 1]
    with (tmp_path / "loce_jax" / "solver" / "losses.py").open("a") as file:
        file.write("\nTHREE = 3\n")
    assert hits() == 0


def test_all_that_is_compiled_is_among_the_sources_whose_digest_is_taken():
    modules = [importlib.import_module(f"{cpu.__name__}.{one.name}") for one in pkgutil.iter_modules(cpu.__path__)]
    compiled = [value for module in modules for value in vars(module).values() if isinstance(value, Dispatcher)]
    assert len(compiled) > 20
    assert {Path(one.py_func.__code__.co_filename).resolve() for one in compiled} <= {p.resolve() for p in SOURCES}
