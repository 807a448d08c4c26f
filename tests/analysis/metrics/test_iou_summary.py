"""`summarize_iou` against numbers counted by hand and recorded ones of the original code; layers chosen by them."""

import dataclasses
import json

import numpy as np
import pytest

from loce_jax.analysis.metrics.iou_summary import Summary, best_layer, summarize_iou
from loce_jax.analysis.paper_forms import paper_iou_extremes
from loce_jax.checks import InputError


def test_counted_by_hand():
    iou = np.array([0.9, 0.0, 0.6, np.nan, 0.0, np.nan])
    status = ["ok", "ok", "ok", "mask_empty", "ok", "image_missing"]
    concept = ["dog", "cat", "dog", "dog", "dog", "bird"]
    dog, cat, bird, overall = summarize_iou(iou, status, concept)
    spread = pytest.approx(np.sqrt((0.16 + 0.01 + 0.25) / 3))
    assert dataclasses.astuple(dog) == ("dog", 4, 3, 1, pytest.approx(0.5), 0.6, pytest.approx(1 / 3), spread, 0.0, 0.9)
    assert cat == Summary("cat", 1, 1, 0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)
    assert (bird.pairs, bird.loces, bird.skipped) == (1, 0, 1)
    assert np.isnan(dataclasses.astuple(bird)[4:]).all()
    assert dataclasses.astuple(overall)[:7] == (None, 6, 4, 2, pytest.approx(0.375), pytest.approx(0.3), 0.5)
    assert (overall.min_iou, overall.max_iou) == (0, 0.9)


def test_skipped_rows_never_count_as_failures():
    rows = summarize_iou(np.array([0.0, 0.4]), np.array(["mask_empty", "ok"]), np.array(["a", "a"]))
    assert rows[0].failures == 0 and rows[0].mean_iou == pytest.approx(0.4)


def test_order_of_rows_changes_no_number():
    rng = np.random.default_rng(0)
    iou, status = rng.random(40), rng.choice(["ok", "nonfinite"], 40)
    concept, order = rng.choice(["a", "b", "c"], 40), rng.permutation(40)
    before = {row.concept: dataclasses.astuple(row)[1:] for row in summarize_iou(iou, status, concept)}
    after = {
        row.concept: dataclasses.astuple(row)[1:] for row in summarize_iou(iou[order], status[order], concept[order])
    }
    assert before.keys() == after.keys()
    for name in before:
        assert before[name] == pytest.approx(after[name])


def test_a_loce_without_iou_is_counted_but_not_averaged():
    row = summarize_iou(np.array([np.nan, 0.5]), ["ok", "ok"], ["a", "a"])[0]
    assert (row.loces, row.mean_iou) == (2, 0.5)


def test_no_rows_and_wrong_lengths():
    (overall,) = summarize_iou(np.zeros(0), [], [])
    assert (overall.concept, overall.pairs) == (None, 0)
    with pytest.raises(InputError, match=r"`status` must have shape \(2,\) \(one per IoU\), but got \(1,\)"):
        summarize_iou(np.zeros(2), ["ok"], ["a", "a"])


LAYERS = {"model.encoder.layers.1": 1.0, "features.5.2": 0.9}  # the recording's IoUs at the second are 0.9 of these


@pytest.fixture(scope="module")
def recorded(shared):
    golden = np.load(shared("golden", "analysis.npz"))
    content = json.loads(shared("golden", "analysis.json").read_text())["stats"]
    ok = ["ok"] * len(golden["iou"])
    return content, {name: summarize_iou(share * golden["iou"], ok, golden["labels"]) for name, share in LAYERS.items()}


@pytest.mark.parametrize("layer", LAYERS)
def test_numbers_of_the_original_code(recorded, layer):
    expected, summaries = recorded
    *rows, overall = summaries[layer]
    assert {row.concept: row.loces for row in rows} == expected["n"] and overall.loces == expected["n_all"]
    for row in rows:  # float64 throughout: only the order of additions differs
        assert row.mean_iou == pytest.approx(expected["mean_iou"][row.concept][layer], rel=1e-12)
        assert row.std_iou == pytest.approx(expected["std_iou"][row.concept][layer], rel=1e-12)
        extremes = (row.failures, row.min_iou, row.max_iou)
        assert extremes == pytest.approx(expected["zero_min_max"][row.concept][layer], rel=1e-12)
    assert overall.mean_iou == pytest.approx(expected["mean_all"][layer], rel=1e-12)
    assert overall.std_iou == pytest.approx(expected["std_all"][layer], rel=1e-12)
    averaged = (overall.failures, *paper_iou_extremes(rows))
    assert averaged == pytest.approx(expected["zero_min_max_all"][layer], rel=1e-12)
    assert overall.max_iou == max(row.max_iou for row in rows) > averaged[2]  # which is what the word means


