"""How well do embeddings keep concepts apart, and do clusters find the concepts again?

Numbers that compare encoders, after Paulke et al., "Local Concept Embeddings in the Context of Self-Supervised
Learning", which names them and leaves most formulas open; each is given here in every likely meaning.  Distances are
Euclidean, in the space that the caller passes: raw vectors, or the points of a map (`loce_jax.analysis.embedding`).
Letters: n embeddings, c channels, k concepts, m clusters.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped
from scipy.spatial.distance import cdist

from loce_jax.analysis.vectors import check_cloud
from loce_jax.checks import InputError, check_shape

_BLOCK = 1024  # rows of distances held at once
_MOST = 5000  # vectors between which all distances are taken, the same share of it for every concept


@dataclass(frozen=True)
class Spread:
    """Distances within and between concepts, by one definition.

    Attributes:
        within: a value per concept, at least 0, lower is better; NaN for a concept with one vector.
        between: at least 0, higher is better; NaN with one concept.
    """

    within: Float[np.ndarray, " k"]
    between: float

    @property
    def separability(self) -> float:
        """`between` over the unweighted mean of `within`, higher is better; the only number here without a scale.

        Concepts with one vector are left out.  Infinite if all others are single points apart from each other, NaN
        where there is nothing to divide.

        >>> round(Spread(np.array([5.57, 5.54, 4.83, 8.89, 5.35]), 17.8).separability, 2)
        2.95
        """
        within = self.within[np.isfinite(self.within)]
        mean = within.mean() if len(within) else np.nan
        if mean == 0:
            return np.inf if self.between > 0 else np.nan
        return float(self.between / mean)


@dataclass(frozen=True)
class Agreement:
    """What `cluster_agreement` found.  From 0 to 1 but for `ari`; NaN without embeddings.

    Attributes:
        clusters: how many there are.
        homogeneity: 1 - H(concept | cluster) / H(concept); 1 where every cluster holds one concept.
        completeness: 1 - H(cluster | concept) / H(cluster); 1 where every concept is in one cluster.
        v_measure: harmonic mean of the two.
        nmi: mutual information over the mean of the entropies, which is the same number as `v_measure`.
        ari: adjusted Rand index, at most 1, about 0 by chance, below for worse than chance.
        error: 1 - accuracy with every concept matched to at most one cluster of its own, as well as can be (Hungarian
            method); lower is better.
        impurity: 1 - share of embeddings of their cluster's most common concept; lower is better, and never above
            `error`.
    """

    clusters: int
    homogeneity: float
    completeness: float
    v_measure: float
    nmi: float
    ari: float
    error: float
    impurity: float


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
    agreement: Agreement
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
        clusters: one value a vector.  If left out, a Gaussian mixture with a component per concept is fitted, with
            full covariances where each component has more than c vectors on average and with diagonal ones elsewhere.
        seed: of the mixture and of the draw.

    >>> found = describe_quality(np.array([[0.0], [1.0], [10.0], [11.0]]), ["cat", "cat", "dog", "dog"])
    >>> found.pairs.within.tolist(), found.centroids.between, found.agreement.error
    ([1.0, 1.0], 10.0, 0.0)
    """
    labels = check_cloud(vectors, labels)
    if not len(vectors):
        raise InputError("`vectors` must hold at least one embedding to describe, but got none. Fit some first.")
    vectors = vectors.astype(np.float64)
    concepts, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    found, kind = (clusters, "given") if clusters is not None else _mixture(vectors, len(concepts), seed)
    sample = _sample(codes, seed)
    sums = _sums_of_distances(vectors[sample], codes[sample], len(concepts))
    pairs, silhouettes = _pairs(sums, codes[sample])
    return Quality(
        concepts=tuple(concepts.tolist()),
        pairs=pairs,
        centroids=_centroids(vectors, codes, counts),
        silhouette=float(silhouettes @ counts / len(labels)),
        sampled=len(sample) < len(labels),
        agreement=cluster_agreement(found, labels),
        clusterer=kind,
    )


