"""Held-out splits: no group on both sides, sizes near the share, seeds."""

import numpy as np
import pytest

from loce_jax.checks import InputError
from loce_jax.concepts.evaluation.split import fit_on_halves, split


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("share", [0.1, 1 / 3, 0.5, 0.9])
def test_no_group_lies_on_both_sides(seed, share):
    rng = np.random.default_rng(seed)
    groups = rng.permutation(np.repeat(list("abcdefg"), rng.integers(1, 9, size=7)))
    parts = split(groups, share, seed)
    assert not set(groups[parts.train]) & set(groups[parts.held_out])
    assert sorted([*parts.train, *parts.held_out]) == list(range(len(groups)))
    assert len(parts.train) and len(parts.held_out)
    assert abs(len(parts.held_out) / len(groups) - share) <= 8 / len(groups)  # a group has 8 images at most


def test_images_are_split_in_the_share_and_by_the_seed():
    parts = split(30)
    assert len(parts.held_out) == 10
    assert split(30).held_out.tolist() == parts.held_out.tolist() != split(30, seed=1).held_out.tolist()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [((1,), "at least two groups"), ((["a", "a"],), "at least two groups"), ((9, 1.0), "`share` must be between")],
)
def test_what_cannot_be_split_is_refused(arguments, words):
    with pytest.raises(InputError, match=words):
        split(*arguments)


def test_halves_are_fitted_apart():
    first, second = fit_on_halves(list, 10, seed=3)
    assert sorted(first + second) == list(range(10)) and len(first) == 5
