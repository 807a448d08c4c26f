"""What every step of a study is given, and what several steps share: the map, its mixtures, the clusters."""

import functools as ft
import hashlib
import json
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from jaxtyping import Int

from loce_jax.analysis.clustering.cut import RELAXED, STRICT, ClusteringOptions, Clusters, cluster
from loce_jax.analysis.embedding import Embedding2D, embed_2d
from loce_jax.analysis.mixtures.fit import Mixture, fit_mixture, fit_mixtures
from loce_jax.analysis.sampling import subsample
from loce_jax.checks import InputError
from loce_jax.store import Run, find_derived, keep_derived
from loce_jax.study.options import Clustering, Selection, StudyOptions
from loce_jax.study.selection.embeddings import Embeddings, load_views
from loce_jax.study.selection.photos import Photos

_METHODS = ("umap", "pca")
_MOST_COMPONENTS = 40  # of twenty concepts, the most that the paper looks at
_PRESETS = {"strict": STRICT, "relaxed": RELAXED}


@dataclass(frozen=True, eq=False)
class LayerAnalysis:
    """LoCEs to look at, the run they come from, its photographs, and how all steps look at them.

    Attributes:
        run: the run; maps are kept beside it.
        embeddings: the LoCEs.
        photos: for pictures; without a data set, they show empty tiles.
        selection: what was asked for; its seed is that of everything random.
        options: of every step.
        common: rows of the run that clusters are drawn from, such as those good at every layer of a study; all of
            them if left out.
    """

    run: Run
    embeddings: Embeddings
    photos: Photos
    selection: Selection = Selection()
    options: StudyOptions = StudyOptions()
    common: Int[np.ndarray, " m"] | None = None

    @property
    def seed(self) -> int:
        """Of everything random."""
        return self.selection.seed

    @property
    def shared(self) -> Int[np.ndarray, " s"]:
        """Places in the embeddings of the rows that clusters are drawn from."""
        rows = self.embeddings.rows
        places = np.arange(len(rows)) if self.common is None else np.flatnonzero(np.isin(rows, self.common))
        if not len(places):
            raise InputError(
                "`layers` must have good LoCEs of the same rows, because clusters are drawn from these, but no row is "
                "good at all of them. Ask for fewer layers."
            )
        return places

    @ft.cached_property
    def map(self) -> Embedding2D:
        """Two coordinates for each LoCE, computed once: they are kept with the run, with seed and versions."""
        return _map(self)

    @ft.cached_property
    def mixtures(self) -> dict[str, Mixture]:
        """On the map a mixture of each concept."""
        options = self.options.map
        return fit_mixtures(
            self.map.points, self.embeddings.labels, options.components, seed=self.seed, paper=options.paper
        )

    @ft.cached_property
    def unlabeled_mixture(self) -> Mixture:
        """On the map the mixture without labels: of at most twice as many components as concepts, and at most 40."""
        most = min(2 * len(self.embeddings.concepts), _MOST_COMPONENTS)
        return fit_mixture(self.map.points, most, seed=self.seed, outlier_weight=0.0)

    @ft.cached_property
    def clusters(self) -> tuple[Int[np.ndarray, " d"], Clusters]:
        """Places in the embeddings that were drawn, and their clusters."""
        options, shared = self.options.clusters, self.shared
        drawn = shared[subsample(self.embeddings.labels[shared], options.max_per_concept, self.seed)]
        vectors, labels = self.embeddings.vectors[drawn], self.embeddings.labels[drawn]
        return drawn, cluster(vectors, labels, clustering_options(options), n_total=len(shared), seed=self.seed)


def analyze_layers(run: Run, selection: Selection, photos: Photos, options: StudyOptions) -> list[LayerAnalysis]:
    """One `LayerAnalysis` per layer, or one of all layers joined.

    Their clusters are drawn from the rows that are good at every layer.
    """
    views = load_views(run, run.resolve(selection.layers), selection)
    common = ft.reduce(np.intersect1d, [embeddings.rows for embeddings in views])
    return [LayerAnalysis(run, embeddings, photos, selection, options, common) for embeddings in views]


def clustering_options(options: Clustering) -> ClusteringOptions:
    """The preset with all else that was chosen."""
    preset, chosen = _PRESETS[options.preset], (options.method, options.metric, options.cut, options.height)
    return ClusteringOptions(preset.share, preset.purity, *chosen, options.precluster)


def _map(analysis: LayerAnalysis) -> Embedding2D:
    neighbors = analysis.options.map.neighbors
    asked: dict[str, Any] = {
        "layers": analysis.embeddings.layers,
        "vectors": hashlib.sha256(np.ascontiguousarray(analysis.embeddings.vectors).tobytes()).hexdigest(),
        "rows": hashlib.sha256(analysis.embeddings.rows.astype(np.int64).tobytes()).hexdigest(),
        "neighbors": neighbors,
        "seed": analysis.seed,
    }
    name = f"map-{hashlib.sha256(json.dumps(asked).encode('utf-8', 'surrogateescape')).hexdigest()[:16]}"
    packages = ("umap-learn", "scikit-learn", "numpy", "loce_jax")
    record = {**asked, "versions": {package: version(package) for package in packages}}
    for method, points in (find_derived(analysis.run.storage, name, record) or {}).items():
        if method in _METHODS and points.shape == (len(analysis.embeddings.rows), 2) and np.isfinite(points).all():
            return Embedding2D(points, method)
    found = embed_2d(analysis.embeddings.vectors, seed=analysis.seed, neighbors=neighbors)
    keep_derived(analysis.run.storage, name, record, {found.method: found.points})
    return found
