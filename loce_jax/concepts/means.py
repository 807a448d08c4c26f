"""Global concept vectors from local ones: the mean and the medoid of a concept's LoCEs, and the means of its clusters.

They need no fit: what a run has stored is enough.  All are of filters on raw activations (`Run.raw_filters`,
`Solution.raw_filters`), so that LoCEs of either recipe will do.
Shapes: m LoCEs, c channels, k vectors.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from loce_jax.analysis.vectors import unit_rows
from loce_jax.arrays import as_array
from loce_jax.checks import InputError, check_shape
from loce_jax.concepts.vectors import ConceptVectors
from loce_jax.solver.solution import Status


@dataclass(frozen=True)
class Generalized:
    """Global vectors from LoCEs.

    Attributes:
        vectors: the concept vectors, sorted; ``NONFINITE`` where all LoCEs have failed.
        used: how many LoCEs each is made of.
        failed: how many more of its LoCEs were left out, because they are not finite.
    """

    vectors: ConceptVectors
    used: Int[np.ndarray, " k"]
    failed: Int[np.ndarray, " k"]


def mean(filters: Float[Any, "m c"], offsets: Float[Any, " m"], labels: Sequence | np.ndarray) -> Generalized:
    """The mean filter and the mean offset of each concept: the "generalized LoCE".

    Its response is the mean of the LoCEs' responses.

    Args:
        filters: on raw activations; rows with NaN are failed LoCEs.
        offsets: of the filters.
        labels: the concept of each.

    Source: Mikriukov et al., "Local Concept Embeddings", IJCV 2025, generalized to one vector per concept.

    >>> found = mean(np.array([[1.0, 0], [3, 0], [np.nan, 0]]), np.array([0.0, 2, 0]), ["cat", "cat", "cat"])
    >>> found.vectors.vectors.tolist(), found.vectors.offsets.tolist(), found.used.tolist(), found.failed.tolist()
    ([[2.0, 0.0]], [1.0], [2], [1])
    """
    return _summarize(filters, offsets, list(np.asarray(labels)), "mean", lambda own: np.full(len(own), 1 / len(own)))


def medoid(filters: Float[Any, "m c"], offsets: Float[Any, " m"], labels: Sequence | np.ndarray) -> Generalized:
    """The LoCE of each concept whose filter has the highest mean cosine similarity to the concept's filters.

    Of equal ones the first is taken.  Arguments and result are those of `mean`; `Generalized.used` counts the LoCEs
    that it was chosen from.

    >>> medoid(np.array([[1.0, 0], [1, 1], [0, 1]]), np.zeros(3), ["cat"] * 3).vectors.vectors.tolist()
    [[1.0, 1.0]]
    """
    return _summarize(filters, offsets, list(np.asarray(labels)), "medoid", _is_medoid)


def cluster_means(
    filters: Float[Any, "m c"],
    offsets: Float[Any, " m"],
    labels: Sequence | np.ndarray,
    clusters: Sequence | np.ndarray,
) -> Generalized:
    """The mean filter and offset of each cluster of each concept, named by both: "cat 0", "cat 2".

    Args:
        filters: see `mean`.
        offsets: see `mean`.
        labels: the concept of each LoCE.
        clusters: the cluster of each LoCE, such as `loce_jax.analysis.cluster` or `split_concept` gives; of failed
            LoCEs, any.

    >>> filters, labels = np.array([[1.0], [3.0], [9.0]]), ["cat", "cat", "cat"]
    >>> found = cluster_means(filters, np.zeros(3), labels, [0, 0, 1]).vectors
    >>> found.names, found.vectors.tolist()
    (('cat 0', 'cat 1'), [[2.0], [9.0]])
    """
    check_shape("clusters", np.asarray(clusters), (len(labels),), meaning="one per LoCE", fix="")
    groups = list(zip(np.asarray(labels).tolist(), np.asarray(clusters).tolist(), strict=True))
    return _summarize(filters, offsets, groups, "cluster mean", lambda own: np.full(len(own), 1 / len(own)))


def _is_medoid(own):
    units = unit_rows(own)
    return np.eye(len(own))[np.argmax(units @ units.sum(axis=0))]


def _summarize(
    filters: Any, offsets: Any, groups: list, method: str, weigh: Callable[[np.ndarray], np.ndarray]
) -> Generalized:
    """For each group the sum of its finite LoCEs, weighted by what `weigh` makes of their filters."""
    filters, offsets = np.asarray(as_array("filters", filters)), np.asarray(as_array("offsets", offsets))
    if filters.ndim != 2 or not filters.size:
        raise InputError(
            f"`filters` must have shape [m c], one row per LoCE, but got {filters.shape}. Give at least one."
        )
    check_shape("offsets", offsets, (len(filters),), meaning="one per filter", fix="`raw_filters` gives both.")
    check_shape("labels", np.arange(len(groups)), (len(filters),), meaning="one per filter", fix="")
    finite = np.isfinite(filters).all(axis=1) & np.isfinite(offsets)
    names = sorted(set(groups))
    members = [np.array([group == name for group in groups]) for name in names]
    vectors, shifts = np.full((len(names), filters.shape[1]), np.nan), np.full(len(names), np.nan)
    for row, member in enumerate(members):
        own = filters[member & finite].astype(np.float64)
        if len(own):
            weights = weigh(own)
            vectors[row], shifts[row] = weights @ own, weights @ offsets[member & finite].astype(np.float64)
    used = np.array([np.count_nonzero(member & finite) for member in members])
    status = np.where(used > 0, Status.OK, Status.NONFINITE).astype(np.int8)
    texts = tuple(" ".join(map(str, name)) if isinstance(name, tuple) else str(name) for name in names)
    found = ConceptVectors(texts, vectors.astype(np.float32), shifts.astype(np.float32), status, method)
    return Generalized(found, used, np.array([np.count_nonzero(member) for member in members]) - used)
