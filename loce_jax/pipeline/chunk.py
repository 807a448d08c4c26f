"""One chunk after reading: look through the network, solve, measure.

Images go through network and solver together, as many as memory allows; the shapes are always the same, so that
the number of compilations does not grow with the data.
Letters: b images together, g groups, k concepts of a group, h x w grid cells, c channels, th x tw the target's grid.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from loce_jax.activations import Extract
from loce_jax.checks import InputError
from loce_jax.pipeline.plan import Plan
from loce_jax.pipeline.reading import Opened, Row
from loce_jax.resampling import resize_bilinear
from loce_jax.solver import Solution, SolverOptions, Statistics, Status, overlap, quantize, solve
from loce_jax.solver.solve import runs_on_cores
from loce_jax.store import LayerRows, RidgeRows

log = logging.getLogger(__name__)

CONCEPTS_TOGETHER = 4  # of one image, by one reading of its activations; code compiled for cores takes any number
WORDS = {
    Status.OK: ("ok", ""),
    Status.NONFINITE: ("nonfinite:{}", "activations or vector are not finite at layer {}"),
    Status.MASK_EMPTY: ("mask_empty", "the mask vanishes on the target grid"),
    Status.MASK_FULL: ("mask_full", "the mask fills the target grid"),
}
HALF_MAX = 60000.0  # responses beyond it are stored as it; float16 ends at 65504


def solve_chunk(
    plan: Plan,
    opened: Sequence[Opened],
    extract: Extract,
    together: int,
    statistics: Mapping[str, Statistics] | None = None,
) -> tuple[dict[str, Solution], int]:
    """Each layer's `Solution` for the chunk's usable rows, as NumPy arrays, and how many images fit together.

    Where a device runs out of memory, half as many images are tried, down to one.  `statistics` of the layers are for
    a recipe that whitens.
    """
    while True:
        try:
            starts = range(0, len(opened), together)
            parts = [
                _solve_part(plan, opened[start : start + together], extract, together, statistics or {})
                for start in starts
            ]
            return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts), together
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error) or together == 1:
                raise
            together //= 2
            log.warning(
                "The device's memory does not hold %d images together; going on with %d.", 2 * together, together
            )


def _solve_part(plan, opened, extract, together, statistics):
    images = np.zeros((together, *opened[0].image.shape), np.uint8)
    images[: len(opened)] = [one.image for one in opened]
    activations = extract(images)
    groups = list(_in_groups(opened, together, plan.options))
    return {
        layer: _solve_layer(activations[layer], groups, plan.options, statistics.get(layer)) for layer in plan.layers
    }


@dataclass(frozen=True)
class Groups:
    """Usable rows of b images, grouped by image; the images' order, and the rows', is kept.

    Attributes:
        places: the groups' images.
        targets: the rows' targets, 0 where there is no row.
        valid: which of them there are.
    """

    places: Int[np.ndarray, " b"]
    targets: Float[np.ndarray, "b k th tw"]
    valid: Bool[np.ndarray, "b k"]


def _in_groups(opened: Sequence[Opened], together: int, options: SolverOptions) -> Iterator[Groups]:
    """All usable rows, `together` groups at a time.

    On a CPU's cores that is one block with a group for each image; elsewhere groups are equally large.
    """
    rows = [usable(one.rows) for one in opened]
    most = max(1, *map(len, rows)) if runs_on_cores() else CONCEPTS_TOGETHER
    groups = [
        (place, mine[start : start + most])
        for place, mine in enumerate(rows)
        for start in range(0, max(len(mine), 1), most)
    ]
    groups += [(place, []) for place in range(len(groups), together)]
    for start in range(0, len(groups), together):
        block = groups[start : start + together]
        places = np.zeros(together, int)
        places[: len(block)] = [place for place, _ in block]
        targets, valid = np.zeros((together, most, *options.target), np.float32), np.zeros((together, most), bool)
        for number, (_, mine) in enumerate(block):
            valid[number, : len(mine)] = True
            for k, row in enumerate(mine):
                targets[number, k] = row.target
        yield Groups(places, targets, valid)


def _solve_layer(
    activations: Float[Array, "b h w c"],
    groups: Sequence[Groups],
    options: SolverOptions,
    statistics: Statistics | None,
) -> Solution:
    found = []
    for block in groups:
        in_order = np.array_equal(block.places, np.arange(len(activations)))
        maps = activations if in_order else activations[block.places]
        solution = solve(maps, block.targets, options, valid=block.valid, statistics=statistics)
        found.append(jax.tree.map(lambda leaf, valid=block.valid: np.asarray(leaf)[valid], solution))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *found)


def usable(rows: Sequence[Row]) -> list[Row]:
    """The rows without a fault."""
    return [row for row in rows if row.fault is None]


def measure_chunk(
    plan: Plan, opened: Sequence[Opened], solutions: Mapping[str, Solution], pool: Executor
) -> tuple[dict[str, list], dict[str, LayerRows]]:
    """The columns that all layers share, and each layer's numbers, for all rows of the chunk."""
    rows = [row for one in opened for row in one.rows]
    reasons = [row.fault.reason if row.fault else "" for row in rows]
    good = np.array([number for number, row in enumerate(rows) if row.fault is None], dtype=int)
    layers = {}
    for layer, found in solutions.items():
        words = [row.fault.status if row.fault else "ok" for row in rows]
        for number, status in zip(good, found.status, strict=True):
            words[number], why = (text.format(layer) for text in WORDS[status])
            reasons[number] = reasons[number] or why
        kept = np.flatnonzero(found.status == Status.OK)
        masks = [rows[number].mask for number in good[kept]]
        iou = pool.map(overlap, _project(found.responses[kept], plan.options), masks)
        layers[layer] = LayerRows(
            rows=good[kept],
            vectors=np.asarray(found.vectors[kept]),
            responses=np.clip(found.responses[kept], -HALF_MAX, HALF_MAX),
            iou=np.array(list(iou), dtype=float),
            loss=np.asarray(found.losses[kept, -1]),
            status=words,
            ridge=_ridge_rows(found, kept),
        )
    return _columns(rows, reasons), layers


