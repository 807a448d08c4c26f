"""Masks against pycocotools on good segmentations; a fault, and no crash, on everything else."""

import json
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as oracle

from loce_jax.data.annotations.masks import union_mask
from loce_jax.data.samples import Fault
from tests.support.selection import further

SIZE = (50, 70)


def random_polygon(rng, size=SIZE, points=None, reach=(0.0, 1.0)):
    points = points or int(rng.integers(3, 30))
    low, high = reach
    return (rng.uniform(low, high, (points, 2)) * size[::-1]).round(2).ravel().tolist()


def random_mask(rng, size=SIZE):
    return rng.random(size) < rng.random()


def runs_of(mask):
    """Run lengths in column order, beginning with zeros.  Shares no code with `masks`."""
    counts, value = [0], False
    for pixel in mask.ravel(order="F"):
        if pixel != value:
            counts.append(0)
            value = pixel
        counts[-1] += 1
    return counts


def compressed(mask) -> str:
    counts: Any = oracle.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]
    return counts.decode()


def decode_by_pycocotools(segmentation, size=SIZE):
    if isinstance(segmentation, list) or isinstance(segmentation["counts"], list):
        segmentation = oracle.frPyObjects(segmentation, *size)
    merged = oracle.merge(segmentation) if isinstance(segmentation, list) else segmentation
    return oracle.decode(merged).astype(bool)


@pytest.mark.parametrize("seed", range(60))
def test_polygons_have_the_pixels_of_pycocotools(seed):
    rng = np.random.default_rng(seed)
    reach = (-0.6, 1.6) if seed % 3 == 0 else (0.0, 1.0)
    polygons = [random_polygon(rng, reach=reach) for _ in range(rng.integers(1, 5))]
    mask = union_mask([{"id": 1, "segmentation": polygons}], SIZE)
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, decode_by_pycocotools(polygons))


@pytest.mark.parametrize("seed", range(30))
def test_run_lengths_come_back_whether_listed_or_compressed(seed):
    rng = np.random.default_rng(seed)
    mask = random_mask(rng)
    listed = {"size": list(SIZE), "counts": runs_of(mask)}
    text = {"size": list(SIZE), "counts": compressed(mask)}
    for segmentation in (listed, text):
        np.testing.assert_array_equal(union_mask([{"id": 1, "segmentation": segmentation}], SIZE), mask)
        np.testing.assert_array_equal(decode_by_pycocotools(segmentation), mask)


@pytest.mark.parametrize("size", [(1, 1), (1, 90), (90, 1), *further(((700, 900),))])
def test_run_lengths_of_extreme_sizes(size):
    for mask in (np.zeros(size, bool), np.ones(size, bool)):
        for counts in (compressed(mask), runs_of(mask)):
            segmentation = {"size": list(size), "counts": counts}
            np.testing.assert_array_equal(union_mask([{"id": 1, "segmentation": segmentation}], size), mask)


def test_union_covers_what_any_annotation_covers():
    rng = np.random.default_rng(0)
    annotations = [
        {"id": 1, "segmentation": [random_polygon(rng)]},
        {"id": 2, "segmentation": {"size": list(SIZE), "counts": runs_of(random_mask(rng))}},
    ]
    parts = [union_mask([annotation], SIZE) for annotation in annotations]
    np.testing.assert_array_equal(union_mask(annotations, SIZE), parts[0] | parts[1])
    assert not union_mask([], SIZE).any()


def test_an_inner_polygon_fills_the_hole():
    outer, inner = [5, 5, 45, 5, 45, 45, 5, 45], [20, 20, 30, 20, 30, 30, 20, 30]
    both = union_mask([{"id": 1, "segmentation": [outer, inner]}], SIZE)
    np.testing.assert_array_equal(both, union_mask([{"id": 1, "segmentation": [outer]}], SIZE))


@pytest.mark.parametrize("image_id", [1, 2, 3, 4])
def test_masks_of_the_reference(shared, image_id):
    content = json.loads(shared("golden", "analysis.json").read_text())["segmenter_coco_json"]
    with np.load(shared("golden", "analysis.npz")) as golden:
        expected = golden[f"seg_original_{image_id}"]
    mine = [one for one in content["annotations"] if (one["image_id"], one["category_id"]) == (image_id, 3)]
    np.testing.assert_array_equal(union_mask(mine, (120, 160)), expected)


