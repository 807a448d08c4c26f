"""A two-dimensional map of embeddings: two coordinates for each, neighbors kept near.

Shapes: n embeddings, c channels.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from loce_jax.analysis.vectors import check_vectors

_NEIGHBORS = 15  # UMAP's default
_FEW = 30  # distinct vectors below which a neighborhood of 15 is half of the data and says nothing local


@dataclass(frozen=True)
class Embedding2D:
    """What `embed_2d` found.

    Attributes:
        points: two coordinates without unit; row i belongs to vector i.  Only nearness means something.
        method: "umap" or "pca".
    """

    points: Float[np.ndarray, "n 2"]
    method: str


def embed_2d(vectors: Float[np.ndarray, "n c"], *, seed: int = 0, neighbors: int | None = None) -> Embedding2D:
    """Map the embeddings to two dimensions.

    UMAP on Euclidean distances of the raw vectors, as the paper does; with fewer than 30 distinct vectors, a
    principal component analysis, because UMAP then has no neighborhoods to keep.  UMAP is started from the principal
    components instead of a spectral layout: they keep the large-scale arrangement, and disconnected neighborhoods
    are no failure.
    The same vectors and seed give the same points in one installation; versions and machines may differ.

    Args:
        vectors: finite.
        seed: random seed of UMAP.
        neighbors: size of the neighborhoods that UMAP keeps, the vector itself included; None is 15.  The paper
            uses a share of the data, ``int(0.05 * n)``.  The number is clipped to 2 and ``n - 1``; a principal
            component analysis uses none.

    Sources: McInnes, Healy & Melville, "UMAP", 2018; start: Kobak & Linderman, Nature Biotechnology 39, 2021.

    >>> embed_2d(np.array([[0.0, 3.0], [0.0, 5.0]])).points
    array([[-1.,  0.],
           [ 1.,  0.]])
    """
    check_vectors(vectors)
    if len(np.unique(vectors, axis=0)) < _FEW:
        return Embedding2D(_principal_plane(vectors), "pca")
    neighbors = _NEIGHBORS if neighbors is None else max(2, min(neighbors, len(vectors) - 1))
    return Embedding2D(_umap(vectors, seed, neighbors), "umap")


def _principal_plane(vectors):
    """Coordinates along the two directions of largest variance; each axis' farthest point is on its positive side."""
    points = np.zeros((len(vectors), 2))
    if vectors.size:
        left, sizes, _ = np.linalg.svd(vectors - vectors.mean(axis=0, dtype=np.float64), full_matrices=False)
        plane = (left * sizes)[:, :2]
        farthest = plane[len(plane) - 1 - np.abs(plane)[::-1].argmax(axis=0), range(plane.shape[1])]
        points[:, : plane.shape[1]] = plane * np.where(farthest < 0, -1, 1) + 0.0  # no -0.0
    return points


def _umap(vectors, seed, neighbors):
    """UMAP with exact neighbors: for some hundred vectors half of its time went into compiling its own search."""
    from sklearn.neighbors import NearestNeighbors  # noqa: PLC0415  # both imports take seconds

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="IProgress not found")  # of a progress bar that is not shown
        from umap import UMAP  # noqa: PLC0415

    vectors = np.ascontiguousarray(vectors, np.float32)
    distances, indices = NearestNeighbors(n_neighbors=neighbors - 1).fit(vectors).kneighbors()
    itself = np.arange(len(vectors))[:, None]
    indices, distances = np.hstack([itself, indices]), np.hstack([0 * itself, distances]).astype(np.float32)
    model = UMAP(n_neighbors=neighbors, init="pca", random_state=seed, n_jobs=1, precomputed_knn=(indices, distances))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*transforming new data")  # this model never does
        return _principal_plane(np.asarray(model.fit_transform(vectors), np.float64))  # longest side horizontal
