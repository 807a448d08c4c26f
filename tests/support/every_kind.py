"""A small data set of each kind, as `loce_jax.data.opening.open_data` opens it."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.data.annotations.test_cvat import MASK, POLYGON
from tests.data.annotations.test_cvat import write as write_cvat
from tests.data.annotations.test_labelstudio import polygon, stroke
from tests.data.annotations.test_labelstudio import write as write_labelstudio
from tests.support.trees import (
    NAMES,
    write_camvid,
    write_cityscapes,
    write_labels,
    write_masks,
    write_panoptic,
    write_voc,
    write_yolo,
)


def coco(root, frames, **image):
    """An annotation file and photos in one folder; `image` are further keys of each image, with its name put in."""
    images, annotations = [], []
    for number, (name, (photo, _)) in enumerate(frames.items()):
        Image.fromarray(photo).save(root / f"{name}.png")
        keys = {key: value.format(f"{name}.png") for key, value in (image or {"file_name": "{}"}).items()}
        images.append({"id": number, "height": 48, "width": 64, **keys})
        outline = [[10, 24, 30, 24, 30, 40, 10, 40]]
        annotations.append({"id": number, "image_id": number, "category_id": 3, "segmentation": outline})
    content = {"images": images, "annotations": annotations, "categories": [{"id": 3, "name": "car_(automobile)"}]}
    (root / "coco.json").write_text(json.dumps(content))
    return {"path": root / "coco.json", "images": root}


def cvat(root, _):
    write_cvat(root, POLYGON + MASK)
    brighten(root / "images")
    return {"path": root}


def labelstudio(root, _):
    mask = np.zeros((20, 30), bool)
    mask[5:15, 18:28] = True
    file, images = write_labelstudio(root, polygon(), stroke(mask))
    brighten(images)
    return {"path": file, "images": images}


def brighten(folder):
    """Photos in which there is something to see."""
    for number, file in enumerate(sorted(folder.iterdir())):
        photo = np.random.default_rng(number).integers(0, 256, (20, 30, 3), dtype=np.uint8)
        Image.fromarray(photo).save(file)


def npz(root, frames):
    photos, labels = zip(*frames.values(), strict=True)
    masks = np.stack([np.stack(labels) == code for code in (0, 2)], axis=1)
    np.savez(root / "a.npz", images=np.stack(photos), masks=masks, concepts=np.array(["sky", "car"]))
    return {"path": root / "a.npz"}


def saved_table(root, frames):
    """A table of the library `datasets`, saved to disk, and its class table."""
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    features = datasets.Features({"image": datasets.Image(), "mask": datasets.Image()})
    rows = {
        "image": [Image.fromarray(photo) for photo, _ in frames.values()],
        "mask": [Image.fromarray(labels) for _, labels in frames.values()],
    }
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(str(root / "saved"))
    (root / "classes.txt").write_text("\n".join(f"{code} {name}" for code, name in NAMES.items()))
    return {"path": root / "saved", "classes": root / "classes.txt"}


DATA = {
    "coco": coco,
    "lvis": lambda root, frames: coco(root, frames, coco_url="http://images.cocodataset.org/val2017/{}"),
    "panoptic": lambda root, frames: {"path": write_panoptic(root, frames), "images": root / "images"},
    "voc": lambda root, frames: {"path": write_voc(root, frames, {2: 7}), "split": "val"},
    "cityscapes": lambda root, frames: {"path": write_cityscapes(root, frames, {0: 23, 2: 26})},
    "camvid": lambda root, frames: {"path": write_camvid(root, frames)},
    "labels": lambda root, frames: {"path": write_labels(root, frames)},
    "folder": lambda root, frames: {"path": write_masks(root, frames)},
    "yolo": lambda root, frames: {"path": write_yolo(root, frames)},
    "cvat": cvat,
    "labelstudio": labelstudio,
    "npz": npz,
    "datasets": saved_table,
}
CASES = [pytest.param(kind, marks=pytest.mark.datasets) if kind == "datasets" else kind for kind in DATA]
