"""Batched Newton with active-set compaction: the solutions of single rows, and finished rows cost nothing."""

from collections import Counter

import jax
import numpy as np
import pytest

from loce_jax import RidgeRecipe, Statistics, Status, solve
from loce_jax.solver import xla as devices
from loce_jax.solver.ridge.objective import Config
from loce_jax.solver.ridge.row import RowSolver
from loce_jax.solver.xla import solve_by_xla

IMAGES, CONCEPTS, TARGET = 40, 3, (20, 20)
RIDGE = RidgeRecipe(0.01)


@pytest.fixture(params=[6, 40], ids=["few_channels", "many_channels"])
def batch(request, monkeypatch):
    """Squares in noise; image 7 is far from all others and takes many steps."""
    rng = np.random.default_rng(0)
    activations = rng.normal(size=(IMAGES, 5, 6, request.param)).astype("float32")
    statistics = Statistics.of(activations)
    activations[7] *= 50
    masks = np.zeros((IMAGES, CONCEPTS, *TARGET), "float32")
    for mask in masks.reshape(-1, *TARGET):
        top, left, side = rng.integers(0, 10), rng.integers(0, 10), rng.integers(3, 10)
        mask[top : top + side, left : left + side] = 1
    monkeypatch.setattr(devices, "_images_per_iteration", lambda: 32)  # and a rest of eight images
    jax.clear_caches()  # of programs with other numbers of rows side by side
    yield activations, masks, statistics
    jax.clear_caches()


def solve_compacted(activations, masks, statistics, valid):
    config = Config.of(statistics, RIDGE)
    nothing = np.zeros(activations.shape[-1], "float32")
    return solve_by_xla((activations, masks, valid, nothing), RidgeRecipe(), config)


@pytest.mark.slow
def test_compacted_rows_have_the_solutions_that_they_have_alone(batch):
    activations, masks, statistics = batch
    activations[3, 1, 1, 1] = np.nan
    activations[4] *= 1e30
    masks[5, 1], masks[6, 2] = 0, 1
    valid = np.ones((IMAGES, CONCEPTS), bool)
    valid[9, 1:] = False
    alone = solve(activations, masks, RIDGE, statistics=statistics, valid=valid)
    compacted = solve_compacted(activations, masks, statistics, valid)
    assert compacted.status.tolist() == alone.status.tolist()
    assert Counter(np.asarray(compacted.status).ravel().tolist()) == {
        Status.OK: IMAGES * CONCEPTS - 10,
        Status.NONFINITE: 6,
        Status.MASK_EMPTY: 1,
        Status.MASK_FULL: 1,
        Status.PADDING: 2,
    }
    assert compacted.convergence is not None and alone.convergence is not None
    others = np.arange(IMAGES) != 7  # rounding, so the processor, decides whether 7 converges within the limit of steps
    assert np.array_equal(compacted.convergence.converged[others], compacted.ok[others])
    assert np.array_equal(alone.convergence.converged[others], alone.ok[others])
    lengths = np.linalg.norm(alone.vectors, axis=-1)
    apart = np.linalg.norm(compacted.vectors - alone.vectors, axis=-1)
    assert np.array_equal(np.isnan(apart), ~alone.ok)
    assert (apart <= 1e-4 * lengths)[np.asarray(alone.ok)].all()  # ten times the tolerance
    assert (np.isnan(compacted.vectors).all(axis=-1) == ~compacted.ok).all()


@pytest.mark.slow
def test_rows_that_are_finished_stop_costing(batch, monkeypatch):
    activations, masks, statistics = batch
    computed = []
    step = RowSolver.step

    def counted(self, features, row, state):
        jax.debug.callback(lambda _: computed.append(1), state.steps)
        return step(self, features, row, state)

    monkeypatch.setattr(RowSolver, "step", counted)
    found = solve_compacted(activations, masks, statistics, np.ones((IMAGES, CONCEPTS), bool))
    jax.effects_barrier()
    assert found.convergence is not None
    steps = np.asarray(found.convergence.steps)
    assert np.argmax(steps.max(axis=1)) == 7 and steps.max() > 3 * np.median(steps)
    together = 32 * CONCEPTS * steps[:32].max() + 8 * CONCEPTS * steps[32:].max()  # if rows waited for the slowest
    assert steps.sum() <= len(computed) < together / 2
