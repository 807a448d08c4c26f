"""The photos, masks and activations (kept on disk) that `bench_quality` measures on.

A part is a set of photos that belongs to development or to the report as a whole; a data set is one or more parts.
Letters: n photos, r rows (a photo and a concept each), H x W pixels of a photo, th x tw the target's grid, h x w
grid cells, c channels.
"""

import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image
from scipy import ndimage

from loce_jax.activations import make_extractor
from loce_jax.batch_sizes import IMAGES_PER_FORWARD
from loce_jax.data import open_coco
from loce_jax.data.annotations.shapes import box_mask
from loce_jax.data.images import read_photo
from loce_jax.data.noise import add_gaussian_noise
from loce_jax.data.samples import Dataset, Fault, Item, Pair, Reading
from loce_jax.data.scenes import Scenes
from loce_jax.models.base import Network
from loce_jax.resampling import resize_mask

COVER = (0.01, 0.8)  # share of the photo; other masks are excluded
TARGET = (100, 100)
SEQUENCES = {"camvid_develop": ("0006R0", "0016E5"), "camvid_report": ("0001TP", "Seq05VD")}
PARTS = {
    "coco_develop": ("coco_develop",),
    "coco_report": ("coco_report",),
    "coco_all": ("coco_develop", "coco_report"),
    "capybara": ("capybara", "coco_report"),
    "camvid_develop": ("camvid_develop",),
    "camvid_report": ("camvid_report",),
    "scenes": ("scenes",),
}


@dataclass(frozen=True, eq=False)
class CamVid:
    """Frames of some sequences and their labeled classes, `frames` of each sequence, evenly spaced."""

    root: Path
    sequences: tuple[str, ...]
    frames: int

    @property
    def name(self) -> str:
        """A short name."""
        return "camvid"

    @property
    def concepts(self) -> tuple[str, ...]:
        """Names of the classes, by their number in the label images."""
        classes = json.loads((self.root / "classes.json").read_text())
        return tuple(entry["name"] for _, entry in sorted(classes.items(), key=lambda each: int(each[0])))[:-1]

    @property
    def fingerprint(self) -> str:
        """Hexadecimal digest of the frames' names; their pixels are not part of it."""
        return hashlib.sha256(" ".join(item.image for item in self.items).encode()).hexdigest()

    @property
    def items(self) -> tuple[Item, ...]:
        """The frames, by name; every class is a pair of each frame, its mask may be empty."""
        taken = []
        for sequence in self.sequences:
            paths = sorted(self.root.glob(f"[tv]*[nlt]/{sequence}_*.jpg"), key=lambda path: path.name)
            taken += [paths[int(index)] for index in np.linspace(0, len(paths) - 1, min(self.frames, len(paths)))]
        pairs = tuple(Pair(concept) for concept in self.concepts)
        return tuple(
            Item(path.relative_to(self.root).as_posix(), number, (360, 480), pairs) for number, path in enumerate(taken)
        )

    def read(self, item: Item) -> Reading:
        """Open one frame and its labels."""
        folder, name = item.image.split("/")
        with Image.open(self.root / f"{folder}annot" / Path(name).with_suffix(".png"), formats=["PNG"]) as image:
            labels = np.asarray(image)
        photo = read_photo(self.root / item.image, item.size)
        return Reading(photo, tuple(labels == number for number in range(len(self.concepts))))


@dataclass(frozen=True)
class Part:
    """Photos for development or for the report, as a whole."""

    name: str
    dataset: Dataset
    items: tuple[Item, ...]

    def group(self, item: Item) -> str:
        """Group of near-duplicates: the sequence of a video, elsewhere the photo itself."""
        found = re.match(r"\w+/([^_]+)_", item.image) if isinstance(self.dataset, CamVid) else None
        return found[1] if found else f"{self.name}/{item.image}"


def open_part(name: str, shared: Path, *, quick: bool = False) -> Part:
    """One of the parts of `PARTS`; a few photos of it if `quick`."""
    data = shared / "data"
    if name.startswith("camvid"):
        dataset = CamVid(data / "camvid", SEQUENCES[name], frames=3 if quick else 30)
    elif name == "scenes":
        dataset = Scenes(count=8 if quick else 100)
    else:
        folder = data / ("capybara" if name == "capybara" else "coco_open")
        dataset = open_coco(folder / "instances.json", folder / "images")
    items = dataset.items
    if name.startswith("coco"):
        items = tuple(item for item in items if half_of(item.image) == name)
    return Part(name, dataset, items[:6] if quick else items)


