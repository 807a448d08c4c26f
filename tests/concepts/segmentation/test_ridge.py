"""Global ridge vectors against SciPy's minimum of the objective in float64, and what must not change them."""

import numpy as np
import pytest
from scipy.optimize import minimize

from loce_jax import InputError, RidgeRecipe, Statistics
from loce_jax.concepts.blocks import Block
from loce_jax.concepts.segmentation import ridge
from loce_jax.concepts.segmentation.ridge import BALANCED, fit_ridge
from loce_jax.solver.solution import Status
from tests.concepts.planted import C, cosine, planted
from tests.concepts.twins import enlarge

RNG = np.random.default_rng(4)


def objective(unknowns, images, masks, recipe):
    """The ridge recipe's objective, a mean over images, in whitened coordinates."""
    total = 0.0
    for cells, mask in zip(images, masks, strict=True):
        share = mask.mean()
        weights = np.where(mask, (1 - share) ** recipe.class_weight_power, share**recipe.class_weight_power)
        logits = enlarge(cells @ unknowns[:-1], mask.shape) + unknowns[-1]
        total += (weights * (np.logaddexp(0, logits) - mask * logits)).sum() / weights.sum()
    return total / len(images) + recipe.l2 / 2 * unknowns[:-1] @ unknowns[:-1]


@pytest.mark.parametrize("recipe", [BALANCED, RidgeRecipe(l2=0.02, whitening=1.0)])
def test_the_minimum_is_the_twins(recipe):
    activations = (RNG.normal(size=(6, 4, 5, 3)) * [1, 5, 0.2] + [0, 3, 1]).astype("f4")
    masks = RNG.random((6, 1, 8, 9)) < 0.3
    masks[2] = False
    found = fit_ridge(activations, masks, recipe=recipe)
    whitening = Statistics.of(activations).whitening(recipe.whitening)
    images = [(image.astype(float) - whitening.mean) @ whitening.matrix for image in activations]
    shown = [row for row in range(6) if masks[row].any()]
    data = [images[row] for row in shown], [masks[row, 0] for row in shown], recipe
    best = minimize(objective, np.zeros(4), data, tol=1e-12)
    vectors, offsets = whitening.raw_filters(best.x[None, :-1], best.x[-1:])
    np.testing.assert_allclose(found.vectors, vectors, atol=2e-4 * np.abs(vectors).max())  # SciPy's differences
    np.testing.assert_allclose(found.offsets, offsets, atol=1e-3)


def test_planted_directions_are_found_and_what_cannot_be_has_a_status():
    activations, masks = planted()
    masks = np.concatenate([masks, np.ones_like(masks[:, :1])], axis=1)
    found = fit_ridge(activations, masks)
    assert found.status.tolist() == [Status.OK, Status.OK, Status.MASK_EMPTY, Status.MASK_FULL]
    assert min(cosine(found.vectors[0]), cosine(found.vectors[1])) >= 0.99
    assert np.isnan(found.vectors[2:]).all()
    constant = fit_ridge(np.ones((24, 6, 7, C), "f4"), masks)
    assert constant.status[0] == Status.DEGENERATE
    nowhere = fit_ridge(np.full((24, 6, 7, C), np.nan, "f4"), masks)
    assert nowhere.status.tolist() == [Status.NONFINITE, Status.NONFINITE, Status.MASK_EMPTY, Status.NONFINITE]


@pytest.mark.slow  # five fits, each compiled for its shapes
def test_order_blocks_and_groups_of_concepts_do_not_matter(monkeypatch):
    activations, masks = planted()
    whole, order = fit_ridge(activations, masks).vectors[:2], RNG.permutation(len(masks))
    np.testing.assert_allclose(fit_ridge(activations[order], masks[order]).vectors[:2], whole, rtol=1e-4)  # tolerance
    blocks = [Block(activations[part], masks[part]) for part in (slice(7), slice(7, None))]
    np.testing.assert_allclose(fit_ridge(blocks).vectors[:2], whole, rtol=1e-4)
    monkeypatch.setattr(ridge, "BYTES", 1)
    np.testing.assert_allclose(fit_ridge(activations, masks).vectors[:2], whole, rtol=1e-4)


def test_what_is_not_exact_is_said(monkeypatch):
    monkeypatch.setattr(ridge, "MAX_PASSES", 1)
    with pytest.warns(UserWarning, match="after 1 passes the vectors of one, two are less exact"):
        fit_ridge(*planted(), names=["one", "two", "three"])


def test_images_that_dominate_are_named_over_all_blocks():
    activations = np.random.default_rng(0).normal(size=(6, 4, 4, 3)).astype("f4")
    masks = activations[..., 1:2].transpose(0, 3, 1, 2) > 1
    activations[4] *= 100
    blocks = [Block(activations[i : i + 1], masks[i : i + 1]) for i in range(6)]
    with pytest.raises(InputError, match="those of 'sample 4' are"):
        fit_ridge(blocks)
