"""Principal components of a layer's cells.

Shapes: k components, m cells, c channels.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from loce_jax.checks import InputError
from loce_jax.concepts.factors.cells import FactorOptions


@dataclass(frozen=True)
class PCAOptions(FactorOptions):
    """Orthogonal directions of largest variance, largest first.

    A direction points to where the codes' third moment is positive, to few cells with large codes: that depends on the
    codes alone, so that rotated activations have the same codes, and the same maps.
    """


@dataclass(frozen=True, eq=False)
class PCACoder:
    """Orthonormal directions and the mean."""

    atoms: Float[np.ndarray, "k c"]
    offset: Float[np.ndarray, " c"]
    method: str = "pca"

    def encode(self, cells: Float[np.ndarray, "m c"]) -> Float[np.ndarray, "m k"]:
        """Coordinates, of either sign."""
        return (cells - self.offset) @ self.atoms.T


def fit_pca(cells: Float[np.ndarray, "m c"], options: PCAOptions) -> tuple[PCACoder, tuple[str, ...]]:
    """The directions; scikit-learn's, of centered cells: its eigenvalue solver would lose small variances."""
    from sklearn.decomposition import PCA  # noqa: PLC0415 - a second

    if options.components > min(len(cells) - 1, cells.shape[1]):
        raise InputError(
            f"`components` must be at most {min(len(cells) - 1, cells.shape[1])} for {len(cells)} cells of "
            f"{cells.shape[1]} channels, but is {options.components}. Give fewer, or more cells."
        )
    mean = cells.mean(axis=0, dtype=np.float64).astype(np.float32)
    centered = cells - mean
    atoms = np.asarray(PCA(options.components, random_state=options.seed).fit(centered).components_)
    codes = (centered @ atoms.T).astype(np.float64)
    signs = np.where((codes**3).sum(axis=0) < 0, -1, 1)
    return PCACoder((atoms * signs[:, None]).astype(np.float32), mean), ()
