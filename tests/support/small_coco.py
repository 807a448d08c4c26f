"""A COCO data set of five chunks that is quickly drawn, and the command line that fits it, for many processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from loce_jax.pipeline.plan import IMAGES_PER_CHUNK

CHUNKS = 5
ROOT = Path(__file__).parents[2]
FLAGS = "--model", "efficientnet-lite0", "--size", "64", "64", "--layers", "blocks.4", "blocks.10"


def draw(folder, images=IMAGES_PER_CHUNK * (CHUNKS - 1) + 7):
    """Noise with a bright box, a new one in every photo."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir()
    photos, annotations = [], []
    for number in range(images):
        left, top, right, bottom = (*rng.integers(2, 20, 2).tolist(), *rng.integers(30, 44, 2).tolist())
        photo = rng.integers(0, 90, (48, 64, 3), dtype=np.uint8)
        photo[top:bottom, left:right] += 150
        Image.fromarray(photo).save(folder / "images" / f"{number:03d}.png")
        photos.append({"id": number, "file_name": f"{number:03d}.png", "height": 48, "width": 64})
        box = [left, top, right, top, right, bottom, left, bottom]
        annotations.append({"id": number, "image_id": number, "category_id": 1, "segmentation": [box]})
    document = {"images": photos, "annotations": annotations, "categories": [{"id": 1, "name": "box"}]}
    (folder / "coco.json").write_text(json.dumps(document))


def arguments(folder, out):
    files = "--coco", str(folder / "coco.json"), "--images", str(folder / "images")
    return ["fit", *FLAGS, *files, "--out", str(out)]


def start(folder, out, *more, **variables):
    """A process of its own that runs ``loce fit`` with further flags, and with these environment variables."""
    command = [sys.executable, "-m", "loce_jax.cli", *arguments(folder, out), *more]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, **variables}, **pipes)


def contents(root):
    """Every file of a run and its bytes; locks are tools of the writers."""
    return {
        p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file() and p.name != ".lock"
    }
