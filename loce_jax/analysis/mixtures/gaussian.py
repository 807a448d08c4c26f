"""Which Gaussians make up a cloud of points?  Mixtures by lowest BIC, their ellipses, and maps of who is likeliest.

Letters: n points, c coordinates, k components, g points of a grid, t numbers of components tried.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import solve_triangular
from scipy.special import logsumexp
from threadpoolctl import threadpool_limits

from loce_jax.analysis.vectors import check_cloud, check_vectors
from loce_jax.checks import InputError

_ADDED = 1e-6  # by scikit-learn, to every variance
_ROUNDING = 1e-3  # of a number of points that is a sum of probabilities


@dataclass(frozen=True)
class Gaussians:
    """Weighted Gaussians.

    Attributes:
        weights: above 0; they sum to 1 unless the mixture was fitted with ``paper=True`` and lost components.
        means: in the unit of the points.
        covariances: in that unit squared, positive definite.
    """

    weights: Float[np.ndarray, " k"]
    means: Float[np.ndarray, "k c"]
    covariances: Float[np.ndarray, "k c c"]


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
        paper: as the released code does, leave collapsed components in, and try one for every ``c + 1`` distinct
            points; leave the weights of the kept components as they were, instead of scaling them to sum 1: a concept
            that lost components then looks less likely everywhere in `decision_map`.

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
    least = c + 1 if paper else min_points(c)
    max_components = max(1, min(max_components, len(np.unique(points, axis=0)) // least))
    full, bic = _lowest_bic(points, max_components, seed, 0 if paper else least)
    components = np.flatnonzero(full.weights > outlier_weight)
    weights = full.weights[components] / (1 if paper else full.weights[components].sum())
    kept = Gaussians(weights, full.means[components], full.covariances[components])
    likeliest = likeliest_component(full, points)
    populations = np.bincount(likeliest, minlength=len(full.weights)) / n
    return Mixture(full, kept, components, bic, np.where(np.isin(likeliest, components), likeliest, -1), populations)


def min_points(coordinates: int) -> int:
    """How many points say anything of a Gaussian: twice as many as a full covariance takes.

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
    labels = check_cloud(points, labels)
    concepts = np.unique(labels)
    return {
        concept: fit_mixture(points[labels == concept], max_components, seed=seed, paper=paper)
        for concept in concepts.tolist()
    }


def _lowest_bic(points, max_components, seed, least):
    sample = points if len(points) > 1 else np.repeat(points, 2, axis=0)  # it wants two; the Gaussian is the same
    with threadpool_limits(1):  # with so few points, threads wait for each other most of the time
        models = [_fit(sample, count, seed, least) for count in range(1, max_components + 1)]
    bic = np.array([model.bic(points) for model in models])
    return _gaussians(models[bic.argmin()]), bic


def _fit(sample, count, seed, least):
    """scikit-learn's mixture; with `least` above 0, without components that have collapsed."""
    from sklearn.mixture import GaussianMixture  # noqa: PLC0415  # takes a second

    model = GaussianMixture(count, random_state=seed).fit(sample)
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


def log_density(gaussians: Gaussians, points: Float[np.ndarray, "n c"]) -> Float[np.ndarray, " n"]:
    """``log sum_k w_k N(x; mean_k, covariance_k)`` at each point, natural logarithm; minus infinity without components.

    >>> log_density(Gaussians(np.ones(1), np.zeros((1, 1)), np.ones((1, 1, 1))), np.zeros((1, 1))).round(4)
    array([-0.9189])
    """
    if not len(gaussians.weights):
        return np.full(len(points), -np.inf)
    return np.asarray(logsumexp(_log_densities(gaussians, points) + np.log(gaussians.weights), axis=1))


def responsibilities(gaussians: Gaussians, points: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "n k"]:
    """Probability of each component given each point, ``w_k N_k / sum_j w_j N_j``: 0 to 1, rows sum to 1.

    >>> two = Gaussians(np.full(2, 0.5), np.array([[-1.0], [1.0]]), np.ones((2, 1, 1)))
    >>> responsibilities(two, np.array([[0.0]]))
    array([[0.5, 0.5]])
    """
    shares = _log_densities(gaussians, points) + np.log(gaussians.weights)
    return np.exp(shares - log_density(gaussians, points)[:, None])


def likeliest_component(
    gaussians: Gaussians, points: Float[np.ndarray, "n c"], *, paper: bool = False
) -> Int[np.ndarray, " n"]:
    """Row of the component with the highest ``w_k N_k`` at each point, the first on ties; -1 without components.

    Args:
        gaussians: such as `Mixture.full`.
        points: such as a `grid`.
        paper: compare ``N_k``, without the weights, as the released code colors its map without labels.

    >>> rare = Gaussians(np.array([0.99, 0.01]), np.array([[0.0], [1.0]]), np.ones((2, 1, 1)))
    >>> likeliest_component(rare, np.array([[1.0]])), likeliest_component(rare, np.array([[1.0]]), paper=True)
    (array([0]), array([1]))
    """
    if not len(gaussians.weights):
        return np.full(len(points), -1)
    return (_log_densities(gaussians, points) + (0 if paper else np.log(gaussians.weights))).argmax(axis=1)


