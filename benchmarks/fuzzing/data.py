"""Damaged annotations and photos."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fuzzing.damage import Run, check, damage_bytes, damage_tree, json_bytes, refusing
from loce_jax.data import open_coco
from loce_jax.data.annotations.masks import union_mask
from loce_jax.data.images import read_photo


def _document():
    square = [[2, 2, 20, 2, 20, 20, 2, 20]]
    runs = {"size": [30, 40], "counts": [100, 50, 1050]}
    shapes = (square, runs, {"size": [30, 40], "counts": "d3b1h40"})
    return {
        "images": [{"id": i, "file_name": f"{i}.png", "height": 30, "width": 40} for i in range(3)],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {"id": i, "image_id": i % 3, "category_id": 1 + i % 2, "segmentation": shapes[i % 3], "iscrowd": 0}
            for i in range(5)
        ],
    }


def coco() -> Run:
    """COCO files."""
    document, path = _document(), Path("coco.json")
    Path("images").mkdir()

    def run(rng):
        content = (
            json_bytes(damage_tree(rng, document)) if rng.random() < 0.7 else damage_bytes(rng, json_bytes(document))
        )
        path.write_bytes(content)
        dataset = refusing(lambda: open_coco(path, "images"))
        for item in dataset.items:
            for mask in dataset.masks(item):
                check(isinstance(mask, Exception) or (mask.shape == item.size and mask.dtype == bool), "a mask")

    return run


def rle() -> Run:
    """Run lengths, as lists and as text."""

    def run(rng):
        height, width = (rng.randrange(1, 40) for _ in range(2))
        size = height, width
        cuts = sorted(rng.randrange(size[0] * size[1] + 1) for _ in range(rng.randrange(12)))
        counts = np.diff([0, *cuts, size[0] * size[1]]).tolist()
        found: dict[str, Any] = {"size": list(size), "counts": counts}
        if rng.random() < 0.8:
            found = damage_tree(rng, found)
        if rng.random() < 0.3 and isinstance(found, dict):
            found["counts"] = "".join(chr(rng.randrange(32, 127)) for _ in range(rng.randrange(30)))
        mask = refusing(lambda: union_mask([{"id": 1, "segmentation": found, "iscrowd": 1}], size))
        check(mask.shape == size and mask.dtype == bool, "size or dtype")
        if isinstance(found, dict) and isinstance(found.get("counts"), list):
            flat = np.repeat(np.arange(len(found["counts"])) % 2 == 1, [int(n) for n in found["counts"]])
            check((mask == flat.reshape(size[::-1]).T).all(), "other pixels than the runs say")

    return run


def polygons() -> Run:
    """Polygons."""

    def run(rng):
        height, width = (rng.randrange(1, 60) for _ in range(2))
        size = height, width
        scale = 10.0 ** rng.randrange(-3, 12)
        found: Any = [[rng.gauss(0, scale) for _ in range(2 * rng.randrange(1, 9))] for _ in range(rng.randrange(1, 4))]
        if rng.random() < 0.5:
            found = damage_tree(rng, found)
        mask = refusing(lambda: union_mask([{"id": 1, "segmentation": found}], size))
        check(mask.shape == size and mask.dtype == bool, "size or dtype")
        rows, columns = np.nonzero(mask)
        if len(rows) and all(isinstance(part, list) and all(type(n) in (int, float) for n in part) for part in found):
            numbers = [np.array([float(n) for n in part]) for part in found if len(part) > 5]  # two points have no area
            x, y = (np.concatenate([part[offset::2] for part in numbers]) for offset in (0, 1))
            inside = x.min() - 1 <= columns.min() and columns.max() <= x.max() + 1
            check(inside and y.min() - 1 <= rows.min() and rows.max() <= y.max() + 1, "pixels outside of the polygon")

    return run


def images() -> Run:
    """Photos: headers and bodies of several formats."""
    photo, seeds = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)), []
    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"):
        stream = io.BytesIO()
        photo.save(stream, kind)
        seeds.append(stream.getvalue())

    def run(rng):
        path = Path("photo")
        path.write_bytes(damage_bytes(rng, rng.choice(seeds)))
        found = refusing(lambda: read_photo(path, (12, 16)))
        check(found.shape == (12, 16, 3) and found.dtype == np.uint8, "size or dtype")

    return run
