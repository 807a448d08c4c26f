"""CAVs against float64 twins, planted directions, and what they must not depend on."""

from typing import Any, cast

import numpy as np
import pytest

from loce_jax import InputError
from loce_jax.concepts.activation_vectors.cavs import CavOptions, cav, cav_accuracy, cell_cav
from loce_jax.concepts.blocks import Block
from loce_jax.resampling import resize_mask
from loce_jax.solver import Status

RNG = np.random.default_rng(0)
METHODS: list[Any] = ["mean_difference", "pattern", "linear_svm", "logistic"]
DIRECTION = RNG.normal(size=8)
POSITIVES, NEGATIVES = RNG.normal(size=(30, 8)) + 2 * DIRECTION, RNG.normal(size=(50, 8))


def cosine(a, b):
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


def regression_slowly(samples, labels):
    """Covariance by variance, and the threshold at the label one half, from the definitions."""
    n, mean_label = len(samples), sum(labels) / len(labels)
    variance = sum((t - mean_label) ** 2 for t in labels) / n
    means = [sum(row[c] for row in samples) / n for c in range(samples.shape[1])]
    slope = [
        sum((t - mean_label) * (row[c] - means[c]) for row, t in zip(samples, labels, strict=True)) / n / variance
        for c in range(samples.shape[1])
    ]
    at_half = [m + s * (0.5 - mean_label) for m, s in zip(means, slope, strict=True)]
    return np.array(slope), -sum(s * a for s, a in zip(slope, at_half, strict=True))


@pytest.mark.parametrize("method", ["mean_difference", "pattern"])
def test_both_are_the_difference_of_means_for_labels_of_zero_and_one(method):
    found = cav(POSITIVES, NEGATIVES, CavOptions(method))
    slope, offset = regression_slowly(np.concatenate([POSITIVES, NEGATIVES]), [1.0] * 30 + [0.0] * 50)
    difference = POSITIVES.mean(0) - NEGATIVES.mean(0)
    np.testing.assert_allclose(slope, difference, rtol=1e-10)
    np.testing.assert_allclose(found.vectors[0], difference, rtol=1e-6)  # rounded to float32
    np.testing.assert_allclose(found.offsets[0], offset, rtol=1e-6)
    middle = (POSITIVES.mean(0) + NEGATIVES.mean(0)) / 2
    np.testing.assert_allclose(found.offsets[0], -difference @ middle, rtol=1e-6)
    assert found.method == f"cav:{method}" and found.names == ("concept",)


@pytest.mark.parametrize("method", METHODS)
def test_a_planted_direction_is_found(method):
    noise = np.random.default_rng(1).normal(size=(2, 400, 8))
    found = cav(noise[0] + 3 * DIRECTION / np.linalg.norm(DIRECTION), noise[1], CavOptions(method, C=0.01))
    assert cosine(found.vectors[0], DIRECTION) >= 0.99


@pytest.mark.parametrize("method", METHODS)
def test_rotated_activations_have_rotated_vectors(method):
    turn, _ = np.linalg.qr(RNG.normal(size=(8, 8)))
    plain, turned = (cav(POSITIVES @ by, NEGATIVES @ by, CavOptions(method)) for by in (np.eye(8), turn))
    assert cosine(plain.vectors[0].astype(float) @ turn, turned.vectors[0]) > 1 - 1e-4  # classifiers stop at 1e-4


@pytest.mark.parametrize("method", ["linear_svm", "logistic"])
def test_classifiers_do_not_know_the_unit_nor_the_origin(method):
    plain, moved = (cav(POSITIVES * s + o, NEGATIVES * s + o, CavOptions(method)) for s, o in ((1, 0), (1e-3, 5)))
    np.testing.assert_allclose(moved.vectors[0] * 1e-3, plain.vectors[0], rtol=1e-3, atol=1e-4)
    for samples in (POSITIVES, NEGATIVES):
        expected = samples @ plain.vectors[0] + plain.offsets[0] > 0
        np.testing.assert_array_equal((samples * 1e-3 + 5) @ moved.vectors[0] + moved.offsets[0] > 0, expected)