def _log_densities(gaussians, points):
    """Log N(x; mean, covariance) of every point and component."""
    columns = []
    for mean, covariance in zip(gaussians.means, gaussians.covariances, strict=True):
        root = np.linalg.cholesky(covariance)
        whitened = solve_triangular(root, (points - mean).T, lower=True)
        constant = len(mean) * np.log(2 * np.pi) / 2 + np.log(np.diag(root)).sum()
        columns.append(-(whitened**2).sum(axis=0) / 2 - constant)
    return np.stack(columns, axis=1) if columns else np.zeros((len(points), 0))


def decision_map(
    mixtures: Mapping[Any, Mixture],
    points: Float[np.ndarray, "n 2"],
    *,
    priors: Mapping[Any, float | int] | None = None,
) -> Int[np.ndarray, " n"]:
    """Position in `mixtures` of the concept whose kept components are densest at each point, the first on ties.

    -1 where no concept has any density (none has components).

    Args:
        mixtures: by concept, from `fit_mixtures`.
        points: such as a `grid`.
        priors: how frequent each concept is, in any unit, above 0.  None counts all alike, as the paper does; with the
            counts of the concepts the map is the Bayes decision.

    >>> two = fit_mixtures(np.array([[0.0, 0.0], [0.0, 1.0], [9.0, 0.0], [9.0, 1.0]]), ["cat", "cat", "dog", "dog"])
    >>> decision_map(two, np.array([[1.0, 0.0], [8.0, 0.0]]))
    array([0, 1])
    """
    missing = [] if priors is None else [concept for concept in mixtures if not priors.get(concept, 0) > 0]
    if missing:
        raise InputError(f"`priors` must hold a number above 0 for every concept, but lacks {missing}. Give its count.")
    if not mixtures:
        return np.full(len(points), -1)
    densities = np.stack([log_density(mixture.kept, points) for mixture in mixtures.values()])
    if priors is not None:
        densities += np.log([[priors[concept]] for concept in mixtures])
    return np.where(np.isneginf(densities).all(axis=0), -1, densities.argmax(axis=0))


def grid(points: Float[np.ndarray, "n 2"], steps: int = 200, *, margin: float = 1.0) -> Float[np.ndarray, "g 2"]:
    """`steps` x `steps` points over the bounding box of `points` and `margin` around it, the first coordinate fastest.

    ``decision_map(..., grid(points)).reshape(steps, steps)`` is an image whose rows are the second coordinate, upwards.

    >>> grid(np.array([[0.0, 0.0], [1.0, 2.0]]), 2, margin=0.0).tolist()
    [[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [1.0, 2.0]]
    """
    if not len(points):
        raise InputError("`points` must hold at least one point, because a grid spans them, but got none. Draw no map.")
    low, high = points.min(axis=0).astype(np.float64) - margin, points.max(axis=0).astype(np.float64) + margin
    x, y = np.meshgrid(*np.linspace(low, high, steps).T)
    return np.column_stack([x.ravel(), y.ravel()])


@dataclass(frozen=True)
class Ellipses:
    """What `ellipses` found; row k belongs to component k.

    Attributes:
        centers: the means.
        lengths: full length of the long and of the short axis, in the unit of the points.
        angles: of the long axis against the first coordinate, degrees, counter-clockwise, 0 to below 180; of a circle
            any angle.
    """

    centers: Float[np.ndarray, "k 2"]
    lengths: Float[np.ndarray, "k 2"]
    angles: Float[np.ndarray, " k"]


def ellipses(gaussians: Gaussians, *, sigmas: float = 1.0) -> Ellipses:
    """Where each Gaussian of two coordinates is `sigmas` standard deviations from its mean.

    Semi-axes are ``sigmas * sqrt(eigenvalue)``, so the ellipse holds ``1 - exp(-sigmas^2 / 2)`` of its Gaussian: 39.3 %
    at 1, 86.5 % at 2.  (The released code's, said to be at 1, are at 0.707 and hold 22.1 %.)

    >>> ellipses(Gaussians(np.ones(1), np.zeros((1, 2)), np.diag([1.0, 4.0])[None]))
    Ellipses(centers=array([[0., 0.]]), lengths=array([[4., 2.]]), angles=array([90.]))
    """
    if gaussians.means.shape[1] != 2:
        raise InputError(
            f"`gaussians` must have 2 coordinates, because ellipses are flat, but got {gaussians.means.shape[1]}. "
            "Fit the mixture to `embed_2d(vectors).points`."
        )
    values, directions = np.linalg.eigh(gaussians.covariances)
    x, y = directions[:, :, 1].T
    return Ellipses(gaussians.means, 2 * sigmas * np.sqrt(values[:, ::-1]), np.degrees(np.arctan2(y, x)) % 180)
