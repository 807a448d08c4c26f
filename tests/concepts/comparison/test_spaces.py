"""Feature spaces whose likeness is known: the same layer, a rotated copy, one with shuffled images.

A rotation of the channels leaves alone what is fitted anew in the rotated space: mean-difference vectors, ridge, whose
penalty is measured in whitened coordinates that turn with the channels, PCA, k-means; and CKA and RSA of the
activations.  It does not leave NMF alone, whose parts are non-negative in the channels given, nor Net2Vec: AdamW scales
its steps channel by channel, and the published form and NetDissect compare single channels with thresholds.
"""

import numpy as np
import pytest

from loce_jax.analysis.bootstrap import BootstrapOptions
from loce_jax.concepts.comparison.feature_similarity import feature_similarity
from loce_jax.concepts.comparison.references import other_images, shuffled_similarity
from loce_jax.concepts.comparison.similarity import MEASURES, concept_similarity
from loce_jax.concepts.factors.fit import fit
from loce_jax.concepts.factors.kmeans import KMeansOptions
from loce_jax.concepts.factors.nmf import NMFOptions
from loce_jax.concepts.factors.pca import PCAOptions
from loce_jax.concepts.segmentation.net2vec import fit_net2vec, net2vec_f
from loce_jax.concepts.segmentation.net2vec_options import PAPER
from loce_jax.concepts.segmentation.netdissect import netdissect
from loce_jax.concepts.segmentation.ridge import fit_ridge
from loce_jax.concepts.vectors import ConceptVectors
from loce_jax.recipes import RidgeRecipe
from tests.concepts.factors.planted import rotation, sparse_parts

OPTIONS = BootstrapOptions(resamples=20)
LAYER = sparse_parts(0, cells=20 * 30)[0].reshape(20, 5, 6, 12)
MASKS = LAYER.reshape(20, 5, 6, 3, 4).sum(axis=-1) > 2
TURNED = (LAYER.astype(float) @ rotation(1, 12)).astype("f4")


def mean_differences(layer):
    """A vector a concept from the means inside and outside of its masks; the boundary is half-way."""
    vectors, offsets = [], []
    for k in range(3):
        inside, outside = (layer[part].astype(float).mean(axis=0) for part in (MASKS[..., k], ~MASKS[..., k]))
        vectors.append(inside - outside)
        offsets.append(-(inside - outside) @ (inside + outside) / 2)
    return ConceptVectors(("a", "b", "c"), np.array(vectors), np.array(offsets), np.zeros(3, int), "mean")


MASKS_FIRST = MASKS.transpose(0, 3, 1, 2)
FITS = {
    "supervised": mean_differences,
    "ridge": lambda layer: fit_ridge(layer, MASKS_FIRST),
    "pca": lambda layer: fit(layer, PCAOptions(components=3)),
    "kmeans": lambda layer: fit(layer, KMeansOptions(components=3)),
    "nmf": lambda layer: fit(layer, NMFOptions(components=3, negative="clip")),
}
OF_CHANNELS = {
    "net2vec": lambda layer: fit_net2vec(layer, MASKS_FIRST),
    "net2vec-4": lambda layer: net2vec_f(layer, MASKS_FIRST, filters=4),
    "net2vec-paper": lambda layer: fit_net2vec(layer, MASKS_FIRST, options=PAPER),
    "netdissect": lambda layer: netdissect(layer, MASKS_FIRST),
}
SUPERVISED = {"supervised", "ridge", *OF_CHANNELS}


def compare(method, first, second):
    maps = [np.asarray((FITS | OF_CHANNELS)[method](layer).maps(layer, (10, 12))) for layer in (first, second)]
    match_by = None if method in SUPERVISED else "pearson"
    found = concept_similarity(*maps, match_by=match_by, options=OPTIONS)
    return found, shuffled_similarity(*maps, match_by=match_by, draws=10)


@pytest.mark.parametrize("method", FITS)
def test_identical_layers_score_1(method):
    found, _ = compare(method, LAYER, LAYER.copy())
    for measure in MEASURES:
        np.testing.assert_allclose([found.mean[measure].value, found.mean[measure].low], 1, atol=1e-6)


@pytest.mark.parametrize("method", ["supervised", "ridge", "pca", "kmeans"])
def test_rotated_copies_score_1_under_what_a_rotation_leaves_alone(method):
    found, shuffled = compare(method, LAYER, TURNED)
    for measure in MEASURES:
        # single cells of the float32 maps may fall on the other side of one half
        np.testing.assert_allclose(found.mean[measure].value, 1, atol=5e-3)
        assert shuffled[measure].max() < 0.8


@pytest.mark.slow
@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_ridge_vectors_turn_with_the_channels_at_any_power_of_the_whitening(power):
    recipe = RidgeRecipe(whitening=power, class_weight_power=1.0)
    found = [fit_ridge(layer, MASKS_FIRST, recipe=recipe) for layer in (LAYER, TURNED)]
    expected = found[0].vectors @ rotation(1, 12)
    # Newton's method stops at the recipe's tolerance
    np.testing.assert_allclose(found[1].vectors, expected, atol=recipe.tolerance * np.abs(expected).max())
    np.testing.assert_allclose(found[1].offsets, found[0].offsets, rtol=recipe.tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("method", OF_CHANNELS)
def test_a_rotation_changes_what_looks_at_single_channels(method):
    found, _ = compare(method, LAYER, TURNED)
    assert found.mean["set_iou"].value < 0.98
    first, second = (OF_CHANNELS[method](layer) for layer in (LAYER, TURNED))
    assert np.abs(first.vectors @ rotation(1, 12) - second.vectors).max() > 0.3 * np.abs(first.vectors).max()


def test_a_rotation_changes_nmf():
    found, _ = compare("nmf", LAYER, TURNED)
    assert found.mean["pearson"].value < 0.95


def test_cka_and_rsa_of_rotated_copies_are_1_and_of_other_images_chance():
    found = feature_similarity([LAYER, TURNED])
    np.testing.assert_allclose([found.cka, found.rsa], 1, atol=1e-5)
    found = feature_similarity([LAYER, TURNED[other_images(20)]])
    assert abs(found.cka[0, 1]) < 0.05 and abs(found.rsa[0, 1]) < 0.05


@pytest.mark.parametrize("method", ["supervised", "pca", "nmf"])
def test_shuffled_images_score_the_level_of_chance(method):
    """A copy whose images are other ones is as unlike as the shuffled level says, within its spread."""
    maps = np.asarray(FITS[method](LAYER).maps(LAYER, (10, 12)))
    found = concept_similarity(maps, maps[other_images(20, seed=99)], options=OPTIONS)
    level = shuffled_similarity(maps, maps, draws=30)
    for measure in MEASURES:
        spread = level[measure].std()
        assert abs(found.mean[measure].value - level[measure].mean()) < 4 * spread + 1e-9
    assert abs(level["pearson"].mean()) < 0.1
