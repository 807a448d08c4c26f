"""How well clusters agree with concepts: entropies, pairs, the best matching, the majority.

Shapes: n embeddings.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loce_jax.checks import check_shape


@dataclass(frozen=True)
class ClusterAgreement:
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


def cluster_agreement(clusters: Sequence | np.ndarray, labels: Sequence | np.ndarray) -> ClusterAgreement:
    """How well clusters and concepts agree; their numbers may differ.

    With one concept homogeneity is 1, with one cluster completeness is 1, whatever the rest.

    Sources: Rosenberg & Hirschberg, "V-Measure", EMNLP 2007; Hubert & Arabie, "Comparing partitions",
    J. Classification 2, 1985; matching: Kuhn, "The Hungarian method", Naval Res. Logist. Quart. 2, 1955.

    >>> found = cluster_agreement([0, 0, 0, 1], ["cat", "cat", "dog", "dog"])
    >>> found.error, found.impurity, round(found.v_measure, 3)
    (0.25, 0.25, 0.344)
    """
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415 - slow to import, as the next
    from scipy.stats.contingency import crosstab  # noqa: PLC0415
    from sklearn.metrics import adjusted_rand_score, homogeneity_completeness_v_measure  # noqa: PLC0415
    from sklearn.metrics import normalized_mutual_info_score as normalized_information  # noqa: PLC0415

    clusters, labels = np.asarray(clusters), np.asarray(labels)
    check_shape("clusters", clusters, labels.shape, meaning="one per label", fix="")
    if not len(labels):
        return ClusterAgreement(0, *[np.nan] * 7)
    table = np.asarray(crosstab(clusters, labels).count)
    matched = table[linear_sum_assignment(table, maximize=True)].sum()
    homogeneity, completeness, v_measure = homogeneity_completeness_v_measure(labels, clusters)
    return ClusterAgreement(
        clusters=len(table),
        homogeneity=float(homogeneity),
        completeness=float(completeness),
        v_measure=float(v_measure),
        nmi=float(normalized_information(labels, clusters)),
        ari=float(adjusted_rand_score(labels, clusters)),
        error=float((len(labels) - matched) / len(labels)),
        impurity=float((len(labels) - table.max(axis=1).sum()) / len(labels)),
    )
