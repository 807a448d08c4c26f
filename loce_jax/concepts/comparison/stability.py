"""Whether a method finds the same components again: with other seeds, or on other images.

Shapes: k and m components, c channels, p pairs, s seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Float

from loce_jax.analysis.vectors import unit_rows
from loce_jax.checks import InputError
from loce_jax.concepts.comparison.matching import match
from loce_jax.concepts.factors.cells import FactorOptions
from loce_jax.concepts.factors.dictionary import Dictionary
from loce_jax.concepts.factors.fit import fit


@dataclass(frozen=True, eq=False)
class Stability:
    """What `stability` found.

    Attributes:
        mean: mean cosine of matched components over all pairs of runs; 1 is best.  Non-negative components of NMF and
            centroids have cosines above 0 without being the same ones.
        between: of runs i and j, 1 on the diagonal.
        dictionaries: one a seed.
    """

    mean: float
    between: Float[np.ndarray, "s s"]
    dictionaries: tuple[Dictionary, ...]


def matched_cosines(first: Float[np.ndarray, "k c"], second: Float[np.ndarray, "m c"]) -> Float[np.ndarray, " p"]:
    """Cosines of components paired one to one so that their sum is largest (Kuhn 1955).

    >>> matched_cosines(np.eye(2, 3), 5 * np.eye(2, 3)[::-1]).tolist()
    [1.0, 1.0]
    """
    cosines = unit_rows(first) @ unit_rows(second).T
    pairs = match(cosines)
    return cosines[pairs[:, 0], pairs[:, 1]]


def stability(activations: Any, options: FactorOptions, seeds: Sequence[int] = (0, 1, 2)) -> Stability:
    """Fit with several seeds and compare the components of every two runs by the mean of `matched_cosines`.

    A seed decides which cells are drawn, where there are more than ``options.max_cells``, and random starts.  NMF
    that starts from "nndsvda" on all cells, and PCA, hardly depend on it: to see what other images change, fit on
    halves (`loce_jax.concepts.evaluation.split.fit_on_halves`).  Components that are never active are left out.

    Args:
        activations: see `loce_jax.concepts.factors.fit.fit`.
        options: of a method; their seed is not used.
        seeds: at least two.

    >>> from loce_jax.concepts.factors.pca import PCAOptions
    >>> cells = np.random.default_rng(0).normal(size=(50, 3)) * [3, 2, 1]
    >>> round(stability(cells, PCAOptions(components=2)).mean, 6)
    1.0
    """
    if len(set(seeds)) < 2:
        raise InputError(f"`seeds` must be at least two different ones, to compare, but are {list(seeds)}.")
    found = tuple(fit(activations, replace(options, seed=seed)) for seed in seeds)
    alive = [dictionary.atoms[dictionary.activity > 0] for dictionary in found]
    between = np.eye(len(found))
    for i, j in combinations(range(len(found)), 2):
        between[i, j] = between[j, i] = matched_cosines(alive[i], alive[j]).mean()
    return Stability(float(between[np.triu_indices(len(found), 1)].mean()), between, found)
