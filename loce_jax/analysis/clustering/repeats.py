"""The same clustering on many random subsets, the same ones for every layer: how much do purity and number vary?

Shapes: n embeddings, l layers (or runs), s seeds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from loce_jax.analysis.clustering.cut import STRICT, ClusteringOptions, cluster
from loce_jax.analysis.metrics.purity import cluster_purity
from loce_jax.analysis.sampling import subsample
from loce_jax.analysis.vectors import check_labeled_vectors
from loce_jax.checks import InputError


@dataclass(frozen=True)
class Repeats:
    """What `repeat_clustering` found; row i belongs to layer ``layers[i]``, column j to seed j.

    Attributes:
        layers: the names.
        purity: of the clusters, above 0, at most 1; higher is better, at equal numbers of clusters.
        clusters: how many there are; fewer are better, at equal purity.
    """

    layers: tuple[str, ...]
    purity: Float[np.ndarray, "l s"]
    clusters: Int[np.ndarray, "l s"]

    def mean(self) -> tuple[Float[np.ndarray, " l"], Float[np.ndarray, " l"]]:
        """Mean purity and mean number of clusters of each layer."""
        return self.purity.mean(axis=1), self.clusters.mean(axis=1)

    def std(self) -> tuple[Float[np.ndarray, " l"], Float[np.ndarray, " l"]]:
        """Their standard deviations over the seeds (of a sample, divided by s - 1); NaN with a single seed."""
        if self.purity.shape[1] < 2:
            return np.full(len(self.layers), np.nan), np.full(len(self.layers), np.nan)
        return self.purity.std(axis=1, ddof=1), self.clusters.std(axis=1, ddof=1)


def repeat_clustering(
    layers: Mapping[str, Float[np.ndarray, "n _"]],
    labels: Sequence | np.ndarray,
    options: ClusteringOptions = STRICT,
    *,
    seeds: int = 50,
    max_per_concept: int = 100,
) -> Repeats:
    """Clusters of each layer on the rows ``subsample(labels, max_per_concept, seed)``, for seeds 0, 1, ...

    Row i of every layer must be the same (image, concept) pair: the layers then differ in nothing but their vectors.
    (The original code draws another subset for each layer.)  As in the paper, cluster sizes are shares of all n.

    Args:
        layers: name to vectors.
        labels: the concept of each row.
        options: see `cluster`.
        seeds: how many; the paper has 50.
        max_per_concept: at most so many of a concept; the paper has 100.

    >>> vectors = np.array([[0.0], [1.0], [2.0], [9.0], [8.0], [7.0]])
    >>> found = repeat_clustering({"layer4": vectors}, list("aaabbb"), seeds=3, max_per_concept=2)
    >>> found.purity.tolist(), found.clusters.tolist()
    ([[1.0, 1.0, 1.0]], [[2, 2, 2]])
    """
    if seeds < 1:
        raise InputError(f"`seeds` must be at least 1, to repeat anything, but got {seeds}. The paper has 50.")
    for vectors in layers.values():
        labels = check_labeled_vectors(vectors, labels)
    labels = np.asarray(labels)
    purity, clusters = np.zeros((len(layers), seeds)), np.zeros((len(layers), seeds), int)
    every = np.unique(labels, return_counts=True)[1].max(initial=0) <= max_per_concept
    for j in range(seeds):
        if j and every and options.precluster is None:  # all rows, so the very clusters of the first seed
            purity[:, j], clusters[:, j] = purity[:, 0], clusters[:, 0]
            continue
        rows = subsample(labels, max_per_concept, j)
        for i, vectors in enumerate(layers.values()):
            found = cluster(vectors[rows], labels[rows], options, n_total=len(labels), seed=j)
            purity[i, j], clusters[i, j] = cluster_purity(found.labels, labels[rows]), len(found.nodes)
    return Repeats(tuple(layers), purity, clusters)
