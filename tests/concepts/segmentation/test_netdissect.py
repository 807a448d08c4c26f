"""The best filter of each concept against loops over filters, images and pixels."""

import numpy as np

from loce_jax.concepts.blocks import Block
from loce_jax.concepts.segmentation.netdissect import netdissect
from loce_jax.concepts.segmentation.quantiles import channel_thresholds
from loce_jax.solver.solution import Status
from tests.concepts.twins import enlarge

RNG = np.random.default_rng(2)
ACTIVATIONS = RNG.normal(size=(7, 5, 4, 6)).astype("f4")
MASKS = (RNG.random((7, 4, 9, 8)) < 0.4) & (RNG.random((7, 4, 1, 1)) < 0.7)
MASKS[:, 3] = False


def set_iou(channel, threshold, masks):
    """Set IoU of a filter over the images that show a concept."""
    both = either = 0
    for image, mask in zip(ACTIVATIONS, masks, strict=True):
        if mask.any():
            segmented = enlarge(image[..., channel].astype(float), mask.shape) > threshold
            both, either = both + (segmented & mask).sum(), either + (segmented | mask).sum()
    return both / either


def test_best_filters_match_the_twin_in_any_blocks():
    thresholds = channel_thresholds(ACTIVATIONS, share=0.1)
    found = netdissect(ACTIVATIONS, MASKS, share=0.1)
    for concept in range(3):
        best = int(np.argmax([set_iou(channel, thresholds[channel], MASKS[:, concept]) for channel in range(6)]))
        assert np.flatnonzero(found.vectors[concept]).tolist() == [best]
        assert found.offsets[concept] == -thresholds[best]
        # what it draws is what was counted
        segmented = np.asarray(found.maps(ACTIVATIONS, (9, 8)))[:, concept] > 0.5
        shown = MASKS[:, concept].any(axis=(1, 2))
        iou = (segmented & MASKS[:, concept])[shown].sum() / (segmented | MASKS[:, concept])[shown].sum()
        assert abs(iou - set_iou(best, thresholds[best], MASKS[:, concept])) < 0.01  # a pixel at the threshold itself
    assert found.status[3] == Status.MASK_EMPTY
    blocks = [Block(ACTIVATIONS[part], MASKS[part]) for part in (slice(2), slice(2, 7))]
    np.testing.assert_array_equal(netdissect(blocks, share=0.1).vectors, found.vectors)


def test_a_planted_filter_is_found_and_a_filter_that_never_fires_is_none():
    masks = ACTIVATIONS[..., 2] > np.quantile(ACTIVATIONS[..., 2], 0.9)
    assert netdissect(ACTIVATIONS, masks, share=0.1).vectors.tolist() == [np.eye(6)[2].tolist()]
    assert netdissect(ACTIVATIONS, masks, share=0.0).status.tolist() == [Status.DEGENERATE]
