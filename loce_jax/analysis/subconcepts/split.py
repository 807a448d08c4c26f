"""Does one concept fall apart into sub-concepts, and into how many?  A cut through its tree, tested against one cloud.

What the parts have in common is said by `distinguish`.  Letters: n embeddings of one concept, c channels.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from loce_jax.analysis.vectors import check_vectors
from loce_jax.checks import InputError

_NULLS = 39  # clouds drawn: at most one of them may beat the data for a chance of 2 / 40
_LEVEL = 0.05


@dataclass(frozen=True)
class Split:
    """What `split_concept` found.

    Attributes:
        groups: group of each embedding, 0 the largest; of groups of one size the one that comes first.
        silhouettes: mean silhouette of the cut into 2, 3, ... groups, -1 to 1, higher is better; empty where the
            number was given or there is nothing to cut.
        p_value: chance that one Gaussian cloud of the same spread would be cut as well, from 0.025 to 1; NaN where
            nothing was tested.
    """

    groups: Int[np.ndarray, " n"]
    silhouettes: Float[np.ndarray, " t"]
    p_value: float


def split_concept(
    vectors: Float[np.ndarray, "n c"],
    groups: int | None = None,
    *,
    height: float | None = None,
    most: int = 8,
    seed: int = 0,
) -> Split:
    """Cut the Ward tree of one concept's embeddings (Euclidean) into sub-concepts.

    With neither `groups` nor `height` the data decide.  The cuts into 2 to `most` groups are scored by their mean
    silhouette; the best score is compared with the best scores of 39 clouds drawn from one Gaussian with the same
    mean and covariance.  If at most one of the 39 scores as well (``p <= 0.05``), the best cut is taken, else there is
    one group.  A silhouette alone cannot answer "one": it needs two groups to be computed, and always finds some.
    With fewer embeddings than channels the spread is overestimated, and weak parts stay together: give more embeddings,
    or fewer coordinates.  Time and memory grow with ``n ** 2``.

    The other way is a mixture: ``fit_mixture(embed_2d(vectors).points).assignments`` are groups too.

    Args:
        vectors: of one concept, finite.
        groups: how many; no more than there are distinct vectors.
        height: cut at this height of the tree instead (the Ward distance, in the unit of the vectors).
        most: groups to try, at least 2; no more than every second distinct vector allows are tried.
        seed: of the clouds drawn.

    Sources: Ward, JASA 58, 1963; Rousseeuw, "Silhouettes", J. Comput. Appl. Math. 20, 1987; the Gaussian to compare
    with: Liu, Hayes, Nobel & Marron, "Statistical Significance of Clustering", JASA 103, 2008.

    >>> rng = np.random.default_rng(0)
    >>> near, far = rng.normal(size=(20, 3)), rng.normal(size=(20, 3)) + 9
    >>> split_concept(near).groups.max() + 1, split_concept(np.vstack([near, far])).groups.max() + 1
    (np.int64(1), np.int64(2))
    """
    check_vectors(vectors)
    _check_wishes(groups, height, most)
    points = vectors.astype(np.float64)
    distinct = len(np.unique(points, axis=0))
    untested = np.zeros(0), float("nan")
    if distinct < 2:
        return Split(np.zeros(len(points), int), *untested)
    from scipy.cluster.hierarchy import fcluster, linkage  # noqa: PLC0415

    if groups is not None:
        return Split(_by_size(_cuts(points, [min(groups, distinct)])[0]), *untested)
    if height is not None:
        return Split(_by_size(fcluster(linkage(points, "ward"), height, "distance")), *untested)
    most = min(most, distinct // 2)
    if most < 2:
        return Split(np.zeros(len(points), int), *untested)
    cuts = _cuts(points, range(2, most + 1))
    silhouettes = _silhouettes(points, cuts)
    p_value = _chance_of(silhouettes.max(), points, most, seed)
    found = cuts[silhouettes.argmax()] if p_value <= _LEVEL else np.zeros(len(points), int)
    return Split(_by_size(found), silhouettes, p_value)


def _check_wishes(groups, height, most):
    if groups is not None and height is not None:
        raise InputError(f"`groups` or `height` says where to cut, not both, but got {groups} and {height}. Drop one.")
    if groups is not None and groups < 1:
        raise InputError(f"`groups` must be at least 1, but got {groups}. Leave it out to let the data decide.")
    if height is not None and not height >= 0:
        raise InputError(f"`height` must be 0 or more (a distance), but got {height}. Leave it out.")
    if most < 2:
        raise InputError(f"`most` must be at least 2 (groups to try), but got {most}. Say `groups=1` for one group.")


def _cuts(points, counts):
    from scipy.cluster.hierarchy import cut_tree, linkage  # noqa: PLC0415

    return cut_tree(linkage(points, "ward"), list(counts)).T


def _silhouettes(points, cuts):
    from scipy.spatial.distance import pdist, squareform  # noqa: PLC0415
    from sklearn.metrics import silhouette_score  # noqa: PLC0415

    distances = squareform(pdist(points))
    return np.array([silhouette_score(distances, cut, metric="precomputed") for cut in cuts])


def _chance_of(score, points, most, seed):
    """Share of Gaussian clouds, and the data themselves, whose best silhouette is at least `score`."""
    rng = np.random.default_rng(seed)
    sizes = np.linalg.svd(points - points.mean(axis=0), compute_uv=False) / np.sqrt(len(points) - 1)
    clouds = (rng.normal(size=(len(points), len(sizes))) * sizes for _ in range(_NULLS))
    best = [_silhouettes(cloud, _cuts(cloud, range(2, most + 1))).max() for cloud in clouds]
    return float((1 + np.sum(np.array(best) >= score)) / (1 + _NULLS))


def _by_size(groups):
    """Groups renumbered: the largest first, of one size the one that comes first."""
    _, first, group, sizes = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    order = np.lexsort((first, -sizes))
    return np.argsort(order)[group]
