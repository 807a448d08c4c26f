"""The share of a concept's embeddings that lie nearer to another concept than to their own.

Shapes: n embeddings, c channels, k concepts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from loce_jax.analysis.metrics.separation import check_interclass
from loce_jax.analysis.neighbors.interclass import InterclassDistances, interclass_distances
from loce_jax.analysis.paper_forms import paper_overlap


@dataclass(frozen=True)
class Overlap:
    """What `overlap_ratio` found.

    Attributes:
        concepts: the distinct labels, ascending; they name the rows and the columns of `matrix`.
        matrix: 0 (apart) to 1 (every vector of the row's concept is nearer to the column's), 0 on the diagonal; not
            symmetric.
    """

    concepts: tuple
    matrix: Float[np.ndarray, "k k"]


def overlap_ratio(
    vectors: Float[np.ndarray, "n c"],
    labels: Sequence | np.ndarray,
    *,
    interclass: InterclassDistances | None = None,
    paper: bool = False,
) -> Overlap:
    """Share of a concept's vectors that have one of another concept strictly nearer than any other of their own.

    With Euclidean distances ``d`` between raw vectors:

        ``O_ij = |{a in i: min_{b in j} d(a, b) < min_{b in i, b != a} d(a, b)}| / n_i``

    0 is best.  A concept of large spread overlaps a dense one inside it more than conversely.  Equally near is
    not nearer, so copies of one vector overlap nothing.

    Args:
        vectors: finite.
        labels: one per vector.
        interclass: `interclass_distances` of the same vectors and labels, if at hand.
        paper: a concept of one vector has no nearest other vector, so its row is NaN; True keeps the released code's 1.

    Source: the released code of Mikriukov et al., "Local Concept Embeddings", IJCV 2025, overlap ratio.

    >>> vectors = np.array([[0.0], [3.0], [4.0], [4.5], [6.0]])
    >>> overlap_ratio(vectors, ["cat", "cat", "dog", "dog", "dog"]).matrix.tolist()
    [[0.0, 0.5], [0.0, 0.0]]
    """
    interclass = check_interclass(interclass, vectors, labels) if interclass else interclass_distances(vectors, labels)
    matrix = paper_overlap(interclass)
    if not paper:
        matrix[(interclass.counts == 1)[:, None] & ~np.eye(len(matrix), dtype=bool)] = np.nan
    return Overlap(interclass.concepts, matrix)
