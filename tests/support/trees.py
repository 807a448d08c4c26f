"""Small data sets on disk as people have them, from made-up street frames or from photographs with label maps."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = 48, 64
NAMES = {0: "sky", 1: "road", 2: "car", 3: "void"}
COLORS = {0: (70, 130, 180), 1: (128, 64, 128), 2: (0, 0, 142), 3: (0, 0, 0)}


def made_up_frames(count=4):
    """By name a photo and its map of `NAMES`: sky over road, a car of changing place, a void strip below."""
    frames = {}
    for number in range(count):
        labels = np.zeros(SIZE, np.uint8)
        labels[20:] = 1
        labels[24:40, 10 + 2 * number : 30 + 2 * number] = 2
        labels[46:] = 3
        rng = np.random.default_rng(number)
        photo = np.take(np.array(list(COLORS.values())), labels, axis=0) + rng.integers(0, 60, (*SIZE, 3))
        frames[f"seq{number // 2}_{number:03d}"] = photo.clip(0, 255).astype(np.uint8), labels
    return frames


def camvid_frames(folder, count=6):
    """The same of CamVid: photographs with maps of its 11 classes."""
    files = sorted(Path(folder, "train").glob("*.jpg"))[:: 367 // count][:count]
    return {
        file.stem: (
            np.asarray(Image.open(file)),
            np.asarray(Image.open(Path(folder, "trainannot", f"{file.stem}.png"))),
        )
        for file in files
    }


def save(path, pixels, palette=None):
    """An image file; a palette, of colors by number, makes a map of numbers a palette image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    if palette:
        image.putpalette([channel for code in range(256) for channel in palette.get(code, (code, 0, 7))])
    image.save(path)


def relabel(labels, numbers, other):
    """The map with other numbers; those that are in no class become `other`."""
    table = np.full(256, other, np.uint8)
    for old, new in numbers.items():
        table[old] = new
    return table[labels]


def write_labels(root, frames, coding="gray", suffix=""):
    """``images``, ``labels`` and ``classes.txt``; `coding` is gray, palette or color."""
    for name, (photo, labels) in frames.items():
        save(root / "images" / f"{name}.png", photo)
        pixels = np.take(np.array([*COLORS.values()], np.uint8), labels, axis=0) if coding == "color" else labels
        save(root / "labels" / f"{name}{suffix}.png", pixels, COLORS if coding == "palette" else None)
    lines = [
        f"{' '.join(map(str, COLORS[code]))} {name}" if coding == "color" else f"{code} {name}"
        for code, name in NAMES.items()
    ]
    (root / "classes.txt").write_text("\n".join(lines))
    return root


def write_camvid(root, frames):
    for name, (photo, labels) in frames.items():
        save(root / "train" / f"{name}.png", photo)
        save(root / "trainannot" / f"{name}.png", labels)
    return root


def write_voc(root, frames, numbers, split="val"):
    """A VOC tree; `numbers` leads from the frames' classes to VOC's.  The outlines of objects are void, 255."""
    for name, (photo, labels) in frames.items():
        classes = relabel(labels, numbers, 0)
        edges = np.zeros(classes.shape, bool)
        edges[:, 1:] |= classes[:, 1:] != classes[:, :-1]
        edges[1:] |= classes[1:] != classes[:-1]
        objects = np.zeros_like(classes)
        for number, code in enumerate(np.unique(classes[classes > 0]), start=1):
            objects[classes == code] = number
        classes[edges] = objects[edges] = 255
        save(root / "JPEGImages" / f"{name}.jpg", photo)
        save(root / "SegmentationClass" / f"{name}.png", classes, {0: (0, 0, 0), 7: (128, 128, 128)})
        save(root / "SegmentationObject" / f"{name}.png", objects, {0: (0, 0, 0), 1: (128, 0, 0)})
    save(root / "JPEGImages" / "boxes_only.jpg", np.zeros((20, 20, 3), np.uint8))
    (root / "ImageSets" / "Segmentation").mkdir(parents=True)
    (root / "ImageSets" / "Segmentation" / f"{split}.txt").write_text("\n".join(frames) + "\n")
    return root


