"""Layers and networks compared: the same are the same, unrelated ones are as alike as chance, claims have verdicts."""

from dataclasses import replace

import numpy as np
import pytest

from loce_jax import InputError, fit
from loce_jax.analysis.bootstrap import BootstrapOptions
from loce_jax.concepts.comparison.feature_similarity import feature_similarity
from loce_jax.concepts.comparison.similarity import concept_similarity
from loce_jax.concepts.vectors import ConceptVectors
from loce_jax.feature_spaces.common_images import ImageList, common_images
from loce_jax.feature_spaces.comparing import ARRAYS, study_spaces
from loce_jax.feature_spaces.gathering import gather
from loce_jax.feature_spaces.layer_space import Space
from loce_jax.feature_spaces.methods import SEEDED, training_data
from loce_jax.feature_spaces.options import HeldOut
from loce_jax.feature_spaces.reference_levels import HALVES, NO_SEED, SEEDS, SHUFFLED
from loce_jax.feature_spaces.spaces import SIZE, Side, make_spaces
from loce_jax.study.results.step_result import StepResult, write_result
from tests.support.bars import NETWORK, Bars

RNG = np.random.default_rng(0)


def blobs(places):
    """Maps [n 1 12 12] that are 1 in a square at each image's place."""
    maps = np.full((len(places), 1, 12, 12), 0.05)
    for image, (y, x) in enumerate(places):
        maps[image, 0, y : y + 4, x : x + 4] = 0.95
    return maps


def space(network, layer, depth, maps, reseeded=None):
    truth, cells = np.array([0.5]), RNG.normal(size=(len(maps), 3, 3, 4))
    return Space(network, layer, depth, maps, lambda: (maps, maps), reseeded, truth, cells, np.array([0.1]))


@pytest.fixture(scope="module")
def layers():
    places = RNG.integers(0, 9, (30, 2))
    drifting = [np.clip(places + step, 0, 8) for step in (0, 0, 1, 2, 3, 4)]  # later layers say other places
    spaces = [space("a", f"l{i}", i / 5, blobs(where)) for i, where in enumerate(drifting)]
    spaces.append(space("b", "other", 0.0, blobs(RNG.permutation(places))))
    spaces.append(space("b", "last", 1.0, blobs(RNG.permutation(places))))
    return spaces


@pytest.fixture(scope="module")
def study(layers):
    return study_spaces(layers, ["thing"], [str(i) for i in range(30)], draws=40)


def test_equal_layers_score_one_and_unrelated_ones_the_level_of_chance(study):
    matrix = study.metrics["matrices"]["set IoU of the maps"]
    np.testing.assert_allclose(matrix.diagonal(), 1)
    assert matrix[0, 1] == 1, "two layers that say the same"
    np.testing.assert_array_equal(matrix, matrix.T)
    levels = {(row["what"], row["of"]): row["set IoU"] for row in study.metrics["levels"]}
    chance = levels[SHUFFLED, "a: l0"]
    assert matrix[0, 6] == pytest.approx(chance, abs=0.1), "thirty images leave chance some room"
    assert levels[HALVES, "a: l0"] == 1
    assert np.isnan(levels[NO_SEED, "a: l0"]) and (SEEDS, "a: l0") not in levels, "no number is made up"


def test_cka_and_rsa_stand_beside_the_maps_with_their_level_of_chance(layers, study):
    matrices = study.metrics["matrices"]
    expected = feature_similarity([layers[0].activations, layers[6].activations])
    for title, matrix in (("linear CKA of the layers", expected.cka), ("RSA of the layers", expected.rsa)):
        np.testing.assert_allclose(matrices[title][[0, 0, 6], [6, 0, 6]], matrix[[0, 0, 1], [1, 0, 1]])
    (row,) = [row for row in study.metrics["levels"] if (row["what"], row["of"]) == (SHUFFLED, "a: l0")]
    assert abs(row["linear CKA"]) < 0.1 and abs(row["RSA"]) < 0.1, "random cells"
    rows = study.data["layers"].rows
    assert len(rows) == 8 * 7 // 2 and rows[0][:3] == ("a: l0", "a: l1", 1.0)
    assert study.data["layers"].columns[2:] == tuple(matrices)
    assert len(study.figures["similarity"].get_axes()) >= 5, "the picture has all five"


