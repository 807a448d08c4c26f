"""The formulas of `benchmarks/bench_quality.py`: the recipe made by a trick, the means, the intervals, the halves."""

import numpy as np
import pytest
from quality_data import TARGET, Rows, half_of
from quality_measures import average, compare_cosine, draws_of, interval, iou_of, separate_animals
from quality_recipes import Task, mean_difference, one_a_concept, paper, paper_by_mean

from loce_jax.resampling import bilinear_matrix, soft_target
from loce_jax.solver import SolverOptions, Statistics


def make_rows(targets, photos, concepts, groups=None):
    groups = np.asarray([str(photo) for photo in photos] if groups is None else groups)
    return Rows(np.asarray(photos), groups, np.asarray(concepts), targets.mean(axis=(1, 2)), targets)


def make_task(seed=0, n=3, channels=5):
    """Photos with a box each, whose cells carry one direction more inside the box than outside."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((n, 200, 220), bool)
    for i in range(n):
        masks[i, 20 * i : 20 * i + 90, 30:130] = True
    targets = np.stack([soft_target(mask, TARGET) for mask in masks])
    cells = np.stack([soft_target(mask, (6, 7)) for mask in masks])
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


def test_stretched_targets_give_alpha_by_the_mean():
    task = make_task()
    expected = [
        solve_slowly(cells, target)
        for cells, target in zip(task.activations.astype(float), task.rows.targets, strict=True)
    ]
    np.testing.assert_allclose(
        np.asarray(paper_by_mean(task).vectors), expected, atol=1e-4
    )  # float32 and AdamW's epsilon
    assert np.abs(np.asarray(paper(task).vectors) - expected).max() > 1e-3


def test_one_vector_a_concept_is_tried_on_photos_it_has_not_seen():
    task = make_task(n=4)
    found = one_a_concept(SolverOptions.ridge())(task)
    assert iou_of(found.responses, task.rows.targets).min() > 0.5
    changed = task.activations.copy()
    changed[1] += 1  # of the other half: 0 and 2 are answered by what 1 and 3 show
    other = one_a_concept(SolverOptions.ridge())(Task(changed, task.rows, task.statistics))
    assert (np.abs(other.responses - found.responses).max(axis=(1, 2)) > 1e-3).tolist() == [True, True, True, False]


def test_a_concept_shown_on_one_side_only_has_no_answer():
    task = make_task(n=2)
    rows = make_rows(task.rows.targets, [0, 1], ["cat", "dog"])
    found = one_a_concept(SolverOptions.ridge())(Task(task.activations, rows, task.statistics))
    assert np.isnan(iou_of(found.responses, rows.targets)).all()


def test_mean_difference_is_zero_half_way_and_ignores_linear_maps():
    task = make_task()
    found = mean_difference(task)
    assert iou_of(found.responses, task.rows.targets).min() > 0.5
    turn = np.random.default_rng(1).normal(size=(5, 5)).astype(np.float32)
    turn = np.linalg.qr(turn)[0]
    turned = Task(task.activations @ turn, task.rows, Statistics.of(task.activations @ turn))
    np.testing.assert_allclose(mean_difference(turned).responses, found.responses, atol=1e-4)  # float32 whitening


def test_iou_takes_the_sign_of_the_response():
    targets = np.zeros((2, 4, 4), np.float32)
    targets[:, :2] = 1
    responses = np.stack([np.where(np.arange(4) < 1, 0.1, -5.0)[:, None] * np.ones(4), np.full((4, 4), np.nan)])
    np.testing.assert_equal(iou_of(responses, targets), [0.5, np.nan])


def test_precision_is_averaged_over_concepts_and_iou_over_rows():
    rows = make_rows(np.zeros((4, 2, 2)), [0, 1, 2, 3], ["cat", "cat", "cat", "dog"])
    values = np.array([1.0, 1.0, np.nan, 0.0])
    drawn = np.array([[1, 1, 1, 1], [0, 2, 5, 1], [1, 1, 2, 0]])
    np.testing.assert_allclose(average("p1", values, rows, drawn), [0.5, 0.5, 1.0])
    np.testing.assert_allclose(average("iou", values, rows, drawn), [2 / 3, 2 / 3, 1.0])


@pytest.mark.parametrize("deviation", [0.1, 1.0])
def test_intervals_are_those_of_a_mean(deviation):
    n = 400
    values = np.random.default_rng(0).normal(0, deviation, n)
    rows = make_rows(np.zeros((n, 2, 2)), np.arange(n), ["cat"] * n)
    mean, low, high = interval(average("iou", values, rows, draws_of(rows)))
    assert mean == pytest.approx(values.mean())
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / np.sqrt(n), rel=0.15)  # 1000 draws


def test_rows_of_a_photo_are_drawn_together():
    rows = make_rows(np.zeros((4, 2, 2)), [0, 0, 1, 1], list("abab"))
    drawn = draws_of(rows, draws=50)
    assert (drawn[0] == 1).all()
    assert (drawn[:, 0] == drawn[:, 1]).all()
    assert (drawn.sum(axis=1) == 4).all()


def test_capybaras_among_animals():
    vectors = np.array([[5.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0], [1.0, 0.05]])
    rows = make_rows(np.zeros((5, 2, 2)), range(5), ["capybara", "capybara", "dog", "cat", "bear"])
    found = separate_animals(vectors, rows)
    assert found["animals"] == 3
    assert (found["capybara_overlap"], found["animals_overlap"]) == (1.0, pytest.approx(1 / 3))


def test_cosines_do_not_see_lengths():
    vectors, others = [[1.0, 0.0], [0.0, 2.0], [np.nan, 1.0]], [[3.0, 0.0], [1.0, 0.0], [1.0, 1.0]]
    cosines = compare_cosine(np.array(vectors), np.array(others))
    np.testing.assert_allclose(cosines, [1.0, 0.0, np.nan])


def test_halves_stay_what_they_were():
    names = [f"{number:012d}.jpg" for number in (139, 285, 632, 724, 776, 785)]
    assert [half_of(name) for name in names] == 4 * ["coco_report"] + 2 * ["coco_develop"]
