"""Minibatches of images of ONE concept each, of many concepts at once.

Concepts do not depend on each other, so their minibatches need not begin together: an epoch has as many steps as its
most frequent concept has minibatches, and each concept's, in their order, go to the steps that hold the fewest images.
Shapes: p pairs of an image and a concept that it shows, s steps, w pairs per step at most.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int

PAIRS_PER_STEP = 256  # unless one minibatch holds more: what bounds the memory of a step


def minibatches(
    concepts: Int[np.ndarray, " p"], *, batch_size: int, epochs: int, seed: int
) -> Iterator[Int[np.ndarray, "s w"]]:
    """Yield the steps of each epoch: rows of pairs, -1 where there is none.

    In an epoch each pair comes once, in minibatches of one concept that are drawn anew, of `batch_size` pairs and a
    last one of what is left, at most one a step and concept.

    >>> steps = next(minibatches(np.array([0, 0, 0, 1]), batch_size=2, epochs=1, seed=0))
    >>> steps.shape, sorted(steps.ravel().tolist())
    ((2, 2), [0, 1, 2, 3])
    """
    rng, layout = np.random.default_rng(seed), _layout(np.bincount(concepts), batch_size)
    for _ in range(epochs):
        shuffled = np.lexsort((rng.random(len(concepts)), concepts))
        yield np.where(layout < 0, -1, shuffled[layout])


def _layout(counts, batch_size):
    """Which pairs each step takes, of pairs that are sorted by concept."""
    batches = -(-counts // batch_size)
    length = max(batches.max(), -(-counts.sum() // PAIRS_PER_STEP))
    steps, first = [[] for _ in range(length)], np.cumsum(counts) - counts
    for concept in np.argsort(-batches, kind="stable"):
        filled = np.array([len(step) for step in steps])
        places = np.sort(np.argsort(filled, kind="stable")[: batches[concept]])
        for number, place in enumerate(places):
            start = number * batch_size
            steps[place].extend(first[concept] + np.arange(start, min(start + batch_size, counts[concept])))
    width = max(len(step) for step in steps)
    return np.array([step + [-1] * (width - len(step)) for step in steps])
