"""The formulas of `benchmarks/bench_quality.py`: the recipe by scaled targets, the means, the intervals, the halves."""

import numpy as np
import pytest
from quality_data import TARGET, Rows, half_of
from quality_measures import (
    compare_cosine,
    differ,
    draws_of,
    in_majority,
    interval,
    iou_of,
    measure,
    nearer_concepts,
    separate_animals,
    summarize,
)
from quality_recipes import Task, mean_difference, one_per_concept, paper, paper_by_mean

from loce_jax.analysis.metrics.overlap import overlap_ratio
from loce_jax.analysis.metrics.purity import cluster_purity
from loce_jax.analysis.metrics.quality import describe_quality
from loce_jax.recipes import RidgeRecipe
from loce_jax.resampling import bilinear_matrix, resize_mask
from loce_jax.statistics import Statistics


def make_rows(targets, photos, concepts, groups=None):
    groups = np.asarray([str(photo) for photo in photos] if groups is None else groups)
    return Rows(np.asarray(photos), groups, np.asarray(concepts), targets.mean(axis=(1, 2)), targets)


def make_task(seed=0, n=3, channels=5):
    """Photos with a box each, whose cells carry one direction more inside the box than outside."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((n, 200, 220), bool)
    for i in range(n):
        masks[i, 20 * i : 20 * i + 90, 30:130] = True
    targets = np.stack([resize_mask(mask, TARGET) for mask in masks])
    cells = np.stack([resize_mask(mask, (6, 7)) for mask in masks])
    activations = rng.normal(size=(n, 6, 7, channels)) + 3 * cells[..., None] * rng.normal(size=channels)
    rows = make_rows(targets, np.arange(n), ["box"] * n)
    return Task(activations.astype(np.float32), rows, Statistics.of(activations.astype(np.float32)))


def solve_slowly(activations, target):
    """AdamW on Net2Vec's objective with ``alpha = 1 - mean(target)``, float64, derivative by hand."""
    rows, columns = (bilinear_matrix(*ab) for ab in zip(activations.shape[:2], target.shape, strict=True))
    vector, first, second = np.zeros((3, activations.shape[-1]))
    target = target.astype(float)
    alpha = 1 - target.mean()
    for t in range(1, 51):
        p = 1 / (1 + np.exp(-(rows @ (activations @ vector) @ columns.T)))
        pulls = ((1 - alpha) * (1 - target) - alpha * target) * p * (1 - p)
        slope = np.einsum("hw,hwc->c", rows.T @ pulls @ columns, activations)
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
        vector = vector * (1 - 0.1 * 0.01)
        vector = vector - 0.1 * (first / (1 - 0.9**t)) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8)
    return vector


@pytest.mark.slow
def test_scaled_targets_give_alpha_by_the_mean():
    task = make_task()
    expected = [
        solve_slowly(cells, target)
        for cells, target in zip(task.activations.astype(float), task.rows.targets, strict=True)
    ]
    np.testing.assert_allclose(
        np.asarray(paper_by_mean(task).vectors), expected, atol=1e-4
    )  # float32 and AdamW's epsilon
    assert np.abs(np.asarray(paper(task).vectors) - expected).max() > 1e-3


@pytest.mark.slow
def test_one_vector_per_concept_is_tested_on_photos_it_was_not_fitted_to():
    task = make_task(n=4)
    found = one_per_concept(RidgeRecipe())(task)
    assert iou_of(found.responses, task.rows.targets).min() > 0.5
    changed = task.activations.copy()
    changed[1] += 1  # of the other half: 0 and 2 are tested with what 1 and 3 were fitted to
    other = one_per_concept(RidgeRecipe())(Task(changed, task.rows, task.statistics))
    assert (np.abs(other.responses - found.responses).max(axis=(1, 2)) > 1e-3).tolist() == [True, True, True, False]


def test_a_concept_that_is_in_one_half_only_is_nan():
    task = make_task(n=2)
    rows = make_rows(task.rows.targets, [0, 1], ["cat", "dog"])
    found = one_per_concept(RidgeRecipe())(Task(task.activations, rows, task.statistics))
    assert np.isnan(iou_of(found.responses, rows.targets)).all()


