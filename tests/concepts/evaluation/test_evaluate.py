"""Held-out evaluation: against loops in float64 over one image after the other, and in blocks of any size."""

import numpy as np
import pytest

from loce_jax.analysis.bootstrap import BootstrapOptions
from loce_jax.checks import InputError
from loce_jax.concepts.blocks import ArrayBlocks, Block
from loce_jax.concepts.evaluation import pixel_scores
from loce_jax.concepts.evaluation.evaluate import evaluate

N, K, SIZE = 9, 3, (6, 5)
RNG = np.random.default_rng(0)
MASKS = RNG.random((N, K, *SIZE)) < 0.3
MASKS[1, 0] = MASKS[4:6, 2] = False
MAPS = (0.6 * RNG.random((N, K, *SIZE)) + 0.4 * MASKS * RNG.random((N, K, *SIZE))).astype("f4")
OPTIONS = BootstrapOptions(resamples=50)


class Given:
    """Concepts whose activations are the maps."""

    names = ("cat", "dog", "cow")

    def maps(self, activations, size):
        assert size == SIZE
        return np.moveaxis(activations, -1, 1)


def blocks(maps=MAPS, masks=MASKS, number=4):
    return ArrayBlocks(np.moveaxis(maps, 1, -1), masks, number)


def slow(rows, k):
    """Set IoU, that of all images, and mean IoU of these images."""
    inter, union, inter_all, union_all, ious = 0, 0, 0, 0, []
    for n in rows:
        found = MAPS[n, k] > 0.5
        both, either = np.logical_and(found, MASKS[n, k]).sum(), np.logical_or(found, MASKS[n, k]).sum()
        inter_all, union_all = inter_all + both, union_all + either
        if MASKS[n, k].any():
            inter, union = inter + both, union + either
            ious.append(both / either)
    return [inter / union, inter_all / union_all, float(np.mean(ious))]


@pytest.mark.parametrize("number", [1, 4, 20])
def test_numbers_are_those_of_loops_however_images_come(number):
    from sklearn.metrics import average_precision_score

    found = evaluate(Given(), blocks(number=number), options=OPTIONS)
    for k in range(K):
        expected = slow(range(N), k)
        values = [part.value[k] for part in (found.set_iou, found.set_iou_all, found.image_iou)]
        np.testing.assert_allclose(values, expected, rtol=1e-12)
        exact = average_precision_score(MASKS[:, k].ravel(), MAPS[:, k].ravel())
        np.testing.assert_allclose(found.average_precision.value[k], exact, rtol=1e-12)
    assert found.images.tolist() == [8, 9, 7] and not found.average_precision_error.any()


def test_intervals_are_over_groups():
    groups = list("aaabbbccc")
    found = evaluate(Given(), blocks(), groups, options=OPTIONS)
    names, rng = np.unique(groups), np.random.default_rng(OPTIONS.seed)
    for b, counts in enumerate(rng.multinomial(3, [1 / 3] * 3, size=5)):
        rows = [
            n
            for name, times in zip(names, counts, strict=True)
            for n in [*np.flatnonzero(np.array(groups) == name)] * times
        ]
        for k in range(K):
            values = [part.draws[b, k] for part in (found.set_iou, found.set_iou_all, found.image_iou)]
            np.testing.assert_allclose(values, slow(rows, k), rtol=1e-12)
    for part in (found.set_iou, found.image_iou, found.average_precision):
        assert (part.low <= part.value).all() and (part.value <= part.high).all() and (part.low < part.high).all()


def test_of_many_pixels_the_histogram_stays_within_its_error(monkeypatch):
    exact = evaluate(Given(), blocks(), options=OPTIONS)
    monkeypatch.setattr(pixel_scores, "MAX_KEPT", 100)
    found = evaluate(Given(), blocks(), options=OPTIONS)
    difference = np.abs(found.average_precision.value - exact.average_precision.value)
    assert (difference <= found.average_precision_error + 1e-12).all()
    assert (found.average_precision_error > 0).any() and (found.average_precision_error < 0.02).all()


def test_more_groups_than_histograms_are_joined(monkeypatch):
    plain = evaluate(Given(), blocks(), options=OPTIONS)
    monkeypatch.setattr(pixel_scores, "MAX_HISTOGRAMS", 4)
    found = evaluate(Given(), blocks(), options=OPTIONS)
    np.testing.assert_array_equal(found.average_precision.value, plain.average_precision.value)
    assert (found.average_precision.low < found.average_precision.high).all()


def test_what_has_no_vector_or_no_image_is_undefined():
    maps, masks = MAPS.copy(), MASKS.copy()
    maps[:, 0], masks[:, 1] = np.nan, False
    found = evaluate(Given(), blocks(maps, masks), options=OPTIONS)
    for part in (found.set_iou, found.set_iou_all, found.image_iou, found.average_precision):
        assert np.isnan(part.value).tolist() == [True, True, False]
        assert np.isnan(part.low).tolist() == [True, True, False]
    assert found.images.tolist() == [8, 0, 7]


@pytest.mark.parametrize("groups", [None, list("aabbccdde")])
def test_what_one_image_or_group_shows_has_a_value_without_an_interval(groups):
    masks = MASKS.copy()
    masks[1 if groups is None else 2 :, 1] = False
    found = evaluate(Given(), blocks(masks=masks), groups, options=OPTIONS)
    for part in (found.set_iou, found.set_iou_all, found.image_iou, found.average_precision):
        assert np.isfinite(part.value).all()
        for end in (part.low, part.high):
            assert np.isnan(end).tolist() == [False, True, False]


def test_perfect_maps_score_1():
    found = evaluate(Given(), blocks(MASKS.astype("f4")), options=OPTIONS)
    for part in (found.set_iou, found.set_iou_all, found.image_iou, found.average_precision):
        assert (part.value == 1).all() and (part.low == 1).all()


@pytest.mark.parametrize(
    ("given", "groups", "words"),
    [
        ([], None, "`blocks` must hold an image"),
        (blocks(masks=MASKS[:, :2]), None, r"`masks` must have shape \(4, 3, 6, 5\)"),
        (blocks(), list("ab"), "`groups` must hold one value"),
        ([Block(np.moveaxis(MAPS, 1, -1), MASKS)], list("a" * 10), "each of the 9 images"),
    ],
)
def test_what_does_not_fit_is_refused(given, groups, words):
    with pytest.raises(InputError, match=words):
        evaluate(Given(), given, groups)
