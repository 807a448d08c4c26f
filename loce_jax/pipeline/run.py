"""Do a plan's work, chunk by chunk: read, look through the network, solve, measure, store.

Reading runs ahead in threads.  A chunk's result depends on the chunk alone, so a run that was interrupted ends with
the same bytes as one that was not.
Letters: p good pairs of a chunk, m images of it, h x w the network's input, H x W a photo's own size.
"""

import functools as ft
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt8

from loce_jax.activations import Extract, make_extractor
from loce_jax.checks import InputError
from loce_jax.data.samples import Fault, Item, Pair
from loce_jax.pipeline.plan import Plan
from loce_jax.pipeline.workers import Share
from loce_jax.resampling import resize_bilinear, soft_target
from loce_jax.solver import Solution, SolverOptions, Status, overlap, quantise, solve
from loce_jax.store import LayerRows, Run, RunWriter, open_run, place_at

Progress = Callable[[int, int], None]

BLOCK = {"cpu": 16}  # pairs solved by one call: small keeps the padded end of a chunk cheap
WORDS = {
    Status.OK: ("ok", ""),
    Status.NONFINITE: ("nonfinite:{}", "activations or vector are not finite at layer {}"),
    Status.MASK_EMPTY: ("mask_empty", "the mask vanishes on the target grid"),
    Status.MASK_FULL: ("mask_full", "the mask fills the target grid"),
}
HALF_MAX = 60000.0  # responses beyond it are stored as it; float16 ends at 65504


def run_plan(
    plan: Plan, out: str | Path, *, share: Share | None = None, strict: bool = False, progress: Progress | None = None
) -> Run:
    """Do what is left of `plan`, or of a share of it, and open the run.

    Args:
        plan: see `loce_jax.pipeline.plan.make_plan`.
        out: a new folder, or one in which an equal plan was started; or the URL of either, as text.
        share: which part to do, beside others in the same run; without it all of it, alone.
        strict: make the first image, mask or layer that cannot be used an error.
        progress: called with the number of images done and of all images (of the share), also once at the start.

    Raises:
        InputError: the folder cannot be used, or not a single pair could be solved, or `strict` found a fault.
    """
    with RunWriter(place_at(out), plan.record(), shared=share is not None) as writer:
        names = share.of(list(plan.chunks)) if share else list(plan.chunks)
        left = [name for name in names if name not in writer.done]
        extract = make_extractor(plan.network, plan.layers)
        watch(plan, names, left, do_chunks(plan, extract, left, writer, strict=strict), progress)
    return open_checked(out)


def do_chunks(
    plan: Plan, extract: Extract, names: Sequence[str], writer: RunWriter, *, strict: bool = False
) -> Iterator[str]:
    """Do the chunks called `names` and store them; yields each name when it is stored."""
    chunks = plan.chunks
    wanted = {name: chunks[name] for name in names}
    with ThreadPoolExecutor(os.cpu_count()) as readers, ThreadPoolExecutor(os.cpu_count()) as helpers:
        for name, opened in _read_ahead(plan, wanted, readers):
            rows, layers = _do_chunk(plan, opened, extract, helpers)
            if strict:
                _refuse_faults(rows, layers)
            writer.write(name, rows, layers)
            yield name


def watch(
    plan: Plan, names: Sequence[str], left: Sequence[str], finished: Iterable[str], progress: Progress | None
) -> None:
    """Wait for `finished`, the chunks of `left` as they come; tell `progress` the images done of those of `names`."""
    tell = progress or (lambda done, total: None)
    sizes = {name: len(items) for name, items in plan.chunks.items()}
    total = sum(sizes[name] for name in names)
    done = total - sum(sizes[name] for name in left)
    tell(done, total)
    for name in finished:
        done += sizes[name]
        tell(done, total)


def open_checked(out: str | Path) -> Run:
    """The run at `out`; `InputError` if it is complete and not a single pair could be solved."""
    run = open_run(out)
    if run.complete and not np.any(run.table["status"] == "ok"):
        counts = ", ".join(f"{n} {word}" for word, n in Counter(run.table["status"].tolist()).most_common())
        raise InputError(f"`data` must hold a usable pair of image and concept, but none is: {counts}.")
    return run


@dataclass(frozen=True)
class Row:
    """One (image, concept) of a chunk after reading: a mask and its target, both empty where there is a `fault`.

    Attributes:
        item, pair: what the data set listed.
        place: position of the image in the chunk.
    """

    item: Item
    pair: Pair
    place: int
    fault: Fault | None
    mask: Bool[np.ndarray, "H W"] = field(default_factory=lambda: np.zeros((0, 0), bool))
    target: Float[np.ndarray, "th tw"] = field(default_factory=lambda: np.zeros((0, 0), np.float32))


@dataclass(frozen=True)
class Opened:
    """An item after reading: its rows, and the photo at the network's input size (black if it could not be read)."""

    rows: list[Row]
    image: UInt8[np.ndarray, "h w 3"]


