"""Open a plan's items ahead of time, a bounded number of chunks at once.

In threads of this process; `loce_jax.pipeline.grain_reading` does it in others.

Shapes: h x w the network's input, H x W a photo's own size, th x tw the target's grid.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, UInt8

from loce_jax.batch_sizes import CHUNKS_OPEN
from loce_jax.data.samples import Dataset, Fault, Item, Pair, check_reading
from loce_jax.framing import Canvas
from loce_jax.models.base import Preprocess
from loce_jax.pipeline.plan import Plan
from loce_jax.pipeline.resuming.photo_digests import PhotoEntry, photo_entry
from loce_jax.resampling import resize_mask


@dataclass(frozen=True)
class Sample:
    """One (image, concept) of a chunk after reading: a mask and its target, both empty where there is a `fault`.

    Attributes:
        item, pair: what the data set listed.
        mask: at the photo's own size.
        target: the mask on the solver's grid, which covers what the network sees, the photo with its padding.
        canvas: where the photo lies in that.
    """

    item: Item
    pair: Pair
    fault: Fault | None
    mask: Bool[np.ndarray, "H W"] = field(default_factory=lambda: np.zeros((0, 0), bool))
    target: Float[np.ndarray, "th tw"] = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    canvas: Canvas | None = None


@dataclass(frozen=True)
class ReadImage:
    """An item after reading.

    Attributes:
        samples: one for each of its pairs.
        pixels: the photo at the network's input size; black if it could not be read.
        photo: digest of the photo; None if it could not be read.
    """

    samples: list[Sample]
    pixels: UInt8[np.ndarray, "h w 3"]
    photo: PhotoEntry | None = None


@dataclass(frozen=True)
class SampleReader:
    """What reading an item takes of a plan; it travels to other processes.

    Attributes:
        dataset: where items come from.
        preprocess: of the network.
        target: height and width of the grid that masks are drawn on.
    """

    dataset: Dataset
    preprocess: Preprocess
    target: tuple[int, int]

    @classmethod
    def for_plan(cls, plan: Plan) -> "SampleReader":
        """The plan's."""
        return cls(plan.dataset, plan.network.preprocess, plan.target)

    def __call__(self, item: Item) -> ReadImage:
        """Read one item; what cannot be used becomes samples with a fault."""
        try:
            reading = check_reading(item, self.dataset.read(item))
            photo = photo_entry(self.dataset, item, reading)
        except Fault as fault:
            black = np.zeros((*self.preprocess.size, 3), np.uint8)
            return ReadImage([Sample(item, pair, fault) for pair in item.pairs], black)
        samples, canvas = [], self.preprocess.canvas(reading.photo.shape[:2])
        for pair, mask in zip(item.pairs, reading.masks, strict=True):
            if isinstance(mask, Fault):
                samples.append(Sample(item, pair, mask))
            else:
                samples.append(Sample(item, pair, None, mask, resize_mask(canvas.pad(mask), self.target), canvas))
        return ReadImage(samples, self.preprocess.resize(reading.photo), photo)


# Statuses that may be others the next time: a share was not mounted, a file was being copied.
PASSING = ("image_missing", "image_unreadable", "mask_missing", "mask_unreadable")


def readable(samples: Sequence[Sample]) -> list[Sample]:
    """The samples without a fault."""
    return [sample for sample in samples if sample.fault is None]


Chunks = Iterator[tuple[str, list[ReadImage]]]
Read = Callable[[SampleReader, Mapping[str, Sequence[Item]]], Chunks]


def read_in_threads(reader: SampleReader, chunks: Mapping[str, Sequence[Item]]) -> Chunks:
    """The chunks in order, opened; while one is worked on, the next is being read, and no more than that."""
    waiting: deque[tuple[str, list[Future[ReadImage]]]] = deque()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, items in chunks.items():
            waiting.append((name, [pool.submit(reader, item) for item in items]))
            if len(waiting) == CHUNKS_OPEN:
                yield _arrived(*waiting.popleft())
        while waiting:
            yield _arrived(*waiting.popleft())


def _arrived(name, futures):
    return name, [future.result() for future in futures]
