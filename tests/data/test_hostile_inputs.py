"""Spoiled inputs of every kind: what escapes is an `InputError` or a `Fault`, and a mask has the image's size."""

import copy
import json

import numpy as np
import pytest

from loce_jax.checks import InputError
from loce_jax.data import (
    open_camvid,
    open_cvat,
    open_folder,
    open_labels,
    open_labelstudio,
    open_npz,
    open_panoptic,
    open_voc,
    open_yolo,
)
from loce_jax.data.samples import Fault
from loce_jax.data.selection import options_from
from loce_jax.pipeline.sources import source_from
from tests.data.annotations.test_coco import VALUES, places
from tests.data.annotations.test_cvat import BOX, MASK, POLYGON
from tests.data.annotations.test_cvat import write as write_cvat
from tests.data.annotations.test_labelstudio import polygon, rectangle, stroke
from tests.data.annotations.test_labelstudio import write as write_labelstudio
from tests.support.trees import (
    made_up_frames,
    write_camvid,
    write_labels,
    write_masks,
    write_panoptic,
    write_voc,
    write_yolo,
)


def read_all(open_data):
    """Open and read; what is no fault must be a mask that tells something apart."""
    try:
        data = open_data()
    except InputError:
        return
    for item in data.items:
        try:
            reading = data.read(item)
        except Fault:
            continue
        assert len(reading.masks) == len(item.pairs)
        for mask in reading.masks:
            assert isinstance(mask, Fault) or (mask.shape == item.size and 0 < mask.sum() < mask.size)


def spoil_json(file, rng):
    content = json.loads(file.read_text())
    for _ in range(rng.integers(1, 4)):
        spots = places(content, [])
        container, key = spots[rng.integers(len(spots))]
        if rng.random() < 0.2:
            del container[key]
        else:
            container[key] = copy.deepcopy(VALUES[rng.integers(len(VALUES))])
    file.write_text(json.dumps(content))


def spoil_bytes(file, rng):
    content = bytearray(file.read_bytes())
    for place in rng.integers(0, max(len(content), 1), int(rng.integers(1, 6))):
        if len(content):
            content[place % len(content)] = int(rng.integers(0, 256))
    if rng.random() < 0.2:
        content = content[: int(rng.integers(0, len(content) + 1))]
    file.write_bytes(bytes(content))


def labelstudio(root):
    mask = np.zeros((20, 30), bool)
    mask[4:9, 5:20] = True
    file, images = write_labelstudio(root, polygon(), stroke(mask), rectangle())
    return file, lambda: open_labelstudio(file, images)


def panoptic(root):
    file = write_panoptic(root, made_up_frames(1))
    return file, lambda: open_panoptic(file, root / "images")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("write", [labelstudio, panoptic])
def test_spoiled_json(write, seed, tmp_path):
    rng = np.random.default_rng(seed)
    file, open_data = write(tmp_path)
    whole = file.read_text()
    for _ in range(10):
        file.write_text(whole)
        spoil_json(file, rng)
        read_all(open_data)


FILES = {
    "cvat": (lambda root: write_cvat(root, POLYGON + MASK + BOX), "annotations.xml", open_cvat),
    "yolo labels": (lambda root: write_yolo(root, made_up_frames(1)), "labels/train/seq0_000.txt", open_yolo),
    "yolo names": (lambda root: write_yolo(root, made_up_frames(1)), "data.yaml", open_yolo),
    "label map": (lambda root: write_labels(root, made_up_frames(1)), "labels/seq0_000.png", open_labels),
    "class table": (lambda root: write_labels(root, made_up_frames(1)), "classes.txt", open_labels),
    "camvid": (lambda root: write_camvid(root, made_up_frames(1)), "trainannot/seq0_000.png", open_camvid),
    "voc": (lambda root: write_voc(root, made_up_frames(1), {2: 7}), "SegmentationClass/seq0_000.png", open_voc),
    "mask": (lambda root: write_masks(root, made_up_frames(1)), "masks/car/seq0_000.png", open_folder),
}


@pytest.mark.parametrize("case", FILES)
def test_spoiled_bytes(case, tmp_path):
    write, name, open_data = FILES[case]
    root = write(tmp_path)
    whole = (root / name).read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(12):
        (root / name).write_bytes(whole)
        spoil_bytes(root / name, rng)
        read_all(lambda: open_data(root))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_spoiled_arrays(save, tmp_path):
    rng = np.random.default_rng(0)
    for number in range(15):
        file = tmp_path / f"{number}.npz"
        save(file, images=np.zeros((1, 6, 8, 3), np.uint8), masks=np.eye(6, 8, dtype=bool)[None])
        spoil_bytes(file, rng)
        read_all(lambda file=file: open_npz(file))


@pytest.mark.wrong_types
@pytest.mark.parametrize("seed", range(5))
def test_spoiled_sources_of_a_plan(seed, tmp_path):
    rng = np.random.default_rng(seed)
    good = {"kind": "voc", "path": str(tmp_path), "concepts": ["car"], "options": {"max_images": 3, "groups": ["a"]}}
    for _ in range(20):
        record = copy.deepcopy(good)
        spots = places(record, [])
        container, key = spots[rng.integers(len(spots))]
        container[key] = copy.deepcopy(VALUES[rng.integers(len(VALUES))])
        with pytest.raises(InputError):
            source_from(record).open()


WRONG = [[], [1], "x", {"groups": 3}, {"groups": [3]}, {"group_by": 5}, {"min_area": "x"}, {"noise": []}, {"paper": 1}]


@pytest.mark.wrong_types
@pytest.mark.parametrize("record", WRONG, ids=str)
def test_options_of_the_wrong_type(record):
    with pytest.raises(InputError):
        options_from(record)
