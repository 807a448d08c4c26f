"""The published IoU against the reference's own chain of library calls, and against cases known by hand."""

import numpy as np
import pytest
from skimage.transform import resize

from loce_jax import mask_iou, quantize


def mask_iou_slowly(logits, mask):
    """Clip, squash, truncate to 8 bits, upsample with scikit-image, threshold, count."""
    eight_bit = np.array([[int(255 / (1 + np.exp(-min(max(z, -10), 10)))) for z in row] for row in logits], np.uint8)
    drawn = np.asarray(resize(eight_bit, mask.shape)) > 0.5
    both = sum(bool(d and m) for d, m in zip(drawn.ravel(), mask.ravel(), strict=True))
    either = sum(bool(d or m) for d, m in zip(drawn.ravel(), mask.ravel(), strict=True))
    return both / either if either else 0.0


@pytest.mark.parametrize("size", [(60, 80), (100, 100), (130, 95)])
@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_the_slow_twin(seed, size):
    rng = np.random.default_rng(seed)
    logits = np.cumsum(np.cumsum(rng.normal(size=(100, 100)), axis=0), axis=1) / 50
    mask = np.zeros(size, bool)
    mask[10:40, 20:60] = True
    assert mask_iou(quantize(logits), mask) == pytest.approx(mask_iou_slowly(logits, mask), abs=1e-9)


def test_quantization_truncates_and_never_reaches_255():
    assert quantize(np.array([[-np.inf, -1e9, 0.0, 1e9]])).tolist() == [[0, 0, 127, 254]]


def test_undecided_is_off():
    assert mask_iou(quantize(np.zeros((4, 4))), np.ones((8, 8), bool)) == 0
    assert mask_iou(np.full((4, 4), 0.501), np.ones((8, 8), bool)) == 1


def test_plain_and_paper_differ_between_one_half_and_128_of_255():
    logits = np.full((4, 4), 0.004)
    mask = np.ones((8, 8), bool)
    assert mask_iou(quantize(logits), mask) == 0
    assert mask_iou(1 / (1 + np.exp(-logits)), mask) == 1


def test_nothing_against_nothing_is_zero_as_in_the_reference():
    assert mask_iou(np.zeros((4, 4)), np.zeros((8, 8), bool)) == 0
