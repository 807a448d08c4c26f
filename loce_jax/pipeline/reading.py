"""Open a plan's items ahead of time, a bounded number of chunks at once.

In threads of this process; `loce_jax.pipeline.grain_reading` does it in others.

Letters: h x w the network's input, H x W a photo's own size, th x tw the target's grid.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, UInt8

from loce_jax.data.samples import Dataset, Fault, Item, Pair
from loce_jax.models.base import Preprocess
from loce_jax.pipeline.plan import Plan
from loce_jax.resampling import soft_target

CHUNKS_OPEN = 2  # one being worked on, one being read


@dataclass(frozen=True)
class Row:
    """One (image, concept) of a chunk after reading: a mask and its target, both empty where there is a `fault`.

    Attributes:
        item, pair: what the data set listed.
    """

    item: Item
    pair: Pair
    fault: Fault | None
    mask: Bool[np.ndarray, "H W"] = field(default_factory=lambda: np.zeros((0, 0), bool))
    target: Float[np.ndarray, "th tw"] = field(default_factory=lambda: np.zeros((0, 0), np.float32))


@dataclass(frozen=True)
class Opened:
    """An item after reading: its rows, and the photo at the network's input size (black if it could not be read)."""

    rows: list[Row]
    image: UInt8[np.ndarray, "h w 3"]


@dataclass(frozen=True)
class Opener:
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
    def of(cls, plan: Plan) -> "Opener":
        """The plan's."""
        return cls(plan.dataset, plan.network.preprocess, plan.options.target)

    def __call__(self, item: Item) -> Opened:
        """Read one item; what cannot be used becomes rows with a fault."""
        try:
            reading = self.dataset.read(item)
        except Fault as fault:
            black = np.zeros((*self.preprocess.size, 3), np.uint8)
            return Opened([Row(item, pair, fault) for pair in item.pairs], black)
        rows = []
        for pair, mask in zip(item.pairs, reading.masks, strict=True):
            if isinstance(mask, Fault):
                rows.append(Row(item, pair, mask))
            else:
                rows.append(Row(item, pair, None, mask, soft_target(mask, self.target)))
        return Opened(rows, self.preprocess.resize(reading.photo))


Chunks = Iterator[tuple[str, list[Opened]]]
Read = Callable[[Opener, Mapping[str, Sequence[Item]]], Chunks]


def read_in_threads(opener: Opener, chunks: Mapping[str, Sequence[Item]]) -> Chunks:
    """The chunks in order, opened; while one is worked on, the next is being read, and no more than that."""
    waiting: deque[tuple[str, list[Future[Opened]]]] = deque()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, items in chunks.items():
            waiting.append((name, [pool.submit(opener, item) for item in items]))
            if len(waiting) == CHUNKS_OPEN:
                yield _arrived(*waiting.popleft())
        while waiting:
            yield _arrived(*waiting.popleft())


def _arrived(name, futures):
    return name, [future.result() for future in futures]
