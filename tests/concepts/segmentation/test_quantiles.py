"""Thresholds of channels against a sort of everything, whatever the parts and the order they are merged in."""

import itertools

import numpy as np
import pytest

from loce_jax import InputError
from loce_jax.concepts.blocks import Block
from loce_jax.concepts.segmentation.quantiles import LargestValues, channel_thresholds, values_needed

VALUES = np.random.default_rng(0).normal(size=(401, 3)).astype("f4")
VALUES[:50, 1] = VALUES[60, 1]  # ties


def sorted_threshold(values, share):
    """The smallest value that at most a share of the values exceeds."""
    for candidate in sorted(values):
        if sum(value > candidate for value in values) <= share * len(values):
            return candidate
    raise AssertionError


@pytest.mark.parametrize("share", [0.0, 0.005, 0.02, 0.3])
def test_any_parts_in_any_order_give_what_sorting_gives(share):
    expected = [sorted_threshold(column, share) for column in VALUES.T]
    kept = values_needed(len(VALUES), share)
    for cuts in ([100, 101], [3, 390], [200, 200]):
        parts = [LargestValues.of(part, kept=kept) for part in np.split(VALUES, cuts)]
        for one, two, three in itertools.permutations(parts):
            for merged in (one.merge(two).merge(three), one.merge(two.merge(three))):
                assert merged.thresholds(share).tolist() == expected  # exact: no arithmetic, only comparisons
    assert LargestValues.of(VALUES).thresholds(share).tolist() == expected


def test_the_share_exceeds_strictly():
    thresholds = channel_thresholds(VALUES[:400].reshape(1, 20, 20, 3))
    exceeding = (VALUES[:400] > thresholds).sum(axis=0)
    assert exceeding[0] == exceeding[2] == 2  # floor(0.005 * 400)
    assert exceeding[1] <= 2


@pytest.mark.parametrize("cells", [None, 400, 1000])
def test_blocks_give_what_an_array_gives_and_leave_out_what_is_not_finite(cells):
    activations = VALUES[:400].reshape(8, 5, 10, 3)
    bad = np.full((1, 5, 10, 3), np.nan, "f4")
    masks = np.ones((5, 1, 1, 1), bool)
    blocks = [Block(activations[:4], masks[:4]), Block(np.concatenate([bad, activations[4:]]), masks)]
    np.testing.assert_array_equal(channel_thresholds(blocks, cells=cells), channel_thresholds(activations))


def test_what_cannot_be_known_is_refused():
    with pytest.raises(InputError, match="needs the 201 largest values"):
        LargestValues.of(VALUES, kept=3).thresholds(0.5)
    with pytest.raises(InputError, match="keep as many values"):
        LargestValues.of(VALUES, kept=3).merge(LargestValues.of(VALUES, kept=4))
    with pytest.raises(InputError, match="`share` must be from 0"):
        channel_thresholds(VALUES[None, None], share=1.0)
    with pytest.raises(InputError, match="must hold a finite image"):
        channel_thresholds(np.full((1, 2, 2, 3), np.nan))
