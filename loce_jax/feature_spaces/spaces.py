"""The spaces that are compared: concept vectors found in every layer of several runs, on the images that all share.

Shapes: n images, k concepts, H x W pixels of masks.
"""

import functools as ft
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int

from loce_jax.concepts.comparison.similarity import mean_of_pairs
from loce_jax.concepts.evaluation.evaluate import evaluate
from loce_jax.concepts.evaluation.split import Split, fit_on_halves
from loce_jax.concepts.vectors import ConceptVectors
from loce_jax.feature_spaces.chosen_factors import ChosenFactors
from loce_jax.feature_spaces.gathering import Gathered
from loce_jax.feature_spaces.layer_space import Maps, Space
from loce_jax.feature_spaces.methods import METHODS, SEEDED, TrainingData, training_data
from loce_jax.feature_spaces.photo_frame import on_photos
from loce_jax.store import Run

SIZE = (56, 56)  # of the maps that are compared


@dataclass(frozen=True, eq=False)
class Side:
    """One network of a comparison.

    Attributes:
        name: what it is called.
        run: its run.
        depths: of each of its layers that are compared, 0 for the network's first layer to 1 for its last.
        gathered: activations and masks of the run's images.
        known: concepts that have been found before on the same images, by layer and method; found anew elsewhere.
    """

    name: str
    run: Run
    depths: Mapping[str, float]
    gathered: Gathered
    known: Mapping[tuple[str, str], ConceptVectors | ChosenFactors] = field(default_factory=dict)


def make_spaces(
    sides: Sequence[Side],
    rows: Sequence[Int[np.ndarray, " n"]],
    parts: Split,
    method: str,
    report: Callable[[str], None],
) -> list[Space]:
    """Every layer of every side, its concepts found on the images `parts.train`, their maps on `parts.held_out`.

    Args:
        sides: the networks.
        rows: of each side, the rows of the n images that all have.
        parts: numbers of these n images.
        method: name in `loce_jax.feature_spaces.methods.METHODS`.
        report: called with a line for each layer.
    """
    found = []
    for side, mine in zip(sides, rows, strict=True):
        for layer, depth in side.depths.items():
            space = _make_space(side, layer, depth, mine, parts, method)
            report(f"{space.name}: set IoU {mean_of_pairs(space.truth):.3f} on average")
            found.append(space)
    return found


def _make_space(side: Side, layer: str, depth: float, rows, parts: Split, method: str) -> Space:
    gathered, tested = side.gathered, rows[parts.held_out]

    def data(numbers: Int[np.ndarray, " m"]) -> TrainingData:
        return training_data(side.run, gathered, layer, rows[numbers])

    def fit(numbers: Int[np.ndarray, " m"]) -> ConceptVectors | ChosenFactors:
        return METHODS[method](data(numbers))

    def reseeded() -> Maps:
        return _maps(SEEDED[method](data(parts.train), 1), blocks, canvases)

    known, blocks = side.known.get((layer, method)), gathered.blocks(layer, tested)
    concepts, canvases = fit(parts.train) if known is None else known, [gathered.canvases[row] for row in tested]
    cells = np.moveaxis(gathered.activations[layer][tested], -1, 1)
    return Space(
        network=side.name,
        layer=layer,
        depth=depth,
        maps=_maps(concepts, blocks, canvases),
        halves=ft.partial(_halves, fit, parts.train, np.asarray(gathered.groups)[rows], blocks, canvases),
        reseeded=reseeded if method in SEEDED else None,
        truth=evaluate(concepts, blocks).set_iou.value,
        activations=np.moveaxis(on_photos(cells, canvases), 1, -1),
        shares=on_photos(gathered.masks[tested].astype(np.float32), canvases).mean(axis=(0, 2, 3)),
    )


def _halves(fit, train, groups, blocks, canvases):
    first, second = fit_on_halves(lambda part: fit(train[part]), groups[train])
    return _maps(first, blocks, canvases), _maps(second, blocks, canvases)


def _maps(concepts: ConceptVectors | ChosenFactors, blocks, canvases) -> Maps:
    """Maps that cover the photos, whatever else the network sees."""
    parts = [np.asarray(concepts.maps(block.activations, SIZE)) for block in blocks]
    return on_photos(np.concatenate(parts), canvases)