@pytest.mark.parametrize("method", METHODS)
def test_several_concepts_are_found_each_by_itself(method):
    both = cav({"a": POSITIVES, "b": -POSITIVES}, NEGATIVES, CavOptions(method))
    assert both.names == ("a", "b")
    for row, samples in enumerate((POSITIVES, -POSITIVES)):
        np.testing.assert_array_equal(both.vectors[row], cav(samples, NEGATIVES, CavOptions(method)).vectors[0])


@pytest.mark.parametrize("method", METHODS)
def test_items_of_any_length_streams_and_maps_are_the_same_samples(method):
    ragged = [POSITIVES[:3], POSITIVES[3:4], POSITIVES[4:4], POSITIVES[4:]]
    expected = cav(POSITIVES, NEGATIVES[:48], CavOptions(method))
    for positives in (ragged, iter(ragged)):
        found = cav(positives, NEGATIVES[:48].reshape(4, 3, 4, 8), CavOptions(method))
        np.testing.assert_allclose(found.vectors, expected.vectors, rtol=1e-6)
        np.testing.assert_allclose(found.offsets, expected.offsets, rtol=1e-6)


def test_large_means_do_not_eat_the_difference():
    found = cav(list(1e7 + POSITIVES[:, None]), list(1e7 + NEGATIVES[:, None]))
    # an input near 1e7 is rounded to 1e-9; merging adds as much again and again, 80 times
    np.testing.assert_allclose(found.vectors[0], POSITIVES.mean(0) - NEGATIVES.mean(0), atol=1e-6)


def test_what_cannot_be_found_has_a_status():
    nothing, same = np.full((2, 8), np.nan), np.ones((3, 8))
    found = cav({"empty": nothing, "ok": POSITIVES, "same": same}, same)
    assert found.status.tolist() == [Status.MASK_EMPTY, Status.OK, Status.DEGENERATE]
    np.testing.assert_array_equal(np.isfinite(found.vectors).all(1) & np.isfinite(found.offsets), found.ok)
    assert cav(POSITIVES, nothing).status.tolist() == [Status.MASK_FULL]
    assert cav(POSITIVES * 1e200, NEGATIVES).status.tolist() == [Status.DEGENERATE]
    for method in ("linear_svm", "logistic"):
        statuses = [cav(*pair, CavOptions(method)).status[0] for pair in ((same, same), (nothing, same))]
        assert statuses == [Status.DEGENERATE, Status.MASK_EMPTY]


def test_items_that_are_not_finite_are_left_out_as_a_whole():
    damaged = [np.concatenate([POSITIVES[:2], np.full((1, 8), np.inf)]), POSITIVES[2:]]
    np.testing.assert_allclose(cav(damaged, NEGATIVES).vectors, cav(POSITIVES[2:], NEGATIVES).vectors, rtol=1e-6)


MAPS = RNG.normal(size=(5, 3, 4, 6)).astype("f4")
MASKS = RNG.random((5, 2, 1, 1)) + RNG.random((5, 2, 9, 12)) > 0.9
MASKS[0] = False


