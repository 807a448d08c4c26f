"""Whether one concept divides into sub-concepts, and into how many: a cut of its tree, tested against one Gaussian.

What distinguishes the sub-concepts is found by `describe_subconcepts`.
Shapes: n embeddings of one concept, c channels, t numbers of sub-concepts tried.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from loce_jax.analysis.vectors import check_vectors
from loce_jax.checks import InputError

_NULL_SAMPLES = 39  # at most one of them may score as well as the data: a chance of 2 / 40
_LEVEL = 0.05
_MAX_NUMBERS = 4_000_000  # that are held for samples scored together


@dataclass(frozen=True)
class Split:
    """What `split_concept` found.

    Attributes:
        subconcepts: sub-concept of each embedding, 0 the largest; of equally large ones the one that comes first.
        silhouettes: mean silhouette of the cut into 2, 3, ... sub-concepts, -1 to 1, higher is better; empty where the
            number was given or there is nothing to cut.
        p_value: probability that a Gaussian sample of the same covariance has a silhouette as high, from 0.025 to 1;
            NaN where nothing was tested.
    """

    subconcepts: Int[np.ndarray, " n"]
    silhouettes: Float[np.ndarray, " t"]
    p_value: float


def split_concept(
    vectors: Float[np.ndarray, "n c"],
    n_clusters: int | None = None,
    *,
    height: float | None = None,
    max_clusters: int = 8,
    seed: int = 0,
) -> Split:
    """Cut the Ward tree of one concept's embeddings (Euclidean distances) into sub-concepts.

    With neither `n_clusters` nor `height` the number is chosen from the data.  The cuts into 2 to `max_clusters`
    clusters are scored by their mean silhouette; the best score is compared with the best scores of 39 samples drawn
    from one Gaussian with the same mean and covariance.  If at most one of the 39 scores as well (``p <= 0.05``), the
    best cut is taken, else there is one sub-concept.  A silhouette alone cannot find "one": it is defined for two
    clusters or more, and some cut always has the highest.  With fewer embeddings than channels the covariance is
    overestimated, so that weak sub-concepts stay together: use more embeddings, or fewer coordinates.  Time and memory
    grow with ``n ** 2``.

    A mixture is the other method: ``fit_mixture(embed_2d(vectors).points).assignments`` are sub-concepts too.

    Args:
        vectors: of one concept, finite.
        n_clusters: number of sub-concepts; fewer where there are fewer distinct vectors.
        height: cut at this height of the tree instead (the Ward distance, in the unit of the vectors).
        max_clusters: the highest number to try, at least 2; at most half the number of distinct vectors is tried.
        seed: random seed of the Gaussian samples.

    Raises:
        InputError: vectors that are not finite, both `n_clusters` and `height`, or numbers out of range.

    Sources: Ward, JASA 58, 1963; Rousseeuw, "Silhouettes", J. Comput. Appl. Math. 20, 1987; the Gaussian to compare
    with: Liu, Hayes, Nobel & Marron, "Statistical Significance of Clustering", JASA 103, 2008.

    >>> rng = np.random.default_rng(0)
    >>> near, far = rng.normal(size=(20, 3)), rng.normal(size=(20, 3)) + 9
    >>> split_concept(near).subconcepts.max() + 1, split_concept(np.vstack([near, far])).subconcepts.max() + 1
    (np.int64(1), np.int64(2))
    """
    check_vectors(vectors)
    _check_arguments(n_clusters, height, max_clusters)
    points = vectors.astype(np.float64)
    distinct = len(np.unique(points, axis=0))
    untested = np.zeros(0), float("nan")
    if distinct < 2:
        return Split(np.zeros(len(points), int), *untested)
    from scipy.cluster.hierarchy import fcluster, linkage  # noqa: PLC0415 - slow to import
    from scipy.spatial.distance import pdist  # noqa: PLC0415

    if n_clusters is not None:
        return Split(_largest_first(_cuts(pdist(points), [min(n_clusters, distinct)])[0]), *untested)
    if height is not None:
        return Split(_largest_first(fcluster(linkage(points, "ward"), height, "distance")), *untested)
    largest = min(max_clusters, distinct // 2)
    if largest < 2:
        return Split(np.zeros(len(points), int), *untested)
    counts = range(2, largest + 1)
    (cuts,), (silhouettes,) = _score([points], counts)
    p_value = _p_value(silhouettes.max(), points, counts, seed)
    found = cuts[silhouettes.argmax()] if p_value <= _LEVEL else np.zeros(len(points), int)
    return Split(_largest_first(found), silhouettes, p_value)


def _check_arguments(n_clusters, height, max_clusters):
    if n_clusters is not None and height is not None:
        raise InputError(
            "`n_clusters` and `height` must not both be given, since each says where to cut, but got "
            f"{n_clusters} and {height}. Drop one."
        )
    if n_clusters is not None and n_clusters < 1:
        raise InputError(
            f"`n_clusters` must be at least 1, but got {n_clusters}. Leave it out to have it chosen from the data."
        )
    if height is not None and not height >= 0:
        raise InputError(f"`height` must be 0 or more (a distance), but got {height}. Leave it out.")
    if max_clusters < 2:
        raise InputError(
            f"`max_clusters` must be at least 2 (the highest number to try), but got {max_clusters}. "
            "Use `n_clusters=1` for one sub-concept."
        )


def _cuts(distances, counts):
    """The Ward tree cut into each of the numbers of clusters, a row each: all merges but the last ones are done.

    Args:
        distances: of every two points, as `pdist` has them.
        counts: numbers of clusters.
    """
    from scipy.cluster.hierarchy import linkage  # noqa: PLC0415

    merges = linkage(distances, "ward")[:, :2].astype(int).tolist()
    n = len(merges) + 1
    cluster = np.arange(n)
    found = {n: cluster.copy()}
    for node, (left, right) in enumerate(merges, n):
        cluster[(cluster == left) | (cluster == right)] = node
        if 2 * n - node - 1 in counts:
            found[2 * n - node - 1] = np.unique(cluster, return_inverse=True)[1]
    return np.array([found[count] for count in counts])


def _silhouettes(distances, cuts):
    """The mean silhouette of each cut of each sample; scikit-learn's takes ten times as long for a few points.

    It is the mean of ``(b - a) / max(a, b)``; 0 for a cluster of one point and where a and b are 0.

    Args:
        distances: of every two points, ``[s n n]``.
        cuts: the cluster of each point, from 0, ``[s t n]``.
    """
    members = np.eye(cuts.max() + 1)[cuts]
    sums, counts = distances[:, None] @ members, members.sum(axis=2)
    own = np.take_along_axis(counts, cuts, axis=2)
    inside = np.take_along_axis(sums, cuts[..., None], axis=3)[..., 0] / np.maximum(own - 1, 1)
    counts = counts[:, :, None]
    means = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
    np.put_along_axis(means, cuts[..., None], np.inf, axis=3)
    outside = means.min(axis=3)
    larger = np.maximum(inside, outside)
    return np.where((own > 1) & (larger > 0), (outside - inside) / np.where(larger > 0, larger, 1), 0).mean(axis=2)


def _score(samples, counts):
    """The cuts of each sample of points into each number of clusters, ``[s t n]``, and their silhouettes."""
    from scipy.spatial.distance import pdist, squareform  # noqa: PLC0415

    distances = [pdist(points) for points in samples]
    cuts = np.array([_cuts(each, counts) for each in distances])
    return cuts, _silhouettes(np.array([squareform(each) for each in distances]), cuts)


def _p_value(score, points, counts, seed):
    """Share of Gaussian samples, and the data themselves, whose best silhouette is at least `score`."""
    rng, n = np.random.default_rng(seed), len(points)
    sizes = np.linalg.svd(points - points.mean(axis=0), compute_uv=False) / np.sqrt(n - 1)
    together = max(1, _MAX_NUMBERS // (n * n * len(counts) * max(counts)))
    best = []
    for start in range(0, _NULL_SAMPLES, together):
        samples = rng.normal(size=(min(together, _NULL_SAMPLES - start), n, len(sizes))) * sizes
        best += _score(samples, counts)[1].max(axis=1).tolist()
    return float((1 + np.sum(np.array(best) >= score)) / (1 + _NULL_SAMPLES))


def _largest_first(clusters):
    """Clusters renumbered: the largest first, of equally large ones the one that comes first."""
    _, first, cluster, sizes = np.unique(clusters, return_index=True, return_inverse=True, return_counts=True)
    order = np.lexsort((first, -sizes))
    return np.argsort(order)[cluster]