HUGE = 10**400
DEEP = json.loads("[" * 900 + "]" * 900)
BAD_SEGMENTATIONS = {
    "text": ("polygon", "neither a list"),
    "a flat list": ([1, 2, 3, 4, 5, 6], "not a list of numbers"),
    "odd": ([[1, 1, 9, 1, 9, 9, 3]], "7 numbers"),
    "NaN": ([[1, 1, 9, 1, 9, float("nan")]], "a coordinate that is not finite"),
    "infinity": ([[1, 1, 9, 1, 9, float("inf")]], "a coordinate that is not finite"),
    "1e7": ([[1, 1, 1e7, 1, 9, 9]], "far outside"),
    "1e9": ([[1, 1, 1e9, 1, 1e9, 1e9]], "far outside"),
    "1e300": ([[1, 1, 1e300, 1, -1e300, 9]], "far outside"),
    "a whole number beyond floats": ([[1, 1, HUGE, 1, 9, 9]], "far outside"),
    "letters": ([["1", "1", "9", "1", "9", "9"]], "not a list of numbers"),
    "truth values": ([[True, 1, 9, 1, 9, 9]], "not a list of numbers"),
    "nested too deep": ([[[1, 1, 9, 1, 9, 9]]], "not a list of numbers"),
    "a million vertices": ([[0, 0, 69, 49, 69, 0] * 200_000], "too long"),
    "no counts": ({"size": [50, 70]}, "not whole numbers"),
    "no size": ({"counts": [3500]}, "size None"),
    "another size": ({"size": [70, 50], "counts": [3500]}, r"size \[70, 50\], the image is \[50, 70\]"),
    "a nested size": ({"size": DEEP, "counts": [3500]}, r"size \[\["),
    "nested polygons": (DEEP, "not a list of numbers"),
    "an enormous size": ({"size": [100_000, 100_000], "counts": [10**10]}, "100000"),
    "runs too short": ({"size": [50, 70], "counts": [10, 20]}, "add up to 30"),
    "runs too long": ({"size": [50, 70], "counts": [10, 3500]}, "add up to 3510"),
    "no runs": ({"size": [50, 70], "counts": []}, "add up to 0"),
    "no text": ({"size": [50, 70], "counts": ""}, "add up to 0"),
    "a negative run": ({"size": [50, 70], "counts": [-10, 3510]}, "not whole numbers"),
    "a huge run": ({"size": [50, 70], "counts": [HUGE]}, "not whole numbers"),
    "broken runs": ({"size": [50, 70], "counts": [3499.5, 0.5]}, "not whole numbers"),
    "text with a space": ({"size": [50, 70], "counts": "0 0"}, "impossible character"),
    "text beyond ASCII": ({"size": [50, 70], "counts": "0\u20ac"}, "impossible character"),
    "text that breaks off": ({"size": [50, 70], "counts": "Tda"}, "break off"),
    "a number without end": ({"size": [50, 70], "counts": "o" * 50}, "impossible character"),
    "text without end": ({"size": [50, 70], "counts": "0" * 30_000}, "longer than"),
    "text with a negative run": ({"size": [50, 70], "counts": "@"}, "not whole numbers"),
}


@pytest.mark.parametrize("segmentation", [None, [], {}, [[]], [[1, 1]], [[1, 1, 9, 9]]], ids=str)
def test_what_has_no_area_adds_no_pixel(segmentation):
    whole = {"id": 1, "segmentation": [[1, 1, 9, 1, 9, 9]]}
    assert not union_mask([{"id": 31, "segmentation": segmentation}], SIZE).any()
    both = union_mask([whole, {"id": 31, "segmentation": segmentation}], SIZE)
    np.testing.assert_array_equal(both, union_mask([whole], SIZE))


@pytest.mark.parametrize("case", BAD_SEGMENTATIONS)
def test_bad_segmentations_are_faults(case):
    segmentation, message = BAD_SEGMENTATIONS[case]
    with pytest.raises(Fault, match=rf"annotation 31: .*{message}") as caught:
        union_mask([{"id": 31, "segmentation": segmentation}], SIZE)
    assert caught.value.status == "mask_unreadable"


def test_an_enormous_image_is_a_fault():
    with pytest.raises(Fault, match="too large"):
        union_mask([{"id": 31, "segmentation": [[1, 1, 9, 1, 9, 9]]}], (100_000, 100_000))


def test_any_text_is_a_mask_or_a_fault():
    rng = np.random.default_rng(0)
    counts = compressed(random_mask(rng))
    for _ in range(300):
        letters = list(counts)
        for place in rng.integers(0, len(letters), int(rng.integers(1, 4))):
            letters[place] = chr(int(rng.integers(48, 112)))
        segmentation = {"size": list(SIZE), "counts": "".join(letters)}
        try:
            mask = union_mask([{"id": 1, "segmentation": segmentation}], SIZE)
        except Fault as fault:
            assert fault.status == "mask_unreadable"
        else:
            np.testing.assert_array_equal(mask, decode_by_pycocotools(segmentation))
