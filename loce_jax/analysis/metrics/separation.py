"""How far apart concepts' embeddings are: every two concepts, and each against all others.

Shapes: n embeddings, c channels, k concepts.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import cdist, pdist

from loce_jax.analysis.neighbors.interclass import InterclassDistances, interclass_distances
from loce_jax.analysis.vectors import check_labeled_vectors
from loce_jax.checks import InputError

_ROWS = 512  # rows whose distances are summed at a time


@dataclass(frozen=True)
class Separation:
    """What `pairwise_separation` found.

    Attributes:
        concepts: the distinct labels, ascending; they name the rows and the columns of `matrix`.
        matrix: symmetric, 0 on the diagonal, from 0 (a vector in common) to below 1 (far apart for their size).
    """

    concepts: tuple
    matrix: Float[np.ndarray, "k k"]


def pairwise_separation(
    vectors: Float[np.ndarray, "n c"],
    labels: Sequence | np.ndarray,
    *,
    interclass: InterclassDistances | None = None,
    percentile: float | int | None = None,
) -> Separation:
    """Gap between every two concepts, relative to the size of the two together.

    With Euclidean distances ``d`` between the raw vectors of concepts ``i`` and ``j``:

        S_ij = min_{a in i, b in j} d(a, b) / (max_{a, b in i or j} d(a, b) + 1e-6)

    0 where two vectors coincide (also when all of them do), below 1 always; low means easily confused.  One pair
    decides the numerator and one pair the denominator, so two outliers can move a value: compare the map,
    or the robust variant.  The 1e-6 keeps the division defined; but for it, a common scale, shift or rotation of
    all vectors changes nothing.

    Args:
        vectors: finite.
        labels: one per vector.
        interclass: `interclass_distances` of the same vectors and labels, if at hand; not for the robust variant.
        percentile: None for the paper's formula.  A number p, 0 to 50, takes the p-th percentile of the distances
            between the two concepts over the (100 - p)-th of those between any two different vectors of both, so
            that up to about p percent of the distances may be outliers; 0 is the paper's, and only there the value is
            below 1 by construction.  It computes and sorts every distance: about 24 bytes for each pair of vectors of
            two concepts, and minutes at some 10,000 vectors.

    Source: Mikriukov et al., "Local Concept Embeddings", IJCV 2025, pairwise concept separation; the robust variant
    is ours.

    >>> vectors, labels = np.array([[0.0], [1.0], [3.0], [5.0]]), ["cat", "cat", "dog", "dog"]
    >>> result = pairwise_separation(vectors, labels)
    >>> result.concepts, round(float(result.matrix[0, 1]), 3)
    (('cat', 'dog'), 0.4)
    >>> round(float(pairwise_separation(vectors, labels, percentile=50).matrix[0, 1]), 3)
    1.4
    """
    if percentile is not None:
        return _robust_separation(vectors, labels, percentile)
    interclass = check_interclass(interclass, vectors, labels) if interclass else interclass_distances(vectors, labels)
    reach = np.diag(interclass.farthest)
    matrix = interclass.nearest / (np.maximum(interclass.farthest, np.maximum(reach, reach[:, None])) + 1e-6)
    np.fill_diagonal(matrix, 0)
    return Separation(interclass.concepts, matrix)


def _check_percentile(percentile):
    if not 0 <= percentile <= 50:
        raise InputError(
            f"`percentile` must be from 0 (the paper's formula) to 50 (medians), but got {percentile}. Try 5."
        )


def _robust_separation(vectors, labels, percentile):
    _check_percentile(percentile)
    labels = check_labeled_vectors(vectors, labels)
    concepts = np.unique(labels)
    points, spans = _by_concept(vectors, labels, concepts)
    within = [pdist(points[span]) for span in spans]
    matrix = np.zeros((len(spans), len(spans)))

    def fill(i):
        to_earlier = cdist(points[spans[i]], points[: spans[i].start])
        for j in range(i):
            between = to_earlier[:, spans[j]].ravel()
            size = percentile_of(np.concatenate([within[i], within[j], between]), 100 - percentile)
            matrix[i, j] = matrix[j, i] = percentile_of(between, percentile) / (size + 1e-6)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(fill, range(len(spans))))
    return Separation(tuple(concepts.tolist()), matrix)


def _by_concept(vectors, labels, concepts):
    """The vectors in float64, concept after concept, and the span of each concept."""
    codes = np.searchsorted(concepts, labels)
    ends = np.cumsum(np.bincount(codes, minlength=len(concepts))).tolist()
    return vectors[np.argsort(codes, kind="stable")].astype(np.float64), list(map(slice, [0, *ends[:-1]], ends))


def percentile_of(values: Float[np.ndarray, " n"], percentile: float) -> float:
    """What ``np.percentile`` gives for one percentile, ten times as fast for few values.

    >>> percentile_of(np.array([3.0, 1.0, 2.0, 5.0]), 50.0)
    2.5
    """
    at = percentile / 100 * (len(values) - 1)
    below = int(at)
    above = min(below + 1, len(values) - 1)
    values = np.partition(values, (below, above))
    low, high, share = values[below], values[above], at - below
    return float(high - (high - low) * (1 - share) if share >= 0.5 else low + (high - low) * share)


@dataclass(frozen=True)
class CategorySeparation:
    """What `category_separation` found, one value per concept.

    Attributes:
        concepts: the distinct labels, ascending.
        intra: mean distance between two different vectors of the concept; NaN with one vector.
        inter: least distance (or that percentile) from a vector of the concept to one of any other; NaN with one
            concept.
        index: ``inter / intra``, higher is better; infinite where only `intra` is 0, NaN where both are.
    """

    concepts: tuple
    intra: Float[np.ndarray, " k"]
    inter: Float[np.ndarray, " k"]
    index: Float[np.ndarray, " k"]


def category_separation(
    vectors: Float[np.ndarray, "n c"],
    labels: Sequence | np.ndarray,
    *,
    interclass: InterclassDistances | None = None,
    percentile: float | None = None,
) -> CategorySeparation:
    """Gap between each concept and all others, relative to the concept's own spread.

    With Euclidean distances ``d`` between raw vectors and ``n_i`` vectors of concept ``i``:

        intra_i = sum_{a, b in i} d(a, b) / (n_i (n_i - 1)),  inter_i = min_{a in i, b not in i} d(a, b)

    and ``index_i = inter_i / intra_i``.  Not bounded by 1; a common scale, shift or rotation changes no index.  One
    pair decides `inter`.  Where 0 / 0 is infinite in the released code (copies of a vector that another
    concept has too), this is NaN.

    Args:
        vectors: finite.
        labels: one per vector.
        interclass: `interclass_distances` of the same vectors and labels, if at hand; not for the robust variant.
        percentile: None for the paper's formula.  A number p, 0 to 50, takes the p-th percentile of the distances
            between the concept and all others in place of the least, so that no single pair decides; 0 is the paper's.
            It computes every distance: 8 bytes for each pair of a concept's vectors with others.

    Source: the released code of Mikriukov et al., "Local Concept Embeddings", IJCV 2025, category separation; the
    robust variant is ours.

    >>> result = category_separation(np.array([[0.0], [1.0], [3.0], [5.0]]), ["cat", "cat", "dog", "dog"])
    >>> result.intra.tolist(), result.inter.tolist(), result.index.tolist()
    ([1.0, 2.0], [2.0, 2.0], [2.0, 1.0])
    """
    labels = check_labeled_vectors(vectors, labels)
    concepts = np.unique(labels)
    intra = np.array([_mean_distance(vectors[labels == each].astype(np.float64)) for each in concepts], np.float64)
    if len(concepts) < 2:
        inter = np.full(len(concepts), np.nan)
    elif percentile is None:
        interclass = (
            check_interclass(interclass, vectors, labels) if interclass else interclass_distances(vectors, labels)
        )
        inter = np.where(np.eye(len(concepts), dtype=bool), np.inf, interclass.nearest).min(axis=1)
    else:
        _check_percentile(percentile)
        points, spans = _by_concept(vectors, labels, concepts)

        def to_others(span):
            return percentile_of(np.delete(cdist(points[span], points), np.r_[span], axis=1).ravel(), percentile)

        with ThreadPoolExecutor(os.cpu_count()) as threads:
            inter = np.array(list(threads.map(to_others, spans)))
    with np.errstate(divide="ignore", invalid="ignore"):
        return CategorySeparation(tuple(concepts.tolist()), intra, inter, inter / intra)


def _mean_distance(points):
    n = len(points)
    total = sum(float(cdist(points[i : i + _ROWS], points).sum()) for i in range(0, n, _ROWS))
    return total / (n * (n - 1)) if n > 1 else np.nan


def check_interclass(
    interclass: InterclassDistances, vectors: Float[np.ndarray, "n c"], labels: Sequence | np.ndarray
) -> InterclassDistances:
    """Return `interclass`, or raise `InputError` if it is of other labels."""
    concepts, counts = np.unique(check_labeled_vectors(vectors, labels), return_counts=True)
    if interclass.concepts != tuple(concepts.tolist()) or interclass.counts.tolist() != counts.tolist():
        raise InputError(
            f"`interclass` must be of these vectors and labels, with concepts {concepts.tolist()} of {counts.tolist()} "
            f"vectors, but got {list(interclass.concepts)} of {interclass.counts.tolist()}. Leave it out, or "
            "compute it again: `interclass_distances(vectors, labels)`."
        )
    return interclass
