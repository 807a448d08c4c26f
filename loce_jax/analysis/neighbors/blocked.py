"""All pairs of many vectors: bounds on their squared distances, tile by tile, on whatever device JAX has.

The device multiplies in float32, and every number it returns errs to a known side: a bound, never a distance.  The
callers use the bounds to leave out what cannot matter and decide the rest in float64, so that their results are exact.

With squared lengths ``a, b`` the squared distance is ``a + b - 2 x.y``.  A float32 product sum over c channels, in any
order, is off by at most ``c u |x||y|`` with ``u = 2**-24`` (Higham, "Accuracy and Stability of Numerical Algorithms",
2002, section 3.1), and ``2 |x||y| <= a + b``; the roundings of the inputs and of the three terms are a few
``u (a + b)`` more.  So a squared distance is off by at most ``d (a + b)`` with ``d = (1.01 c + 16) u``, and
``a (1 - d), b (1 - d)`` in place of ``a, b`` make it a lower bound at no cost.

Every tile has the same shape, so that the number of compilations does not depend on the number of vectors, and is
computed once for its rows and its columns.  Shapes: n embeddings, c channels, k neighbors, g concepts.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

_TILE = 2048  # rows and columns of a tile: 16 MB of distances, which take as long as hundreds of dispatches
_BLOCK = 16  # adjacent rows or columns, compared one by one only if their least distance matters
_TINY = 1e-30  # more than float32 loses below its range; the longest vector has length 1


def candidates(
    points: Float[np.ndarray, "n c"], squares: Float[np.ndarray, " n"], groups: Int[np.ndarray, " n"], k: int
) -> tuple[Int[np.ndarray, "n k"], Float[np.ndarray, " n"]]:
    """`k` rows for each row such that all others are farther than a limit; -1 where there are fewer.

    Args:
        points: finite.
        squares: squared lengths, or more: ``squares[i] + squares[j] - 2 points[i].points[j]`` is screened.
        groups: rows of the same group are no candidates; a row's own group holds itself.
        k: candidates a row.

    Returns:
        The candidates in no particular order, and each row's limit: what is not among its candidates has a squared
        distance of at least that; infinite if nothing is left.
    """
    n = len(points)
    scale, error_bound = _scale(squares), _relative_error(points)
    rest = -n % _TILE
    vectors = np.pad(points / np.sqrt(scale), ((0, rest), (0, 0))).astype(np.float32)
    low = np.pad(squares / scale * (1 - error_bound) - _TINY, (0, rest), constant_values=np.inf).astype(np.float32)
    groups = np.pad(groups, (0, rest), mode="edge").astype(np.int32)
    best = [_BestCandidates(k) for _ in range(len(groups) // _TILE)]
    for i, j, (distances, by_row, by_column) in _tiles(_lower_bounds, vectors, low, groups):
        best[i].update(by_row, distances.reshape(_TILE, -1, _BLOCK), j * _TILE)
        if i != j:
            best[j].update(by_column.T, distances.reshape(-1, _BLOCK, _TILE).transpose(2, 0, 1), i * _TILE)
    limits = np.concatenate([some.limits for some in best])[:n].astype(np.float64)
    return np.concatenate([some.indices for some in best])[:n], limits * scale


class _BestCandidates:
    """The best candidates so far for the rows of one tile, an integer each: bits of its distance above its index."""

    def __init__(self, k):
        self._best = np.full((_TILE, k), _pack(np.float32(np.inf), -1))

    @property
    def indices(self):
        return self._best.astype(np.int32).astype(int)

    @property
    def limits(self):
        """The k-th distance of each row."""
        return (self._best[:, -1] >> 32).astype(np.int32).view(np.float32)

    def update(self, least, distances, first):
        """Take what is among the best of a tile: `distances` [row, block, slot], `least` of each block."""
        k, limits = self._best.shape[1], self.limits
        if k <= least.shape[1] and np.isinf(limits).any():  # k groups hold k candidates
            limits = np.minimum(limits, np.nextafter(np.partition(least, k - 1)[:, k - 1], np.float32(np.inf)))
        row, group = np.nonzero(least < limits[:, None])
        found = distances[row, group]
        at, slot = np.nonzero(found < limits[row, None])
        row, found = row[at], _pack(found[at, slot], first + group[at] * _BLOCK + slot)
        counts = np.bincount(row, minlength=_TILE)
        both = np.full((_TILE, k + counts.max()), _pack(np.float32(np.inf), -1))
        both[:, :k] = self._best
        both[row, k + np.arange(len(row)) - (np.cumsum(counts) - counts)[row]] = found
        self._best = np.partition(both, k - 1)[:, :k]


def _pack(distances, indices):
    """Integers ordered by distance, at least 0, and then by index, below 2**31; -1 comes last."""
    return distances.view(np.int32).astype(np.int64) << 32 | np.asarray(indices).astype(np.uint32)


@dataclass(frozen=True)
class Bounds:
    """What `concept_bounds` found, squared; row i belongs to vector i, column j to concept j.

    Attributes:
        nearest: approximate distance to the nearest other vector of the concept; infinite where there is none.
        farthest: approximate distance to the farthest vector of the concept.
        error_bound: the largest error of either.
    """

    nearest: Float[np.ndarray, "n g"]
    farthest: Float[np.ndarray, "n g"]
    error_bound: Float[np.ndarray, "n g"]


def concept_bounds(points: Float[np.ndarray, "n c"], concepts: Int[np.ndarray, " n"]) -> Bounds:
    """Approximate distances of each vector to the nearest and the farthest vector of each concept.

    Args:
        points: finite; the nearer to the origin, the smaller the error bound.
        concepts: numbers from 0; each occurs.
    """
    counts = np.bincount(concepts)
    padded = -(-counts // _BLOCK) * _BLOCK  # a block belongs to one concept
    padded[-1] += -padded.sum() % _TILE
    offsets = np.repeat(np.cumsum(padded) - padded, padded)
    starts = np.repeat(np.cumsum(counts) - counts, padded)
    within = (np.arange(len(offsets)) - offsets) % np.repeat(counts, padded)  # padding repeats vectors
    positions = starts + within
    own = np.argsort(concepts, kind="stable")[positions]
    owners = np.repeat(np.arange(len(counts)), padded // _BLOCK)

    squares = np.einsum("nc,nc->n", points, points)
    scale = _scale(squares)
    vectors, lengths = (points / np.sqrt(scale)).astype(np.float32)[own], (squares / scale).astype(np.float32)[own]
    nearest = np.full((len(own), len(counts)), np.inf, np.float32)
    farthest = np.zeros_like(nearest)
    for i, j, found in _tiles(_extremes, vectors, lengths, positions.astype(np.int32)):
        for tile, other, least, greatest in ((i, j, found[0], found[2]), (j, i, found[1].T, found[3].T))[
            : 1 + (i != j)
        ]:
            rows = slice(tile * _TILE, (tile + 1) * _TILE)
            columns = owners[other * _TILE // _BLOCK : (other + 1) * _TILE // _BLOCK]
            firsts = np.flatnonzero(np.diff(columns, prepend=-1))
            there = slice(columns[0], columns[-1] + 1)
            least, greatest = np.minimum.reduceat(least, firsts, axis=1), np.maximum.reduceat(greatest, firsts, axis=1)
            nearest[rows, there] = np.minimum(nearest[rows, there], least)
            farthest[rows, there] = np.maximum(farthest[rows, there], greatest)

    longest = np.zeros(len(counts))
    np.maximum.at(longest, concepts, squares)
    error_bound = _relative_error(points) * (squares[:, None] + longest) + _TINY * scale
    back = np.empty(len(points), int)
    back[own] = np.arange(len(own))
    return Bounds(nearest[back].astype(np.float64) * scale, farthest[back].astype(np.float64) * scale, error_bound)


def _scale(squares):
    return float(squares.max(initial=0)) or 1.0


def _relative_error(points):
    """Bound on the error of a squared distance in float32, as a share of the two squared lengths; see above."""
    return (1.01 * points.shape[1] + 16) * 2.0**-24


def _tiles(reduce_tile, vectors, squares, groups) -> Iterator[tuple[int, int, list[np.ndarray]]]:
    """What `reduce_tile` makes of every two tiles of rows, near pairs first; the device computes one pair ahead.

    It takes the squared distances, and the same with infinity between rows of one group.
    """
    starts = range(0, len(vectors), _TILE)
    tiles = [[jax.device_put(array[i : i + _TILE]) for array in (vectors, squares, groups)] for i in starts]
    first, last = groups.reshape(-1, _TILE).min(1), groups.reshape(-1, _TILE).max(1)
    waiting = None
    for i, j in [(i, i + offset) for offset in range(len(tiles)) for i in range(len(tiles) - offset)]:
        (x, x_square, x_group), (y, y_square, y_group) = tiles[i], tiles[j]
        apart = _squares(x, x_square, y, y_square)
        disjoint = last[i] < first[j] or last[j] < first[i]
        others = apart if disjoint else _others(apart, x_group, y_group)
        started = i, j, reduce_tile(apart, others)
        if waiting:
            yield *waiting[:2], [np.asarray(array) for array in waiting[2]]
        waiting = started
    if waiting:
        yield *waiting[:2], [np.asarray(array) for array in waiting[2]]


def _lower_bounds(_, others):
    """Lower bounds on squared distances, and the least of each block of columns and of rows."""
    return others, *_least(others)


def _extremes(squares, others):
    """Least and greatest squared distances of each block of columns and of rows."""
    return *_least(others), *_greatest(squares)


# Compiled one by one: together, XLA multiplies once for each result on a CPU.


@jax.jit
def _squares(x, x_square, y, y_square):
    # Without HIGHEST, a GPU would round the inputs to 10 bits.
    product = jnp.matmul(x, y.T, precision=jax.lax.Precision.HIGHEST)
    return jnp.maximum(x_square[:, None] + y_square - 2 * product, 0)


@jax.jit
def _others(squares, x_group, y_group):
    return jnp.where(x_group[:, None] == y_group, jnp.inf, squares)


@jax.jit
def _least(tile):
    return tile.reshape(len(tile), -1, _BLOCK).min(2), tile.reshape(-1, _BLOCK, tile.shape[1]).min(1)


@jax.jit
def _greatest(tile):
    return tile.reshape(len(tile), -1, _BLOCK).max(2), tile.reshape(-1, _BLOCK, tile.shape[1]).max(1)
