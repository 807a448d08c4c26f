"""Two layers or two runs side by side: which pairs have both, and do both tell the same?

Letters: n embeddings of the same (image, concept) pairs in the same order, m of the second, which must be n, c and d
channels.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from loce_jax.analysis.neighbors.nearest import METRICS, nearest_neighbors
from loce_jax.analysis.vectors import check_vectors, unit_rows
from loce_jax.checks import InputError, check_known, check_shape

_BLOCK = 4096  # pairs whose differences are held at once: 2048 channels are 64 MB
_MOST_PAIRS = 500_000  # all of 1000 embeddings
_ROUNDING = 1e-13  # of sums of squares of clouds of norm 1, from which an estimated norm is left by subtraction


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
    """Match rows by their keys, such as (image, concept); a key may stand only once on each side.

    >>> match = align_rows([("a.jpg", "cat"), ("a.jpg", "dog")], [("b.jpg", "cat"), ("a.jpg", "dog")])
    >>> match.first.tolist(), match.second.tolist(), match.only_first, match.only_second
    ([1], [1], (('a.jpg', 'cat'),), (('b.jpg', 'cat'),))
    """
    places = []
    for name, keys in (("first", first), ("second", second)):
        places.append({key: row for row, key in enumerate(keys)})
        if len(places[-1]) < len(keys):
            key = next(key for row, key in enumerate(keys) if places[-1][key] != row)
            raise InputError(
                f"`{name}` must hold every key once, so that rows can be matched, but {key!r} stands at several "
                "rows. Keep one row per image and concept."
            )
    here, there = places
    both = [key for key in first if key in there]
    return Alignment(
        np.array([here[key] for key in both], dtype=int),
        np.array([there[key] for key in both], dtype=int),
        tuple(key for key in first if key not in there),
        tuple(key for key in second if key not in here),
    )


@dataclass(frozen=True)
class RankAgreement:
    """What `rank_agreement` found; all from -1 to 1, 1 for the same order.

    Attributes:
        spearman: Pearson's correlation of the ranks (equal values share their mean rank).
        kendall: Kendall's tau-b.
        pairs: values compared.
    """

    spearman: float
    kendall: float
    pairs: int


def rank_agreement(first: Float[np.ndarray, " n"], second: Float[np.ndarray, " m"]) -> RankAgreement:
    """Do both put the pairs into the same order, by IoU for instance?

    Rows where either is not finite are left out.  NaN where fewer than two are left or one side is constant.

    Sources: Spearman, 1904; Kendall, "The treatment of ties in ranking problems", Biometrika 33, 1945.

    >>> found = rank_agreement(np.array([0.1, 0.5, 0.9]), np.array([0.2, 0.9, 0.8]))
    >>> round(found.spearman, 3), round(found.kendall, 3)
    (0.5, 0.333)
    """
    from scipy.stats import kendalltau, rankdata  # noqa: PLC0415 - a third of a second

    check_shape("second", second, first.shape, meaning="as long as `first`", fix="Match the rows with `align_rows`.")
    there = np.isfinite(first) & np.isfinite(second)
    first, second = first[there], second[there]
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return RankAgreement(np.nan, np.nan, len(first))
    spearman = np.corrcoef(rankdata(first), rankdata(second))[0, 1]
    kendall: Any = kendalltau(first, second)
    return RankAgreement(float(spearman), float(kendall.statistic), len(first))


@dataclass(frozen=True)
class DistanceAgreement:
    """What `distance_agreement` found; correlations from -1 to 1, 1 for the same order or the same up to scale.

    Attributes:
        spearman: of the distances' ranks, the usual one.
        pearson: of the distances.
        pairs: pairs of embeddings whose distances were compared.
        sampled: whether these were drawn from more.
    """

    spearman: float
    pearson: float
    pairs: int
    sampled: bool


def distance_agreement(
    first: Float[np.ndarray, "n c"], second: Float[np.ndarray, "m d"], *, metric: str = "cosine", seed: int = 0
) -> DistanceAgreement:
    """Representational similarity analysis: are the same embeddings far apart in both clouds?

    The distances between all n (n - 1) / 2 pairs of one cloud are correlated with those of the other.  Of more than
    1000 embeddings, half a million pairs are drawn with replacement.  The distances are those of
    `loce_jax.analysis.neighbors.nearest`.  NaN with fewer than three embeddings or where all distances of a cloud are
    equal.

    Source: Kriegeskorte, Mur & Bandettini, "Representational similarity analysis", Front. Syst. Neurosci. 2, 2008.

    Args:
        first: finite.
        second: of the same pairs in the same order, of any width.
        metric: "cosine" or "euclidean".
        seed: of the draw.

    >>> cloud = np.array([[0.0, 1.0], [1.0, 1.0], [1.0, 0.0], [3.0, 1.0]])
    >>> round(distance_agreement(cloud, 7 * cloud[:, ::-1]).spearman, 6)
    1.0
    """
    check_known("metric", [metric], METRICS)
    _check_same_rows(first, second)
    n = len(first)
    total = n * (n - 1) // 2
    if total > _MOST_PAIRS:
        rng = np.random.default_rng(seed)
        left = rng.integers(n, size=_MOST_PAIRS)
        right = (left + rng.integers(1, n, size=_MOST_PAIRS)) % n  # anyone but itself
    else:
        left, right = np.triu_indices(n, 1)
    from scipy.stats import rankdata  # noqa: PLC0415 - a third of a second

    a, b = (_distances(cloud, left, right, metric) for cloud in (first, second))
    spearman, pearson = np.nan, np.nan
    if len(left) > 1 and all(np.ptp(distances) > 1e-12 * distances.max() for distances in (a, b)):
        pearson = float(np.corrcoef(a, b)[0, 1])
        spearman = float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])
    return DistanceAgreement(spearman, pearson, len(left), total > _MOST_PAIRS)


def linear_cka(first: Float[np.ndarray, "n c"], second: Float[np.ndarray, "m d"], *, unbiased: bool = False) -> float:
    """Centered kernel alignment with linear kernels: how alike are two clouds up to rotation, scale and shift?

    With A and B the clouds less their means:

        CKA = ||A^T B||^2 / (||A^T A|| ||B^T B||)    (Frobenius norms)

    from 0 to 1, 1 for equal up to rotation and scale; other invertible maps do change it.  Between clouds that have
    nothing in common it grows with c and d over n; `unbiased` replaces each product by the estimator HSIC_1 of Song et
    al., whose mean is then 0, so that values may be negative.  NaN for a cloud of equal points, for n < 2, and
    `unbiased` also for n < 4 or where an estimated norm is not above 0.

    The products are taken between channels where there are fewer of them than rows, else between rows.

    Sources: Kornblith et al., "Similarity of Neural Network Representations Revisited", ICML 2019, section 3; Song et
    al., "Feature Selection via Dependence Maximization", JMLR 13, 2012, eq. 5; Nguyen, Raghu & Kornblith, "Do Wide and
    Deep Networks Learn the Same Things?", ICLR 2021.

    >>> cloud = np.array([[0.0, 1.0], [1.0, 1.0], [1.0, 0.0], [3.0, 1.0]])
    >>> round(linear_cka(cloud, 7 * cloud[:, ::-1] + 2), 6)
    1.0
    """
    _check_same_rows(first, second)
    if len(first) < (4 if unbiased else 2) or any((cloud == cloud[0]).all() for cloud in (first, second)):
        return np.nan
    a, b = _centered(first), _centered(second)
    alike = _hsic if unbiased else _squared_product
    norms = alike(a, a), alike(b, b)
    if min(norms) <= _ROUNDING / len(a) ** 2:
        return np.nan
    return float(alike(a, b) / np.sqrt(norms[0] * norms[1]))


def neighbor_agreement(
    first: Float[np.ndarray, "n c"],
    second: Float[np.ndarray, "m d"],
    k: int,
    *,
    metric: str = "cosine",
    groups: Sequence | np.ndarray | None = None,
) -> float:
    """Mean share of common neighbors: the Jaccard index of an embedding's `k` nearest in either cloud.

        mean over i of |N_i and M_i| / |N_i or M_i|

    from 0 to 1, 1 for the same neighbors; by chance about ``k / (2 n)`` for k far below n.  Embeddings without any
    possible neighbor are left out; NaN if all are.

    Args:
        first: finite.
        second: of the same pairs in the same order, of any width.
        k: at least 1.
        metric: see `loce_jax.analysis.neighbors.nearest.nearest_neighbors`, and so `groups`.
        groups: one value a vector; vectors of the same group are no neighbors.

    >>> line = np.arange(5.0)[:, None]
    >>> neighbor_agreement(line, 3 - 2 * line, 2, metric="euclidean")
    1.0
    """
    _check_same_rows(first, second)
    found = [nearest_neighbors(cloud, k, metric=metric, groups=groups).indices for cloud in (first, second)]
    sizes = (found[0] >= 0).sum(axis=1)  # the same in both: groups alone decide it
    common = ((found[0][:, :, None] == found[1][:, None, :]) & (found[0][:, :, None] >= 0)).sum(axis=(1, 2))
    there = sizes > 0
    return float((common[there] / (2 * sizes - common)[there]).mean()) if there.any() else np.nan


def _check_same_rows(first, second):
    check_shape(
        "second",
        second,
        (len(first), second.shape[1]),
        meaning="a row for each of `first`",
        fix="Match the rows with `align_rows`.",
    )
    check_vectors(first, name="first")
    check_vectors(second, name="second")


def _distances(vectors, left, right, metric):
    """Distances between the rows `left` and the rows `right`, in blocks of bounded memory."""
    points = unit_rows(vectors) if metric == "cosine" else vectors.astype(np.float64)
    distances = np.empty(len(left))
    for start in range(0, len(left), _BLOCK):
        rows, block = points[left[start : start + _BLOCK]], slice(start, start + _BLOCK)
        others = points[right[block]]
        distances[block] = (
            1 - np.einsum("ij,ij->i", rows, others) if metric == "cosine" else np.linalg.norm(rows - others, axis=1)
        )
    return distances


def _centered(cloud):
    """Less its mean, at a common scale, so that no square overflows."""
    cloud = cloud.astype(np.float64)
    cloud = cloud / np.abs(cloud).max()
    cloud = cloud - cloud.mean(axis=0)
    return cloud / np.linalg.norm(cloud)


def _squared_product(a, b):
    """||A^T B||^2, the sum over all pairs of rows of the product of their two kernels."""
    if max(a.shape[1], b.shape[1]) < len(a):
        return ((a.T @ b) ** 2).sum()
    return ((a @ a.T) * (b @ b.T)).sum()


def _hsic(a, b):
    """HSIC_1 of linear kernels K and L without their diagonals k and l, for centered clouds.

    Of centered clouds every row of a whole kernel sums to 0, so that without its diagonal row i sums to ``-k_i``.
    """
    n, k, l = len(a), (a**2).sum(axis=1), (b**2).sum(axis=1)  # noqa: E741
    trace = _squared_product(a, b) - k @ l
    return (trace + k.sum() * l.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * (k @ l)) / (n * (n - 3))