def test_mean_difference_is_zero_midway_and_invariant_to_rotation():
    task = make_task()
    found = mean_difference(task)
    assert iou_of(found.responses, task.rows.targets).min() > 0.5
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(5, 5)).astype(np.float32))[0]
    rotated = Task(task.activations @ rotation, task.rows, Statistics.of(task.activations @ rotation))
    np.testing.assert_allclose(mean_difference(rotated).responses, found.responses, atol=1e-4)  # float32 whitening


def test_iou_takes_the_sign_of_the_response():
    targets = np.zeros((2, 4, 4), np.float32)
    targets[:, :2] = 1
    responses = np.stack([np.where(np.arange(4) < 1, 0.1, -5.0)[:, None] * np.ones(4), np.full((4, 4), np.nan)])
    np.testing.assert_equal(iou_of(responses, targets), [0.5, np.nan])


def test_precision_is_averaged_over_concepts_and_iou_over_rows():
    rows = make_rows(np.zeros((4, 2, 2)), [0, 1, 2, 3], ["cat", "cat", "cat", "dog"])
    values = np.array([1.0, 1.0, np.nan, 0.0])
    drawn = np.array([[1, 1, 1, 1], [0, 2, 5, 1], [1, 1, 2, 0]])
    np.testing.assert_allclose(summarize("p1", values, rows, drawn), [0.5, 0.5, 1.0])
    np.testing.assert_allclose(summarize("iou", values, rows, drawn), [2 / 3, 2 / 3, 1.0])


@pytest.mark.parametrize("deviation", [0.1, 1.0])
def test_intervals_are_those_of_a_mean(deviation):
    n = 400
    values = np.random.default_rng(0).normal(0, deviation, n)
    rows = make_rows(np.zeros((n, 2, 2)), np.arange(n), ["cat"] * n)
    mean, low, high = interval(summarize("iou", values, rows, draws_of(rows)))
    assert mean == pytest.approx(values.mean())
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / np.sqrt(n), rel=0.15)  # 1000 draws


def test_rows_of_a_photo_are_drawn_together():
    rows = make_rows(np.zeros((4, 2, 2)), [0, 0, 1, 1], list("abab"))
    drawn = draws_of(rows, draws=50)
    assert (drawn[0] == 1).all()
    assert (drawn[:, 0] == drawn[:, 1]).all()
    assert (drawn.sum(axis=1) == 4).all()


def test_a_drawn_median_is_that_of_the_rows_as_often_as_they_are_drawn():
    rng = np.random.default_rng(0)
    rows = make_rows(np.zeros((9, 2, 2)), [0, 0, 1, 2, 3, 4, 5, 5, 6], ["cat"] * 9)
    values = np.where(np.arange(9) == 4, np.nan, rng.choice(5, 9) / 4)
    drawn = draws_of(rows, draws=60)
    expected = [np.nanmedian(np.repeat(values, draw)) for draw in drawn]
    np.testing.assert_allclose(summarize("iou_median", values, rows, drawn), expected)
    assert np.isnan(summarize("iou_median", values, rows, np.zeros((1, 9), int)))


def test_differences_are_over_rows_that_both_have():
    rows = make_rows(np.zeros((4, 2, 2)), range(4), ["cat"] * 4)
    ours, base = np.array([1.0, 0.5, 0.75, np.nan]), np.array([0.5, np.nan, 0.5, 0.0])
    drawn = np.array([[1, 1, 1, 1], [2, 1, 0, 1]])
    np.testing.assert_allclose(differ("iou", ours, base, rows, drawn), [0.375, 0.5])
    np.testing.assert_allclose(differ("iou_median", ours, base, rows, drawn), [0.375, 0.5])


def make_embeddings(seed=0, n=60, concepts=4):
    rng = np.random.default_rng(seed)
    labels = np.array(["bear", "capybara", "dog", "zebra"])[rng.integers(concepts, size=n)]
    return rng.normal(size=(n, 3)) + 0.7 * np.unique(labels, return_inverse=True)[1][:, None], labels


