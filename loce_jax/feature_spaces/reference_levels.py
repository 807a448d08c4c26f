"""What similarity of feature spaces is worth: levels above, from fits that differ in nothing that matters, and below.

Shapes: n held-out images, k concepts, h x w cells of maps.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Shaped

from loce_jax.analysis.tables import Table
from loce_jax.checks import InputError
from loce_jax.concepts.comparison.feature_similarity import feature_similarity
from loce_jax.concepts.comparison.references import other_images, random_concepts, shuffled_similarity
from loce_jax.concepts.comparison.similarity import MEASURES, Measure, mean_of_pairs, similarity_matrices
from loce_jax.feature_spaces.layer_space import Maps, Space, best_row, networks_of

MEASURE: Measure = "set_iou"
COLUMNS = ("what", "of", "set IoU", "linear CKA", "RSA")
HALVES = "vectors found on two halves of the images"
SEEDS = "vectors found with another seed"
NO_SEED = f"{SEEDS}: the method has none"
RANDOM = "random vectors of the same areas"
SHUFFLED = "the layer itself on other images"
FEATURE_DRAWS = 5  # shuffles for CKA and RSA, of whose thousand cells each has half a million distances


def reference_levels(spaces: Sequence[Space], groups: Shaped[np.ndarray, " n"], *, seed: int, draws: int) -> Table:
    """Reference levels at each network's layer of the highest set IoU with the truth.

    Upper levels are two fits of the method on halves of the images, or with another seed; lower ones are random vectors
    and shuffled images.  Vectors make no difference to CKA and RSA, which have the last level only.

    Args:
        spaces: layers of one network or of several.
        groups: of the images; shuffles go over them.
        seed: of everything random but the methods.
        draws: shuffles for the set IoU; CKA and RSA are the means of 5.
    """
    best = [spaces[best_row(spaces, rows)] for rows in networks_of(spaces).values()]
    rows = [row for space in best for row in _rows(space, groups, seed, draws)]
    return Table("Similarity with itself: what can be had, and chance", COLUMNS, tuple(rows))


def check_draws(draws: int) -> None:
    """Raise `InputError` unless there is a shuffle."""
    if draws < 1:
        raise InputError(f"`draws` must be at least 1, because chance is a mean of shuffles, but got {draws}. Try 100.")


def _rows(space: Space, groups, seed: int, draws: int) -> Iterator[tuple]:
    yield _of_vectors(HALVES, space, _alike(*space.halves()))
    again = space.reseeded
    yield _of_vectors(SEEDS if again else NO_SEED, space, _alike(space.maps, again()) if again else np.nan)
    shares = space.shares[(space.shares > 0) & (space.shares < 1)]
    if len(shares):
        yield _of_vectors(RANDOM, space, _alike(*(_random_maps(space, shares, seed + i) for i in range(2))))
    shuffled = shuffled_similarity(space.maps, space.maps, groups=groups, draws=draws, seed=seed)
    yield (SHUFFLED, space.name, float(mean_of_pairs(shuffled[MEASURE])), *_shuffled_features(space, groups, seed))


def _of_vectors(what: str, space: Space, iou: float) -> tuple:
    return (what, space.name, iou, np.nan, np.nan)


def _alike(first: Maps, second: Maps) -> float:
    return float(mean_of_pairs(similarity_matrices(first, second)[MEASURES.index(MEASURE)].diagonal()))


def _random_maps(space: Space, shares, seed: int) -> Maps:
    found = random_concepts(space.activations, [""] * len(shares), shares, seed)
    return np.asarray(found.maps(space.activations, space.maps.shape[2:]))


def _shuffled_features(space: Space, groups, seed: int) -> tuple[float, float]:
    """Mean linear CKA and RSA of a layer with itself on other images."""
    layer, seeds = space.activations, range(seed, seed + FEATURE_DRAWS)
    found = [feature_similarity([layer, layer[other_images(groups, each)]], seed=seed) for each in seeds]
    return float(np.mean([one.cka[0, 1] for one in found])), float(np.mean([one.rsa[0, 1] for one in found]))