def half_of(image: str) -> str:
    """The half of `coco_open` that a photo belongs to, by a hash of its name.

    >>> half_of("000000000139.jpg") == half_of("000000000139.jpg")
    True
    """
    return ("coco_develop", "coco_report")[hashlib.sha256(image.encode()).digest()[0] % 2]


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of some data; row i is concept `concepts[i]` of photo `photos[i]`.

    Attributes:
        photos: from 0, over all parts.
        groups: the group of each row, see `Part.group`.
        areas: the mask's share of its photo.
        targets: see `resize_mask`.
    """

    photos: Int[np.ndarray, " r"]
    groups: np.ndarray
    concepts: np.ndarray
    areas: Float[np.ndarray, " r"]
    targets: Float[np.ndarray, "r th tw"]


Change = Callable[[Bool[np.ndarray, "H W"]], Bool[np.ndarray, "H W"]]


def read_rows(parts: Sequence[Part], change: Change | None = None) -> Rows:
    """All rows of the parts with a cover within `COVER`, by photo and concept; `change` alters the masks."""
    located = [(part, item) for part in parts for item in part.items]
    with ThreadPoolExecutor() as pool:
        read = list(pool.map(lambda one: _rows_of(one[0], one[1], change), located))
    found = [(number, *row) for number, rows in enumerate(read) for row in rows]
    photos, groups, concepts, areas, targets = (np.array(column) for column in zip(*found, strict=True))
    return Rows(photos, groups, concepts, areas, targets)


def _rows_of(part: Part, item: Item, change: Change | None) -> Iterator:
    rows = []
    for pair, mask in zip(item.pairs, part.dataset.read(item).masks, strict=True):
        if not isinstance(mask, Fault) and COVER[0] <= mask.mean() <= COVER[1]:
            target = resize_mask(change(mask) if change else mask, TARGET)
            rows.append((part.group(item), pair.concept, mask.mean(), target))
    return iter(rows)


def _boxes(shape: str) -> Change:
    """Boxes of the mask's connected pieces, or the ellipses in them."""

    def draw(mask):
        labeled = np.zeros(mask.shape, np.int32)
        ndimage.label(mask, output=labeled)
        pieces = ndimage.find_objects(labeled)
        boxes = [
            {"id": 0, "bbox": [float(x.start), float(y.start), float(x.stop - x.start), float(y.stop - y.start)]}
            for y, x in pieces
        ]
        return box_mask(boxes, mask.shape, shape=shape)

    return draw


CHANGED_MASKS: Mapping[str, Change] = {
    "eroded by 3 px": lambda mask: ndimage.binary_erosion(mask, iterations=3, border_value=1),
    "dilated by 3 px": lambda mask: ndimage.binary_dilation(mask, iterations=3),
    "rectangles": _boxes("rectangle"),
    "ellipses": _boxes("ellipse"),
}


def _jpeg(photo: UInt8[np.ndarray, "H W 3"], _: int) -> UInt8[np.ndarray, "H W 3"]:
    stream = io.BytesIO()
    Image.fromarray(photo).save(stream, "JPEG", quality=30)
    return np.asarray(Image.open(stream, formats=["JPEG"]))


CHANGED_PHOTOS: Mapping[str, Callable[[UInt8[np.ndarray, "H W 3"], int], UInt8[np.ndarray, "H W 3"]]] = {
    "noise of 5 %": lambda photo, number: add_gaussian_noise(photo, 5, seed=(0, number)),
    "JPEG quality 30": _jpeg,
}


def activations_of(
    network: Network, layers: Sequence[str], part: Part, cache: Path, change: str = ""
) -> dict[str, Float[np.ndarray, "n h w c"]]:
    """A part's activations at `layers`, float16, kept in `cache`; `change` is one of `CHANGED_PHOTOS`."""
    names = [layer.name for layer in network.resolve(layers)]
    images = hashlib.sha256(" ".join(item.image for item in part.items).encode()).hexdigest()
    key = "-".join((network.fingerprint[:12], str(network.preprocess.size), part.name, images[:8], change))
    folder = cache / re.sub(r"[^\w-]+", "_", key)
    paths = {name: folder / f"{name}.npy" for name in names}
    if not all(path.exists() for path in paths.values()):
        folder.mkdir(parents=True, exist_ok=True)
        alter = CHANGED_PHOTOS.get(change, lambda photo, _: photo)
        extract = make_extractor(network, names)
        batches: dict[str, list[np.ndarray]] = {name: [] for name in names}
        for start in range(0, len(part.items), IMAGES_PER_FORWARD):
            items = part.items[start : start + IMAGES_PER_FORWARD]
            photos = [alter(part.dataset.read(item).photo, item.image_id) for item in items]
            found = extract(np.stack([network.preprocess.resize(photo) for photo in photos]))
            for name in names:
                batches[name].append(np.asarray(found[name], np.float16))
        for name, path in paths.items():
            np.save(path, np.concatenate(batches[name]))
    return {name: np.load(path, mmap_mode="r") for name, path in paths.items()}
