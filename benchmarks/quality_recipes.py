"""The recipes that `bench_quality` compares: one function each, a `Task` in, a `Found` out.

Letters: n photos, r rows (a photo and a concept each), k rows of a photo, h x w grid cells, c channels, th x tw the
target's grid.
"""

import functools as ft
from collections.abc import Callable
from dataclasses import dataclass, replace

import jax
import numpy as np
from jaxtyping import Float
from quality_data import Rows

from loce_jax.recipes import RidgeRecipe
from loce_jax.resampling import bilinear_matrix
from loce_jax.solver import solve
from loce_jax.statistics import Statistics

TOGETHER = 12  # photos that one vector a concept is fitted to


@dataclass(frozen=True, eq=False)
class Task:
    """One layer's activations, what is to be found there, and the statistics that whiten it."""

    activations: Float[np.ndarray, "n h w c"]
    rows: Rows
    statistics: Statistics


@dataclass(frozen=True, eq=False)
class Found:
    """A vector and a response for each row; no vectors where a recipe has none for each row.

    The mask is ``response > 0``.  A row that cannot be solved holds NaN.
    """

    vectors: Float[np.ndarray, "r c"] | None
    responses: Float[np.ndarray, "r h w"]


Recipe = Callable[[Task], Found]


def paper(task: Task) -> Found:
    """The paper's."""
    return _solve(solve, task)


def paper_by_mean(task: Task) -> Found:
    """The paper's with ``alpha = 1 - mean(target)``, where the paper has the share of pixels where the target is 0.

    The objective's slope in a pixel is ``1 - alpha - target``, linear in the target.  So targets that are stretched by
    ``(1 - alpha) / mean(target)`` give the paper's objective a slope that is proportional to ``mean(target) - target``,
    the one wanted; AdamW does not see how large a slope is.  Stretched targets exceed 1, which is why `solve` is
    called inside `jit`, where it does not look at values.
    """
    targets = task.rows.targets
    touched = (targets > 0).mean(axis=(1, 2), keepdims=True)
    stretched = targets * touched / np.maximum(targets.mean(axis=(1, 2), keepdims=True), 1e-9)
    return _solve(jax.jit(solve), replace(task, rows=replace(task.rows, targets=stretched)))


def paper_turned(options: RidgeRecipe) -> Recipe:
    """The paper's LoCEs, compared in ridge's coordinates: how much of the difference do these make alone?"""

    def find(task: Task) -> Found:
        found = paper(task)
        matrix = task.statistics.whitening(options.whitening).matrix
        return Found(np.linalg.solve(matrix, np.asarray(found.vectors, np.float64).T).T, found.responses)

    return find


def ridge(options: RidgeRecipe) -> Recipe:
    """The ridge recipe with its numbers."""
    return lambda task: _solve(ft.partial(solve, recipe=options, statistics=task.statistics), task)


def _solve(solver, task: Task) -> Found:
    """All rows, those of a photo side by side."""
    photos, targets = task.rows.photos, task.rows.targets  # photos ascend
    places = np.arange(len(photos)) - np.searchsorted(photos, photos)
    size = len(task.activations), places.max() + 1
    masks, valid = np.zeros((*size, *targets.shape[1:]), np.float32), np.zeros(size, bool)
    masks[photos, places], valid[photos, places] = targets, True
    solution = solver(task.activations, masks, valid=valid)
    return Found(np.asarray(solution.vectors)[photos, places], np.asarray(solution.responses)[photos, places])


def mean_difference(task: Task) -> Found:
    """In closed form: whitened, the mean inside the mask less the mean outside; zero is half way between the two."""
    cells = task.statistics.whitening(1.0)(task.activations)
    h, w, c = cells.shape[1:]
    shares = [bilinear_matrix(*ab) for ab in zip((h, w), task.rows.targets.shape[1:], strict=True)]
    vectors, responses = [], []
    for photo, target in zip(task.rows.photos, task.rows.targets, strict=True):
        features = np.asarray(cells[photo], np.float64).reshape(-1, c)
        inside, outside = (_mean(features, shares, part) for part in (target, 1 - target))
        vectors.append(inside - outside)
        responses.append(((features - (inside + outside) / 2) @ vectors[-1]).reshape(h, w))
    return Found(np.array(vectors), np.array(responses))


def _mean(features, shares, mask):
    weights = (shares[0].T @ mask @ shares[1]).ravel()
    return weights @ features / weights.sum() if weights.any() else np.full(features.shape[1], np.nan)


def one_a_concept(options: RidgeRecipe) -> Recipe:
    """One ridge vector for all rows of a concept, fitted to half of the groups and tried on the other half.

    It is fitted to `TOGETHER` photos, evenly taken and repeated where there are fewer, laid below each other as one.
    A row whose concept the other half does not show is NaN.
    """

    def find(task: Task) -> Found:
        rows = task.rows
        n, h, w, c = task.activations.shape
        side = rows.targets.shape[1:]
        folds = np.unique(rows.groups, return_inverse=True)[1] % 2
        cells = task.statistics.whitening(options.whitening)(task.activations)
        responses = np.full((len(rows.photos), h, w), np.nan)
        for concept, fold in {(concept, fold) for concept in np.unique(rows.concepts) for fold in (0, 1)}:
            mine = rows.concepts == concept
            asked, shown = np.flatnonzero(mine & (folds == fold)), np.flatnonzero(mine & (folds != fold))
            if not len(asked) or not len(shown):
                continue
            shown = shown[np.linspace(0, len(shown) - 1, min(TOGETHER, len(shown))).astype(int)]
            shown = np.resize(shown, TOGETHER)
            tall = task.activations[rows.photos[shown]].reshape(1, -1, w, c)
            masks = rows.targets[shown].reshape(1, -1, side[1])
            found = solve(tall, masks, options, statistics=task.statistics)
            responses[asked] = cells[rows.photos[asked]] @ np.asarray(found.vectors[0]) + np.asarray(found.bias)
        return Found(None, responses)

    return find
