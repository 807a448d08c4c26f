"""Many passes over the blocks of a data set: what they show is kept in memory where it fits, else read anew each time.

To select, convert and pad the images of a block takes as long as a step of Net2Vec on them.
"""

from collections.abc import Callable, Iterator
from typing import Any

import jax

MOST_KEPT = 2**30  # bytes


class Passes:
    """Parts of a data set that can be iterated again and again.

    >>> passes = Passes(lambda: iter([jax.numpy.zeros(2), jax.numpy.ones(2)]))
    >>> [part.tolist() for _ in range(2) for part in passes]
    [[0.0, 0.0], [1.0, 1.0], [0.0, 0.0], [1.0, 1.0]]
    """

    def __init__(self, read: Callable[[], Iterator[Any]]):
        """`read` yields the parts, arrays or tuples of arrays, the same ones each time it is called."""
        self._read, self._kept = read, None

    def __iter__(self) -> Iterator[Any]:
        """Yield all parts; the first whole pass keeps them on JAX's device, if they take at most `MOST_KEPT` there."""
        if self._kept is not None:
            yield from self._kept
            return
        kept, size = [], 0
        for part in self._read():
            size += sum(leaf.nbytes for leaf in jax.tree.leaves(part))
            kept = [*kept, jax.device_put(part)] if size <= MOST_KEPT else []
            yield kept[-1] if kept else part
        self._kept = kept or None