def test_averaged_extremes_weigh_by_count_and_skip_what_is_empty():
    rows = summarize_iou(np.array([0.1, 0.3, 0.5, np.nan]), ["ok", "ok", "ok", "mask_empty"], ["a", "b", "b", "c"])[:-1]
    assert paper_iou_extremes(rows) == pytest.approx(((0.1 + 2 * 0.3) / 3, (0.1 + 2 * 0.5) / 3))
    assert np.isnan(paper_iou_extremes(rows[2:])).all() and np.isnan(paper_iou_extremes([])).all()


def rows_of(*pairs):
    """Summaries with these (mean IoU, failures)."""
    return [Summary(str(i), 9, 9, 0, mean, mean, failures, 0.0, 0.0, 1.0) for i, (mean, failures) in enumerate(pairs)]


def test_best_layers_of_the_original_code(recorded):
    _, summaries = recorded
    layers = {layer: rows[:-1] for layer, rows in summaries.items()}
    assert {best_layer(layers, by) for by in ("failures", "mean_iou", "ranks")} == {"model.encoder.layers.1"}
    backwards = dict(reversed(layers.items()))
    assert best_layer(backwards, "failures") == "features.5.2"  # as many fail at both: the first
    assert best_layer(backwards, "mean_iou") == best_layer(backwards, "ranks") == "model.encoder.layers.1"


def test_each_criterion_chooses_its_own_layer():
    layers = {
        "middling": rows_of((0.55, 0.04), (0.55, 0.04)),  # ranks 2 + 2
        "sharp": rows_of((0.8, 0.2), (0.6, 0.2)),  # ranks 1 + 4
        "sure": rows_of((0.3, 0.0), (0.3, 0.02)),  # ranks 4 + 1
        "poor": rows_of((0.5, 0.1), (0.5, 0.1)),  # ranks 3 + 3
    }
    assert [best_layer(layers, by) for by in ("mean_iou", "failures", "ranks")] == ["sharp", "sure", "middling"]


def test_equal_ranks_share_the_lower_one():
    means, failures = (0.9, 0.8, 0.7, 0.6, 0.5), (0.4, 0.5, 0.1, 0.1, 0.1)  # ranks 1 + 4, 2 + 5, 3 + 1, 4 + 1, 5 + 1
    layers = {name: rows_of(pair) for name, pair in zip("abcde", zip(means, failures, strict=True), strict=True)}
    assert best_layer(layers, "ranks") == "c"  # with mean ranks "a" would be as good, and come first


def test_concepts_count_alike_whatever_their_size():
    big = Summary("big", 900, 900, 0, 0.2, 0.2, 0.0, 0.0, 0.0, 1.0)
    layers = {"a": [big, *rows_of((0.9, 0.0))], "b": rows_of((0.5, 0.0), (0.5, 0.0))}
    assert best_layer(layers) == "a"


def test_layers_without_loces_are_never_best():
    nothing = summarize_iou(np.array([np.nan]), ["mask_empty"], ["a"])
    for by in ("mean_iou", "failures", "ranks"):
        assert best_layer({"empty": nothing, "poor": rows_of((0.0, 1.0))}, by) == "poor"
        assert best_layer({"empty": nothing, "empty too": nothing}, by) == "empty"
        assert best_layer({"half": [*nothing, *rows_of((0.6, 0.0))], "whole": rows_of((0.5, 0.1))}, by) == "half"


def test_best_of_nothing_or_by_an_unknown_criterion():
    with pytest.raises(InputError, match="at least one layer"):
        best_layer({})
    with pytest.raises(InputError, match="unknown criterion 'mean'. Did you mean 'mean_iou'"):
        best_layer({"a": rows_of((0.5, 0.0))}, "mean")
