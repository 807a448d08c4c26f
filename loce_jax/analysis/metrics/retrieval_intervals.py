"""Bootstrap intervals of retrieval scores over the images that queries are from.

Shapes: n embeddings, q cut-offs, b resamples.
"""

from collections.abc import Sequence

import numpy as np

from loce_jax.analysis.bootstrap import BOOTSTRAP, BootstrapOptions, Estimate, as_groups, estimate, resample
from loce_jax.analysis.metrics.retrieval import Scores
from loce_jax.checks import check_shape


def estimate_macro(
    scores: Scores,
    labels: Sequence | np.ndarray,
    images: Sequence | np.ndarray | None = None,
    options: BootstrapOptions = BOOTSTRAP,
) -> Estimate:
    """The mean over concepts of a score at each cut-off, with an interval over images.

    Images are drawn with replacement, and with each all of its queries; a concept that a draw has no query of is left
    out of that draw's mean.  What is searched stays: a copy of a query among its own neighbors would be found first,
    and raise every score.  So the interval is of other queries, not of another set to search, and with few images it
    is too short.

    Args:
        scores: of `precision_at`.
        labels: one per query.
        images: the image, or group of images, of each query; each query is one of its own if left out.
        options: number of resamples, level and seed.

    >>> from loce_jax.analysis.metrics.retrieval import precision_at
    >>> vectors, labels = np.array([[1.0, 0.0], [1.0, 0.1], [1.0, 0.3], [0.0, 1.0]]), ["cat", "cat", "dog", "dog"]
    >>> found = estimate_macro(precision_at(vectors, labels, (1,)).precision, labels)
    >>> found.value.tolist(), found.low.tolist(), found.high.tolist()
    ([0.75], [0.5], [1.0])
    """
    labels = np.asarray(labels)
    check_shape("labels", labels, (len(scores.per_query),), meaning="one per query", fix="")
    counts = resample(as_groups(images, len(labels)), options)
    there = ~np.isnan(scores.per_query)
    filled = np.where(there, scores.per_query, 0)
    of_concepts = []
    for concept in np.unique(labels):
        mine = labels == concept
        with np.errstate(invalid="ignore"):
            of_concepts.append(counts[:, mine] @ filled[mine] / (counts[:, mine] @ there[mine]))
    every = np.array(of_concepts).reshape(-1, options.resamples, scores.per_query.shape[1])
    known = ~np.isnan(every)
    with np.errstate(invalid="ignore"):
        draws = np.where(known, every, 0).sum(axis=0) / known.sum(axis=0)
    return estimate(scores.macro, draws, options)
