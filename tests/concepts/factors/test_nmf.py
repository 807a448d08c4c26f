"""NMF: scikit-learn's error, codes of exact least squares, planted parts, and negative activations."""

from typing import Any

import numpy as np
import pytest
from scipy.optimize import nnls
from sklearn.decomposition import NMF

from loce_jax.checks import InputError
from loce_jax.concepts.factors.fit import fit
from loce_jax.concepts.factors.nmf import NMFOptions
from tests.concepts.factors.planted import best_cosines, sparse_parts


@pytest.mark.parametrize("seed", range(3))
def test_planted_parts_are_found(seed):
    cells, parts, _ = sparse_parts(seed)
    found = fit(cells, NMFOptions(components=3))
    assert (best_cosines(found.atoms, parts) >= 0.99).all()
    assert found.reconstruction.explained_variance > 0.999 and not found.notes


@pytest.mark.parametrize("seed", range(3))
def test_its_error_is_that_of_scikit_learn(seed):
    """Within 1 %: the same descent, whose codes are then solved to the end with the parts fixed."""
    cells = np.random.default_rng(seed).gamma(1, size=(200, 9)).astype("f4")
    kind: Any = NMF  # annotated with texts alone
    model = kind(4, init="nndsvda", random_state=0, max_iter=500).fit(cells)
    found = fit(cells, NMFOptions(components=4))
    assert abs(found.reconstruction.error / model.reconstruction_err_ - 1) < 0.01


def test_codes_of_new_cells_are_those_of_non_negative_least_squares():
    cells, _, _ = sparse_parts(0)
    found = fit(cells, NMFOptions(components=3))
    new = np.random.default_rng(1).gamma(1, size=(20, 12)).astype("f4")
    expected = [nnls(found.atoms.T.astype(float), cell.astype(float))[0] for cell in new]
    np.testing.assert_allclose(found.encode(new), expected, atol=2e-4)  # the descent stops at 1e-6 of its first step


def test_negative_activations_are_refused_with_the_cure_or_clipped_with_a_note():
    cells, parts, _ = sparse_parts(0)
    cells = cells - 0.01
    with pytest.raises(InputError, match=r"must not be negative.*negative='clip'"):
        fit(cells, NMFOptions(components=3))
    found = fit(cells, NMFOptions(components=3, negative="clip"))
    assert (best_cosines(found.atoms, parts) >= 0.99).all()
    assert any("were negative and set to 0" in note for note in found.notes)
    plain = fit(sparse_parts(0)[0], NMFOptions(components=3))
    with pytest.raises(InputError, match="must not be negative"):
        plain.encode(-np.ones((2, 12)))


def test_a_fit_that_ends_early_says_so():
    cells = np.random.default_rng(0).gamma(1, size=(200, 9)).astype("f4")
    assert "not converged after 2 iterations" in fit(cells, NMFOptions(components=4, iterations=2)).notes


@pytest.mark.parametrize(
    ("cells", "components", "words"),
    [(np.eye(3), 4, "at most 3 for 3 cells"), (-np.eye(3), 2, "must have positive numbers")],
)
def test_what_cannot_be_factorized_is_refused(cells, components, words):
    with pytest.raises(InputError, match=words):
        fit(cells, NMFOptions(components=components, negative="clip"))
