"""All distances between vectors."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from loce_jax.analysis.neighbors.pairs import pair_distances

RNG = np.random.default_rng(0)
CLOUDS = {
    "spread": RNG.normal(size=(1100, 30)),  # more than two blocks
    "far from zero": RNG.normal(size=(40, 5)) + 1e6,
    "one tight group": np.concatenate([1 + 1e-6 * RNG.normal(size=(60, 8)), 100 * RNG.normal(size=(20, 8))]),
    "float32, several the same": np.repeat(RNG.normal(size=(20, 6)).astype("float32"), 3, axis=0),
    "two": RNG.normal(size=(2, 3)),
    "one": RNG.normal(size=(1, 3)),
}


@pytest.mark.parametrize("vectors", CLOUDS.values(), ids=CLOUDS)
def test_is_scipys(vectors):
    found, expected = pair_distances(vectors), pdist(vectors.astype("float64"))
    np.testing.assert_allclose(found, expected, rtol=1e-12)  # the docstring's; SciPy subtracts every pair
    np.testing.assert_array_equal(found == 0, expected == 0)  # the same vector has distance 0
