"""The ridge recipe on an accelerator: rows side by side, in rounds with fewer and fewer of them.

Rows in one program step together, so the last would make all others step on.  Each round ends when no more rows are
unfinished than the next has places for; these are gathered there, and what is finished costs no more.
Letters: n images, k concepts an image, r places in a round.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from loce_jax.solver.ridge.newton import Features, Progress, Ridge, Row
from loce_jax.solver.solution import Solution

SHRINK = 4  # rows of a round for each of the next
LEAST = 16  # rows that are not worth another round


def solve_in_rounds(
    ridge: Ridge, features: Features, targets: Float[Array, "n k H W"], valid: Bool[Array, "n k"]
) -> Solution:
    """Solve for every target; the features have a leading axis of images."""
    rows = _each(ridge.pose)(features, targets, valid)
    done = _finish(ridge, features, rows, _each(ridge.begin)(features, rows))
    return _each(ridge.conclude)(features, rows, done)


def _each(function):
    """`function` of features and of one row's things, mapped over images and over concepts that share an image's."""

    def image(features, *rows):
        return jax.vmap(lambda *row: function(features, *row))(*rows)

    return jax.vmap(image)


def _finish(ridge: Ridge, features: Features, rows: Row, progress: Progress) -> Progress:
    """Step on until all rows are finished, the last of them in rounds of their own."""
    n, k = rows.status.shape
    places = n * k // SHRINK if n * k >= SHRINK * LEAST else 0

    def advance(features, row, now):
        return jax.tree.map(
            lambda old, new: jnp.where(now.unfinished, new, old), now, ridge.advance(features, row, now)
        )

    def too_many(now):
        return jnp.sum(now.unfinished) > places

    progress = jax.lax.while_loop(too_many, lambda now: _each(advance)(features, rows, now), progress)
    if not places:
        return progress
    image, concept = jnp.divmod(jnp.argsort(~progress.unfinished.ravel())[:places], k)
    part = jax.tree.map(lambda leaf: leaf[image], features)
    few = jax.tree.map(lambda leaf: leaf[image, concept][:, None], (rows, progress))
    finished = _finish(ridge, part, *few)
    return jax.tree.map(lambda whole, few: whole.at[image, concept].set(few[:, 0]), progress, finished)
