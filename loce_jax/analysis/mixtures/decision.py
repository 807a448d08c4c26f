"""Decision regions: the concept whose mixture is densest at each point of a grid.

Shapes: n points, g points of a grid.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from loce_jax.analysis.mixtures.density import log_density
from loce_jax.analysis.mixtures.fit import Mixture
from loce_jax.checks import InputError


def decision_map(
    mixtures: Mapping[Any, Mixture],
    points: Float[np.ndarray, "n 2"],
    *,
    priors: Mapping[Any, float | int] | None = None,
) -> Int[np.ndarray, " n"]:
    """Position in `mixtures` of the concept whose kept components are densest at each point, the first on ties.

    -1 where no concept has any density (none has components).

    Args:
        mixtures: by concept, from `fit_mixtures`.
        points: such as those of `make_grid`.
        priors: how frequent each concept is, in any unit, above 0.  None counts all alike, as the paper does; with the
            counts of the concepts the map is the Bayes decision.

    >>> from loce_jax.analysis.mixtures.fit import fit_mixtures
    >>> two = fit_mixtures(np.array([[0.0, 0.0], [0.0, 1.0], [9.0, 0.0], [9.0, 1.0]]), ["cat", "cat", "dog", "dog"])
    >>> decision_map(two, np.array([[1.0, 0.0], [8.0, 0.0]]))
    array([0, 1])
    """
    missing = [] if priors is None else [concept for concept in mixtures if not priors.get(concept, 0) > 0]
    if missing:
        raise InputError(f"`priors` must hold a number above 0 for every concept, but lacks {missing}. Give its count.")
    if not mixtures:
        return np.full(len(points), -1)
    densities = np.stack([log_density(mixture.kept, points) for mixture in mixtures.values()])
    if priors is not None:
        densities += np.log([[priors[concept]] for concept in mixtures])
    return np.where(np.isneginf(densities).all(axis=0), -1, densities.argmax(axis=0))


def make_grid(points: Float[np.ndarray, "n 2"], steps: int = 200, *, margin: float = 1.0) -> Float[np.ndarray, "g 2"]:
    """`steps` x `steps` points over the bounding box of `points` and `margin` around it, the first coordinate fastest.

    ``decision_map(..., make_grid(points)).reshape(steps, steps)`` is an image whose rows are the second coordinate,
    upwards.

    >>> make_grid(np.array([[0.0, 0.0], [1.0, 2.0]]), 2, margin=0.0).tolist()
    [[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [1.0, 2.0]]
    """
    if not len(points):
        raise InputError("`points` must hold at least one point, because a grid spans them, but got none. Draw no map.")
    low, high = points.min(axis=0).astype(np.float64) - margin, points.max(axis=0).astype(np.float64) + margin
    x, y = np.meshgrid(*np.linspace(low, high, steps).T)
    return np.column_stack([x.ravel(), y.ravel()])
