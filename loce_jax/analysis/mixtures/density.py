"""Densities of weighted Gaussians, and the probability of each component at a point.

Shapes: n points, c coordinates, k components.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.special import logsumexp

from loce_jax.analysis.paper_forms import paper_likeliest


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
        points: such as those of `make_grid`.
        paper: compare ``N_k``, without the weights, see `loce_jax.analysis.paper_forms.paper_likeliest`.

    >>> rare = Gaussians(np.array([0.99, 0.01]), np.array([[0.0], [1.0]]), np.ones((2, 1, 1)))
    >>> likeliest_component(rare, np.array([[1.0]])), likeliest_component(rare, np.array([[1.0]]), paper=True)
    (array([0]), array([1]))
    """
    if not len(gaussians.weights):
        return np.full(len(points), -1)
    densities = _log_densities(gaussians, points)
    return paper_likeliest(densities) if paper else (densities + np.log(gaussians.weights)).argmax(axis=1)


def _log_densities(gaussians, points):
    """Log N(x; mean, covariance) of every point and component."""
    from scipy.stats import Covariance, multivariate_normal  # noqa: PLC0415 - a third of a second

    densities = np.zeros((len(points), len(gaussians.weights)))
    for k, (mean, covariance) in enumerate(zip(gaussians.means, gaussians.covariances, strict=True)):
        # by its root, since SciPy takes thin covariances for singular
        root: Any = Covariance.from_cholesky(np.linalg.cholesky(covariance))
        densities[:, k] = multivariate_normal.logpdf(points, mean, root)
    return densities