@pytest.mark.parametrize("method", ["mean_difference", "pattern"])
def test_cells_of_masks(method):
    found = cell_cav(MAPS, MASKS, names=["a", "b"], options=CavOptions(method))
    for k in range(2):
        labels = np.stack([resize_mask(MASKS[n, k], (3, 4)) for n in range(5)]).ravel().astype(float)
        labels = labels if method == "pattern" else (labels > 0.5).astype(float)
        slope, offset = regression_slowly(MAPS.reshape(-1, 6).astype(float), labels)
        np.testing.assert_allclose(found.vectors[k], slope, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found.offsets[k], offset, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_cells_in_blocks_are_the_same_cells(method):
    options, halves = CavOptions(method), [Block(MAPS[:2], MASKS[:2]), Block(MAPS[2:], MASKS[2:])]
    whole, blocks = (cell_cav(*given, names=["a", "b"], options=options) for given in ((MAPS, MASKS), (halves,)))
    np.testing.assert_allclose(blocks.vectors, whole.vectors, rtol=1e-5, atol=1e-7)
    if method != "pattern":
        inside = np.stack([resize_mask(one, (3, 4)) > 0.5 for one in MASKS[:, 1]])
        alone = cav(MAPS[inside], MAPS[~inside], options)
        np.testing.assert_allclose(alone.vectors[0], whole.vectors[1], rtol=1e-3, atol=1e-5)


def test_concepts_without_cells_and_images_that_are_not_finite():
    maps = MAPS.copy()
    maps[3, 0, 0, 0] = np.nan
    masks = np.stack([MASKS[:, 0], np.zeros_like(MASKS[:, 0]), np.ones_like(MASKS[:, 0])], 1)
    found, kept = cell_cav(maps, masks, names=["a", "never", "always"]), [0, 1, 2, 4]
    assert found.status.tolist() == [Status.OK, Status.MASK_EMPTY, Status.MASK_FULL]
    expected = cell_cav(MAPS[kept], MASKS[kept, :1], names=["a"])
    np.testing.assert_allclose(found.vectors[0], expected.vectors[0], rtol=1e-5)
    assert (cell_cav(maps * np.nan, masks, names=["a", "never", "always"]).status == Status.NONFINITE).all()


@pytest.mark.parametrize("method", METHODS)
def test_accuracy_of_held_out_items(method):
    far = cav_accuracy({"a": NEGATIVES[:25] + 100 * DIRECTION}, NEGATIVES[25:], CavOptions(method))
    assert far.tolist() == [1.0]
    noise = np.random.default_rng(2).normal(size=(2, 200, 8))
    (chance,) = cav_accuracy(noise[0], noise[1], CavOptions(method), held_out=0.5)
    assert 0.35 < chance < 0.65  # 100 items a side: a deviation of .035 around one half


def test_a_held_out_item_is_not_fitted_to():
    """Each item's samples are one point of their own: seen ones are told apart, others are not."""
    points = np.eye(40)[:, None].repeat(5, 1)
    assert cav(points[:20].reshape(-1, 40), points[20:].reshape(-1, 40)).ok.all()
    accuracy = cav_accuracy(list(points[:20]), list(points[20:]))
    assert accuracy[0] <= 0.6
    np.testing.assert_array_equal(accuracy, cav_accuracy(list(points[:20]), list(points[20:])))


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda: cav({}, NEGATIVES), "`positives` must hold at least one concept"),
        (lambda: cav(POSITIVES[:, :5], NEGATIVES), "have 8 channels and 5|have 5 channels and 8"),
        (lambda: cav([POSITIVES, POSITIVES[:, :5]], NEGATIVES), "samples of one layer"),
        (lambda: cav(POSITIVES[0], NEGATIVES), r"got shape \(8,\). Give \[n c\]"),
        (lambda: cav(POSITIVES, "abc"), "`negatives` must be an array or arrays, but got a str"),
        (lambda: cav("abc", NEGATIVES), "`positives` must be samples of a concept, but got the text 'abc'"),
        (lambda: cav(5, NEGATIVES), "must be an array or arrays, but got a int"),
        (lambda: cav(POSITIVES * np.nan, NEGATIVES * np.nan), "must hold a finite sample"),
        (lambda: cell_cav(MAPS, MASKS, names=["a"]), "`names` must be a name for each of the 2"),
        (lambda: cell_cav(MAPS, MASKS, names="ab"), "`names` must be a name for each"),
        (lambda: cell_cav([], names=["a"]), "must hold a finite sample"),
        (lambda: CavOptions(cast(Any, "median")), "`method` must be one of"),
        (lambda: CavOptions("logistic", C=-1.0), "`C` must be a finite number above 0, to regularize, but got -1.0"),
        (lambda: cav_accuracy(POSITIVES, NEGATIVES, held_out=1.0), "`held_out` must be between 0 and 1"),
        (lambda: cav_accuracy(iter(POSITIVES), NEGATIVES), "at least two items"),
        (lambda: cav_accuracy(POSITIVES[:1], NEGATIVES), "at least two items"),
    ],
)
@pytest.mark.wrong_types
def test_errors_name_the_argument(function, words):
    with pytest.raises(InputError, match=words):
        function()
