"""Checks of vectors and labels that every analysis makes, and vectors scaled to length 1.

Shapes: n embeddings, c channels.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Num, Shaped

from loce_jax.checks import InputError, check_shape


def check_vectors(vectors: Num[np.ndarray, "n c"], *, name: str = "vectors") -> None:
    """Raise `InputError` unless every row is finite."""
    bad = int((~np.isfinite(vectors)).any(axis=1).sum())
    if bad:
        raise InputError(
            f"`{name}` must be finite, but {bad} of {len(vectors)} rows hold NaN or infinity. "
            "Drop them first: `keep = np.isfinite(vectors).all(axis=1)`."
        )


def check_labeled_vectors(vectors: Num[np.ndarray, "n c"], labels: Sequence | np.ndarray) -> Shaped[np.ndarray, " n"]:
    """The labels as an array; `InputError` unless every row of `vectors` is finite and has one label.

    >>> check_labeled_vectors(np.zeros((2, 3)), ["cat", "dog"]).tolist()
    ['cat', 'dog']
    """
    labels = np.asarray(labels)
    check_shape("labels", labels, (len(vectors),), meaning="one per vector", fix="")
    check_vectors(vectors)
    return labels


def unit_rows(vectors: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "n c"]:
    """The rows divided by their L2 norms, float64; a row of zeros stays zero.

    >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    vectors = vectors.astype(np.float64)
    largest = np.abs(vectors).max(axis=1, keepdims=True, initial=0)
    vectors = np.divide(vectors, largest, out=np.zeros_like(vectors), where=largest > 0)  # squares cannot overflow
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, lengths, out=vectors, where=lengths > 0)
