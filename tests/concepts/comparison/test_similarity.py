"""Similarity of two layers' concepts: loops in float64, symmetries, matching, and levels that are known beforehand."""

import numpy as np
import pytest

from loce_jax.analysis.bootstrap import BootstrapOptions
from loce_jax.checks import InputError
from loce_jax.concepts.comparison.matching import match
from loce_jax.concepts.comparison.references import other_images, shuffled_similarity
from loce_jax.concepts.comparison.similarity import MEASURES, concept_similarity

OPTIONS = BootstrapOptions(resamples=30)


def make_maps(seed, n=6, k=3, size=(4, 5)):
    return np.random.default_rng(seed).random((n, k, *size)).astype("f4")


def slow(first, second, rows):
    """The three measures of two concepts' maps [n h w], image after image."""
    both = either = 0
    ious, a, b = [], [], []
    for n in rows:
        one, other = first[n] > 0.5, second[n] > 0.5
        inter, union = (one & other).sum(), (one | other).sum()
        both, either = both + inter, either + union
        ious += [inter / union] if union else []
        a, b = a + first[n].astype(float).ravel().tolist(), b + second[n].astype(float).ravel().tolist()
    return [both / either, np.mean(ious), np.corrcoef(a, b)[0, 1]]


@pytest.mark.parametrize("seed", range(3))
def test_matrices_are_those_of_loops(seed):
    first, second = make_maps(seed), make_maps(seed + 10, k=4)
    first[2, 1] = 0.1  # a concept that is not in an image
    found = concept_similarity(first, second, match_by="set_iou", options=OPTIONS)
    for i in range(3):
        for j in range(4):
            expected = slow(first[:, i], second[:, j], range(6))
            np.testing.assert_allclose([getattr(found, name)[i, j] for name in MEASURES], expected, rtol=1e-9)


def test_intervals_resample_groups_and_keep_the_pairs():
    first, second, groups = make_maps(0), make_maps(1), np.array(list("aabbcc"))
    found = concept_similarity(first, second, match_by="pearson", groups=groups, options=OPTIONS)
    counts = np.random.default_rng(0).multinomial(3, [1 / 3] * 3, size=30)
    for b in range(4):
        rows = [n for g in range(3) for n in [2 * g, 2 * g + 1] * counts[b, g]]
        of_pairs = np.array([slow(first[:, i], second[:, j], rows) for i, j in found.pairs])
        for number, name in enumerate(MEASURES):
            np.testing.assert_allclose(found.of_pairs[name].draws[b], of_pairs[:, number], rtol=1e-9)
            np.testing.assert_allclose(found.mean[name].draws[b], of_pairs[:, number].mean(), rtol=1e-9)


def test_the_same_maps_score_1_whatever_is_resampled():
    maps = make_maps(0)
    found = concept_similarity(maps, maps, options=OPTIONS)
    for name in MEASURES:
        np.testing.assert_allclose(found.of_pairs[name].value, 1)
        np.testing.assert_allclose(found.mean[name].draws, 1)


def test_the_other_way_round_it_is_the_same():
    first, second = make_maps(0), make_maps(1)
    there, back = (concept_similarity(*pair, options=OPTIONS) for pair in ((first, second), (second, first)))
    for name in MEASURES:
        np.testing.assert_allclose(getattr(there, name), getattr(back, name).T, rtol=1e-12)


def test_concepts_in_another_order_are_matched():
    maps, order = make_maps(0, k=5), np.array([3, 0, 4, 1, 2])
    for measure in MEASURES:
        found = concept_similarity(maps, maps[:, order], match_by=measure, options=OPTIONS)
        assert order[found.pairs[:, 1]].tolist() == found.pairs[:, 0].tolist()


def test_matching_finds_the_best_sum_of_all():
    import itertools

    for seed in range(5):
        values = np.random.default_rng(seed).random((3, 5))
        values[0, 1] = np.nan
        pairs = match(values)
        best = max(
            sum(values[i, p[i]] for i in range(3) if p[i] != 1 or i) for p in itertools.permutations(range(5), 3)
        )
        np.testing.assert_allclose(values[pairs[:, 0], pairs[:, 1]].sum(), best)


