"""A COCO data set of five chunks and a network of two layers, quickly made, and the command line that fits them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from loce_jax.batch_sizes import IMAGES_PER_CHUNK
from loce_jax.models.base import Layer, Preprocess
from loce_jax.models.converter import folder as converter
from loce_jax.models.converter.graph import Graph, Node, Ref

CHUNKS = 5
ROOT = Path(__file__).parents[2]
LAYERS = "early", "late"
GRAPH = Graph(
    name="small",
    preprocess=Preprocess(size=(48, 64)),
    any_batch=True,
    nodes=(
        Node("images"),
        Node("weight", ("early.weight",)),
        Node("weight", ("late.weight",)),
        Node("aten.permute.default", (Ref(0), (0, 3, 1, 2))),
        Node("aten.conv2d.default", (Ref(3), Ref(1), None, (4, 4)), module="early"),
        Node("aten.clamp.default", (Ref(4), 0.0, float("inf")), module="early"),
        Node("aten.permute.default", (Ref(5), (0, 2, 3, 1))),
        Node("aten.conv2d.default", (Ref(5), Ref(2), None, (2, 2)), module="late"),
        Node("aten.permute.default", (Ref(7), (0, 2, 3, 1))),
    ),
    layers=(Layer("early", 8, (12, 16), 4.0, "grid"), Layer("late", 12, (6, 8), 8.0, "grid")),
    taps={"early": 6, "late": 8},
)


def write_network(folder):
    """The network, with random weights."""
    rng = np.random.default_rng(1)
    shapes = {"early.weight": (8, 3, 4, 4), "late.weight": (12, 8, 2, 2)}
    weights = {name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()}
    converter.write(folder / "network", GRAPH, weights)
    return folder / "network"


def draw(folder, images=IMAGES_PER_CHUNK * (CHUNKS - 1) + 7):
    """Noise with a bright box, a new one in every photo; and the network, with random weights."""
    write_network(folder)
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
    return ["fit", "--model", str(folder / "network"), "--layers", *LAYERS, *files, "--out", str(out)]


def start(folder, out, *more, **variables):
    """A process of its own that runs ``loce fit`` with further flags, and with these environment variables."""
    command = [sys.executable, "-m", "loce_jax.cli", *arguments(folder, out), *more]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, **variables}, **pipes)


def contents(root):
    """Every file of a run and its bytes, but for where the data were seen from it; locks are tools of the writers."""
    files = (path for path in root.rglob("*") if path.is_file() and path.name not in (".lock", "source.json"))
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}
