"""The map of a layer's LoCEs, computed once: steps of a study, commands and the page read the same coordinates.

Shapes: n LoCEs.
"""

import hashlib
import json
from importlib.metadata import version
from typing import Any

import numpy as np

from loce_jax.analysis.embedding import Embedding2D, embed_2d
from loce_jax.store import find_derived, keep_derived
from loce_jax.study.selection.embeddings import Embeddings
from loce_jax.study.selection.sources import RunLike

_METHODS = ("umap", "pca")
_PACKAGES = ("umap-learn", "scikit-learn", "numpy", "loce_jax")


def compute_map(run: RunLike, embeddings: Embeddings, *, neighbors: int | None = None, seed: int = 0) -> Embedding2D:
    """Two coordinates for each LoCE; kept among the run's files, and read from there if they fit.

    Coordinates fit if layers, vectors, rows, options and versions of the packages are the same.  A run without
    storage, or with one that cannot be written, has its map computed each time.

    Args:
        run: the run that `embeddings` were loaded from.
        embeddings: the LoCEs.
        neighbors: size of UMAP's neighborhoods; 15 if left out.
        seed: random seed of UMAP.
    """
    storage = run.storage
    made_from: dict[str, Any] = {
        "layers": embeddings.layers,
        "vectors": hashlib.sha256(np.ascontiguousarray(embeddings.vectors).tobytes()).hexdigest(),
        "rows": hashlib.sha256(embeddings.rows.astype(np.int64).tobytes()).hexdigest(),
        "neighbors": neighbors,
        "seed": seed,
    }
    name = f"map-{hashlib.sha256(json.dumps(made_from).encode('utf-8', 'surrogateescape')).hexdigest()[:16]}"
    record = {**made_from, "versions": {package: version(package) for package in _PACKAGES}}
    kept = find_derived(storage, name, record) if storage is not None else None
    for method, points in (kept or {}).items():
        if method in _METHODS and points.shape == (len(embeddings.rows), 2) and np.isfinite(points).all():
            return Embedding2D(points, method)
    found = embed_2d(embeddings.vectors, seed=seed, neighbors=neighbors)
    if storage is not None:
        keep_derived(storage, name, record, {found.method: found.points})
    return found
