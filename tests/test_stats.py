"""`summarise` against numbers counted by hand."""

import dataclasses

import numpy as np
import pytest

from loce_jax.analysis.stats import Summary, summarise
from loce_jax.checks import InputError


def test_counted_by_hand():
    iou = np.array([0.9, 0.0, 0.6, np.nan, 0.0, np.nan])
    status = ["ok", "ok", "ok", "mask_empty", "ok", "image_missing"]
    concept = ["dog", "cat", "dog", "dog", "dog", "bird"]
    dog, cat, bird, overall = summarise(iou, status, concept)
    assert dataclasses.astuple(dog) == ("dog", 4, 3, 1, pytest.approx(0.5), 0.6, pytest.approx(1 / 3))
    assert cat == Summary("cat", 1, 1, 0, 0.0, 0.0, 1.0)
    assert (bird.pairs, bird.loces, bird.skipped) == (1, 0, 1)
    assert np.isnan([bird.mean_iou, bird.median_iou, bird.failures]).all()
    assert dataclasses.astuple(overall) == (None, 6, 4, 2, pytest.approx(0.375), pytest.approx(0.3), 0.5)


def test_skipped_rows_never_count_as_failures():
    rows = summarise(np.array([0.0, 0.4]), np.array(["mask_empty", "ok"]), np.array(["a", "a"]))
    assert rows[0].failures == 0 and rows[0].mean_iou == pytest.approx(0.4)


def test_order_of_rows_changes_no_number():
    rng = np.random.default_rng(0)
    iou, status = rng.random(40), rng.choice(["ok", "nonfinite"], 40)
    concept, order = rng.choice(["a", "b", "c"], 40), rng.permutation(40)
    before = {row.concept: dataclasses.astuple(row)[1:] for row in summarise(iou, status, concept)}
    after = {row.concept: dataclasses.astuple(row)[1:] for row in summarise(iou[order], status[order], concept[order])}
    assert before.keys() == after.keys()
    for name in before:
        assert before[name] == pytest.approx(after[name])


def test_a_loce_without_iou_is_counted_but_not_averaged():
    row = summarise(np.array([np.nan, 0.5]), ["ok", "ok"], ["a", "a"])[0]
    assert (row.loces, row.mean_iou) == (2, 0.5)


def test_no_rows_and_wrong_lengths():
    (overall,) = summarise(np.zeros(0), [], [])
    assert (overall.concept, overall.pairs) == (None, 0)
    with pytest.raises(InputError, match=r"`status` must have shape \(2,\) \(one per IoU\), but got \(1,\)"):
        summarise(np.zeros(2), ["ok"], ["a", "a"])
