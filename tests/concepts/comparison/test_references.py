"""Random vectors as a reference level: shares, directions, and what is refused."""

import numpy as np
import pytest

from loce_jax.checks import InputError
from loce_jax.concepts.comparison.references import random_concepts

CELLS = np.random.default_rng(0).gamma(1, size=(10, 5, 5, 4)).astype("f4")


def test_random_concepts_cover_as_many_cells_as_the_true_ones():
    found = random_concepts(CELLS, list("abc"), np.array([0.02, 0.3, 0.9]), seed=1)
    covered = (np.asarray(found.logits(CELLS)) > 0).mean(axis=(0, 2, 3))
    np.testing.assert_allclose(covered, [0.02, 0.3, 0.9], atol=1.5 / 250)  # a cell of 250, and the ends
    assert found.ok.all() and found.method == "random"


def test_directions_are_uniform_and_of_the_seed():
    names = [str(number) for number in range(400)]
    vectors = random_concepts(CELLS, names, np.full(400, 0.5)).vectors
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(vectors.mean(axis=0), 0, atol=0.1)  # 4 standard deviations of sqrt(1/4/400)
    assert (random_concepts(CELLS, names, np.full(400, 0.5), seed=1).vectors != vectors).any()


@pytest.mark.parametrize("shares", [[0.5], [0.0, 0.5], [0.5, 1.0]])
def test_impossible_shares_are_refused(shares):
    with pytest.raises(InputError, match="`shares` must"):
        random_concepts(CELLS, ["a", "b"], np.array(shares))
