"""The cells that a dictionary is fitted to: all of a layer's, or a seeded random part of them.

Shapes: n images, gh x gw grid cells of the layer, c channels, m cells.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from loce_jax.analysis.vectors import check_vectors
from loce_jax.arrays import as_array
from loce_jax.checks import CheckedOptions, InputError
from loce_jax.concepts.blocks import Block, as_blocks


@dataclass(frozen=True)
class FactorOptions(CheckedOptions):
    """What all methods have in common.

    Attributes:
        components: how many; ICE has 10.
        seed: random seed of the cells drawn, and of starts that are random.
        max_cells: how many cells are fitted to at most, for memory: of more, so many are drawn without replacement.
    """

    components: int = 10
    seed: int = 0
    max_cells: int = 50_000

    def __post_init__(self):
        super().__post_init__()
        if min(self.components, self.max_cells) < 1:
            raise InputError(
                "`components` and `max_cells` must be at least 1, but are "
                f"{self.components} and {self.max_cells}. Leave them out for 10 and 50000."
            )


class Cells(NamedTuple):
    """What `gather_cells` found: float32 rows, in the order of the data, and of how many."""

    rows: Float[np.ndarray, "m c"]
    available: int


def as_cells(activations: Any) -> Float[np.ndarray, "*axes c"]:
    """Activations or cells, channels last, as finite float32."""
    cells = np.asarray(as_array("activations", activations))
    if cells.ndim < 1 or not cells.size or cells.dtype.kind not in "biuf":
        raise InputError(
            f"`activations` must be numbers with channels last, but got {cells.dtype} of shape {cells.shape}. Give "
            "[n gh gw c] of a layer, or cells [m c]."
        )
    with np.errstate(over="ignore"):
        cells = cells.astype(np.float32)
    check_vectors(cells.reshape(-1, cells.shape[-1]), name="activations")
    return cells


def gather_cells(activations: Any, options: FactorOptions) -> Cells:
    """The cells to fit to; the same ones whether they come as an array or in blocks.

    Args:
        activations: ``[n gh gw c]``, cells ``[m c]``, or blocks, which are read twice: see
            `loce_jax.concepts.blocks.as_blocks`.
        options: seed and number.

    >>> gather_cells(np.zeros((10, 3, 3, 2)), FactorOptions(max_cells=5)).rows.shape
    (5, 2)
    """
    parts = _parts(activations)
    sizes = [len(rows) for rows in parts()]
    available = sum(sizes)
    if available <= options.max_cells:
        return Cells(np.concatenate([as_cells(rows) for rows in parts()]), available)
    rng = np.random.default_rng(options.seed)
    drawn, start, found = np.sort(rng.choice(available, options.max_cells, replace=False)), 0, []
    for rows in parts():
        mine = drawn[np.searchsorted(drawn, start) : np.searchsorted(drawn, start + len(rows))]
        found += [as_cells(rows[mine - start])] if len(mine) else []
        start += len(rows)
    return Cells(np.concatenate(found), available)


def _parts(activations):
    """A function that yields rows of cells, part by part, each time it is called."""
    if isinstance(activations, Iterable) and not hasattr(activations, "ndim"):
        blocks: Iterable[Block] = as_blocks(activations)
        return lambda: (np.asarray(block.activations).reshape(-1, block.activations.shape[-1]) for block in blocks)
    cells = np.asarray(as_array("activations", activations))
    if cells.ndim not in (2, 4) or not cells.size:
        raise InputError(
            f"`activations` must have shape [n gh gw c] (images, height, width, channels) or [m c] (cells), but got "
            f"{cells.shape}. PyTorch's [n c h w] becomes ours by `transpose(0, 2, 3, 1)`."
        )
    return lambda: iter([cells.reshape(-1, cells.shape[-1])])
