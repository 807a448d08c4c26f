"""What holds for the dictionaries of every method: cells, maps, reconstruction, notes, refusals."""

import numpy as np
import pytest

from loce_jax.checks import InputError
from loce_jax.concepts.blocks import ArrayBlocks
from loce_jax.concepts.evaluation.evaluate import evaluate
from loce_jax.concepts.factors.cells import FactorOptions, gather_cells
from loce_jax.concepts.factors.fit import fit
from loce_jax.concepts.factors.kmeans import KMeansOptions
from loce_jax.concepts.factors.nmf import NMFOptions
from loce_jax.concepts.factors.pca import PCAOptions
from loce_jax.resampling import resize_bilinear
from tests.concepts.factors.planted import sparse_parts

METHODS = [NMFOptions(components=3), PCAOptions(components=3), KMeansOptions(components=3)]
CELLS, PARTS, CODES = sparse_parts(0)
LAYER = CELLS.reshape(10, 6, 10, 12)


@pytest.mark.parametrize("options", METHODS)
def test_maps_are_resized_codes(options):
    found = fit(LAYER, options)
    maps = np.asarray(found.maps(LAYER, (9, 20)))
    assert maps.shape == (10, 3, 9, 20) and maps.min() >= 0 and maps.max() <= 1
    for k in range(3):
        codes = found.encode(LAYER)[..., k].astype(float)
        scale = np.percentile(codes[codes > 0], 99)
        np.testing.assert_allclose(maps[:, k], resize_bilinear(np.clip(codes / scale, 0, 1), (9, 20)), atol=1e-5)


@pytest.mark.parametrize("options", METHODS)
def test_reconstruction_is_that_of_loops(options):
    found = fit(CELLS, options)
    new = sparse_parts(1)[0][:40]
    mean, left, total, back = new.astype(float).mean(axis=0), 0.0, 0.0, np.zeros(12)
    for cell, code in zip(new.astype(float), found.encode(new).astype(float), strict=True):
        back = found.coder.offset + sum(code[k] * found.atoms[k].astype(float) for k in range(3))
        left, total = left + ((cell - back) ** 2).sum(), total + ((cell - mean) ** 2).sum()
    measured = found.reconstruct(new.reshape(4, 2, 5, 12))
    np.testing.assert_allclose([measured.error, measured.explained_variance], [left**0.5, 1 - left / total], atol=1e-5)
    np.testing.assert_allclose(found.decode(found.encode(new))[-1], back, atol=1e-4)


def test_blocks_and_arrays_have_the_same_cells():
    masks = np.ones((10, 1, 2, 2), bool)
    for most in (1000, 100):
        options = FactorOptions(max_cells=most, seed=3)
        array, blocks = (gather_cells(one, options) for one in (LAYER, ArrayBlocks(LAYER, masks, 3)))
        np.testing.assert_array_equal(array.rows, blocks.rows)
        assert array.available == blocks.available == 600 and len(array.rows) == min(most, 600)
    other = gather_cells(LAYER, FactorOptions(max_cells=100, seed=4)).rows
    assert not np.array_equal(array.rows, other)


def test_a_part_of_the_cells_is_named_in_the_notes():
    found = fit(LAYER, NMFOptions(components=3, max_cells=200, seed=5))
    assert found.notes == ("200 of 600 cells, drawn with seed 5",)


def test_dictionaries_are_evaluated_like_any_concepts():
    masks = (CODES > 0.5).reshape(10, 6, 10, 3).transpose(0, 3, 1, 2)
    found = fit(LAYER, METHODS[0])
    order = (PARTS @ found.atoms.T).argmax(axis=0)
    table = evaluate(found, ArrayBlocks(LAYER, masks[:, order]))
    assert (table.average_precision.value > 0.99).all()  # but for codes above the 99th percentile, which are cut
    assert table.names == ("nmf 0", "nmf 1", "nmf 2")


@pytest.mark.parametrize(
    ("activations", "options", "words"),
    [
        (np.full((4, 3), np.nan), METHODS[1], "`activations` must be finite"),
        (np.full((4, 3), 1e39), METHODS[1], "`activations` must be finite"),
        (np.ones((4, 3)), METHODS[1], "must differ from cell to cell"),
        (np.ones((2, 4, 3)), METHODS[1], r"\[n gh gw c\].* or \[m c\]"),
        (iter([]), METHODS[1], "used up after once"),
        (LAYER, FactorOptions(), "must be those of a method, NMFOptions"),
    ],
)
def test_what_cannot_be_fitted_is_refused(activations, options, words):
    with pytest.raises(InputError, match=words):
        fit(activations, options)


def test_activations_of_another_layer_are_refused():
    with pytest.raises(InputError, match="must have 12 channels last"):
        fit(CELLS, METHODS[0]).encode(LAYER[..., :5])


@pytest.mark.parametrize("fields", [{"components": 0}, {"max_cells": 0}])
def test_options_are_checked(fields):
    with pytest.raises(InputError, match="at least 1"):
        NMFOptions(**fields)
