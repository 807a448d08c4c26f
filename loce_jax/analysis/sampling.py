"""Random subsets of embeddings, the same number of each concept.

Shapes: m embeddings chosen.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from loce_jax.checks import InputError


def subsample(labels: Sequence | np.ndarray, max_per_concept: int, seed: int) -> Int[np.ndarray, " m"]:
    """Rows of at most `max_per_concept` random embeddings of each concept, ascending; all choices are equally likely.

    Args:
        labels: the concept of each embedding.
        max_per_concept: at least 1; all embeddings of a concept that has fewer.
        seed: random seed.


    >>> rows = subsample(["cat"] * 5 + ["dog"], 2, seed=0)
    >>> len(rows), int(rows[-1])
    (3, 5)
    """
    if max_per_concept < 1:
        raise InputError(
            f"`max_per_concept` must be at least 1, to choose any, but got {max_per_concept}. The paper has 100."
        )
    labels, rng = np.asarray(labels), np.random.default_rng(seed)
    chosen = [rng.permutation(np.flatnonzero(labels == concept))[:max_per_concept] for concept in np.unique(labels)]
    return np.sort(np.concatenate([np.zeros(0, int), *chosen]))
