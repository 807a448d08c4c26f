"""Gaussian mixtures with the number of components of lowest BIC, of all points or of each concept's.

Shapes: n points, c coordinates, k components, t numbers of components tried.
"""

import functools as ft
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from threadpoolctl import ThreadpoolController

from loce_jax.analysis.mixtures.density import Gaussians, likeliest_component
from loce_jax.analysis.paper_forms import paper_min_points, paper_weights
from loce_jax.analysis.vectors import check_labeled_vectors, check_vectors
from loce_jax.checks import InputError

_ADDED = 1e-6  # by scikit-learn, to every variance
_ROUNDING = 1e-3  # of a number of points that is a sum of probabilities


@dataclass(frozen=True)
class Mixture:
    """What `fit_mixture` found.  A component keeps one number everywhere: its row in `full`.

    Attributes:
        full: every component.
        kept: the components that are no outliers.
        components: the row in `full` of each row of `kept`, ascending.
        bic: Bayesian information criterion of the fits begun with 1, 2, ... components; lower is better.
        assignments: likeliest component of each point under `full`; -1 where that component is an outlier.
        populations: share of the points whose likeliest component is each row of `full`; sums to 1.
    """

    full: Gaussians
    kept: Gaussians
    components: Int[np.ndarray, " kept"]
    bic: Float[np.ndarray, " t"]
    assignments: Int[np.ndarray, " n"]
    populations: Float[np.ndarray, " all"]


def fit_mixture(
    points: Float[np.ndarray, "n c"],
    max_components: int = 5,
    *,
    seed: int = 0,
    outlier_weight: float = 0.1,
    paper: bool = False,
) -> Mixture:
    """Gaussian mixture with full covariances, of 1 to `max_components` components: the lowest BIC, the first on ties.

        BIC = -2 log L + (k - 1 + k c + k c (c + 1) / 2) log n

    A component that has collapsed onto a few points, or onto a line, has a density without bound, and so a BIC that
    means nothing.  One that holds fewer than `min_points`, or is somewhere no thicker than the variance of 1e-6 that
    the fit adds to stay defined, is therefore taken out, and the others are fitted on; nor are more components tried
    than the distinct points allow.  One always stands: a single point is one component of variance 1e-6.  No points
    give no components.  Points far smaller than 1e-3 should be scaled up first.

    For a mixture without labels the paper takes ``max_components = 2 * number of concepts``; use
    ``outlier_weight=0.0`` then, because among that many components a weight of 0.1 is no sign of an outlier.

    Args:
        points: finite; the paper's are the two coordinates of `embed_2d`.
        max_components: at least 1.
        seed: of the start by k-means.
        outlier_weight: components of this weight or less are outliers.
        paper: leave collapsed components in, and see `paper_min_points` and `paper_weights` of
            `loce_jax.analysis.paper_forms`.

    Sources: Mikriukov et al., "Local Concept Embeddings", IJCV 2025; Schwarz, Annals of Statistics 6, 1978.

    >>> found = fit_mixture(np.array([[0.0], [1.0], [2.0], [3.0], [90.0], [91.0], [92.0], [93.0]]), max_components=2)
    >>> sorted(found.full.means.ravel().round(3).tolist()), found.populations.tolist()
    ([1.5, 91.5], [0.5, 0.5])
    """
    check_vectors(points, name="points")
    if max_components < 1:
        raise InputError(
            f"`max_components` must be at least 1 (components), but got {max_components}. Leave it at 5, or say 1."
        )
    n, c = points.shape
    if not n:
        none = Gaussians(np.zeros(0), np.zeros((0, c)), np.zeros((0, c, c)))
        return Mixture(none, none, np.zeros(0, int), np.zeros(0), np.zeros(0, int), np.zeros(0))
    points = points.astype(np.float64)
    least = paper_min_points(c) if paper else min_points(c)
    max_components = max(1, min(max_components, len(np.unique(points, axis=0)) // least))
    full, bic = _lowest_bic(points, max_components, seed, 0 if paper else least)
    components = np.flatnonzero(full.weights > outlier_weight)
    weights = full.weights[components]
    weights = paper_weights(weights) if paper else weights / weights.sum()
    kept = Gaussians(weights, full.means[components], full.covariances[components])
    likeliest = likeliest_component(full, points)
    populations = np.bincount(likeliest, minlength=len(full.weights)) / n
    return Mixture(full, kept, components, bic, np.where(np.isin(likeliest, components), likeliest, -1), populations)


def min_points(coordinates: int) -> int:
    """Minimum number of points of a component: twice as many as a full covariance takes.

    >>> min_points(2)
    6
    """
    return 2 * (coordinates + 1)


def fit_mixtures(
    points: Float[np.ndarray, "n c"],
    labels: Sequence | np.ndarray,
    max_components: int = 5,
    *,
    seed: int = 0,
    paper: bool = False,
) -> dict[Any, Mixture]:
    """`fit_mixture` for the points of each concept, by concept, ascending; components of weight 0.1 or less dropped.

    >>> list(fit_mixtures(np.zeros((3, 2)), ["dog", "cat", "dog"]))
    ['cat', 'dog']
    """
    labels = check_labeled_vectors(points, labels)
    concepts = np.unique(labels)
    return {
        concept: fit_mixture(points[labels == concept], max_components, seed=seed, paper=paper)
        for concept in concepts.tolist()
    }


@ft.cache
def _threads() -> ThreadpoolController:
    """The libraries that have threads, which take longer to find than a small mixture to fit."""
    import sklearn.mixture  # noqa: F401, PLC0415  # takes a second, and loads the last of them

    return ThreadpoolController()


def _lowest_bic(points, max_components, seed, least):
    sample = points if len(points) > 1 else np.repeat(points, 2, axis=0)  # it wants two; the Gaussian is the same
    with _threads().limit(limits=1):  # with so few points, threads wait for each other most of the time
        models = [_fit(sample, count, seed, least) for count in range(1, max_components + 1)]
    bic = np.array([model.bic(points) for model in models])
    return _gaussians(models[bic.argmin()]), bic


def _fit(sample, count, seed, least):
    """scikit-learn's mixture; with `least` above 0, without components that have collapsed."""
    from sklearn.mixture import GaussianMixture  # noqa: PLC0415  # takes a second

    start = "random" if count == 1 else "kmeans"  # all points are of the one component, without a search for it
    model = GaussianMixture(count, random_state=seed, init_params=start).fit(sample)
    while least and model.n_components > 1:
        found = _gaussians(model)
        thinnest = np.linalg.eigvalsh(found.covariances)[:, 0]
        sound = (found.weights * len(sample) > least - _ROUNDING) & (thinnest > 2 * _ADDED)
        if sound.all():
            break
        left = {
            "weights_init": found.weights[sound] / found.weights[sound].sum(),
            "means_init": found.means[sound],
            "precisions_init": np.linalg.inv(found.covariances[sound]),
        }
        count = int(sound.sum())
        model = GaussianMixture(max(count, 1), random_state=seed, **left if count else {}).fit(sample)
    return model


def _gaussians(model):
    return Gaussians(np.array(model.weights_), np.array(model.means_), np.array(model.covariances_))
