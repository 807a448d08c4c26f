"""What every step of a study is given."""

import functools as ft
import hashlib
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np

from loce_jax.analysis.mixtures import Mixture, fit_mixture
from loce_jax.analysis.reduce import Embedding2D, embed_2d
from loce_jax.store import Run, find_derived, keep_derived
from loce_jax.study.cloud import Cloud
from loce_jax.study.photos import Photos

_METHODS = ("umap", "pca")
_MOST_COMPONENTS = 40  # of twenty concepts, the most that the paper looks at


@dataclass(frozen=True, eq=False)
class Subject:
    """LoCEs to look at, the run they come from, and its photographs.

    Attributes:
        run: the run; maps are kept beside it.
        cloud: the LoCEs.
        photos: for pictures; without a data set, they show empty tiles.
        seed: of everything random.
    """

    run: Run
    cloud: Cloud
    photos: Photos
    seed: int = 0

    def map(self, neighbours: int | None = None) -> Embedding2D:
        """Two coordinates for each LoCE, computed once: they are kept with the run, with seed and versions."""
        return _map(self, neighbours)

    def components(self, neighbours: int | None = None) -> Mixture:
        """The mixture of the map without labels: of at most twice as many components as concepts, and at most 40."""
        return _components(self, neighbours)


@ft.lru_cache(maxsize=8)
def _components(subject: Subject, neighbours: int | None) -> Mixture:
    most = min(2 * len(subject.cloud.concepts), _MOST_COMPONENTS)
    return fit_mixture(subject.map(neighbours).points, most, seed=subject.seed, drop=0.0)


@ft.lru_cache(maxsize=8)
def _map(subject: Subject, neighbours: int | None) -> Embedding2D:
    name = f"map-{subject.cloud.name}"
    record = {
        "vectors": hashlib.sha256(np.ascontiguousarray(subject.cloud.vectors).tobytes()).hexdigest(),
        "rows": hashlib.sha256(subject.cloud.rows.astype(np.int64).tobytes()).hexdigest(),
        "neighbours": neighbours,
        "seed": subject.seed,
        "versions": {package: version(package) for package in ("umap-learn", "scikit-learn", "numpy", "loce_jax")},
    }
    for method, points in (find_derived(subject.run.place, name, record) or {}).items():
        if method in _METHODS and points.shape == (len(subject.cloud.rows), 2) and np.isfinite(points).all():
            return Embedding2D(points, method)
    found = embed_2d(subject.cloud.vectors, seed=subject.seed, neighbours=neighbours)
    keep_derived(subject.run.place, name, record, {found.method: found.points})
    return found
