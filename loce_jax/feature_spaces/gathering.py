"""Activations and masks of all images of a data set, side by side, for methods that look at them again and again.

Shapes: n images, k concepts, gh x gw grid cells of a layer, c channels, H x W pixels of the masks.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from loce_jax.activations import make_extractor
from loce_jax.batch_sizes import IMAGES_PER_CHUNK
from loce_jax.checks import InputError
from loce_jax.concepts.blocks import IMAGES_PER_BLOCK, Block
from loce_jax.data.samples import Dataset, Item
from loce_jax.data.selection import group_of
from loce_jax.framing import Canvas
from loce_jax.models.base import Layer, Network
from loce_jax.pipeline.progress import Progress
from loce_jax.pipeline.reading import PASSING, ReadImage, SampleReader, read_in_threads

MOST_IN_MEMORY = 4e9  # bytes; what is more lies in a file while it is needed


@dataclass(frozen=True)
class ImageBlocks:
    """Some images of a layer, in blocks; can be iterated again and again.

    Attributes:
        activations: of all images.
        masks: of all images.
        rows: which images, in order.
    """

    activations: Float[np.ndarray, "n gh gw c"]
    masks: Bool[np.ndarray, "n k H W"]
    rows: Int[np.ndarray, " m"]

    def __iter__(self) -> Iterator[Block]:
        """Yield the images in blocks."""
        for start in range(0, len(self.rows), IMAGES_PER_BLOCK):
            part = self.rows[start : start + IMAGES_PER_BLOCK]
            yield Block(np.asarray(self.activations[part]), np.asarray(self.masks[part]))


@dataclass(frozen=True)
class Gathered:
    """All that a network and a data set say of each other.

    Attributes:
        images: names of the n images.
        groups: of each image, its group, such as a video sequence; its own name where there are no groups.
        concepts: names of the k concepts.
        activations: by layer ``[n gh gw c]``.
        masks: of every concept in every image, on the grid that covers what the network sees.
        canvases: of each image, where its photo lies in what the network sees.
        unread: images that could not be used, and why.
        photos: of every image at the network's input size, where they were asked for.
    """

    images: tuple[str, ...]
    groups: tuple[str, ...]
    concepts: tuple[str, ...]
    activations: Mapping[str, Float[np.ndarray, "n gh gw c"]]
    masks: Bool[np.ndarray, "n k H W"]
    canvases: tuple[Canvas, ...]
    unread: tuple[tuple[str, str], ...]
    photos: UInt8[np.ndarray, "n h w 3"] | None = None

    def blocks(self, layer: str, rows: Int[np.ndarray, " m"] | None = None) -> ImageBlocks:
        """The images `rows` of a layer, or all, in blocks."""
        return ImageBlocks(
            self.activations[layer], self.masks, np.arange(len(self.images)) if rows is None else np.asarray(rows)
        )


def gather(
    network: Network,
    layers: Sequence[str],
    dataset: Dataset,
    *,
    size: tuple[int, int] = (100, 100),
    photos: bool = False,
    progress: Progress | None = None,
) -> Gathered:
    """Read every image once, and keep its activations at `layers` and its masks.

    What would take more than 4 GB lies in files of the system's folder for temporary files, and is deleted with the
    result; there must be room.  An image whose photo or mask cannot be read is left out and listed.

    Args:
        network: the network.
        layers: names that `Network.resolve` knows.
        dataset: the data set.
        size: height and width of the masks.
        photos: whether to keep the resized photos.
        progress: called with the number of images read and of all images.

    Raises:
        InputError: no image could be read.
    """
    items, names, chunks = dataset.items, tuple(dataset.concepts), _chunks(dataset.items)
    found, reader = network.resolve(layers), SampleReader(dataset, network.preprocess, size)
    arrays = _Arrays.of(network, found, len(items), (len(names), *size), photos=photos)
    extract = make_extractor(network, list(arrays.activations))
    kept, unread, done = [], [], 0
    for chunk, read in read_in_threads(reader, chunks):
        fine, why = _usable(chunks[chunk], read)
        unread += why
        if fine:
            images = [image for _, image in fine]
            arrays.write(len(kept), images, extract(np.stack([image.pixels for image in images])), names)
            kept += [item for item, _ in fine]
        done += len(read)
        if progress is not None:
            progress(done, len(items))
    if not kept:
        raise InputError(f"`dataset` must have images that can be read, but none of {len(items)} can. {_first(unread)}")
    n = len(kept)
    return Gathered(
        images=tuple(item.image for item in kept),
        groups=tuple(group_of(item) or item.image for item in kept),
        concepts=names,
        activations={name: array[:n] for name, array in arrays.activations.items()},
        masks=arrays.masks[:n],
        canvases=tuple(network.preprocess.canvas(item.size) for item in kept),
        unread=tuple(unread),
        photos=None if arrays.photos is None else arrays.photos[:n],
    )


class _Arrays(NamedTuple):
    """What is filled image by image, with room for all."""

    activations: dict[str, np.ndarray]
    masks: np.ndarray
    photos: np.ndarray | None

    @classmethod
    def of(
        cls, network: Network, layers: Sequence[Layer], n: int, masks: tuple[int, ...], *, photos: bool
    ) -> "_Arrays":
        """Zeros for `n` images."""
        shapes = {layer.name: (n, *layer.grid, layer.channels) for layer in layers}
        pixels = (n if photos else 0, *network.preprocess.size, 3)
        cells = sum(4 * np.prod(shape) for shape in shapes.values())
        make = _arrays_for(float(cells + n * np.prod(masks) + np.prod(pixels)))
        activations = {name: make(shape, np.float32) for name, shape in shapes.items()}
        return cls(activations, make((n, *masks), bool), make(pixels, np.uint8) if photos else None)

    def write(self, start: int, images: Sequence[ReadImage], maps: Mapping[str, Any], concepts: Sequence[str]) -> None:
        """Put images, and what a network makes of them, into the rows from `start` on."""
        for name, found in maps.items():
            self.activations[name][start : start + len(images)] = np.asarray(found, np.float32)
        for row, image in enumerate(images, start):
            _draw(self.masks[row], image, concepts)
            if self.photos is not None:
                self.photos[row] = image.pixels


def _chunks(items: Sequence[Item]) -> dict[str, Sequence[Item]]:
    starts = range(0, len(items), IMAGES_PER_CHUNK)
    return {str(start): items[start : start + IMAGES_PER_CHUNK] for start in starts}


def _usable(
    items: Sequence[Item], read: Sequence[ReadImage]
) -> tuple[list[tuple[Item, ReadImage]], list[tuple[str, str]]]:
    """The images that could be read with all their masks, and of the others name and reason."""
    fine, why = [], []
    for item, image in zip(items, read, strict=True):
        faults = [sample.fault for sample in image.samples if sample.fault is not None]
        faults = [fault for fault in faults if image.photo is None or fault.status in PASSING]
        if faults:
            why.append((item.image, faults[0].reason))
        else:
            fine.append((item, image))
    return fine, why


def _draw(masks: Bool[np.ndarray, "k H W"], image: ReadImage, names: Sequence[str]) -> None:
    for sample in image.samples:
        if sample.fault is None:
            masks[names.index(sample.pair.concept)] = sample.target > 0.5


def _arrays_for(size: float) -> Callable[[tuple[int, ...], Any], np.ndarray]:
    """What makes arrays of zeros: in memory, or, where they take more than `MOST_IN_MEMORY` together, in files."""
    return np.zeros if size <= MOST_IN_MEMORY else _in_file


def _in_file(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array of zeros in a file without a name, which ends with the array."""
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype=dtype, mode="w+", shape=shape)


def _first(unread: Sequence[tuple[str, str]]) -> str:
    image, why = unread[0] if unread else ("none", "there are no images.")
    return f"The first is {image!r}: {why}"
