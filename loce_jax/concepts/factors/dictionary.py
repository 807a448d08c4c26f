"""A dictionary of a layer's unsupervised concepts: codes of its cells, cells of codes, and concept maps.

Shapes: k components, m cells, gh x gw grid cells of the layer, c channels, H x W pixels.
"""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from loce_jax.checks import InputError
from loce_jax.concepts.factors.cells import as_cells
from loce_jax.solver.project import upsample

_BLOCK = 8192  # cells whose reconstruction is held in float64 at once


@runtime_checkable
class Coder(Protocol):
    """What a method leaves: its components, and how a cell's code is found."""

    @property
    def method(self) -> str:
        """Its name."""
        ...

    @property
    def atoms(self) -> Float[np.ndarray, "k c"]:
        """Row i is what a code of 1 for component i adds to a cell."""
        ...

    @property
    def offset(self) -> Float[np.ndarray, " c"]:
        """The cell whose code is 0."""
        ...

    def encode(self, cells: Float[np.ndarray, "m c"]) -> Float[np.ndarray, "m k"]:
        """Codes of cells, float32."""
        ...


@dataclass(frozen=True)
class Reconstruction:
    """How well codes give the cells back.

    Attributes:
        error: the Frobenius norm of the difference, as scikit-learn's ``reconstruction_err_``; 0 is best.
        explained_variance: 1 less the share of the squared difference in the cells' sum of squares around their mean;
            1 is best, 0 no better than the mean, NaN for cells that are all equal.
    """

    error: float
    explained_variance: float


@dataclass(frozen=True, eq=False)
class Dictionary:
    """What `loce_jax.concepts.factors.fit.fit` found.

    Attributes:
        coder: the method's own part.
        scales: of each component, the code that its map shows as 1: the 99th percentile of its positive codes among
            the cells fitted to; NaN for a component that is never active.
        activity: of each component, the share of the cells fitted to whose code is above 0; 0 for a dead one.
        reconstruction: of the cells fitted to.
        notes: in words: cells left out, numbers clipped, dead components, fits that have not converged.
    """

    coder: Coder
    scales: Float[np.ndarray, " k"]
    activity: Float[np.ndarray, " k"]
    reconstruction: Reconstruction
    notes: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the components: their method and number."""
        return tuple(f"{self.coder.method} {number}" for number in range(len(self.scales)))

    @property
    def atoms(self) -> Float[np.ndarray, "k c"]:
        """Row i is what a code of 1 for component i adds to a cell."""
        return self.coder.atoms

    def encode(self, activations: Any) -> Float[np.ndarray, "*axes k"]:
        """The code of every cell of activations ``[*axes c]``."""
        cells = as_cells(activations)
        if cells.shape[-1] != self.atoms.shape[1]:
            raise InputError(
                f"`activations` must have {self.atoms.shape[1]} channels last, as the layer of this dictionary has, "
                f"but have shape {cells.shape}. Read them from that layer."
            )
        return self.coder.encode(cells.reshape(-1, cells.shape[-1])).reshape(*cells.shape[:-1], -1)

    def decode(self, codes: Float[Any, "*axes k"]) -> Float[np.ndarray, "*axes c"]:
        """The activations that codes stand for."""
        return np.asarray(codes, np.float32) @ self.coder.atoms + self.coder.offset

    def maps(self, activations: Any, size: tuple[int, int]) -> Float[Array, "*n k H W"]:
        """Concept maps in [0, 1] at `size`: positive codes over `scales`, cut at 1, resized bilinearly.

        Not for `jit`.  NaN for a component that is never active.
        """
        codes = np.clip(self.encode(activations) / self.scales, 0, 1)
        return upsample(jnp.asarray(np.moveaxis(codes, -1, -3), jnp.float32), size)

    def reconstruct(self, activations: Any) -> Reconstruction:
        """How well the codes of activations ``[*axes c]`` give them back, such as those of held-out images."""
        cells = as_cells(activations)
        cells = cells.reshape(-1, cells.shape[-1])
        return measure_reconstruction(self.coder, cells, self.encode(cells))


def measure_reconstruction(
    coder: Coder, cells: Float[np.ndarray, "m c"], codes: Float[np.ndarray, "m k"]
) -> Reconstruction:
    """The error of cells and their codes, summed in float64."""
    mean = cells.mean(axis=0, dtype=np.float64)
    left = total = 0.0
    for start in range(0, len(cells), _BLOCK):
        part = cells[start : start + _BLOCK].astype(np.float64)
        left += ((codes[start : start + _BLOCK] @ coder.atoms + coder.offset - part) ** 2).sum()
        total += ((part - mean) ** 2).sum()
    return Reconstruction(float(np.sqrt(left)), float(1 - left / total) if total > 0 else np.nan)
