"""Global concepts of a run: what is planted is found on some images and seen on the others, by every method."""

import numpy as np
import pytest

from loce_jax import InputError, fit
from loce_jax.feature_spaces.chosen_factors import choose_factors
from loce_jax.feature_spaces.gathering import ImageBlocks, gather
from loce_jax.feature_spaces.global_concepts import find_concepts, study_concepts
from loce_jax.feature_spaces.methods import METHODS, SEEDED, TrainingData, check_methods, training_data
from loce_jax.feature_spaces.options import ClassOptions, HeldOut
from loce_jax.solver import Status
from tests.support.bars import NETWORK, Bars


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return fit(NETWORK, Bars(24), ["cells", "double"], out=tmp_path_factory.mktemp("bars"))


@pytest.fixture(scope="module")
def gathered():
    return gather(NETWORK, ["cells", "double"], Bars(24), size=(16, 16))


@pytest.fixture(scope="module")
def found(run, gathered):
    parts = HeldOut(seed=3).split(gathered.groups)
    return parts, find_concepts(run, gathered, parts, ["ridge", "cav", "mean", "medoid"])


def test_the_color_of_each_concept_is_found(found):
    for one in found[1]:
        assert one.concepts.names == ("red", "blue") and one.concepts.ok.all()
        red, blue = one.concepts.vectors
        assert red[0] > red[2] and blue[2] > blue[0], one.method
        # chance is a quarter, the bars' share of the pixels; cells are half as wide as bars, and cross their edges
        assert (one.evaluation.average_precision.value > 0.6).all(), (
            one.method,
            one.evaluation.average_precision.value,
        )
    assert [(one.layer, one.method) for one in found[1][:2]] == [("cells", "ridge"), ("cells", "cav")]


def test_nothing_of_the_held_out_images_is_used(run, gathered, found):
    parts, _ = found
    samples = training_data(run, gathered, "cells", parts.train)
    shown = [set(Bars(24).items[row].image for row in rows) for rows in (parts.train, parts.held_out)]
    assert not shown[0] & shown[1]
    labels = [pair.concept for row in parts.train for pair in Bars(24).items[row].pairs]
    assert sorted(samples.labels) == sorted(labels)
    total = sum(len(block.activations) for block in samples.blocks)
    assert total == len(parts.train)


def test_tables_hold_every_concept_with_its_counts(gathered, found):
    parts, results = found
    study = study_concepts(gathered, parts, results)
    rows = study.data["concepts"].rows
    assert len(rows) == 2 * 4 * 2
    shown = gathered.masks.any(axis=(2, 3))
    for row in rows:
        k = gathered.concepts.index(row[2])
        assert row[3:6] == (shown[parts.train, k].sum(), shown[parts.held_out, k].sum(), "ok")
        value, low, high = map(float, row[6:9])
        assert 0 <= low <= value <= high <= 1
    assert study.tables["means"].best
    assert list(study.arrays) == [
        f"{layer} {m}" for layer in ("cells", "double") for m in ("ridge", "cav", "mean", "medoid")
    ]
    assert study.figures["set_iou_cells"].get_axes()[0].get_ylabel() == "set IoU"
    assert study.metrics["intervals over"] == "images" and len(study.metrics["found on"]) == len(parts.train)


def test_test_groups_are_held_out():
    parts = HeldOut(test_groups=("b", "c")).split(["a", "b", "a", "c"])
    assert parts.train.tolist() == [0, 2] and parts.held_out.tolist() == [1, 3]
    with pytest.raises(InputError, match="unknown group 'd'"):
        HeldOut(test_groups=("d",)).split(["a", "b"])
    with pytest.raises(InputError, match="names all 2"):
        HeldOut(test_groups=("a", "b")).split(["a", "b"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (lambda: HeldOut(share=1.0), "`share` must be between 0 and 1"),
        (lambda: HeldOut(seed=-1), "`seed` must be 0 or more, but got -1"),
        (lambda: ClassOptions("cat", examples=0), "`examples` must be at least 1"),
        (lambda: ClassOptions("cat", draws=0), "`draws` must be at least 1"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_the_work(options, words):
    with pytest.raises(InputError, match=words):
        options()


def test_a_concept_that_no_training_image_shows_has_a_status_and_no_number(run, gathered):
    shown = gathered.masks.any(axis=(2, 3))
    only_red = np.flatnonzero(shown[:, 0] & ~shown[:, 1])
    parts = type(HeldOut().split(gathered.groups))(only_red, np.flatnonzero(shown[:, 1]))
    results = find_concepts(run, gathered, parts, ["ridge", "mean", "cav"])
    for one in results:
        assert [status == Status.OK for status in one.concepts.status] == [True, False], one.method
        assert np.isnan(one.concepts.vectors[1]).all() and np.isnan(one.evaluation.set_iou.value[1])
    table = study_concepts(gathered, parts, results).tables["set_iou_cells"]
    assert dict(zip(table.columns, table.rows[1], strict=True))["ridge"] == "mask_empty"


def test_unsupervised_factors_get_the_concepts_they_fit():
    rng = np.random.default_rng(0)
    masks = rng.random((12, 2, 6, 6)) < 0.3
    activations = np.zeros((12, 6, 6, 12), "f4")
    activations[..., :2] = 5 * masks.transpose(0, 2, 3, 1)  # two channels are the concepts, the others noise
    activations[..., 2:] = rng.random((12, 6, 6, 10)) < 0.05
    masks[:, 1] &= np.arange(12)[:, None, None] > 0  # the first image shows only one
    found = choose_factors(
        ("first", "second", "none"), blocks_of(activations, np.pad(masks, ((0, 0), (0, 1), (0, 0), (0, 0))))
    )
    assert found.vectors[:2].argmax(axis=1).tolist() == [0, 1]
    assert [Status(one).name for one in found.status] == ["OK", "OK", "MASK_EMPTY"]
    maps = np.asarray(found.maps(activations, (6, 6)))
    assert np.isnan(maps[:, 2]).all()
    segmented = maps[1:, :2] > 0.5  # in the first image the second factor is there, but not annotated
    iou = (segmented & masks[1:]).sum((0, 2, 3)) / (segmented | masks[1:]).sum((0, 2, 3))
    assert (iou > 0.95).all(), iou


def blocks_of(activations, masks):
    return ImageBlocks(activations, masks, np.arange(len(activations)))


def test_methods_are_known_by_name():
    assert check_methods(list(METHODS)) == tuple(METHODS)
    with pytest.raises(InputError, match="unknown method 'rigde'. Did you mean 'ridge'"):
        check_methods(["rigde"])


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_methods_without_a_seed_find_the_same_again(method):
    rng = np.random.default_rng(0)
    activations = rng.random((12, 6, 6, 20), "f4")
    blocks = blocks_of(activations, activations[..., :2].transpose(0, 3, 1, 2) > 0.7)
    samples = TrainingData(("a", "b"), blocks, rng.random((8, 20)), rng.random(8), np.array(["a", "b"] * 4))
    first = METHODS[method](samples).vectors
    np.testing.assert_array_equal(METHODS[method](samples).vectors, first)
    if method in SEEDED:
        again = SEEDED[method](samples, 1).vectors
        np.testing.assert_array_equal(SEEDED[method](samples, 1).vectors, again)
        assert np.abs(again - first).max() > 0.01 * np.abs(first).max()  # another start, not another rounding
    if method == "net2vec-paper":
        np.testing.assert_array_equal(SEEDED[method](samples, 0).vectors, first)
