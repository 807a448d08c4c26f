"""Which embeddings take part: random subsets, and the orders in which the original code read its files.

Letters: n embeddings, m of them chosen.
"""

import random
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from loce_jax.checks import InputError, check_shape


def subsample(labels: Sequence | np.ndarray, max_per_concept: int, seed: int) -> Int[np.ndarray, " m"]:
    """Rows of at most `max_per_concept` random embeddings of each concept, ascending; every such choice is as likely.

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


def paper_order(
    names: Sequence[str], labels: Sequence | np.ndarray, seed: int | None, *, loads: int = 1
) -> Int[np.ndarray, " n"]:
    """Rows in the order in which the original code's loader gave them at its `loads`-th load: concept by concept.

    Its files ``{label}_{name up to the first dot}.pkl`` are sorted as text; each load shuffles that one list once
    more with Python's generator.  So a second load with the same seed, as for another layer, gives another order,
    and the first 100 of a concept are then other embeddings: compare layers on the rows of `subsample` instead.
    Without a seed nothing is shuffled.

    >>> paper_order(["b.jpg", "a.jpg", "c.jpg"], [3, 3, 17], None).tolist()
    [1, 0, 2]
    """
    labels = np.asarray(labels)
    check_shape("labels", labels, (len(names),), meaning="one per name", fix="")
    files = [f"{label}_{name.partition('.')[0]}.pkl" for label, name in zip(labels.tolist(), names, strict=True)]
    order = sorted(range(len(files)), key=files.__getitem__)
    if seed is not None:
        generator = random.Random(seed)
        for _ in range(loads):
            generator.shuffle(order)
    rows = np.array(order, int)
    return rows[np.argsort(labels[rows], kind="stable")]


def paper_split(
    labels: Sequence | np.ndarray, rows: Int[np.ndarray, " m"], *, share: float = 0.8
) -> tuple[Int[np.ndarray, " train"], Int[np.ndarray, " test"]]:
    """Of each concept's `rows` the first ``int(share * count)`` to train on, and the others to test with.

    >>> train, test = paper_split(["cat"] * 5 + ["dog"] * 2, np.arange(7))
    >>> train.tolist(), test.tolist()
    ([0, 1, 2, 3, 5], [4, 6])
    """
    mine = np.asarray(labels)[rows]
    train = np.zeros(len(rows), bool)
    for concept in np.unique(mine):
        places = np.flatnonzero(mine == concept)
        train[places[: int(share * len(places))]] = True
    return rows[train], rows[~train]
