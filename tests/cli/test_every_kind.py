"""Each kind of data from one command to the page: fit, report and check, by `--data KIND PATH`."""

import json

import numpy as np
import pytest
from PIL import Image

from loce_jax import open_run
from loce_jax.cli import main
from tests.data.annotations.test_cvat import MASK, POLYGON
from tests.data.annotations.test_cvat import write as write_cvat
from tests.data.annotations.test_labelstudio import polygon, stroke
from tests.data.annotations.test_labelstudio import write as write_labelstudio
from tests.support.small_coco import write_network
from tests.support.trees import (
    camvid_frames,
    made_up_frames,
    write_camvid,
    write_cityscapes,
    write_labels,
    write_masks,
    write_panoptic,
    write_voc,
    write_yolo,
)

pytestmark = pytest.mark.slow  # what no other test proves: that a command line reaches each reader, and the page too


def labels_of(coding):
    return lambda root, frames: ["labels", write_labels(root, frames, coding)]


def brighten(folder):
    """Photos in which there is something to see."""
    for number, file in enumerate(sorted(folder.iterdir())):
        photo = np.random.default_rng(number).integers(0, 256, (20, 30, 3), dtype=np.uint8)
        Image.fromarray(photo).save(file)


def cvat(root, _):
    write_cvat(root, POLYGON + MASK)
    brighten(root / "images")
    return ["cvat", root]


def labelstudio(root, _):
    mask = np.zeros((20, 30), bool)
    mask[5:15, 18:28] = True
    file, images = write_labelstudio(root, polygon(), stroke(mask))
    brighten(images)
    return ["labelstudio", file, "--images", images]


def npz(root, frames):
    photos, labels = zip(*frames.values(), strict=True)
    masks = np.stack([np.stack(labels) == code for code in (0, 2)], axis=1)
    np.savez(root / "a.npz", images=np.stack(photos), masks=masks, concepts=np.array(["sky", "car"]))
    return ["npz", root / "a.npz"]


def lvis(root, frames):
    images, annotations = [], []
    for number, (name, (photo, _)) in enumerate(frames.items()):
        Image.fromarray(photo).save(root / f"{name}.png")
        url = f"http://images.cocodataset.org/val2017/{name}.png"
        images.append({"id": number, "coco_url": url, "height": 48, "width": 64})
        outline = [[10, 24, 30, 24, 30, 40, 10, 40]]
        annotations.append({"id": number, "image_id": number, "category_id": 3, "segmentation": outline})
    content = {"images": images, "annotations": annotations, "categories": [{"id": 3, "name": "car_(automobile)"}]}
    (root / "lvis.json").write_text(json.dumps(content))
    return ["lvis", root / "lvis.json", "--images", root]


COMMANDS = {
    "voc": lambda root, frames: ["voc", write_voc(root, frames, {2: 7}), "--split", "val"],
    "voc objects": lambda root, frames: ["voc", write_voc(root, frames, {2: 7}), "--labels", "SegmentationObject"],
    "cityscapes": lambda root, frames: ["cityscapes", write_cityscapes(root, frames, {0: 23, 2: 26})],
    "cityscapes 30": lambda root, frames: ["cityscapes", write_cityscapes(root, frames, {3: 4}), "--classes", "30"],
    "camvid": lambda root, frames: ["camvid", write_camvid(root, frames)],
    "labels, gray": labels_of("gray"),
    "labels, palette": labels_of("palette"),
    "labels, color": labels_of("color"),
    "folder": lambda root, frames: ["folder", write_masks(root, frames)],
    "yolo": lambda root, frames: ["yolo", write_yolo(root, frames)],
    "panoptic": lambda root, frames: ["panoptic", write_panoptic(root, frames), "--images", root / "images"],
    "cvat": cvat,
    "labelstudio": labelstudio,
    "npz": npz,
    "lvis": lvis,
}


def fit_and_report(folder, data, *more):
    """One command for the run, one for the page."""
    network, run = write_network(folder), folder / "run"
    command = ["fit", "--data", *data, "--model", network, "--layers", "late", "--out", run, *more]
    assert main(list(map(str, command))) == 0
    assert main(["report", str(run)]) == 0
    assert (run / "report.html").stat().st_size > 10_000
    return open_run(run)


@pytest.mark.parametrize("kind", COMMANDS)
def test_one_command_a_kind(kind, tmp_path):
    (tmp_path / "data").mkdir()
    data = COMMANDS[kind](tmp_path / "data", made_up_frames(3))
    run = fit_and_report(tmp_path, data)
    assert run.complete and set(run.table["status"].tolist()) == {"ok"}
    assert main(["data", "check", *map(str, data)]) == 0


def test_the_page_of_data_that_have_moved(tmp_path):
    data = write_voc(tmp_path / "data", made_up_frames(3), {2: 7})
    run = fit_and_report(tmp_path, ["voc", data])
    (tmp_path / "elsewhere").mkdir()
    data.rename(tmp_path / "elsewhere" / "voc")
    assert main(["report", str(run.path)]) == 2
    assert main(["report", str(run.path), "--data", "voc", str(tmp_path / "elsewhere" / "voc")]) == 0


def test_options_of_the_data_reach_the_run(tmp_path):
    data = ["camvid", write_camvid(tmp_path / "data", made_up_frames(6))]
    options = ["--data.groups", "seq0", "seq1", "--data.max-per-concept", "2", "--data.masks", "ellipse"]
    run = fit_and_report(tmp_path, data, *options, "--data.noise", "gaussian", "--data.paper")
    assert set(run.table["group"].tolist()) <= {"seq0", "seq1"}
    assert all(run.table["concept"].tolist().count(name) == 2 for name in run.concepts)


@pytest.mark.parametrize("kind", ["camvid", "voc", "cityscapes"])
def test_camvid_frames_with_the_embedded_network(kind, shared, tmp_path):
    """The real thing: CamVid, and a VOC and a Cityscapes tree of its frames, from one command each."""
    frames = camvid_frames(shared("data", "camvid"), count=6)
    root = tmp_path / "data"
    write = {
        "camvid": write_camvid,
        "voc": lambda root, frames: write_voc(root, frames, {8: 7, 9: 15, 10: 2}),
        "cityscapes": lambda root, frames: write_cityscapes(root, frames, {0: 23, 1: 11, 3: 7, 5: 21, 8: 26, 9: 24}),
    }
    write[kind](root, frames)
    command = ["fit", "--data", kind, str(root), "--layers", "blocks.10", "--out", str(tmp_path / "run")]
    assert main(command) == 0
    run = open_run(tmp_path / "run")
    assert run.complete and len(set(run.table["image"].tolist())) >= 5
    ok = run.select(status="ok")
    assert len(ok) > 0.9 * len(run.table["status"]) and np.median(run.column("iou", run.layers[0])[ok]) > 0.1


def test_a_saved_table_of_datasets(datasets, tmp_path):
    frames = made_up_frames(3)
    features = datasets.Features({"image": datasets.Image(), "mask": datasets.Image()})
    rows = {
        "image": [Image.fromarray(photo) for photo, _ in frames.values()],
        "mask": [Image.fromarray(labels) for _, labels in frames.values()],
    }
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(str(tmp_path / "saved"))
    (tmp_path / "classes.txt").write_text("0 sky\n2 car")
    run = fit_and_report(tmp_path, ["datasets", tmp_path / "saved", "--classes", tmp_path / "classes.txt"])
    assert run.concepts == ("sky", "car") and len(run.table["image"]) == 6
