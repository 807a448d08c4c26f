"""Label Studio's JSON: polygons, brush strokes and rectangles; images are found by the end of their address."""

import json

import numpy as np
import pytest
from PIL import Image

from loce_jax.checks import InputError
from loce_jax.data import DataOptions, open_labelstudio, select
from loce_jax.data.annotations.labelstudio import BrushRuns

SIZE = {"original_width": 30, "original_height": 20, "image_rotation": 0}


def brush(mask):
    """Label Studio's run lengths of a mask, written from its description: one run of 1 to 256 values after another."""
    flat = np.repeat(mask.ravel(), 4).astype(np.uint8) * 255
    bits = [f"{len(flat):032b}", f"{7:05b}", *(f"{length - 1:04b}" for length in (3, 8, 8, 8))]
    start = 0
    while start < len(flat):
        end = start
        while end < len(flat) and end - start < 256 and flat[end] == flat[start]:
            end += 1
        if end - start > 4:
            bits += ["1", "01", f"{end - start - 1:08b}", f"{flat[start]:08b}"]
        else:
            end = min(start + 8, len(flat))
            bits += ["0", "00", f"{end - start - 1:03b}", *(f"{value:08b}" for value in flat[start:end])]
        start = end
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return [int(text[place : place + 8], 2) for place in range(0, len(text), 8)]


def polygon(label="car"):
    points = [[10, 10], [40, 10], [40, 60], [10, 60]]
    return {"id": "p", "type": "polygonlabels", "value": {"points": points, "polygonlabels": [label]}, **SIZE}


def stroke(mask, label="tree"):
    value = {"format": "rle", "rle": brush(mask), "brushlabels": [label]}
    return {"id": "b", "type": "brushlabels", "value": value, **SIZE}


def rectangle(label="truck"):
    value = {"x": 50, "y": 25, "width": 20, "height": 50, "rotation": 0, "rectanglelabels": [label]}
    return {"id": "r", "type": "rectanglelabels", "value": value, **SIZE}


def write(folder, *results, address="/data/upload/1/0a1b2c3d-a.png", file="a.png", cancelled=()):
    (folder / "images" / file).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (30, 20)).save(folder / "images" / file)
    annotations = [*cancelled, {"id": 1, "result": list(results)}]
    tasks = [{"id": 5, "data": {"text": "hello", "image": address}, "annotations": annotations}]
    (folder / "export.json").write_text(json.dumps(tasks))
    return folder / "export.json", folder / "images"


def test_polygons_and_brush_strokes_are_read(tmp_path):
    mask = np.zeros((20, 30), bool)
    mask[3:17, 4:9] = mask[10, 2:25] = True
    data = open_labelstudio(*write(tmp_path, polygon(), stroke(mask)))
    assert data.concepts == ("car", "tree") and data.problems == ()
    car, tree = data.read(data.items[0]).masks
    assert car.sum() == 90 and car[2:12, 3:12].all()
    np.testing.assert_array_equal(tree, mask)


@pytest.mark.parametrize("seed", range(5))
def test_any_mask_comes_back_from_its_run_lengths(seed):
    mask = np.random.default_rng(seed).random((13, 17)) < 0.2 * (seed + 1)
    np.testing.assert_array_equal(BrushRuns(tuple(brush(mask))).decode(mask.shape), mask)


@pytest.mark.parametrize("seed", range(20))
def test_any_bytes_are_a_mask_or_an_error(seed):
    rng = np.random.default_rng(seed)
    runs = brush(rng.random((13, 17)) < 0.3)
    for place in rng.integers(0, len(runs), 3):
        runs[place] = int(rng.integers(0, 256))
    try:
        assert BrushRuns(tuple(runs[: rng.integers(1, len(runs) + 1)])).decode((13, 17)).shape == (13, 17)
    except ValueError as error:
        assert "run lengths" in str(error)


def test_rectangles_are_masks_when_asked_for(tmp_path):
    data = open_labelstudio(*write(tmp_path, rectangle()))
    assert [problem.status for problem in data.problems] == ["no_area"]
    boxes = select(data, DataOptions(masks="rectangle"))
    mask = boxes.read(boxes.items[0]).masks[0]
    assert mask.sum() == 60 and mask[5:15, 15:21].all()