def write_cityscapes(root, frames, numbers, split="val"):
    """A Cityscapes tree with the ids that `numbers` leads to; the others are 0, unlabeled."""
    for name, (photo, labels) in frames.items():
        city, _, number = name.partition("_")
        stem = f"{city}_000000_{number}"
        save(root / "leftImg8bit" / split / city / f"{stem}_leftImg8bit.png", photo)
        folder = root / "gtFine" / split / city
        save(folder / f"{stem}_gtFine_labelIds.png", relabel(labels, numbers, 0))
        save(folder / f"{stem}_gtFine_color.png", np.zeros((*labels.shape, 3), np.uint8))
        (folder / f"{stem}_gtFine_polygons.json").write_text("{}")
    return root


def write_panoptic(root, frames, crowd=()):
    """``panoptic_val.json``, its PNGs and ``images``; names in `crowd` are crowds."""
    names = {code: name for code, name in NAMES.items() if name != "void"}
    content = {"images": [], "annotations": [], "categories": [{"id": c + 1, "name": n} for c, n in names.items()]}
    for number, (name, (photo, labels)) in enumerate(frames.items(), start=1):
        save(root / "images" / f"{name}.jpg", photo)
        ids = labels.astype(np.int64) * 70_000 + 1
        ids[~np.isin(labels, list(names))] = 0
        channels = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=2).astype(np.uint8)
        save(root / "panoptic_val" / f"{name}.png", channels)
        height, width = labels.shape
        content["images"].append({"id": number, "file_name": f"{name}.jpg", "height": height, "width": width})
        segments = [
            {"id": code * 70_000 + 1, "category_id": code + 1, "iscrowd": int(names[code] in crowd)}
            for code in sorted({*np.unique(labels).tolist()} & {*names})
        ]
        content["annotations"].append({"image_id": number, "file_name": f"{name}.png", "segments_info": segments})
    (root / "panoptic_val.json").write_text(json.dumps(content))
    return root / "panoptic_val.json"


def write_yolo(root, frames, layout="images/train", names="list"):
    """Outlines of rectangles: every class of a frame but void as its bounding box, which sky and car are."""
    named = [name for name in NAMES.values() if name != "void"]
    text = ", ".join(named) if names == "list" else ", ".join(f"{i}: {name}" for i, name in enumerate(named))
    root.mkdir(exist_ok=True)
    (root / "data.yaml").write_text(
        f"path: /nowhere\nnames: {'[' + text + ']' if names == 'list' else '{' + text + '}'}\n"
    )
    for name, (photo, labels) in frames.items():
        save(root / layout / f"{name}.png", photo)
        lines = []
        for code in range(3):
            (rows,), (columns,) = (np.nonzero((labels == code).any(axis=axis)) for axis in (1, 0))
            top, bottom = rows[0] / labels.shape[0], (rows[-1] + 1) / labels.shape[0]
            left, right = columns[0] / labels.shape[1], (columns[-1] + 1) / labels.shape[1]
            lines.append(f"{code} {left} {top} {right} {top} {right} {bottom} {left} {bottom}")
        file = root / layout.replace("images", "labels") / f"{name}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(lines) + "\n")
    return root


def write_masks(root, frames, level=255, several=True):
    """``images`` and ``masks/CONCEPT``, or ``masks`` of the car alone."""
    for name, (photo, labels) in frames.items():
        save(root / "images" / f"{name}.jpg", photo)
        for code, concept in NAMES.items():
            mask = (labels == code).astype(np.uint8) * level
            if several:
                save(root / "masks" / concept / f"{name}.png", mask)
            elif concept == "car":
                save(root / "masks" / f"{name}.png", mask)
    return root
