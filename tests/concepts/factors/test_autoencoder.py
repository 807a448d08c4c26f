"""The TopK sparse autoencoder: codes against loops, planted directions, seeds, dead components."""

from dataclasses import replace

import numpy as np
import pytest

from loce_jax.checks import InputError
from loce_jax.concepts.factors.autoencoder import AutoencoderOptions
from loce_jax.concepts.factors.fit import fit
from tests.concepts.factors.planted import best_cosines, sparse_codes

# One set of options and one size of cells: training is compiled once, for some seconds, for all fast tests.
OPTIONS = AutoencoderOptions(components=32, active=4, steps=150, batch_size=64, dead_after=20)


@pytest.fixture(scope="module")
def fitted():
    cells, _ = sparse_codes(0, cells=600)
    return cells, fit(cells, OPTIONS)


def test_codes_are_those_of_the_formula(fitted):
    cells, found = fitted
    weights = found.coder.weights
    for cell, code in zip(cells[:30].astype(float), found.encode(cells[:30]), strict=True):
        scaled = (cell - found.coder.mean) / found.coder.scale - weights.decoder_bias
        responses = [scaled @ weights.encoder[:, k] + weights.encoder_bias[k] for k in range(32)]
        expected = np.zeros(32)
        for k in sorted(range(32), key=lambda k: -responses[k])[:4]:
            expected[k] = max(responses[k], 0) * found.coder.scale
        np.testing.assert_allclose(code, expected, atol=1e-5)
    assert ((found.encode(cells) > 0).sum(axis=1) <= 4).all()


def test_columns_of_the_decoder_have_norm_1_and_no_code_is_the_mean(fitted):
    cells, found = fitted
    np.testing.assert_allclose(np.linalg.norm(found.atoms, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(found.coder.mean, cells.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(found.decode(np.zeros(32)), found.coder.offset)


def test_dead_components_are_reported(fitted):
    _, found = fitted
    dead = int((found.activity == 0).sum())
    assert any("never active" in note for note in found.notes) == bool(dead)
    assert np.isnan(found.scales).sum() == dead


def test_training_lowers_the_error(fitted):
    _, found = fitted
    assert found.reconstruction.explained_variance > 0.8


def test_seeds_are_explicit(fitted):
    cells, found = fitted
    np.testing.assert_array_equal(fit(cells, OPTIONS).atoms, found.atoms)
    assert (fit(cells, replace(OPTIONS, seed=1)).atoms != found.atoms).any()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_planted_directions_are_found(seed):
    """All 16 by twice as many components, in six data sets from six starts: no lucky one; three seconds each."""
    cells, directions = sparse_codes(seed)
    options = AutoencoderOptions(components=32, active=4, steps=1000, batch_size=256, seed=seed)
    found = fit(cells, options)
    assert (best_cosines(found.atoms[found.activity > 0], directions) >= 0.99).all()
    assert found.reconstruction.explained_variance > 0.95


@pytest.mark.parametrize("fields", [{"active": 0}, {"active": 65}, {"steps": 0}])
def test_impossible_options_are_refused(fields):
    with pytest.raises(InputError, match="`active` must be from 1"):
        AutoencoderOptions(**fields)
