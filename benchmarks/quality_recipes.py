"""The recipes that `bench_quality` compares: one function each, a `Task` in, `LoCEs` out.

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

PHOTOS_PER_CONCEPT = 12  # that one vector per concept is fitted to


@dataclass(frozen=True, eq=False)
class Task:
    """One layer's activations, the rows to fit there, and the statistics that whiten the activations."""

    activations: Float[np.ndarray, "n h w c"]
    rows: Rows
    statistics: Statistics


@dataclass(frozen=True, eq=False)
class LoCEs:
    """A vector and a response per row; no vectors where a recipe fits none per row.

    The predicted mask is ``response > 0``.  A row that cannot be solved holds NaN.
    """

    vectors: Float[np.ndarray, "r c"] | None
    responses: Float[np.ndarray, "r h w"]


Recipe = Callable[[Task], LoCEs]


def paper(task: Task) -> LoCEs:
    """The paper's recipe."""
    return _solve(solve, task)


def paper_by_mean(task: Task) -> LoCEs:
    """The paper's with ``alpha = 1 - mean(target)``, where the paper has the share of pixels where the target is 0.

    The objective's derivative in a pixel is ``1 - alpha - target``, linear in the target.  So targets that are scaled
    by ``(1 - alpha) / mean(target)`` give the paper's objective a derivative that is proportional to
    ``mean(target) - target``, the one wanted; AdamW is invariant to the gradient's scale.  Scaled targets exceed 1,
    which is why `solve` is called inside `jit`, where it checks no values.
    """
    targets = task.rows.targets
    nonzero = (targets > 0).mean(axis=(1, 2), keepdims=True)
    scaled = targets * nonzero / np.maximum(targets.mean(axis=(1, 2), keepdims=True), 1e-9)
    return _solve(jax.jit(solve), replace(task, rows=replace(task.rows, targets=scaled)))


def paper_whitened(options: RidgeRecipe) -> Recipe:
    """The paper's LoCEs in ridge's whitened coordinates: the part of the difference that these alone make."""

    def find(task: Task) -> LoCEs:
        found = paper(task)
        matrix = task.statistics.whitening(options.whitening).matrix
        return LoCEs(np.linalg.solve(matrix, np.asarray(found.vectors, np.float64).T).T, found.responses)

    return find


def ridge(options: RidgeRecipe) -> Recipe:
    """The ridge recipe with these options."""
    return lambda task: _solve(ft.partial(solve, recipe=options, statistics=task.statistics), task)


def _solve(solver, task: Task) -> LoCEs:
    """All rows; the rows of a photo are one batch entry, padded."""
    photos, targets = task.rows.photos, task.rows.targets  # photos ascend
    slots = np.arange(len(photos)) - np.searchsorted(photos, photos)
    size = len(task.activations), slots.max() + 1
    masks, valid = np.zeros((*size, *targets.shape[1:]), np.float32), np.zeros(size, bool)
    masks[photos, slots], valid[photos, slots] = targets, True
    solution = solver(task.activations, masks, valid=valid)
    return LoCEs(np.asarray(solution.vectors)[photos, slots], np.asarray(solution.responses)[photos, slots])


def mean_difference(task: Task) -> LoCEs:
    """Closed form on whitened activations: mean inside the mask minus mean outside; zero is midway between them."""
    cells = task.statistics.whitening(1.0)(task.activations)
    h, w, c = cells.shape[1:]
    shares = [bilinear_matrix(*ab) for ab in zip((h, w), task.rows.targets.shape[1:], strict=True)]
    vectors, responses = [], []
    for photo, target in zip(task.rows.photos, task.rows.targets, strict=True):
        features = np.asarray(cells[photo], np.float64).reshape(-1, c)
        inside, outside = (_mean(features, shares, part) for part in (target, 1 - target))
        vectors.append(inside - outside)
        responses.append(((features - (inside + outside) / 2) @ vectors[-1]).reshape(h, w))
    return LoCEs(np.array(vectors), np.array(responses))


def _mean(features, shares, mask):
    weights = (shares[0].T @ mask @ shares[1]).ravel()
    return weights @ features / weights.sum() if weights.any() else np.full(features.shape[1], np.nan)


def one_per_concept(options: RidgeRecipe) -> Recipe:
    """One ridge vector for all rows of a concept, fitted to half of the groups and tested on the other half.

    It is fitted to `PHOTOS_PER_CONCEPT` photos, evenly spaced and repeated where there are fewer, stacked to one tall
    image.  A row whose concept does not occur in the other half is NaN.
    """

    def find(task: Task) -> LoCEs:
        rows = task.rows
        n, h, w, c = task.activations.shape
        side = rows.targets.shape[1:]
        folds = np.unique(rows.groups, return_inverse=True)[1] % 2
        cells = task.statistics.whitening(options.whitening)(task.activations)
        responses = np.full((len(rows.photos), h, w), np.nan)
        for concept, fold in {(concept, fold) for concept in np.unique(rows.concepts) for fold in (0, 1)}:
            mine = rows.concepts == concept
            tested, fitted = np.flatnonzero(mine & (folds == fold)), np.flatnonzero(mine & (folds != fold))
            if not len(tested) or not len(fitted):
                continue
            fitted = fitted[np.linspace(0, len(fitted) - 1, min(PHOTOS_PER_CONCEPT, len(fitted))).astype(int)]
            fitted = np.resize(fitted, PHOTOS_PER_CONCEPT)
            tall = task.activations[rows.photos[fitted]].reshape(1, -1, w, c)
            masks = rows.targets[fitted].reshape(1, -1, side[1])
            found = solve(tall, masks, options, statistics=task.statistics)
            responses[tested] = cells[rows.photos[tested]] @ np.asarray(found.vectors[0]) + np.asarray(found.bias)
        return LoCEs(None, responses)

    return find