@pytest.mark.parametrize(
    ("address", "file"),
    [
        ("/data/upload/1/0a1b2c3d-a.png", "a.png"),
        ("/data/upload/1/0a1b2c3d-a.png", "0a1b2c3d-a.png"),
        ("/data/local-files/?d=street/a.png", "street/a.png"),
        ("/data/local-files/?d=home%2Fme%2Fstreet%2Fa.png", "street/a.png"),
        ("s3://bucket/street/a.png", "a.png"),
        ("https://example.org/x/a%20b.png?token=1", "a b.png"),
        ("../../../a.png", "a.png"),
    ],
    ids=str,
)
def test_images_are_found_by_the_end_of_their_address(address, file, tmp_path):
    data = open_labelstudio(*write(tmp_path, polygon(), address=address, file=file))
    assert data.items[0].image == file and data.read(data.items[0]).photo.shape == (20, 30, 3)


def test_the_first_annotation_that_was_not_cancelled_counts(tmp_path):
    cancelled = [{"id": 9, "was_cancelled": True, "result": [polygon("never")]}]
    assert open_labelstudio(*write(tmp_path, polygon(), cancelled=cancelled)).concepts == ("car",)


BAD_RESULTS = {
    "rotated image": (polygon() | {"image_rotation": 90}, "another size, or rotated"),
    "another size": (polygon() | {"original_width": 31}, "another size, or rotated"),
    "no points": (polygon() | {"value": {"polygonlabels": ["car"]}}, "it lacks 'points'"),
    "points in words": (polygon() | {"value": {"points": ["ab"], "polygonlabels": ["car"]}}, "could not convert"),
    "another kind": ({"type": "keypointlabels", "value": {"keypointlabels": ["car"]}, **SIZE}, "is not read"),
    "rotated rectangle": (rectangle() | {"value": rectangle()["value"] | {"rotation": 5}}, "is rotated"),
    "no run lengths": (polygon() | {"type": "brushlabels", "value": {"rle": [], "brushlabels": ["x"]}}, "not in run"),
}


@pytest.mark.parametrize("case", BAD_RESULTS)
def test_results_that_cannot_be_read_are_problems(case, tmp_path):
    result, message = BAD_RESULTS[case]
    data = open_labelstudio(*write(tmp_path, polygon("road"), result))
    (problem,) = data.problems
    assert message in problem.reason and problem.annotation.startswith("task 5, result ")
    assert data.concepts == ("road",)


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '[{"image": "a.png", "label": []}]', "[" * 100_000], ids=lambda text: text[:12]
)
def test_what_is_no_export_is_refused(text, tmp_path):
    file, images = write(tmp_path, polygon())
    file.write_text(text[:200_000])
    with pytest.raises(InputError, match="`path` must be .*Export the project as JSON, not as JSON-MIN"):
        open_labelstudio(file, images)


def open_results(folder, results, **options):
    Image.new("RGB", (30, 20)).save(folder / "a.jpg")
    tasks = [
        {"id": number, "data": {"image": "a.jpg"}, "annotations": [{"result": one}]}
        for number, one in enumerate(results, start=3)
    ]
    (folder / "export.json").write_text(json.dumps(tasks))
    return open_labelstudio(folder / "export.json", folder, **options)


@pytest.mark.parametrize("value", [{"polygonlabels": []}, {}])
def test_a_region_without_a_label_is_a_problem_and_what_is_no_region_is_none(value, tmp_path):
    bare = polygon() | {"id": "q", "value": {"points": [[1, 1], [9, 1], [9, 9]], **value}}
    choice = {"id": "c", "type": "choices", "value": {"choices": ["day"]}}
    (problem,) = open_results(tmp_path, [[polygon(), bare, choice]]).problems
    assert (problem.annotation, problem.reason) == ("task 3, result q", "it has no label.")


def test_labels_and_shapes_of_two_tags_are_read(tmp_path):
    shape = polygon()
    points = shape["value"].pop("points")
    both = [shape | {"type": "polygon", "value": {"points": points}}]
    both.append(shape | {"type": "labels", "value": {"points": points, "labels": ["car"]}})
    data = open_results(tmp_path, [both])
    assert data.problems == () and data.concepts == ("car",)
    expected = open_results(tmp_path, [[polygon()]])
    np.testing.assert_array_equal(data.masks(data.items[0])[0], expected.masks(expected.items[0])[0])


def test_two_tasks_of_one_image_are_a_problem_where_such_are_left_out(tmp_path):
    with pytest.raises(InputError, match="task 3 and task 4 are both the file 'a.jpg'"):
        open_results(tmp_path, [[polygon()], [polygon()]])
    (problem,) = open_results(tmp_path, [[polygon()], [polygon()]], faulty="leave out").problems
    assert (problem.annotation, problem.status) == ("task 4", "entry_unusable")
    assert problem.reason == "it is the file 'a.jpg', as is task 3."
