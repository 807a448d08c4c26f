"""Centered kernel alignment: how similar two sets of embeddings are up to rotation, scale and shift.

Shapes: n embeddings of the same (image, concept) pairs in the same order, m of the second, which must be n, c and d
channels.
"""

import numpy as np
from jaxtyping import Float

from loce_jax.analysis.comparison.alignment import check_same_rows

_ROUNDING = 1e-13  # of differences of sums of squares, of vectors scaled to norm 1 together


def linear_cka(first: Float[np.ndarray, "n c"], second: Float[np.ndarray, "m d"], *, unbiased: bool = False) -> float:
    """Centered kernel alignment with linear kernels: similarity of two sets of vectors up to rotation, scale and shift.

    With A and B the centered vectors:

        CKA = ||A^T B||^2 / (||A^T A|| ||B^T B||)    (Frobenius norms)

    from 0 to 1, 1 for equal up to rotation and scale; other invertible maps do change it.  Between independent
    vectors it grows with c and d over n; `unbiased` replaces each product by the estimator HSIC_1 of Song et
    al., whose mean is then 0, so that values may be negative.  NaN for equal vectors, for n < 2, and
    `unbiased` also for n < 4 or where an estimated norm is not above 0.

    The products are taken between channels where there are fewer of them than rows, else between rows.

    Sources: Kornblith et al., "Similarity of Neural Network Representations Revisited", ICML 2019, section 3; Song et
    al., "Feature Selection via Dependence Maximization", JMLR 13, 2012, eq. 5; Nguyen, Raghu & Kornblith, "Do Wide and
    Deep Networks Learn the Same Things?", ICLR 2021.

    >>> vectors = np.array([[0.0, 1.0], [1.0, 1.0], [1.0, 0.0], [3.0, 1.0]])
    >>> round(linear_cka(vectors, 7 * vectors[:, ::-1] + 2), 6)
    1.0
    """
    check_same_rows(first, second)
    if len(first) < (4 if unbiased else 2) or any((part == part[0]).all() for part in (first, second)):
        return np.nan
    a, b = _centered(first), _centered(second)
    alike = _hsic if unbiased else _squared_product
    norms = alike(a, a), alike(b, b)
    if min(norms) <= _ROUNDING / len(a) ** 2:
        return np.nan
    return float(alike(a, b) / np.sqrt(norms[0] * norms[1]))


def _centered(vectors):
    """Less its mean, at a common scale, so that no square overflows."""
    vectors = vectors.astype(np.float64)
    vectors = vectors / np.abs(vectors).max()
    vectors = vectors - vectors.mean(axis=0)
    return vectors / np.linalg.norm(vectors)


def _squared_product(a, b):
    """||A^T B||^2, the sum over all pairs of rows of the product of their two kernels."""
    if max(a.shape[1], b.shape[1]) < len(a):
        return ((a.T @ b) ** 2).sum()
    return ((a @ a.T) * (b @ b.T)).sum()


def _hsic(a, b):
    """HSIC_1 of linear kernels K and L without their diagonals k and l, for centered vectors.

    Of centered vectors every row of a whole kernel sums to 0, so that without its diagonal row i sums to ``-k_i``.
    """
    n, k, l = len(a), (a**2).sum(axis=1), (b**2).sum(axis=1)  # noqa: E741
    trace = _squared_product(a, b) - k @ l
    return (trace + k.sum() * l.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * (k @ l)) / (n * (n - 3))
