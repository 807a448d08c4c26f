"""Data sets in blocks: what is accepted, and what is refused with the reason."""

import numpy as np
import pytest

from loce_jax import InputError
from loce_jax.concepts.blocks import Block, as_blocks

ACTIVATIONS = np.arange(70 * 2 * 3 * 4, dtype="f4").reshape(70, 2, 3, 4)


def test_arrays_come_in_blocks_in_order_again_and_again():
    masks = np.random.default_rng(0).random((70, 2, 5, 6))
    blocks = as_blocks(ACTIVATIONS, masks)
    for found in (list(blocks), list(blocks)):
        np.testing.assert_array_equal(np.concatenate([block.activations for block in found]), ACTIVATIONS)
        np.testing.assert_array_equal(np.concatenate([block.masks for block in found]), masks > 0.5)
        assert [len(block.activations) for block in found] == [32, 32, 6]


def test_a_list_of_blocks_is_taken_as_it_is():
    blocks = [Block(ACTIVATIONS, np.ones((70, 1, 2, 3), bool))]
    assert as_blocks(blocks) is blocks


@pytest.mark.parametrize(
    ("activations", "masks", "words"),
    [
        (ACTIVATIONS[0], np.ones((2, 5, 6)), r"`activations` must have shape \[n gh gw c\]"),
        (ACTIVATIONS, np.ones((69, 5, 6)), "n = 70 as in `activations`, but got float64 of shape"),
        (ACTIVATIONS, np.full((70, 5, 6), "x"), "numbers or booleans"),
        (ACTIVATIONS, np.ones((70, 0, 5, 6)), "must hold concepts and pixels"),
        (ACTIVATIONS, None, "`masks` must be given"),
        (iter([]), None, "used up after once"),
        (5, None, "an int is not blocks|a int is not blocks"),
    ],
)
def test_what_does_not_fit_is_refused(activations, masks, words):
    with pytest.raises(InputError, match=words):
        as_blocks(activations, masks)
