"""Hierarchical clustering: the two nearest clusters are merged until one is left.

Shapes: n embeddings, c channels, m = n - 1 merges.
"""

import numpy as np
from jaxtyping import Float

from loce_jax.analysis.memory_limit import memory_limit
from loce_jax.analysis.neighbors.pairs import pair_distances
from loce_jax.analysis.vectors import check_vectors
from loce_jax.checks import InputError, check_known

METHODS = ("ward", "complete", "average", "single", "weighted", "centroid", "median")
METRICS = (
    "euclidean",
    "cosine",
    "correlation",
    "sqeuclidean",
    "seuclidean",
    "mahalanobis",
    "cityblock",
    "chebyshev",
    "minkowski",
    "canberra",
    "braycurtis",
    "jensenshannon",
)
"""SciPy's distances between vectors of real numbers."""
_FEW = 2000  # vectors whose distances SciPy sums in a second, and so to the last bit as the original code has them
_OF_POINTS = ("ward", "centroid", "median")  # they merge by means, which only Euclidean space has
_GREATEST = {"cosine": 2.0, "correlation": 2.0, "jensenshannon": np.log(2) ** 0.5}


def link(
    vectors: Float[np.ndarray, "n c"], *, method: str = "ward", metric: str = "euclidean"
) -> Float[np.ndarray, "m 4"]:
    """SciPy's linkage matrix of the raw vectors, in float64.

    Row i merges the nodes ``tree[i, 0]`` (left) and ``tree[i, 1]`` (right) at height ``tree[i, 2]`` into node
    ``n + i`` of ``tree[i, 3]`` vectors; nodes below n are the vectors.  With "ward" the height is the root of twice
    the sum of squares that the merge adds, in the unit of the vectors; with "complete", "average" and "single" it is
    the largest, mean and smallest distance between the two clusters, in the unit of `metric`.

    Time grows as n^2 c.  Memory: the n (n - 1) / 2 distances in float64, and a copy of them that SciPy works in.

    Args:
        vectors: at least two, finite.
        method: "ward" (the default of the paper's analyses), "complete", "average", "single", "weighted", "centroid"
            or "median".
        metric: one of `METRICS`; "ward", "centroid" and "median" need "euclidean".

    Raises:
        InputError: unknown names, fewer than two vectors, vectors without a direction for "cosine" (all 0) or
            "correlation" (all channels equal), vectors between which `metric` is not defined ("jensenshannon" of
            negative numbers), or more distances than the available memory can hold.

    Sources: Ward, Journal of the American Statistical Association 58, 1963; Muellner, "Modern hierarchical,
    agglomerative clustering algorithms", 2011.

    >>> link(np.array([[0.0], [1.0], [5.0]]), method="single").tolist()
    [[0.0, 1.0, 1.0, 2.0], [2.0, 3.0, 4.0, 3.0]]
    """
    check_link(method, metric)
    check_vectors(vectors)
    check_directions(vectors, metric)
    if len(vectors) < 2:
        raise InputError(f"`vectors` must be at least 2, as a tree merges pairs, but got {len(vectors)}. Add some.")
    _check_memory(len(vectors))
    from scipy.cluster.hierarchy import linkage  # noqa: PLC0415

    try:
        if metric == "euclidean" and len(vectors) > _FEW:
            return linkage(pair_distances(vectors), method)
        return linkage(vectors.astype(np.float64), method, metric)
    except (ValueError, np.linalg.LinAlgError) as error:  # distances that are not finite, a covariance without inverse
        raise InputError(
            f'`metric` must be defined between all vectors, but {metric!r} is not: {error} Use "euclidean".'
        ) from error


def check_link(method: str, metric: str) -> None:
    """Raise `InputError` unless `method` and `metric` are known and go together.

    >>> check_link("ward", "cosine")
    Traceback (most recent call last):
    ...
    loce_jax.checks.InputError: `metric` must be 'euclidean' for 'ward', which merges by means, but got 'cosine'. \
Use method "complete" or "average" with it.
    """
    check_known("method", [method], METHODS)
    check_known("metric", [metric], METRICS)
    if method in _OF_POINTS and metric != "euclidean":
        raise InputError(
            f"`metric` must be 'euclidean' for {method!r}, which merges by means, but got {metric!r}. "
            'Use method "complete" or "average" with it.'
        )


def check_directions(vectors: Float[np.ndarray, "n c"], metric: str) -> None:
    """Raise `InputError` where `metric` compares directions and a vector has none."""
    if metric not in ("cosine", "correlation"):
        return
    flat = vectors == (0 if metric == "cosine" else vectors[:, :1])
    bad = int(flat.all(axis=1).sum())
    if bad:
        same = "0" if metric == "cosine" else "the same"
        raise InputError(
            f"`vectors` must each have a direction for {metric!r}, but {bad} of {len(vectors)} have every channel "
            f'{same}. Drop them first, or use metric "euclidean".'
        )


def check_height(height: float, metric: str) -> None:
    """Raise `InputError` unless a cut of the tree at `height` may leave more than one cluster.

    >>> check_height(4.0, "cosine")
    Traceback (most recent call last):
    ...
    loce_jax.checks.InputError: `height` must be above 0 and below 2, the greatest distance by 'cosine' (from there \
on all is one cluster), but got 4.0. Try 0.5.
    """
    greatest = _GREATEST.get(metric)
    if height > 0 and (greatest is None or height < greatest):
        return
    limits, example = "above 0 (the unit of the tree)", 4
    if greatest:
        limits = (
            f"above 0 and below {greatest:.3g}, the greatest distance by {metric!r} (from there on all is one cluster)"
        )
        example = 0.5
    raise InputError(f"`height` must be {limits}, but got {height}. Try {example}.")


def _check_memory(n):
    needed, there = 2 * 8 * n * (n - 1) // 2, memory_limit()
    if needed > there:
        raise InputError(
            f"`vectors` must be few enough that all distances fit into memory, but {n} need {needed / 1e9:.1f} GB and "
            f"{there / 1e9:.1f} GB may be used. Take fewer (`max_per_concept`), or merge near ones first "
            "(`precluster=5000`)."
        )
