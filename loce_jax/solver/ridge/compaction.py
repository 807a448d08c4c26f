"""The ridge recipe on an accelerator: batched Newton with active-set compaction.

The rows of a batch step together until at most a quarter of them is unfinished; these are gathered into a smaller
batch, which goes on alone, and so on.  So a row that needs many steps does not make all others wait.
Shapes: n images, k concepts per image.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from loce_jax.solver.ridge.newton import State
from loce_jax.solver.ridge.objective import Features
from loce_jax.solver.ridge.row import Row, RowSolver
from loce_jax.solver.solution import Solution

SHRINK = 4  # rows of a batch for each of the next
MIN_ROWS = 16  # a batch of fewer is not worth its program


def solve_compacted(
    solver: RowSolver, features: Features, targets: Float[Array, "n k H W"], valid: Bool[Array, "n k"]
) -> Solution:
    """Solve for every target; the features have a leading axis of images."""
    rows = _map_rows(solver.prepare)(features, targets, valid)
    state = _minimize(solver, features, rows, _map_rows(solver.init)(features, rows))
    return _map_rows(solver.finalize)(features, rows, state)


def _map_rows(function):
    """`function` of an image's features and of one row's values, mapped over images and their concepts."""

    def image(features, *rows):
        return jax.vmap(lambda *row: function(features, *row))(*rows)

    return jax.vmap(image)


def _minimize(solver: RowSolver, features: Features, rows: Row, state: State) -> State:
    """Steps until all rows are finished, the last of them in smaller batches."""
    n, k = rows.status.shape
    capacity = n * k // SHRINK if n * k >= SHRINK * MIN_ROWS else 0

    def step(features, row, now):
        return jax.tree.map(lambda old, new: jnp.where(now.unfinished, new, old), now, solver.step(features, row, now))

    def too_many(now):
        return jnp.sum(now.unfinished) > capacity

    state = jax.lax.while_loop(too_many, lambda now: _map_rows(step)(features, rows, now), state)
    if not capacity:
        return state
    image, concept = jnp.divmod(jnp.argsort(~state.unfinished.ravel())[:capacity], k)
    part = jax.tree.map(lambda leaf: leaf[image], features)
    active = jax.tree.map(lambda leaf: leaf[image, concept][:, None], (rows, state))
    finished = _minimize(solver, part, *active)
    return jax.tree.map(lambda whole, some: whole.at[image, concept].set(some[:, 0]), state, finished)
