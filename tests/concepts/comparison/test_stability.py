"""Stability over seeds: matched cosines, found parts that come again, and noise that does not."""

import itertools

import numpy as np
import pytest

from loce_jax.checks import InputError
from loce_jax.concepts.comparison.stability import matched_cosines, stability
from loce_jax.concepts.factors.kmeans import KMeansOptions
from loce_jax.concepts.factors.nmf import NMFOptions
from tests.concepts.factors.planted import clusters, sparse_parts


def test_matched_cosines_are_the_best_of_all_pairings():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(4, 6)), rng.normal(size=(4, 6))

    def cosine(a, b):
        return a @ b / np.sqrt((a @ a) * (b @ b))

    sums = [sum(cosine(first[i], second[p[i]]) for i in range(4)) for p in itertools.permutations(range(4))]
    np.testing.assert_allclose(matched_cosines(first, second).sum(), max(sums))
    np.testing.assert_allclose(matched_cosines(first, first[[2, 0, 3, 1]]), 1)


def test_planted_parts_come_again_from_random_starts():
    found = stability(sparse_parts(0)[0], NMFOptions(components=3, init="random"))
    assert found.mean > 0.99 and found.between.shape == (3, 3)
    found = stability(clusters(0)[0], KMeansOptions(components=4, max_cells=150), seeds=(3, 4))
    assert found.mean > 0.99 and len(found.dictionaries) == 2


def test_noise_does_not_come_again():
    noise = np.random.default_rng(0).normal(size=(200, 20))
    assert stability(noise, KMeansOptions(components=5, max_cells=100)).mean < 0.8


def test_one_seed_is_refused():
    with pytest.raises(InputError, match="at least two different ones"):
        stability(np.eye(3), KMeansOptions(components=2), seeds=(1, 1))
