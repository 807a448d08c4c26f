"""The input of every step: LoCEs of a layer, with what several steps share: map, mixtures, separation, clusters."""

import functools as ft
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int

from loce_jax.analysis.clustering.cut import RELAXED, STRICT, ClusteringOptions, Clusters, cluster
from loce_jax.analysis.embedding import Embedding2D
from loce_jax.analysis.metrics.separation import Separation, pairwise_separation
from loce_jax.analysis.mixtures.fit import Mixture, fit_mixture, fit_mixtures
from loce_jax.analysis.neighbors.interclass import InterclassDistances, interclass_distances
from loce_jax.analysis.sampling import subsample
from loce_jax.checks import InputError, check_arguments
from loce_jax.plots.palette import Style, concept_styles
from loce_jax.store import Run
from loce_jax.study.options import Clustering, Selection, StudyOptions
from loce_jax.study.selection.embeddings import Embeddings, load_views
from loce_jax.study.selection.map import compute_map
from loce_jax.study.selection.photos import Photos
from loce_jax.study.selection.pool import PooledRun
from loce_jax.study.selection.rows import rows_of_all
from loce_jax.study.selection.sources import RunLike

_MAX_COMPONENTS = 40  # two for each of twenty concepts, the most that the paper has
_PRESETS = {"strict": STRICT, "relaxed": RELAXED}


@dataclass(frozen=True, eq=False)
class LayerAnalysis:
    """LoCEs of one layer, or of several joined, with the options of all steps and what several steps compute.

    Attributes:
        run: the run; maps are kept beside it.
        embeddings: the LoCEs.
        photos: for pictures; without a data set, they show empty tiles.
        selection: which LoCEs were selected, and the random seed of all steps.
        options: options of all steps.
        common_rows: rows of the run that clusters are drawn from, such as those good at every layer of a study; all of
            them if left out.
    """

    run: RunLike
    embeddings: Embeddings
    photos: Photos
    selection: Selection = Selection()
    options: StudyOptions = StudyOptions()
    common_rows: Int[np.ndarray, " m"] | None = None

    @property
    def seed(self) -> int:
        """Random seed."""
        return self.selection.seed

    @property
    def common_positions(self) -> Int[np.ndarray, " s"]:
        """Positions in the embeddings of the rows that clusters are drawn from."""
        rows = self.embeddings.rows
        positions = (
            np.arange(len(rows)) if self.common_rows is None else np.flatnonzero(np.isin(rows, self.common_rows))
        )
        if not len(positions):
            raise InputError(
                "`layers` must have good LoCEs of the same rows, because clusters are drawn from these, but no row is "
                "good at all of them. Select fewer layers."
            )
        return positions

    @ft.cached_property
    def styles(self) -> dict[str, Style]:
        """Color and marker of each concept that pictures name."""
        styles = concept_styles(self.run.concepts, self.run.table["concept"])
        return {concept: styles[concept] for concept in self.embeddings.shown_concepts}

    @ft.cached_property
    def map(self) -> Embedding2D:
        """Two coordinates for each LoCE, computed once: they are kept with the run, with seed and versions."""
        return compute_map(self.run, self.embeddings, neighbors=self.options.map.neighbors, seed=self.seed)

    @ft.cached_property
    def interclass(self) -> InterclassDistances:
        """Distances within and between concepts."""
        return interclass_distances(self.embeddings.vectors, self.embeddings.labels)

    @ft.cached_property
    def separation(self) -> Separation:
        """How far apart every two concepts lie, as a matrix."""
        return pairwise_separation(self.embeddings.vectors, self.embeddings.labels, interclass=self.interclass)

    @ft.cached_property
    def mixtures(self) -> dict[str, Mixture]:
        """A Gaussian mixture of each concept, on the map."""
        options = self.options.map
        return fit_mixtures(
            self.map.points, self.embeddings.labels, options.components, seed=self.seed, paper=options.paper
        )

    @ft.cached_property
    def unlabeled_mixture(self) -> Mixture:
        """A Gaussian mixture without labels, on the map; it has at most two components per concept, and at most 40."""
        components = min(2 * len(self.embeddings.concepts), _MAX_COMPONENTS)
        return fit_mixture(self.map.points, components, seed=self.seed, outlier_weight=0.0)

    @ft.cached_property
    def clusters(self) -> tuple[Int[np.ndarray, " d"], Clusters]:
        """Positions in the embeddings that were drawn, and their clusters."""
        options, common = self.options.clusters, self.common_positions
        drawn = common[subsample(self.embeddings.labels[common], options.max_per_concept, self.seed)]
        vectors, labels = self.embeddings.vectors[drawn], self.embeddings.labels[drawn]
        return drawn, cluster(vectors, labels, clustering_options(options), n_total=len(common), seed=self.seed)


@check_arguments
def analyze_layers(run: Run, selection: Selection, photos: Photos, options: StudyOptions) -> list[LayerAnalysis]:
    """One `LayerAnalysis` per layer, or one of all layers joined.

    Their clusters are drawn from the rows that are good at every layer.
    """
    views = load_views(run, run.resolve(selection.layers), selection)
    common = rows_of_all([embeddings.rows for embeddings in views])
    return [LayerAnalysis(run, embeddings, photos, selection, options, common) for embeddings in views]


def analyze_pool(
    runs: Mapping[str, Run],
    selection: Selection = Selection(),  # noqa: B008 - frozen
    options: StudyOptions = StudyOptions(),  # noqa: B008 - frozen
    *,
    apart: bool = False,
) -> list[LayerAnalysis]:
    """One `LayerAnalysis` per layer that all of several runs have, or one of these joined, of all their LoCEs together.

    Args:
        runs: of one network and recipe, by label; see `PooledRun`.
        selection: which of their LoCEs.
        options: of the steps.
        apart: concepts of the same name in two runs are two concepts.

    Raises:
        InputError: runs whose vectors cannot be compared; a layer that one of them lacks.
    """
    pool = PooledRun(runs, apart)
    layers = pool.resolve(selection.layers)
    views = [replace(view, runs=pool.table["run"][view.rows]) for view in load_views(pool, layers, selection)]
    common = rows_of_all([view.rows for view in views])
    return [LayerAnalysis(pool, view, Photos(pool, None), selection, options, common) for view in views]


def clustering_options(options: Clustering) -> ClusteringOptions:
    """The options of the clustering: a preset, with all else from `options`."""
    preset, chosen = _PRESETS[options.preset], (options.method, options.metric, options.cut, options.height)
    return ClusteringOptions(preset.share, preset.purity, *chosen, options.precluster)