def test_what_is_undefined_stays_so_and_spreads_to_nothing():
    first, second = make_maps(0), make_maps(1)
    first[:, 0] = np.nan  # no vector
    second[:, 1] = 0.3  # constant, nowhere above one half
    found = concept_similarity(first, second, options=OPTIONS)
    assert np.isnan(found.set_iou[0]).all() and np.isnan(found.pearson[:, 1]).all()
    assert found.set_iou[2, 1] == 0 and np.isfinite(found.pearson[1:, [0, 2]]).all()
    np.testing.assert_allclose(found.mean["pearson"].value, found.pearson[2, 2])
    first[:, 1] = 0.2
    assert np.isnan(concept_similarity(first, second, options=OPTIONS).set_iou[1, 1])  # nothing in either


@pytest.mark.wrong_types
@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (make_maps(0), make_maps(0)[:, :2], "`second` must have the 3 concepts"),
        (make_maps(0), make_maps(0, size=(5, 5)), r"at its size \(4, 5\)"),
        (make_maps(0), make_maps(0)[:4], "maps of the 6 images"),
        (make_maps(0)[0], make_maps(0), "`first` must be maps"),
    ],
)
def test_maps_that_cannot_be_compared_are_refused(first, second, words):
    with pytest.raises(InputError, match=words):
        concept_similarity(first, second)


@pytest.mark.wrong_types
def test_unknown_measures_are_refused():
    with pytest.raises(InputError, match="`match_by` must be"):
        concept_similarity(make_maps(0), make_maps(0), match_by="cosine")  # pyright: ignore[reportArgumentType]


# Reference levels


@pytest.mark.parametrize("seed", range(20))
def test_no_image_takes_the_place_of_one_of_its_group(seed):
    rng = np.random.default_rng(seed)
    groups = rng.permutation(np.repeat(np.arange(5), [5, 3, 1, 2, 1 + seed % 3]))
    order = other_images(groups, seed)
    if 2 * 5 <= len(groups):
        assert sorted(order) == list(range(len(groups))) and (groups[order] != groups).all()
    assert (other_images(7, seed) != np.arange(7)).all()


def test_every_image_may_take_any_place():
    found = {tuple(other_images(4, seed).tolist()) for seed in range(200)}
    assert len({(place, order[place]) for order in found for place in range(4)}) == 12


def test_a_group_of_more_than_half_cannot_be_shuffled():
    with pytest.raises(InputError, match="no group with more than half"):
        other_images(["a", "a", "b"])


def test_shuffled_images_score_the_level_of_chance():
    """Independent masks of shares p and q: the IoU is p q / (p + q - p q), the correlation 0."""
    p, k = 0.4, 2
    maps = (np.random.default_rng(0).random((40, k, 10, 10)) < p).astype("f4")
    found = shuffled_similarity(maps, maps, draws=20)
    chance = p * p / (2 * p - p * p)
    np.testing.assert_allclose(found["set_iou"].mean(), chance, atol=0.01)  # 8000 cells: a standard deviation of .006
    np.testing.assert_allclose(found["pearson"].mean(), 0, atol=0.02)
    matched = shuffled_similarity(maps, maps, draws=20, match_by="pearson")
    assert matched["pearson"].mean() > found["pearson"].mean()


def test_a_shuffle_is_the_similarity_with_other_images():
    first, second = make_maps(0), make_maps(1)
    found = shuffled_similarity(first, second, draws=3, seed=5, match_by="image_iou")
    for draw in range(3):
        moved = second[other_images(6, 5 + draw)]
        expected = concept_similarity(first, moved, match_by="image_iou", options=OPTIONS)
        for name in MEASURES:
            np.testing.assert_allclose(found[name][draw], expected.mean[name].value)


def test_logits_are_refused():
    maps = np.random.default_rng(0).normal(size=(5, 2, 4, 4))
    with pytest.raises(InputError, match=r"`second` must be soft maps in \[0, 1\], .* Take the sigmoid of logits"):
        concept_similarity(1 / (1 + np.exp(-maps)), maps)
