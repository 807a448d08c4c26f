"""The methods that find one vector a concept at a layer, by name.

Shapes: m LoCEs, k concepts, c channels, gh x gw grid cells of the layer, H x W pixels of the masks.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int, Shaped

from loce_jax.checks import check_known
from loce_jax.concepts.activation_vectors.cavs import cell_cav
from loce_jax.concepts.means import Generalized, mean, medoid
from loce_jax.concepts.segmentation.net2vec import fit_net2vec, net2vec_f
from loce_jax.concepts.segmentation.net2vec_options import PAPER
from loce_jax.concepts.segmentation.netdissect import netdissect
from loce_jax.concepts.segmentation.ridge import fit_ridge
from loce_jax.concepts.vectors import ConceptVectors
from loce_jax.feature_spaces.chosen_factors import ICE, ChosenFactors, choose_factors
from loce_jax.feature_spaces.gathering import Gathered, ImageBlocks
from loce_jax.solver.solution import Status
from loce_jax.store import Run


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What a method may learn from.

    Attributes:
        names: of the concepts, in the order of the masks.
        blocks: activations and masks of the images to learn from.
        filters, offsets: of the LoCEs of these images, on raw activations; NaN where there is none.
        labels: their concepts.
    """

    names: tuple[str, ...]
    blocks: ImageBlocks
    filters: Float[np.ndarray, "m c"]
    offsets: Float[np.ndarray, " m"]
    labels: Shaped[np.ndarray, " m"]


def training_data(run: Run, gathered: Gathered, layer: str, rows: Int[np.ndarray, " n"]) -> TrainingData:
    """What a layer says of the images `rows` of `gathered`, and the run's LoCEs of them."""
    filters, offsets = run.raw_filters(layer)
    mine = np.isin(run.table["image"], [gathered.images[row] for row in rows])
    return TrainingData(
        names=gathered.concepts,
        blocks=gathered.blocks(layer, rows),
        filters=filters[mine],
        offsets=offsets[mine],
        labels=np.asarray(run.table["concept"])[mine],
    )


OF_LOCES = ("mean", "medoid")  # need no activations
Fit = Callable[[TrainingData], ConceptVectors | ChosenFactors]


def _of_loces(summarize: Callable[..., Generalized]) -> Fit:
    """A method that needs the LoCEs alone."""

    def fit(samples: TrainingData) -> ConceptVectors:
        return _in_order(summarize(samples.filters, samples.offsets, samples.labels).vectors, samples.names)

    return fit


SeededFit = Callable[[TrainingData, int], ConceptVectors | ChosenFactors]

SEEDED: Mapping[str, SeededFit] = {  # from a random start; without one, "ice" starts as the data say
    "net2vec-paper": lambda samples, seed: fit_net2vec(
        samples.blocks, names=samples.names, options=replace(PAPER, seed=seed)
    ),
    "ice": lambda samples, seed: choose_factors(samples.names, samples.blocks, replace(ICE, init="random", seed=seed)),
}
METHODS: Mapping[str, Fit] = {
    "net2vec": lambda samples: fit_net2vec(samples.blocks, names=samples.names),
    "net2vec-16": lambda samples: net2vec_f(samples.blocks, filters=16, names=samples.names),
    "net2vec-paper": lambda samples: SEEDED["net2vec-paper"](samples, 0),
    "netdissect": lambda samples: netdissect(samples.blocks, names=samples.names),
    "mean": _of_loces(mean),
    "medoid": _of_loces(medoid),
    "cav": lambda samples: cell_cav(samples.blocks, names=samples.names),
    "ridge": lambda samples: fit_ridge(samples.blocks, names=samples.names),
    "ice": lambda samples: choose_factors(samples.names, samples.blocks),
}


def check_methods(names: Sequence[str]) -> tuple[str, ...]:
    """The methods called `names`; `InputError` for one that is not known.

    >>> check_methods(["cav"])
    ('cav',)
    """
    check_known("method", names, list(METHODS))
    return tuple(dict.fromkeys(names))


def _in_order(found: ConceptVectors, names: Sequence[str]) -> ConceptVectors:
    """The same with a row for each of `names`; NaN and ``MASK_EMPTY`` where there is none."""
    rows = [found.names.index(name) if name in found.names else -1 for name in names]
    there = np.array(rows) >= 0
    return ConceptVectors(
        tuple(names),
        np.where(there[:, None], found.vectors[rows], np.nan),
        np.where(there, found.offsets[rows], np.nan),
        np.where(there, found.status[rows], Status.MASK_EMPTY),
        found.method,
    )
