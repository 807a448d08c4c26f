"""How well concepts are separated, and how well clusters agree with them.

Numbers that compare encoders, after Paulke et al., "Local Concept Embeddings in the Context of Self-Supervised
Learning", which names them and leaves most formulas open; each is given here in every likely meaning.  Distances are
Euclidean, in the space that the caller passes: raw vectors, or the points of a map (`loce_jax.analysis.embedding`).
Shapes: n embeddings, c channels, k concepts, m clusters.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from loce_jax.analysis.metrics.cluster_agreement import ClusterAgreement, cluster_agreement
from loce_jax.analysis.metrics.spread import Spread, centroid_spread, distance_sums, pair_spread
from loce_jax.analysis.vectors import check_labeled_vectors
from loce_jax.checks import InputError

_MAX_VECTORS = 5000  # between which all distances are taken, the same share of it for every concept


@dataclass(frozen=True)
class Quality:
    """What `describe_quality` found.

    Attributes:
        concepts: the distinct labels, ascending; they name the values of ``pairs.within`` and ``centroids.within``.
        pairs: within, the mean distance between two vectors of a concept; between, the mean over the pairs of concepts
            of the mean distance between a vector of one and a vector of the other.
        centroids: within, the mean distance of a concept's vectors to their mean; between, the mean distance between
            the means of two concepts.
        silhouette: mean over the vectors, -1 to 1, higher is better; NaN with one concept.
        sampled: whether a concept with many vectors was represented by some of them in `pairs` and `silhouette`.
        agreement: of the clusters with the concepts.
        clusterer: "given", or the kind of mixture that was fitted: "full" or "diag" covariances.
    """

    concepts: tuple
    pairs: Spread
    centroids: Spread
    silhouette: float
    sampled: bool
    agreement: ClusterAgreement
    clusterer: str


def describe_quality(
    vectors: Float[np.ndarray, "n c"],
    labels: Sequence | np.ndarray,
    clusters: Sequence | np.ndarray | None = None,
    *,
    seed: int = 0,
) -> Quality:
    """Distances within and between concepts, silhouette, and how clusters agree with the concepts.

    The silhouette of a vector with mean distance a to its concept's other vectors, and least mean distance b to
    another concept's, is ``(b - a) / max(a, b)``; 0 for a concept with one vector or where both are 0.

    Distances between pairs are taken of all vectors of a concept up to 5000 / k; of more, so many are drawn, and the
    concept keeps its weight in the silhouette.  The rest is exact.

    Sources: Rousseeuw, "Silhouettes", J. Comput. Appl. Math. 20, 1987; Rosenberg & Hirschberg, "V-Measure", EMNLP 2007;
    Hubert & Arabie, "Comparing partitions", J. Classification 2, 1985.

    Args:
        vectors: finite, at least one.
        labels: the concepts.
        clusters: one value per vector.  If left out, a Gaussian mixture with a component per concept is fitted, with
            full covariances where each component has more than c vectors on average and with diagonal ones elsewhere.
        seed: random seed of the mixture and of the vectors drawn.

    >>> found = describe_quality(np.array([[0.0], [1.0], [10.0], [11.0]]), ["cat", "cat", "dog", "dog"])
    >>> found.pairs.within.tolist(), found.centroids.between, found.agreement.error
    ([1.0, 1.0], 10.0, 0.0)
    """
    labels = check_labeled_vectors(vectors, labels)
    if not len(vectors):
        raise InputError("`vectors` must hold at least one embedding to describe, but got none. Fit some first.")
    vectors = vectors.astype(np.float64)
    concepts, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    found, kind = (clusters, "given") if clusters is not None else _mixture(vectors, len(concepts), seed)
    sample = _sample(codes, seed)
    sums = distance_sums(vectors[sample], codes[sample], len(concepts))
    pairs, silhouettes = pair_spread(sums, codes[sample])
    return Quality(
        concepts=tuple(concepts.tolist()),
        pairs=pairs,
        centroids=centroid_spread(vectors, codes),
        silhouette=float(silhouettes @ counts / len(labels)),
        sampled=len(sample) < len(labels),
        agreement=cluster_agreement(found, labels),
        clusterer=kind,
    )


def _mixture(vectors, components, seed):
    """The components that the vectors most likely come from, and the kind of covariance."""
    from sklearn.mixture import GaussianMixture  # noqa: PLC0415 - slow to import

    kind = "full" if len(vectors) > components * vectors.shape[1] else "diag"
    components = min(components, len(np.unique(vectors, axis=0)))  # no more centers can be started from
    if components == 1:
        return np.zeros(len(vectors), int), kind
    return GaussianMixture(components, covariance_type=kind, random_state=seed).fit_predict(vectors), kind


def _sample(codes, seed):
    """Rows, ascending: of each concept all, or its share drawn."""
    order, k = np.random.default_rng(seed).permutation(len(codes)), codes.max() + 1
    return np.sort(np.concatenate([order[codes[order] == code][: max(2, _MAX_VECTORS // k)] for code in range(k)]))
