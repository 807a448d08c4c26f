"""One chunk after solving: IoU, status and the columns of the run's table, as `loce_jax.store.RunWriter` takes them."""

import functools as ft
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor

import numpy as np
from jaxtyping import Int

from loce_jax.checks import InputError
from loce_jax.pipeline.plan import Plan
from loce_jax.pipeline.reading import ReadImage, Sample
from loce_jax.resampling import resize_bilinear
from loce_jax.solver import Solution, Status, mask_iou, quantize
from loce_jax.store import LayerRows, RidgeRows

# The word in the table and the reason, of a layer.
STATUS_TEXTS = {
    Status.OK: ("ok", ""),
    Status.NONFINITE: ("nonfinite:{}", "activations or vector are not finite at layer {}"),
    Status.DEGENERATE: (
        "degenerate:{}",
        "the vector or its responses vanish, overflow, or are equal at all cells, at layer {}",
    ),
    Status.MASK_EMPTY: ("mask_empty", "the mask vanishes on the target grid"),
    Status.MASK_FULL: ("mask_full", "the mask fills the target grid"),
}
LARGEST_RESPONSE = 60000.0  # responses beyond it are stored as it; float16 ends at 65504


def measure_chunk(
    plan: Plan, images: Sequence[ReadImage], solutions: Mapping[str, Solution], pool: Executor
) -> tuple[dict[str, list], dict[str, LayerRows]]:
    """The columns that all layers share, and each layer's numbers, for all samples of the chunk."""
    samples = [sample for image in images for sample in image.samples]
    reasons = [sample.fault.reason if sample.fault else "" for sample in samples]
    solved = np.array([number for number, sample in enumerate(samples) if sample.fault is None], dtype=int)
    layers = {}
    for layer, solution in solutions.items():
        statuses = [sample.fault.status if sample.fault else "ok" for sample in samples]
        for number, status in zip(solved, solution.status, strict=True):
            statuses[number], reason = (text.format(layer) for text in STATUS_TEXTS[status])
            reasons[number] = reasons[number] or reason
        good = np.flatnonzero(solution.status == Status.OK)
        measured = [samples[number] for number in solved[good]]
        projections, threshold = _project(solution.responses[good], plan)
        iou = pool.map(ft.partial(_measure, threshold=threshold), projections, measured)
        layers[layer] = LayerRows(
            rows=solved[good],
            vectors=np.asarray(solution.vectors[good]),
            responses=np.clip(solution.responses[good], -LARGEST_RESPONSE, LARGEST_RESPONSE),
            iou=np.array(list(iou), dtype=float),
            loss=np.asarray(solution.losses[good, -1]),
            status=statuses,
            ridge=_ridge_rows(solution, good),
        )
    return _columns(samples, reasons), layers


def _ridge_rows(solution: Solution, good: Int[np.ndarray, " r"]) -> RidgeRows | None:
    """What the ridge recipe adds to a layer's good rows; None for another recipe."""
    if solution.bias is None or solution.convergence is None:
        return None
    convergence = solution.convergence
    return RidgeRows(
        bias=np.asarray(solution.bias[good]),
        converged=np.asarray(convergence.converged[good]),
        steps=np.asarray(convergence.steps[good]),
        gradient_norm=np.asarray(convergence.gradient_norm[good]),
    )


def _measure(projection, sample, *, threshold):
    return mask_iou(projection, sample.mask, threshold, canvas=sample.canvas)


def _project(responses, plan):
    """What `mask_iou` compares with the masks, and the threshold."""
    logits = resize_bilinear(responses, plan.target)
    if plan.iou == "logit":
        return logits, 0.0
    return quantize(logits) if plan.iou == "uint8" else 1 / (1 + np.exp(-logits)), 0.5


def _columns(samples: list[Sample], reasons: list[str]) -> dict[str, list]:
    """The table's columns that do not depend on the layer, as plain values."""
    columns = {
        "image": [sample.item.image for sample in samples],
        "image_id": [sample.item.image_id for sample in samples],
        "concept": [sample.pair.concept for sample in samples],
        "annotations": [" ".join(map(str, sample.pair.annotation_ids)) for sample in samples],
        "area": [np.count_nonzero(sample.mask) / sample.mask.size if sample.mask.size else None for sample in samples],
        "reason": reasons,
    }
    attributes = dict.fromkeys(name for sample in samples for name, _ in sample.pair.attributes)
    return columns | {name: [dict(sample.pair.attributes).get(name) for sample in samples] for name in attributes}


def refuse_unread(images: Sequence[ReadImage]) -> None:
    """Raise `InputError` for the first sample that could not be read."""
    for sample in (sample for image in images for sample in image.samples):
        if sample.fault:
            where = f"{sample.item.image!r}, concept {sample.pair.concept!r}"
            raise _refusal(where, sample.fault.status, sample.fault.reason)


def refuse_faults(columns: Mapping[str, Sequence], layers: Mapping[str, LayerRows]) -> None:
    """Raise `InputError` for the first row that is not good, or did not converge."""
    for layer, rows in layers.items():
        for number, status in enumerate(rows.status):
            if status != "ok":
                image, concept, reason = (columns[name][number] for name in ("image", "concept", "reason"))
                raise _refusal(f"{image!r}, concept {concept!r}, layer {layer!r}", status, reason)
        for number in rows.rows[~rows.ridge.converged] if rows.ridge else ():
            image, concept = (columns[name][number] for name in ("image", "concept"))
            raise InputError(
                f"`strict` refuses {image!r}, concept {concept!r}, layer {layer!r}: it did not converge to the "
                "recipe's `tolerance`. Raise the tolerance, or run without `strict` to keep it as a row that has not "
                "converged."
            )


def _refusal(where, status, reason):
    return InputError(
        f"`strict` refuses {where}: {status} ({reason}). "
        "Mend the data, or run without `strict` to keep it as a row with that status."
    )
