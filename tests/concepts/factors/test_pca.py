"""PCA: the spectrum of a float64 covariance, planted directions, and codes that a rotation leaves alone."""

import numpy as np
import pytest

from loce_jax.checks import InputError
from loce_jax.concepts.factors.fit import fit
from loce_jax.concepts.factors.pca import PCAOptions
from tests.concepts.factors.planted import best_cosines, orthogonal, rotation

OPTIONS = PCAOptions(components=3)


@pytest.mark.parametrize("seed", range(3))
def test_planted_directions_are_found_on_the_side_they_point_to(seed):
    cells, directions = orthogonal(seed)
    assert (best_cosines(fit(cells, OPTIONS).atoms, directions) >= 0.99).all()


def test_it_is_the_spectrum_of_the_covariance():
    cells, _ = orthogonal(0)
    found = fit(cells, OPTIONS)
    variances, vectors = np.linalg.eigh(np.cov(cells.astype(float), rowvar=False))
    np.testing.assert_allclose(np.abs((found.atoms * vectors[:, :-4:-1].T).sum(axis=1)), 1, atol=1e-5)
    explained = variances[-3:].sum() / variances.sum()
    np.testing.assert_allclose(found.reconstruction.explained_variance, explained, atol=1e-5)
    np.testing.assert_allclose(found.atoms @ found.atoms.T, np.eye(3), atol=1e-5)
    np.testing.assert_allclose(found.decode(found.encode(cells)).mean(axis=0), cells.mean(axis=0), rtol=1e-4)


def test_rotated_copies_have_the_same_codes_and_maps():
    cells, _ = orthogonal(0)
    layer = cells.reshape(20, 5, 5, 10)
    turned = (layer.astype(float) @ rotation(1, 10)).astype("f4")
    first, second = fit(layer, OPTIONS), fit(turned, OPTIONS)
    np.testing.assert_allclose(first.encode(layer), second.encode(turned), atol=2e-4)  # float32, codes up to 60
    np.testing.assert_allclose(first.maps(layer, (8, 8)), second.maps(turned, (8, 8)), atol=1e-4)


def test_more_components_than_there_are_directions_are_refused():
    with pytest.raises(InputError, match="at most 2 for 3 cells"):
        fit(np.eye(3), PCAOptions(components=3))
