"""`describe_subconcepts`: planted attributes come first, effects match their definitions, missing ones are no error."""

import itertools
from math import comb

import numpy as np
import pytest

from loce_jax.analysis.subconcepts.effects import describe_subconcepts
from loce_jax.analysis.subconcepts.split import split_concept
from loce_jax.checks import InputError


def make_cups(seed, near=30, far=20):
    """Embeddings of near and far cups, and attributes of which the area and, less so, the table tell them apart."""
    rng = np.random.default_rng(seed)
    is_far = rng.permutation(np.arange(near + far) >= near)
    vectors = rng.normal(size=(len(is_far), 6)) + 8 * is_far[:, None] * np.eye(6)[0]
    attributes = {
        "x": rng.random(len(is_far)),
        "area": np.where(is_far, 0.05, 0.4) * rng.uniform(0.5, 1.5, len(is_far)),
        "brightness": rng.random(len(is_far)),
        "table": rng.random(len(is_far)) < np.where(is_far, 0.8, 0.3),
    }
    return vectors, is_far, attributes


def delta_slowly(mine, others):
    return np.mean([np.sign(a - b) for a in mine for b in others])


def fisher_slowly(a, b, c, d):
    """Sum of the probabilities of all tables of the same margins that are no likelier."""
    n, row, column = a + b + c + d, a + b, a + c
    chances = {
        k: comb(column, k) * comb(n - column, row - k) / comb(n, row)
        for k in range(max(0, row + column - n), min(row, column) + 1)
    }
    return sum(chance for chance in chances.values() if chance <= chances[a] * (1 + 1e-9))


