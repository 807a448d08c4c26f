"""The purity of clusters of embeddings.

Shapes: n embeddings.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Shaped

from loce_jax.checks import check_shape


def cluster_purity(clusters: Shaped[np.ndarray, " n"], labels: Sequence | np.ndarray) -> float:
    """Share of embeddings that carry the most common label of their own cluster.

        purity = 1/n * (sum over clusters of the count of its most common label)

    Above 0, at most 1; higher is better; NaN without embeddings.  It is 1 for free when every embedding is its own
    cluster, so report the number of clusters beside it.  Every distinct value of `clusters` is a cluster: leave out
    rows of noise first, if they shall not count as one.

    Source: Manning, Raghavan & Schuetze, "Introduction to Information Retrieval", 2008, 16.3.

    >>> cluster_purity(np.array([0, 0, 5, 5]), ["cat", "cat", "cat", "dog"])
    0.75
    """
    labels = np.asarray(labels)
    check_shape("labels", labels, clusters.shape, meaning="one per embedding", fix="")
    if not len(labels):
        return float("nan")
    from scipy.stats.contingency import crosstab  # noqa: PLC0415 - a third of a second

    table = np.asarray(crosstab(clusters, labels).count)
    return float(table.max(axis=1).sum() / len(labels))