def test_two_seeds_are_compared_where_the_method_has_one():
    maps = blobs(RNG.integers(0, 9, (12, 2)))
    other = np.roll(maps, 2, axis=-1)
    spaces = [space("a", "l0", 0.0, maps, lambda: other), space("a", "l1", 1.0, maps, lambda: other)]
    found = study_spaces(spaces, ["thing"], [str(i) for i in range(12)], draws=5)
    (row,) = [row for row in found.tables["levels"].rows if row[0] == SEEDS]
    alike = concept_similarity(maps, other, options=BootstrapOptions(resamples=2)).mean["set_iou"].value
    assert row[:3] == (SEEDS, "a: l0", pytest.approx(float(alike))) and 0.1 < float(row[2]) < 0.9
    assert NO_SEED not in {row[0] for row in found.tables["levels"].rows}


def test_the_matrices_are_arrays_with_names_that_need_no_pickle(study, tmp_path):
    write_result(StepResult(arrays=study.arrays), tmp_path)
    with np.load(tmp_path / "spaces.npz", allow_pickle=False) as arrays:
        assert set(arrays) == {"networks", "layers", "depths", "concepts", *ARRAYS}
        assert list(zip(arrays["networks"], arrays["layers"], strict=True))[5:7] == [("a", "l5"), ("b", "other")]
        assert arrays["concepts"].tolist() == ["thing"] and arrays["depths"][5] == 1
        for name, matrix in zip(ARRAYS, study.metrics["matrices"].values(), strict=True):
            np.testing.assert_array_equal(arrays[name], matrix)


def test_claims_have_verdicts(study):
    claims = {(row["claim"], row["of"]): row["verdict"] for row in study.metrics["claims"]}
    assert claims["similar concepts are at similar relative depth", "a"] == "holds"
    assert claims["the networks have similar concepts", "a: l0 and b: other"] != "holds"
    assert claims["similar concepts are at similar relative depth", "b"].startswith("cannot be told")
    assert study.tables["claims"].title == "Claims, intervals over images"


def test_one_space_cannot_be_compared():
    with pytest.raises(InputError, match="must be at least two"):
        study_spaces([space("a", "l0", 0.0, blobs([(1, 1)]))], ["thing"], ["0"])


def test_runs_are_compared_on_the_images_that_all_have(tmp_path):
    sides = []
    for name, missing in (("whole", ()), ("part", (3, 8))):
        run = fit(NETWORK, Bars(24), ["cells", "double"], out=tmp_path / name)
        gathered = gather(NETWORK, ["cells", "double"], Bars(24, missing=missing), size=(16, 16))
        sides.append(Side(name, run, {"cells": 0.0, "double": 1.0}, gathered))
    common = common_images({side.name: ImageList.of_gathered(side.gathered) for side in sides}, HeldOut())
    rows, parts, lines = common.rows, common.parts, []
    images = [[side.gathered.images[row] for row in mine] for side, mine in zip(sides, rows, strict=True)]
    assert images[0] == images[1] and len(images[0]) == 22 and "3.png" not in images[0]
    assert common.groups == tuple(images[0]), "images without groups"
    spaces = make_spaces(sides, rows, parts, "cav", lines.append)
    assert len(lines) == 4 and [one.name for one in spaces] == [
        "whole: cells",
        "whole: double",
        "part: cells",
        "part: double",
    ]
    np.testing.assert_allclose(spaces[0].maps, spaces[2].maps, atol=1e-6)  # the same images, the same network
    assert (spaces[0].maps[:, :, 0, 0] >= 0).all() and spaces[0].maps.shape[:2] == (len(parts.held_out), 2)
    everywhere = ConceptVectors(sides[0].gathered.concepts, np.zeros((2, 3), "f4"), np.ones(2), np.zeros(2, int), "cav")
    one = replace(sides[0], known={("cells", "cav"): everywhere})
    again = make_spaces([one], rows[:1], parts, "cav", lines.append)
    assert (again[0].maps > 0.7).all(), "what is known is not found again"
    np.testing.assert_array_equal(again[1].maps, spaces[1].maps)
    assert all(one.reseeded is None for one in spaces), "mean differences have no seed"


@pytest.mark.slow
def test_vectors_of_another_seed_are_found_on_the_same_images(tmp_path):
    run = fit(NETWORK, Bars(24), ["cells"], out=tmp_path)
    gathered = gather(NETWORK, ["cells"], Bars(24), size=(16, 16))
    parts, rows = HeldOut().split(gathered.images), np.arange(24)
    one = Side("bars", run, {"cells": 0.0}, gathered)
    (found,) = make_spaces([one], [rows], parts, "net2vec-paper", lambda line: None)
    assert found.reseeded is not None
    again = SEEDED["net2vec-paper"](training_data(run, gathered, "cells", parts.train), 1)
    (block,) = gathered.blocks("cells", parts.held_out)
    np.testing.assert_array_equal(found.reseeded(), again.maps(block.activations, SIZE))
    assert (found.reseeded() != found.maps).any()
