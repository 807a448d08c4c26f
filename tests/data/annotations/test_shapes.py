"""Masks from boxes: recorded masks of the original code, a slow twin, and faults where a box is none."""

import json

import numpy as np
import pytest

from loce_jax.checks import InputError
from loce_jax.data.annotations.shapes import SHAPES, box_mask
from loce_jax.data.samples import Fault

SIZE = (30, 40)


def boxed(*box, crowd=False):
    segmentation = {"size": [30, 40], "counts": [1200]} if crowd else [[0, 0, 1, 0, 1, 1]]
    return {"id": 5, "bbox": list(box), "segmentation": segmentation}


def draw_slowly(boxes, shape, size=SIZE):
    mask = np.zeros(size, bool)
    for x, y, w, h in boxes:
        for i in range(size[0]):
            for j in range(size[1]):
                across, down = j + 0.5 - x, i + 0.5 - y
                if shape == "rectangle":
                    mask[i, j] |= 0 <= across < w and 0 <= down < h
                elif w > 0 and h > 0:
                    mask[i, j] |= (across / w - 0.5) ** 2 + (down / h - 0.5) ** 2 <= 0.25
    return mask


@pytest.fixture(scope="module")
def annotations(shared):
    return json.loads(shared("golden", "analysis.json").read_text())["segmenter_coco_json"]["annotations"]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("image_id", [1, 3, 4])
def test_masks_of_the_original_code(shared, annotations, shape, image_id):
    expected = np.load(shared("golden", "analysis.npz"))[f"seg_{shape}_{image_id}"]
    mine = [one for one in annotations if (one["image_id"], one["category_id"]) == (image_id, 3)]
    np.testing.assert_array_equal(box_mask(mine, (120, 160), shape=shape, paper=True), expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_lone_crowd_is_a_fault_where_the_original_code_dies_and_a_mask_otherwise(shared, annotations, shape):
    recorded = np.load(shared("golden", "analysis.npz"))[f"seg_{shape}_2"]
    assert recorded.shape == ()  # no mask at all, on which the original run stops
    mine = [one for one in annotations if (one["image_id"], one["category_id"]) == (2, 3)]
    with pytest.raises(Fault, match="no annotation has polygons") as caught:
        box_mask(mine, (120, 160), shape=shape, paper=True)
    assert caught.value.status == "mask_empty"
    mask = box_mask(mine, (120, 160), shape=shape)  # the box is 41 pixels wide and 61 high
    assert mask.sum() == (41 * 61 if shape == "rectangle" else pytest.approx(np.pi / 4 * 41 * 61, rel=0.01))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(10))
def test_matches_slow_twin(seed, shape):
    rng = np.random.default_rng(seed)
    boxes = [(*rng.uniform(-10, 35, 2), *rng.uniform(0, 25, 2)) for _ in range(rng.integers(1, 4))]
    mask = box_mask([boxed(*map(float, box)) for box in boxes], SIZE, shape=shape)
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, draw_slowly(boxes, shape))


@pytest.mark.parametrize("shape", SHAPES)
def test_shifts_and_reflections_move_the_mask(shape):
    mask = box_mask([boxed(4.25, 6.5, 13.5, 9.25)], SIZE, shape=shape)
    shifted = box_mask([boxed(9.25, 8.5, 13.5, 9.25)], SIZE, shape=shape)
    np.testing.assert_array_equal(shifted, np.roll(mask, (2, 5), axis=(0, 1)))
    reflected = box_mask([boxed(40 - 4.25 - 13.5, 6.5, 13.5, 9.25)], SIZE, shape=shape)
    np.testing.assert_array_equal(reflected, mask[:, ::-1])


def test_areas_are_those_of_the_boxes_and_the_original_ones_are_larger():
    whole = boxed(5, 7, 12, 9)
    assert box_mask([whole], SIZE, shape="rectangle").sum() == 12 * 9
    assert box_mask([whole], SIZE, shape="rectangle", paper=True).sum() == 13 * 10
    assert box_mask([boxed(5.5, 7.5, 12, 9)], SIZE, shape="rectangle").sum() == 12 * 9  # edges on centers: one counts
    assert box_mask([boxed(0, 0, 40, 30)], SIZE, shape="rectangle").all()
    ellipse = box_mask([whole], SIZE, shape="ellipse")
    assert not (ellipse & ~box_mask([whole], SIZE, shape="rectangle")).any()


@pytest.mark.parametrize("shape", SHAPES)
def test_narrow_boxes_and_none(shape):
    assert not box_mask([], SIZE, shape=shape).any()
    assert not box_mask([boxed(5, 5, 0, 8)], SIZE, shape=shape).any()
    assert not box_mask([boxed(5.6, 5, 0.8, 8)], SIZE, shape=shape).any()  # between two columns of centers
    assert box_mask([boxed(5.6, 5, 0.8, 8)], SIZE, shape=shape, paper=True).sum() == (9 * (shape == "rectangle"))
    assert not box_mask([boxed(-20, -20, 10, 10)], SIZE, shape=shape).any()


BAD_BOXES = {
    "missing": (None, "not a list of four numbers"),
    "three": ([1, 2, 3], "not a list of four numbers"),
    "text": (["1", "2", "3", "4"], "not a list of four numbers"),
    "truth values": ([True, 1, 2, 3], "not a list of four numbers"),
    "NaN": ([1, 2, float("nan"), 4], "a coordinate that is not finite"),
    "infinity": ([1, 2, 3, float("inf")], "a coordinate that is not finite"),
    "1e9": ([1, 2, 1e9, 4], "far outside"),
    "negative": ([5, 5, -3, 4], "negative width"),
}


@pytest.mark.parametrize("case", BAD_BOXES)
@pytest.mark.parametrize("paper", [False, True])
def test_bad_boxes_are_faults(case, paper):
    box, message = BAD_BOXES[case]
    with pytest.raises(Fault, match=rf"annotation 5: .*{message}") as caught:
        box_mask([{"id": 5, "bbox": box, "segmentation": []}], SIZE, shape="ellipse", paper=paper)
    assert caught.value.status == "mask_unreadable"


def test_an_enormous_image_is_a_fault_and_an_unknown_shape_an_error():
    with pytest.raises(Fault, match="too large"):
        box_mask([boxed(1, 1, 2, 2)], (100_000, 100_000), shape="rectangle")
    with pytest.raises(InputError, match="unknown shape 'box'"):
        box_mask([boxed(1, 1, 2, 2)], SIZE, shape="box")
