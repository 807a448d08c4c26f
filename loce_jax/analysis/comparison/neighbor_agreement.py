"""Whether the embeddings have the same nearest neighbors at two layers or in two runs.

Shapes: n embeddings of the same (image, concept) pairs in the same order, m of the second, which must be n, c and d
channels, k neighbors.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from loce_jax.analysis.comparison.alignment import check_same_rows
from loce_jax.analysis.neighbors.nearest import nearest_neighbors


def neighbor_agreement(
    first: Float[np.ndarray, "n c"],
    second: Float[np.ndarray, "m d"],
    k: int,
    *,
    metric: str = "cosine",
    groups: Sequence | np.ndarray | None = None,
) -> float:
    """Mean share of common neighbors: the Jaccard index of an embedding's `k` nearest in either set.

        ``mean over i of |N_i and M_i| / |N_i or M_i|``

    from 0 to 1, 1 for the same neighbors; by chance about ``k / (2 n)`` for k far below n.  Embeddings without any
    possible neighbor are left out; NaN if all are.

    Args:
        first: finite.
        second: of the same pairs in the same order, of any width.
        k: at least 1.
        metric: see `loce_jax.analysis.neighbors.nearest.nearest_neighbors`, and so `groups`.
        groups: one value per vector; vectors of the same group are no neighbors.

    >>> line = np.arange(5.0)[:, None]
    >>> neighbor_agreement(line, 3 - 2 * line, 2, metric="euclidean")
    1.0
    """
    check_same_rows(first, second)
    found = [nearest_neighbors(vectors, k, metric=metric, groups=groups).indices for vectors in (first, second)]
    sizes = (found[0] >= 0).sum(axis=1)  # the same in both: groups alone decide it
    common = ((found[0][:, :, None] == found[1][:, None, :]) & (found[0][:, :, None] >= 0)).sum(axis=(1, 2))
    there = sizes > 0
    return float((common[there] / (2 * sizes - common)[there]).mean()) if there.any() else np.nan
