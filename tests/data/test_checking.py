"""`check_data` counts what is there and names every problem; kinds are guessed from what a path holds."""

import json

import numpy as np
import pytest
from PIL import Image

from loce_jax.checks import InputError
from loce_jax.data import KINDS, open_coco
from loce_jax.data.checking import check_data
from loce_jax.data.opening import guess_kind, open_data, parameters
from tests.support.tiny import Boxes
from tests.support.trees import (
    made_up_frames,
    write_camvid,
    write_cityscapes,
    write_labels,
    write_masks,
    write_panoptic,
    write_voc,
    write_yolo,
)


def test_counts_sizes_and_problems():
    report = check_data(Boxes(5))
    left, right = report.concepts
    assert left.annotations is None, "masks are not made of annotations"
    assert (left.concept, left.images, left.smallest) == ("left", 4, 440)
    assert right.median_share == pytest.approx(480 / 3072)
    assert report.sizes == (((48, 64), 5),) and report.groups == ()
    (problem,) = report.problems
    assert (problem.file, problem.status) == ("3", "image_missing")


def test_every_problem_has_its_file_and_annotation(tmp_path):
    box = [[2, 2, 10, 2, 10, 10, 2, 10]]
    segmentations = {1: box, 2: [[1, 1, 1e9, 1, 1e9, 1e9]], 3: [[80, 60]], 4: box, 5: box}
    content = {
        "images": [{"id": i, "file_name": f"{i}.png", "height": 20, "width": 30} for i in (1, 2, 3, 4)],
        "annotations": [
            {"id": i, "image_id": min(i, 4), "category_id": 1, "segmentation": one} for i, one in segmentations.items()
        ]
        + [{"id": 9, "image_id": 77, "category_id": 1, "segmentation": box}],
        "categories": [{"id": 1, "name": "cat"}],
    }
    for name in ("1.png", "2.png", "3.png"):
        Image.new("RGB", (30, 20)).save(tmp_path / name)
    (tmp_path / "ann.json").write_text(json.dumps(content))
    report = check_data(open_coco(tmp_path / "ann.json", tmp_path))
    found = {(problem.file, problem.annotation, problem.status) for problem in report.problems}
    assert found == {
        (str(tmp_path / "ann.json"), "annotation 9", "image_not_listed"),
        ("2.png", "annotation 2", "mask_unreadable"),
        ("3.png", "annotation 3", "no_area"),
        ("4.png", "", "image_missing"),
    }
    (cat,) = report.concepts
    assert (cat.images, cat.annotations, cat.smallest) == (1, 1, 64)


def write_npz(folder, frames):
    photos, labels = zip(*frames.values(), strict=True)
    np.savez(folder / "a.npz", images=np.stack(photos), masks=np.stack(labels) == 2)
    return folder / "a.npz"


def write_coco(folder, frames):
    (folder / "ann.json").write_text(json.dumps({"images": [], "annotations": [], "categories": []}))
    return folder / "ann.json"


TREES = {
    "voc": lambda folder, frames: write_voc(folder, frames, {2: 7}),
    "cityscapes": lambda folder, frames: write_cityscapes(folder, frames, {2: 26}),
    "camvid": write_camvid,
    "yolo": write_yolo,
    "labels": write_labels,
    "folder": write_masks,
    "panoptic": write_panoptic,
    "npz": write_npz,
    "coco": write_coco,
}


@pytest.mark.parametrize("kind", TREES)
def test_a_path_shows_its_kind(kind, tmp_path):
    assert guess_kind(str(TREES[kind](tmp_path, made_up_frames(1)))) == kind


def test_a_path_that_shows_no_kind_is_refused(tmp_path):
    with pytest.raises(InputError, match="does not show its kind. The kinds are camvid"):
        guess_kind(str(tmp_path))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_function_that_says_what_it_takes(kind):
    known = parameters(kind)
    assert "path" in known or kind == "scenes"
    with pytest.raises(InputError, match=f"`crops` has no meaning for data of kind '{kind}'"):
        open_data(kind, {"crops": 3})


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(InputError, match="`images` must be given for data of kind 'coco'"):
        open_data("coco", {"path": str(tmp_path)})
    with pytest.raises(InputError, match="unknown kind of data 'cocoo'. Did you mean 'coco'"):
        open_data("cocoo", {})
