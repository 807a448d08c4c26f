"""A made-up run of many concepts, and photographs to go with it, for `bench_analysis.py concepts`."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from loce_jax.data.samples import Item, Pair, Reading
from loce_jax.store import LayerRows, Run, RunWriter, open_run, open_storage
from loce_jax.store.files import FORMAT

SCALE = 10_000 / 1_200  # LoCEs a concept
CHANNELS, GRID, SIZE, PER_IMAGE = 256, (14, 14), (480, 640), 3
KINDS = 8  # different photographs


class Photographs:
    """Images of `PER_IMAGE` concepts each, JPEG files in memory, which are decoded when they are read."""

    name = "made up"

    def __init__(self, concepts: int, loces: float):
        rng = np.random.default_rng(0)
        self.concepts = [f"concept {number}" for number in range(concepts)]
        self.fingerprint, self._files = f"{concepts} {loces}", [_photograph(rng) for _ in range(KINDS)]
        found = rng.permuted(np.resize(np.arange(concepts), (round(loces / PER_IMAGE), PER_IMAGE)))
        self.items = [
            Item(f"{number}.jpg", number, SIZE, tuple(Pair(self.concepts[concept]) for concept in dict.fromkeys(mine)))
            for number, mine in enumerate(found.tolist())
        ]

    def read(self, item: Item) -> Reading:
        """One photograph and a mask for each concept: a square."""
        with Image.open(io.BytesIO(self._files[item.image_id % KINDS])) as photo:
            pixels = np.array(photo)
        masks = np.zeros((len(item.pairs), *SIZE), bool)
        for number, mask in enumerate(masks):
            mask[100:220, 40 + 200 * number : 160 + 200 * number] = True
        return Reading(pixels, tuple(masks))


def _photograph(rng):
    """Colored clouds, as a JPEG file of about 50 kB."""
    height, width = SIZE
    small = Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8))
    clouds = small.resize((width, height), Image.Resampling.BICUBIC)
    noisy = np.clip(np.asarray(clouds) + rng.normal(0, 12, (*SIZE, 3)), 0, 255).astype(np.uint8)
    packed = io.BytesIO()
    Image.fromarray(noisy).save(packed, "JPEG", quality=85)
    return packed.getvalue()


def write_run(folder: Path, photographs: Photographs) -> Run:
    """A run of one layer: Gaussian concepts that overlap a little, and responses that know where the squares are."""
    rng = np.random.default_rng(1)
    pairs = [(item, pair) for item in photographs.items for pair in item.pairs]
    numbers = {name: number for number, name in enumerate(photographs.concepts)}
    codes, n = np.array([numbers[pair.concept] for _, pair in pairs]), len(pairs)
    centers = rng.normal(size=(len(numbers), CHANNELS))
    plan = {
        "layers": {"late": {}},
        "data": {"concepts": photographs.concepts, "name": "made up", "source": None},
        "format": FORMAT,
        "chunks": ["00000"],
        "model": {"name": "made up"},
        "images": len(photographs.items),
        "recipe": {"name": "paper"},
    }
    layer = LayerRows(
        rows=np.arange(n),
        vectors=(centers[codes] + rng.normal(size=(n, CHANNELS))).astype("float32"),
        responses=rng.normal(size=(n, *GRID)).astype("float16"),
        iou=rng.random(n),
        loss=np.zeros(n, "float32"),
        status=["ok"] * n,
    )
    columns = {
        "image": [item.image for item, _ in pairs],
        "image_id": [item.image_id for item, _ in pairs],
        "concept": [pair.concept for _, pair in pairs],
        "annotations": [""] * n,
        "area": [0.05] * n,
        "reason": [""] * n,
    }
    with RunWriter(open_storage(folder), plan) as writer:
        writer.write("00000", columns, {"late": layer})
    return open_run(folder)