def _ridge_rows(found: Solution, kept: Int[np.ndarray, " r"]) -> RidgeRows | None:
    """What the ridge recipe tells of a layer's good rows; None of another one."""
    if found.bias is None or found.convergence is None:
        return None
    convergence = found.convergence
    return RidgeRows(
        bias=np.asarray(found.bias[kept]),
        converged=np.asarray(convergence.converged[kept]),
        steps=np.asarray(convergence.steps[kept]),
        gradient_norm=np.asarray(convergence.gradient_norm[kept]),
    )


def _project(responses, options):
    """What `overlap` compares with the masks, as published: in the paper's recipe truncated to 8 bits."""
    logits = resize_bilinear(responses, options.target)
    if options.recipe == "ridge":
        return logits + 0.5  # `overlap` cuts at one half; these are cut at 0
    return quantize(logits) if options.iou == "paper" else 1 / (1 + np.exp(-logits))


def _columns(rows: list[Row], reasons: list[str]) -> dict[str, list]:
    """The table's columns that do not depend on the layer, as plain values."""
    columns = {
        "image": [row.item.image for row in rows],
        "image_id": [row.item.image_id for row in rows],
        "concept": [row.pair.concept for row in rows],
        "annotations": [" ".join(map(str, row.pair.annotation_ids)) for row in rows],
        "area": [np.count_nonzero(row.mask) / row.mask.size if row.mask.size else None for row in rows],
        "reason": reasons,
    }
    facts = dict.fromkeys(name for row in rows for name, _ in row.pair.facts)
    return columns | {name: [dict(row.pair.facts).get(name) for row in rows] for name in facts}


def refuse_unread(opened: Sequence[Opened]) -> None:
    """Raise `InputError` for the first row that could not be read."""
    for row in (row for one in opened for row in one.rows):
        if row.fault:
            raise _refusal(f"{row.item.image!r}, concept {row.pair.concept!r}", row.fault.status, row.fault.reason)


def refuse_faults(columns: Mapping[str, Sequence], layers: Mapping[str, LayerRows]) -> None:
    """Raise `InputError` for the first row that is not good."""
    for layer, part in layers.items():
        for number, word in enumerate(part.status):
            if word != "ok":
                image, concept, reason = (columns[name][number] for name in ("image", "concept", "reason"))
                raise _refusal(f"{image!r}, concept {concept!r}, layer {layer!r}", word, reason)


def _refusal(what, word, reason):
    return InputError(
        f"`strict` refuses {what}: {word} ({reason}). "
        "Mend the data, or run without `--strict` to keep it as a row with that status."
    )
