"""Clusters of a layer's cells, each cell in one: concepts that do not mix.

Shapes: k components, m cells, c channels.
"""

import functools as ft
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from loce_jax.checks import InputError
from loce_jax.concepts.factors.cells import FactorOptions

MANY_CELLS = 20_000  # above, scikit-learn's MiniBatchKMeans, with batches of 4096
_STARTS = 4  # the best of so many starts


@dataclass(frozen=True)
class KMeansOptions(FactorOptions):
    """Lloyd's algorithm from k-means++ starts; of more than 20,000 cells, in batches.

    Sources: Arthur & Vassilvitskii, "k-means++", SODA 2007; Sculley, "Web-scale k-means clustering", WWW 2010.
    """


@dataclass(frozen=True, eq=False)
class KMeansCoder:
    """Centroids."""

    atoms: Float[np.ndarray, "k c"]
    method: str = "kmeans"

    @property
    def offset(self) -> Float[np.ndarray, " c"]:
        """Zeros."""
        return np.zeros(self.atoms.shape[1], np.float32)

    def encode(self, cells: Float[np.ndarray, "m c"]) -> Float[np.ndarray, "m k"]:
        """1 for the nearest centroid, the first of equally near ones, else 0."""
        from sklearn.metrics import pairwise_distances_argmin  # noqa: PLC0415 - a second

        return np.eye(len(self.atoms), dtype=np.float32)[pairwise_distances_argmin(cells, self.atoms)]


def fit_kmeans(cells: Float[np.ndarray, "m c"], options: KMeansOptions) -> tuple[KMeansCoder, tuple[str, ...]]:
    """The centroids."""
    from sklearn.cluster import KMeans, MiniBatchKMeans  # noqa: PLC0415 - a second

    distinct = len(np.unique(cells[: 100 * options.components], axis=0))
    if distinct < options.components and distinct == len(np.unique(cells, axis=0)):
        raise InputError(
            f"`components` must be at most the {distinct} different cells, but is {options.components}. Give fewer."
        )
    many = len(cells) > MANY_CELLS
    kind: Any = ft.partial(MiniBatchKMeans, batch_size=4096) if many else KMeans  # annotated as texts
    model = kind(options.components, n_init=_STARTS, random_state=options.seed).fit(cells)
    notes = (f"{len(cells)} cells are many: clustered in batches",) if many else ()
    return KMeansCoder(np.asarray(model.cluster_centers_, np.float32)), notes