def _open(plan: Plan, item: Item, place: int) -> Opened:
    try:
        reading = plan.dataset.read(item)
    except Fault as fault:
        black = np.zeros((*plan.network.preprocess.size, 3), np.uint8)
        return Opened([Row(item, pair, place, fault) for pair in item.pairs], black)
    rows = []
    for pair, mask in zip(item.pairs, reading.masks, strict=True):
        if isinstance(mask, Fault):
            rows.append(Row(item, pair, place, mask))
        else:
            rows.append(Row(item, pair, place, None, mask, soft_target(mask, plan.options.target)))
    return Opened(rows, plan.network.preprocess.resize(reading.photo))


def _read_ahead(
    plan: Plan, chunks: dict[str, Sequence[Item]], pool: ThreadPoolExecutor
) -> Iterator[tuple[str, list[Opened]]]:
    """The chunks in order, opened; while one is worked on, the next is being read, and no more than that."""
    waiting: deque[tuple[str, list[Future[Opened]]]] = deque()
    for name, items in chunks.items():
        waiting.append((name, [pool.submit(_open, plan, item, place) for place, item in enumerate(items)]))
        if len(waiting) > 1:
            yield _arrived(*waiting.popleft())
    while waiting:
        yield _arrived(*waiting.popleft())


def _arrived(name, futures):
    return name, [future.result() for future in futures]


def _do_chunk(plan: Plan, opened: list[Opened], extract: Extract, pool: ThreadPoolExecutor):
    """One chunk from photos to the columns that all layers share and each layer's numbers."""
    rows = [row for one in opened for row in one.rows]
    reasons = [row.fault.reason if row.fault else "" for row in rows]
    good = [number for number, row in enumerate(rows) if row.fault is None]
    activations = extract(np.stack([one.image for one in opened]))
    layers = {}
    for layer in plan.layers:
        found = _solve([rows[number] for number in good], activations[layer], plan.options)
        words = [row.fault.status if row.fault else "ok" for row in rows]
        for number, status in zip(good, found.status, strict=True):
            words[number], why = (text.format(layer) for text in WORDS[status])
            reasons[number] = reasons[number] or why
        kept = np.flatnonzero(found.status == Status.OK)
        numbers = np.array(good, dtype=int)[kept]
        masks = [rows[number].mask for number in numbers]
        iou = pool.map(ft.partial(_measure, options=plan.options), found.responses[kept], masks)
        layers[layer] = LayerRows(
            rows=numbers,
            vectors=np.asarray(found.vectors[kept]),
            responses=np.clip(found.responses[kept], -HALF_MAX, HALF_MAX),
            iou=np.array(list(iou), dtype=float),
            loss=np.asarray(found.losses[kept, -1]),
            status=words,
        )
    return _columns(rows, reasons), layers


def _solve(rows: list[Row], activations: Float[Array, "m gh gw c"], options: SolverOptions) -> Solution:
    """Vectors of all `rows` at one layer, as NumPy arrays; in blocks of one size, so that one compilation does."""
    size = BLOCK.get(jax.default_backend(), 256)
    blank = np.zeros(options.target, np.float32)
    blocks = []
    for start in range(0, max(len(rows), 1), size):
        part = rows[start : start + size]
        padding = size - len(part)
        targets = np.stack([row.target for row in part] + [blank] * padding)
        places = jnp.array([row.place for row in part] + [0] * padding)
        blocks.append(jax.tree.map(np.asarray, solve(activations[places], targets, options)))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[: len(rows)], *blocks)


def _measure(response, mask, options):
    """The IoU as published: at the photo's own size; with 8-bit truncation in the paper's recipe."""
    logits = resize_bilinear(response, options.target)
    return overlap(quantise(logits) if options.iou == "paper" else 1 / (1 + np.exp(-logits)), mask)


def _columns(rows: list[Row], reasons: list[str]) -> dict[str, list]:
    """The table's columns that do not depend on the layer, as plain values."""
    columns = {
        "image": [row.item.image for row in rows],
        "image_id": [row.item.image_id for row in rows],
        "concept": [row.pair.concept for row in rows],
        "annotations": [" ".join(map(str, row.pair.annotation_ids)) for row in rows],
        "area": [float(row.mask.mean()) if row.mask.size else None for row in rows],
        "reason": reasons,
    }
    facts = dict.fromkeys(name for row in rows for name, _ in row.pair.facts)
    return columns | {name: [dict(row.pair.facts).get(name) for row in rows] for name in facts}


def _refuse_faults(columns, layers):
    for layer, part in layers.items():
        for number, word in enumerate(part.status):
            if word != "ok":
                image, concept, reason = (columns[name][number] for name in ("image", "concept", "reason"))
                raise InputError(
                    f"`strict` refuses {image!r}, concept {concept!r}, layer {layer!r}: {word} ({reason}). "
                    "Mend the data, or run without `--strict` to keep it as a row with that status."
                )