def cluster_agreement(clusters: Sequence | np.ndarray, labels: Sequence | np.ndarray) -> Agreement:
    """How well do clusters and concepts say the same?  Neither needs as many values as the other.

    With one concept homogeneity is 1, with one cluster completeness is 1, whatever the rest.

    Sources: as `describe_quality`; matching: Kuhn, "The Hungarian method", Naval Res. Logist. Quart. 2, 1955.

    >>> found = cluster_agreement([0, 0, 0, 1], ["cat", "cat", "dog", "dog"])
    >>> found.error, found.impurity, round(found.v_measure, 3)
    (0.25, 0.25, 0.344)
    """
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415 - slow to import, as the next
    from sklearn.metrics import adjusted_rand_score, homogeneity_completeness_v_measure  # noqa: PLC0415
    from sklearn.metrics import normalized_mutual_info_score as normalized_information  # noqa: PLC0415

    clusters, labels = np.asarray(clusters), np.asarray(labels)
    check_shape("clusters", clusters, labels.shape, meaning="one per label", fix="")
    if not len(labels):
        return Agreement(0, *[np.nan] * 7)
    table = _contingency(clusters, labels)
    matched = table[linear_sum_assignment(table, maximize=True)].sum()
    homogeneity, completeness, v_measure = homogeneity_completeness_v_measure(labels, clusters)
    return Agreement(
        clusters=len(table),
        homogeneity=float(homogeneity),
        completeness=float(completeness),
        v_measure=float(v_measure),
        nmi=float(normalized_information(labels, clusters)),
        ari=float(adjusted_rand_score(labels, clusters)),
        error=float((len(labels) - matched) / len(labels)),
        impurity=float((len(labels) - table.max(axis=1).sum()) / len(labels)),
    )


def _contingency(clusters: Shaped[np.ndarray, " n"], labels: Shaped[np.ndarray, " n"]):
    """Counts, a row per cluster and a column per concept."""
    _, row = np.unique(clusters, return_inverse=True)
    _, column = np.unique(labels, return_inverse=True)
    table = np.zeros((row.max() + 1, column.max() + 1), dtype=int)
    np.add.at(table, (row, column), 1)
    return table


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
    return np.sort(np.concatenate([order[codes[order] == code][: max(2, _MOST // k)] for code in range(k)]))


def _sums_of_distances(vectors, codes, k) -> Float[np.ndarray, "n k"]:
    """For each vector, the sum of its distances to the vectors of each concept."""
    member = (codes[:, None] == np.arange(k)).astype(float)
    blocks = (vectors[start : start + _BLOCK] for start in range(0, len(vectors), _BLOCK))
    return np.concatenate([cdist(block, vectors) @ member for block in blocks])


def _pairs(sums, codes):
    """The spread over pairs, and the mean silhouette of each concept."""
    k = sums.shape[1]
    counts = np.bincount(codes, minlength=k)
    between = np.array([sums[codes == code].sum(axis=0) for code in range(k)])
    within = np.full(k, np.nan)
    several = counts > 1
    within[several] = between.diagonal()[several] / (counts * (counts - 1))[several]
    apart = between / np.outer(counts, counts)
    spread = Spread(within, float(apart[np.triu_indices(k, 1)].mean()) if k > 1 else np.nan)
    if k == 1:
        return spread, np.full(1, np.nan)
    own = sums[np.arange(len(codes)), codes] / np.maximum(counts[codes] - 1, 1)
    others = sums / counts
    others[np.arange(len(codes)), codes] = np.inf
    nearest = others.min(axis=1)
    larger = np.maximum(own, nearest)
    defined = several[codes] & (larger > 0)
    silhouettes = np.divide(nearest - own, larger, out=np.zeros(len(codes)), where=defined)
    return spread, np.bincount(codes, silhouettes, minlength=k) / counts


def _centroids(vectors, codes, counts):
    k = len(counts)
    means = np.array([vectors[codes == code].mean(axis=0) for code in range(k)])
    away = np.linalg.norm(vectors - means[codes], axis=1)
    within = np.where(counts > 1, np.bincount(codes, away, minlength=k) / counts, np.nan)
    return Spread(within, float(cdist(means, means)[np.triu_indices(k, 1)].mean()) if k > 1 else np.nan)