@pytest.mark.parametrize("seed", range(3))
def test_measures_per_row_average_to_the_measure_of_all_rows(seed):
    points, concepts = make_embeddings(seed)
    rows = make_rows(np.zeros((60, 2, 2)), range(60), concepts)
    once = np.ones((1, 60), int)
    matrix = overlap_ratio(points, concepts).matrix
    [overlap] = summarize("overlap", nearer_concepts(points, concepts), rows, once)
    assert overlap == pytest.approx(matrix[~np.eye(4, dtype=bool)].mean())
    clusters = np.random.default_rng(seed).integers(9, size=60)
    [purity] = summarize("purity", in_majority(clusters, concepts).astype(float), rows, once)
    assert purity == pytest.approx(cluster_purity(clusters, concepts))
    responses = np.ones((60, 2, 2))
    found = measure(points, responses, rows, min_rows=2)
    lengths = np.linalg.norm(points, axis=1, keepdims=True)
    [silhouette] = summarize("silhouette", found.rows["silhouette"], rows, once)
    assert silhouette == pytest.approx(describe_quality(points / lengths, concepts, concepts).silhouette)


def test_a_recipe_without_vectors_has_measures_of_masks_only():
    _, concepts = make_embeddings()
    rows = make_rows(np.ones((60, 2, 2)), range(60), concepts)
    found = measure(None, np.ones((60, 2, 2)), rows, min_rows=2)
    assert set(found.rows) == {"iou", "iou_median", "failures", "iou_small", "iou_large"} and found.whole == {}
    assert (found.rows["iou"] == 1).all() and (found.rows["failures"] == 0).all()
    assert np.isnan(found.rows["iou_small"]).all() and (found.rows["iou_large"] == 1).all()


def test_concepts_of_few_rows_have_no_queries():
    points, concepts = make_embeddings()
    concepts[:2], concepts[2:] = "yak", np.where(concepts[2:] == "capybara", "dog", concepts[2:])
    points[5] = np.nan
    rows = make_rows(np.zeros((60, 2, 2)), range(60), concepts)
    found = measure(points, np.ones((60, 2, 2)), rows, min_rows=3).rows
    for name in ("p1", "p_other10", "purity", "overlap", "silhouette"):
        assert np.flatnonzero(np.isnan(found[name])).tolist() == [0, 1, 5], name


def test_ties_of_a_cluster_go_to_the_first_name():
    clusters, concepts = np.array([0, 0, 1, 1, 1]), np.array(["dog", "cat", "dog", "dog", "cat"])
    assert in_majority(clusters, concepts).tolist() == [False, True, True, True, False]


def test_a_concept_of_one_row_has_no_other_of_its_own():
    found = nearer_concepts(np.array([[0.0], [3.0], [4.0]]), np.array(["cat", "cat", "dog"]))
    np.testing.assert_array_equal(found, [0, 1, np.nan])


def test_capybaras_among_animals():
    points = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0], [1.0, 0.05]])
    found = separate_animals(points, np.array(["capybara", "capybara", "dog", "cat", "bear"]))
    assert found.whole["animals"] == 3 and 0 < found.whole["capybara_separation"] < 0.1
    np.testing.assert_array_equal(found.rows["capybara_overlap"], [1, 1, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(found.rows["animals_overlap"], [np.nan, np.nan, 0, 0, 1])


def test_cosines_are_invariant_to_length():
    vectors, others = [[1.0, 0.0], [0.0, 2.0], [np.nan, 1.0]], [[3.0, 0.0], [1.0, 0.0], [1.0, 1.0]]
    cosines = compare_cosine(np.array(vectors), np.array(others))
    np.testing.assert_allclose(cosines, [1.0, 0.0, np.nan])


def test_halves_stay_what_they_were():
    names = [f"{number:012d}.jpg" for number in (139, 285, 632, 724, 776, 785)]
    assert [half_of(name) for name in names] == 4 * ["coco_report"] + 2 * ["coco_develop"]
