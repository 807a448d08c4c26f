"""Facts of rows, counted by hand."""

import numpy as np
import pytest

from loce_jax.analysis.subconcepts.attributes import co_occurring, mask_attributes
from loce_jax.checks import InputError


def test_co_occurring_concepts_match_slow_twin():
    rng = np.random.default_rng(0)
    groups, concepts = rng.integers(0, 12, 40), np.array(["cat", "dog", "cup"])[rng.integers(0, 3, 40)]
    found = co_occurring(groups, concepts)
    assert list(found) == ["cat", "cup", "dog"]
    for name, column in found.items():
        for i in range(40):
            others = [j for j in range(40) if j != i and groups[j] == groups[i] and concepts[j] == name]
            assert column[i] == bool(others)


def test_a_concept_does_not_occur_beside_itself_unless_twice():
    assert co_occurring(["a", "b", "b"], ["cat", "cat", "cat"])["cat"].tolist() == [False, True, True]
    assert co_occurring([], []) == {}


def test_mask_facts_by_hand():
    mask = np.zeros((4, 10), bool)
    mask[1, 2:5], mask[2, 4] = True, True
    photo = np.zeros((4, 10, 3), np.uint8)
    photo[1, 2], photo[0, 0] = (255, 0, 0), (255, 255, 255)
    expected = {"area": 0.1, "x": (2.5 + 3.5 + 4.5 + 4.5) / 40, "y": (1.5 * 3 + 2.5) / 16, "width": 0.3, "height": 0.5}
    found = mask_attributes(mask, photo)
    assert found == pytest.approx({**expected, "brightness": 0.299 / 4}, rel=1e-12)
    assert mask_attributes(mask, photo / 255) == pytest.approx(found, rel=1e-12)


def test_mirroring_mirrors_the_place_alone():
    rng = np.random.default_rng(0)
    mask, photo = rng.random((7, 9)) < 0.3, rng.random((7, 9, 3))
    found, mirrored = mask_attributes(mask, photo), mask_attributes(mask[:, ::-1], photo[:, ::-1])
    assert mirrored == pytest.approx({**found, "x": 1 - found["x"]}, rel=1e-12)


def test_full_and_empty_masks():
    full = mask_attributes(np.ones((3, 5), bool), np.ones((3, 5, 3)))
    assert full == pytest.approx({"area": 1, "x": 0.5, "y": 0.5, "width": 1, "height": 1, "brightness": 1})
    empty = mask_attributes(np.zeros((3, 5), bool), np.ones((3, 5, 3)))
    assert empty.pop("area") == 0 and all(np.isnan(value) for value in empty.values())


def test_bad_calls_say_what_to_do():
    with pytest.raises(
        InputError, match=r"`photo` must have shape \(2, 2, 3\) .* but got \(3, 2, 3\). Resize the mask"
    ):
        mask_attributes(np.ones((2, 2), bool), np.ones((3, 2, 3)))
    with pytest.raises(InputError, match=r"`photo` must be finite"):
        mask_attributes(np.ones((2, 2), bool), np.full((2, 2, 3), np.nan))
    with pytest.raises(InputError, match=r"`concepts` must have shape \(1,\)"):
        co_occurring(["a"], ["cat", "dog"])
