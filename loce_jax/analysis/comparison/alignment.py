"""Which rows of two layers or two runs are of the same (image, concept) pair.

Shapes: n rows of both, m rows of the second, c and d channels.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from loce_jax.analysis.vectors import check_vectors
from loce_jax.checks import InputError, check_shape


@dataclass(frozen=True)
class Alignment:
    """What `align_rows` found.

    Attributes:
        first, second: rows of the keys that both have, in the first one's order: ``first[i]`` and ``second[i]`` match.
        only_first, only_second: keys the other lacks, in order.
    """

    first: Int[np.ndarray, " n"]
    second: Int[np.ndarray, " n"]
    only_first: tuple
    only_second: tuple


def align_rows(first: Sequence[Hashable], second: Sequence[Hashable]) -> Alignment:
    """Match rows by their keys, such as (image, concept); a key may occur once on each side.

    >>> match = align_rows([("a.jpg", "cat"), ("a.jpg", "dog")], [("b.jpg", "cat"), ("a.jpg", "dog")])
    >>> match.first.tolist(), match.second.tolist(), match.only_first, match.only_second
    ([1], [1], (('a.jpg', 'cat'),), (('b.jpg', 'cat'),))
    """
    rows_of = []
    for name, keys in (("first", first), ("second", second)):
        rows_of.append({key: row for row, key in enumerate(keys)})
        if len(rows_of[-1]) < len(keys):
            key = next(key for row, key in enumerate(keys) if rows_of[-1][key] != row)
            raise InputError(
                f"`{name}` must hold every key once, so that rows can be matched, but {key!r} occurs in several "
                "rows. Keep one row per image and concept."
            )
    here, there = rows_of
    both = [key for key in first if key in there]
    return Alignment(
        np.array([here[key] for key in both], dtype=int),
        np.array([there[key] for key in both], dtype=int),
        tuple(key for key in first if key not in there),
        tuple(key for key in second if key not in here),
    )


def check_same_rows(first: Float[np.ndarray, "n c"], second: Float[np.ndarray, "m d"]) -> None:
    """Raise `InputError` unless both have finite vectors and as many rows."""
    check_shape(
        "second",
        second,
        (len(first), second.shape[1]),
        meaning="a row for each of `first`",
        fix="Match the rows with `align_rows`.",
    )
    check_vectors(first, name="first")
    check_vectors(second, name="second")