def permuted_slowly(mine, others):
    """Share of all ways to choose the members whose delta is as far from 0."""
    values, seen = np.concatenate([mine, others]), abs(delta_slowly(mine, others))
    deltas = []
    for rows in itertools.combinations(range(len(values)), len(mine)):
        chosen = np.isin(np.arange(len(values)), rows)
        deltas.append(abs(delta_slowly(values[chosen], values[~chosen])))
    return np.mean(np.array(deltas) >= seen - 1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_near_and_far_cups_are_told_apart_by_their_area(seed):
    vectors, is_far, attributes = make_cups(seed)
    subconcepts = split_concept(vectors).subconcepts
    np.testing.assert_array_equal(subconcepts, is_far)
    near, far = describe_subconcepts(vectors, subconcepts, attributes)
    for subconcept, sign in ((near, 1), (far, -1)):
        assert [effect.attribute for effect in subconcept.effects[:2]] == ["area", "table"]
        assert sign * subconcept.effects[0].delta > 0.95 and sign * subconcept.effects[1].delta < -0.2
        assert subconcept.effects[0].adjusted < 1e-6
        assert all(effect.adjusted > 0.05 for effect in subconcept.effects[2:])
    assert (near.share, far.share) == (0.6, 0.4)


@pytest.mark.parametrize("seed", range(3))
def test_effects_match_slow_twins(seed):
    vectors, is_far, attributes = make_cups(seed, 9, 6)
    for subconcept in describe_subconcepts(vectors, is_far.astype(int), attributes):
        mine = is_far == subconcept.number
        for effect in subconcept.effects:
            values = attributes[effect.attribute]
            assert effect.delta == pytest.approx(delta_slowly(values[mine] * 1.0, values[~mine] * 1.0), abs=1e-12)
            assert effect.inside == pytest.approx(values[mine].mean()) and effect.outside == pytest.approx(
                values[~mine].mean()
            )
            if effect.attribute == "table":
                table = values[mine].sum(), (~values[mine]).sum(), values[~mine].sum(), (~values[~mine]).sum()
                assert effect.p_value == pytest.approx(fisher_slowly(*map(int, table)), rel=1e-9)
                assert np.isnan(effect.difference)
            else:
                pooled = (8 * np.var(values[~is_far], ddof=1) + 5 * np.var(values[is_far], ddof=1)) / 13
                expected = (values[mine].mean() - values[~mine].mean()) / np.sqrt(pooled)
                assert effect.difference == pytest.approx(expected, rel=1e-12)


def test_p_values_of_few_numbers_are_those_of_all_permutations():
    rng = np.random.default_rng(0)
    subconcepts, values = np.array([0, 1, 0, 1, 1, 0, 1, 1]), rng.normal(size=8)
    (effect,) = describe_subconcepts(np.zeros((8, 1)), subconcepts, {"area": values})[0].effects
    assert effect.p_value == pytest.approx(
        permuted_slowly(values[subconcepts == 0], values[subconcepts == 1]), rel=1e-12
    )


def test_p_values_are_corrected_for_how_many_there_are():
    vectors, is_far, attributes = make_cups(0, 12, 9)
    effects = [
        effect
        for subconcept in describe_subconcepts(vectors, is_far.astype(int), attributes)
        for effect in subconcept.effects
    ]
    for effect in effects:
        # Holm, as its definition: the largest (m - rank) p of all that are at most as large.
        ordered = sorted(other.p_value for other in effects)
        smaller = [(len(ordered) - rank) * p for rank, p in enumerate(ordered) if p <= effect.p_value]
        assert effect.adjusted == pytest.approx(min(1, max(smaller)), rel=1e-12)
        assert effect.adjusted >= effect.p_value


def test_attributes_without_meaning_are_rarely_found():
    findings = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        attributes = {name: rng.random(30) for name in "abc"} | {"d": rng.random(30) < 0.5}
        found = describe_subconcepts(np.zeros((30, 1)), rng.integers(0, 3, 30), attributes)
        findings += any(effect.adjusted < 0.05 for subconcept in found for effect in subconcept.effects)
    assert findings <= 6  # 5 % of 40 is 2; more than 6 have a probability of 0.3 %


def test_words_become_one_attribute_a_word_and_rising_numbers_keep_their_effect():
    subconcepts = np.array([0, 0, 1, 1])
    attributes = {
        "room": ["kitchen", "kitchen", "bath", "kitchen"],
        "size": [1, 2, 30, 40],
        "log": np.log([1.0, 2, 30, 40]),
    }
    first, second = describe_subconcepts(np.zeros((4, 1)), subconcepts, attributes)
    found = {effect.attribute: effect.delta for effect in first.effects}
    assert found == {"size": -1, "log": -1, "room = bath": -0.5, "room = kitchen": 0.5}
    assert {effect.attribute: -effect.delta for effect in second.effects} == found
    assert [effect.attribute for effect in first.effects] == ["size", "log", "room = bath", "room = kitchen"]


def test_examples_are_nearest_to_the_center_and_negative_groups_are_none():
    vectors = np.array([[0.0], [4.0], [9.0], [50.0], [-7.0], [5.0]])
    found = describe_subconcepts(vectors, np.array([3, 3, 3, 7, -1, 3]), {"area": [1.0, 2.0, 3.0, 0.0, 99.0, 4.0]})
    assert [subconcept.number for subconcept in found] == [3, 7]
    assert found[0].members.tolist() == [1, 5, 0, 2]  # the mean is 4.5; 4 and 5, then 0 and 9, are equally near
    assert found[0].share == pytest.approx(4 / 6) and found[0].effects[0].delta == 1
    assert found[0].effects[0].outside == 0  # the one of no subconcept is not compared with


def test_unknown_constant_and_lonely_attributes():
    subconcepts = np.array([0, 0, 1, 1])
    nan = float("nan")
    attributes = {
        "area": [1.0, nan, 3.0, 4.0],
        "unknown": [1.0, 2.0, nan, nan],
        "same": [5, 5, 5, 5],
        "yes": [True] * 4,
    }
    effects = {
        effect.attribute: effect
        for effect in describe_subconcepts(np.zeros((4, 1)), subconcepts, attributes)[0].effects
    }
    assert set(effects) == {"area", "same", "yes"}
    assert effects["area"].delta == -1 and effects["area"].inside == 1
    for name in ("same", "yes"):
        assert effects[name].delta == 0 and effects[name].p_value == effects[name].adjusted == 1
        assert np.isnan(effects[name].difference)
    (alone,) = describe_subconcepts(np.zeros((2, 1)), np.array([0, 0]), {"area": [1.0, 2.0]})
    assert alone.effects == () and alone.share == 1
    assert describe_subconcepts(np.zeros((0, 1)), np.zeros(0, int), {"area": np.zeros(0)}) == ()
    assert describe_subconcepts(np.zeros((1, 1)), np.array([-1])) == ()
    pair = describe_subconcepts(np.zeros((2, 1)), np.array([0, 1]), {"area": [1.0, 2.0]})
    assert pair[0].effects[0].delta == -1 and pair[0].effects[0].p_value == 1


def test_bad_calls_say_what_to_do():
    with pytest.raises(
        InputError, match=r"`attributes\['area'\]` must have shape \(2,\) \(one value per vector\), but got \(1,\)"
    ):
        describe_subconcepts(np.zeros((2, 1)), np.array([0, 1]), {"area": [1.0]})
    with pytest.raises(InputError, match=r"`attributes\['when'\]` must hold numbers, booleans or words, but has dtype"):
        describe_subconcepts(np.zeros((2, 1)), np.array([0, 1]), {"when": np.array([None, None])})
