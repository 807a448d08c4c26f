"""Mean and covariance of a layer's pixels over a whole data set, and the coordinates that they give the ridge recipe.

Activations of trained networks are anisotropic: a few directions hold most of the variance.  Half-whitening levels
that out half of the way; benchmarks/QUALITY.md measures what that is good for.
Letters: n images, h x w grid cells, c channels.
"""

import functools as ft
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from loce_jax.checks import InputError
from loce_jax.solver.precision import matmul

SHRINKAGE = 0.01  # of the mean variance, added to every direction: c may exceed the number of pixels


class Whitening(NamedTuple):
    """New coordinates for a layer's activations: ``(activations - mean) @ matrix``.  A pytree.

    Attributes:
        mean: of the layer's pixels.
        matrix: symmetric, so that of all coordinates with the same covariance these move the activations least.
    """

    mean: Float[Array, " c"]
    matrix: Float[Array, "c c"]

    def __call__(self, activations: Float[Array | np.ndarray, "*axes c"]) -> Float[Array, "*axes c"]:
        """Activations in the new coordinates, float32."""
        centered = jnp.asarray(activations).astype(self.matrix.dtype) - self.mean
        return matmul(centered, self.matrix)

    def raw(
        self, vector: Float[Array | np.ndarray, "*rows c"], bias: Float[Array | np.ndarray, "*rows"]
    ) -> tuple[Float[Array, "*rows c"], Float[Array, "*rows"]]:
        """The filter and bias that give raw activations the response that `vector` and `bias` give whitened ones.

        >>> whitening = Whitening(jnp.array([3.0]), jnp.array([[0.5]]))
        >>> filter, offset = whitening.raw(jnp.array([4.0]), jnp.array(1.0))
        >>> (7.0 * filter + offset).tolist(), (whitening(jnp.array([7.0])) * 4 + 1).tolist()
        ([9.0], [9.0])
        """
        filters = matmul(jnp.asarray(vector), self.matrix)
        return filters, jnp.asarray(bias) - matmul(filters, self.mean)


@dataclass(frozen=True, eq=False)
class Statistics:
    """Count, mean and scatter of a layer's pixels; statistics of parts of a data set `merge` to those of the whole.

    Attributes:
        count: number of pixels.
        mean: float64.
        scatter: sum of the outer products of centered pixels, float64; divided by `count` it is the covariance.
    """

    count: int
    mean: Float[np.ndarray, " c"]
    scatter: Float[np.ndarray, "c c"]

    @classmethod
    def of(cls, activations: Float[Array | np.ndarray, "n h w c"]) -> "Statistics":
        """Statistics of all pixels of these images; an image with a number that is not finite is left out.

        Sums over the pixels of a call are float32, of centered pixels; means of images and what is merged are float64.

        >>> statistics = Statistics.of(np.array([1.0, 3.0, np.nan, 5.0], "float32").reshape(4, 1, 1, 1))
        >>> statistics.count, statistics.mean.tolist(), statistics.scatter.tolist()
        (3, [3.0], [[8.0]])
        """
        if activations.ndim != 4:
            raise InputError(
                f"`activations` must have 4 axes [n h w c] (samples, height, width, channels), but got shape "
                f"{tuple(activations.shape)}. One sample needs `activations[None]`."
            )
        n, h, w, c = activations.shape
        parts = jax.tree.map(np.asarray, _measure(jnp.asarray(activations)))
        means, finite = parts[0][parts[1]].astype(np.float64), parts[1]
        count = h * w * int(finite.sum())
        if not count:
            return cls(0, np.zeros(c), np.zeros((c, c)))
        mean = means.mean(axis=0)
        apart = means - mean
        return cls(count, mean, parts[2].astype(np.float64) + h * w * apart.T @ apart)

    def merge(self, other: "Statistics") -> "Statistics":
        """Statistics of the pixels of both (Chan, Golub & LeVeque, The American Statistician 37, 1983)."""
        if not self.count or not other.count:
            return other if other.count else self
        count, apart = self.count + other.count, other.mean - self.mean
        return Statistics(
            count,
            self.mean + apart * (other.count / count),
            self.scatter + other.scatter + np.outer(apart, apart) * (self.count * other.count / count),
        )

    def whitening(self, power: float = 0.5) -> Whitening:
        """Coordinates ``x' = (S' / s)**(-power / 2) (x - mean) / sqrt(s)``, float32.

        ``S'`` is the covariance plus 0.01 times its mean eigenvalue in every direction, ``s`` the mean eigenvalue of
        ``S'``.  Power 0 only centers and scales, 1 whitens.

        Raises:
            InputError: there is not a single pixel.
        """
        if not self.count:
            raise InputError("`statistics` must hold a pixel, but every image had non-finite activations or none was.")
        if power not in self._whitenings:
            self._whitenings[power] = self._whiten(power)
        return self._whitenings[power]

    @ft.cached_property
    def _whitenings(self):
        return {}

    @ft.cached_property
    def _spectrum(self):
        variances, directions = np.linalg.eigh(self.scatter / self.count)
        return np.maximum(variances, 0), directions

    def _whiten(self, power):
        variances, directions = self._spectrum
        mean = variances.mean()
        shrunk = variances + SHRINKAGE * mean if mean > 0 else np.ones_like(variances)
        scale = shrunk.mean()
        leveled = (shrunk / scale) ** (-power / 2) / np.sqrt(scale)
        matrix = (directions * leveled) @ directions.T
        with jax.ensure_compile_time_eval():  # numbers to keep, also if the first caller is traced
            return Whitening(jnp.asarray(self.mean, jnp.float32), jnp.asarray(matrix, jnp.float32))


@jax.jit
def _measure(activations):
    """Each image's mean, whether it is finite, and the finite images' scatter about their own means, summed."""
    n, h, w, c = activations.shape
    pixels = activations.astype(jnp.float32).reshape(n, h * w, c)
    finite = jnp.isfinite(pixels).all(axis=(1, 2))
    pixels = jnp.where(finite[:, None, None], pixels, 0)
    means = pixels.mean(axis=1)
    centered = (pixels - means[:, None]).reshape(-1, c)
    return means, finite, matmul(centered.T, centered)
