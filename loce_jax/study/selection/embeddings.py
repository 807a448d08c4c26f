"""The LoCEs of selected rows: vectors of one layer, or of several joined, with labels, images and IoU.

Shapes: n LoCEs, c channels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int, Shaped

from loce_jax.analysis.concatenation import concatenate
from loce_jax.checks import InputError, suggest
from loce_jax.foreign_text import text_array
from loce_jax.store import Run
from loce_jax.study.options import Selection
from loce_jax.study.selection.pool import PooledRun
from loce_jax.study.selection.rows import select_rows
from loce_jax.study.selection.sources import RunLike

_MAX_SHOWN = 24


@dataclass(frozen=True, eq=False)
class Embeddings:
    """LoCEs of one run.

    Attributes:
        layers: the layer, or several joined.
        vectors: float32; several layers' lie side by side.
        widths: channels of each layer.
        rows: of the run's table.
        labels: the concept of each.
        images: the image of each.
        iou: at that layer; of several layers the mean.
        concepts: those that occur, in the data set's order.
        below_min_iou: number of good LoCEs that were left out for their IoU.
        runs: of pooled runs, the label of the run of each; else None.
    """

    layers: tuple[str, ...]
    vectors: Float[np.ndarray, "n c"]
    widths: tuple[int, ...]
    rows: Int[np.ndarray, " n"]
    labels: Shaped[np.ndarray, " n"]
    images: Shaped[np.ndarray, " n"]
    iou: Float[np.ndarray, " n"]
    concepts: tuple[str, ...]
    below_min_iou: int = 0
    runs: Shaped[np.ndarray, " n"] | None = None

    @property
    def name(self) -> str:
        """The layer's; of several they are joined with " + "."""
        return " + ".join(self.layers)

    @property
    def shown_concepts(self) -> tuple[str, ...]:
        """The concepts that a picture names: the 24 with the most LoCEs, in the data set's order."""
        counts = {concept: len(self.positions_of(concept)) for concept in self.concepts}
        most = set(sorted(self.concepts, key=lambda concept: -counts[concept])[:_MAX_SHOWN])
        return tuple(concept for concept in self.concepts if concept in most)

    def positions_of(self, concept: str) -> Int[np.ndarray, " m"]:
        """Positions of one concept's LoCEs."""
        return np.flatnonzero(self.labels == concept)

    def take(self, positions: Int[np.ndarray, " m"]) -> "Embeddings":
        """The LoCEs at these positions, in their order."""
        labels = self.labels[positions]
        return replace(
            self,
            vectors=self.vectors[positions],
            rows=self.rows[positions],
            labels=labels,
            images=self.images[positions],
            iou=self.iou[positions],
            runs=None if self.runs is None else self.runs[positions],
            concepts=tuple(concept for concept in self.concepts if concept in set(labels.tolist())),
        )


def find_layers_of_all(
    runs: Mapping[str, Run] | Mapping[str, PooledRun], names: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """`Run.resolve` for each of several runs, where a name need not mean a layer of every run, but of one at least."""
    for name in names:
        if not any(run.match(name) for run in runs.values()):
            layers = [layer for run in runs.values() for layer in run.layers]
            theirs = "; ".join(f"{run}: {', '.join(runs[run].layers)}" for run in runs)
            near = suggest(name, layers).partition("Known:")[0]
            raise InputError(f"unknown layer {name!r}, which means none of any run. {near}Known: {theirs}.")
    known = {run: [name for name in names if mine.match(name)] for run, mine in runs.items()}
    return {run: mine.resolve(known[run]) if known[run] or not names else () for run, mine in runs.items()}


def load_views(run: RunLike, layers: Sequence[str], selection: Selection) -> list[Embeddings]:
    """One `Embeddings` per layer, or one of all `layers` where `selection` joins them."""
    groups = [tuple(layers)] if selection.joined else [(layer,) for layer in layers]
    normalized = selection.joined == "normalized"
    chosen = {"concepts": selection.concepts, "normalized": normalized, "min_iou": selection.min_iou}
    return [load_embeddings(run, group, **chosen) for group in groups if group]


def load_embeddings(
    run: RunLike,
    layers: Sequence[str],
    *,
    concepts: Sequence[str] = (),
    normalized: bool = False,
    min_iou: float = 0.0,
) -> Embeddings:
    """The rows whose LoCEs at all of `layers` are good, for `concepts` or all.

    Args:
        run: a run.
        layers: one for a plain study; several are joined to multi-layer LoCEs.
        concepts: names; all if empty.
        normalized: give every layer's vectors length 1 before they are joined.
        min_iou: 0 to 1; leave rows out whose IoU is below it at one of `layers`.

    Raises:
        InputError: an unknown layer or concept, a `min_iou` that is no IoU, or no good row.
    """
    selected = select_rows(run, layers, concepts=concepts, min_iou=min_iou)
    rows = selected.rows
    joined = concatenate({layer: run.vectors(layer)[rows] for layer in layers}, normalized=normalized)
    labels = text_array(run.table["concept"][rows].tolist())
    return Embeddings(
        layers=tuple(layers),
        vectors=joined.vectors.astype(np.float32),
        widths=joined.widths,
        rows=rows,
        labels=labels,
        images=text_array(run.table["image"][rows].tolist()),
        iou=selected.iou.mean(axis=0),
        concepts=tuple(name for name in run.concepts if name in set(labels.tolist())),
        below_min_iou=selected.below_min_iou,
    )
