"""A small run written by hand: three planted concepts at two layers, with rows that failed where a test says so."""

import numpy as np

from loce_jax import open_run
from loce_jax.store import LayerRows, RunWriter, open_storage
from loce_jax.store.files import FORMAT

NAMES = ("cat", "dog", "emu")
N = 90


def write_run(
    folder, layers=("early", "late"), *, failed=(), labels=None, vectors=None, iou=None, seed=0, model="planted"
):
    """A run of `N` rows; `failed` names rows without a LoCE at the last layer."""
    rng = np.random.default_rng(seed)
    labels = np.array(NAMES)[np.arange(N) % 3] if labels is None else np.array(labels)
    n = len(labels)
    plan = {
        "layers": dict.fromkeys(layers, {}),
        "data": {"concepts": sorted(set(labels.tolist())), "source": {"kind": "coco"}},
        "format": FORMAT,
        "chunks": ["00000"],
        "model": {"name": model},
    }
    codes = np.unique(labels, return_inverse=True)[1]
    if vectors is None:
        vectors = 2 * np.eye(codes.max() + 1, 6)[codes] + rng.normal(size=(n, 6))
    iou = rng.uniform(0.1, 0.9, n) if iou is None else iou
    numbers = {}
    for layer in layers:
        good = np.setdiff1d(np.arange(n), failed if layer == layers[-1] else [])
        noise = rng.normal(size=(n, vectors.shape[1])) / 10
        numbers[layer] = LayerRows(
            rows=good,
            vectors=(vectors + noise)[good].astype("float32"),
            responses=np.zeros((len(good), 2, 2), "float16"),
            iou=iou[good],
            loss=np.zeros(len(good), "float32"),
            status=["ok" if row in good else f"nonfinite:{layer}" for row in range(n)],
        )
    columns = {
        "image": [f"{i}.jpg" for i in range(n)],
        "image_id": list(range(n)),
        "concept": labels.tolist(),
        "area": [0.1] * n,
        "reason": [""] * n,
    }
    with RunWriter(open_storage(folder), plan) as writer:
        writer.write("00000", columns, numbers)
    return open_run(folder)
