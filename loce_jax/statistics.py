"""Mean and covariance of a layer's pixels over a data set, and the whitening that they define.  NumPy, float64.

Activations of trained networks are anisotropic: a few directions hold most of the variance.  The ridge recipe solves on
partly whitened activations; benchmarks/QUALITY.md measures what that is good for.
Shapes: n images, h x w grid cells, c channels.
"""

import functools as ft
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from loce_jax.arrays import as_array, with_channels_last
from loce_jax.checks import InputError
from loce_jax.image_energies import ImageEnergies

ROUNDING = 1e-14  # standard deviation relative to the mean up to which a channel is constant, its variance rounding
NEGLIGIBLE = 1e-12  # share of the mean variance below which rounding changes nothing
MAX_RATIO = 1e10  # of standard deviations of channels
SHRINKAGE = 0.01  # of the mean variance, added to every direction: c may exceed the number of pixels
BLOCK_NUMBERS = 2**23  # activations that are held in float64 together, 64 MiB


@dataclass(frozen=True, eq=False)
class Whitening:
    """An affine change of a layer's coordinates: ``whitened = (activations - mean) @ matrix``.

    Made by `Statistics.whitening`.

    Attributes:
        mean: mean of the layer's pixels, float64.
        matrix: symmetric positive definite, float64.  Among all changes of coordinates that give the same covariance, a
            symmetric one (ZCA) moves the activations least.
    """

    mean: Float[np.ndarray, " c"]
    matrix: Float[np.ndarray, "c c"]

    def __call__(self, activations: Float[Any, "*axes c"]) -> Float[np.ndarray, "*axes c"]:
        """Whitened activations, computed in float64, returned in float32.

        >>> Whitening(np.array([3.0]), np.array([[0.5]]))(np.array([[7.0]], "float32"))
        array([[2.]], dtype=float32)
        """
        return ((np.asarray(activations, np.float64) - self.mean) @ self.matrix).astype(np.float32)

    def raw_filters(
        self, vectors: Float[Any, "*rows c"], biases: Float[Any, "*rows"]
    ) -> tuple[Float[np.ndarray, "*rows c"], Float[np.ndarray, "*rows"]]:
        """Filters and offsets on raw activations that are equivalent to vectors and biases on whitened ones.

        ``activations @ filter + offset`` equals ``whitened @ vector + bias``.  Computed in float64,
        returned in float32; NaN stays NaN.

        >>> whitening = Whitening(np.array([3.0]), np.array([[0.5]]))
        >>> filters, offsets = whitening.raw_filters(np.array([[4.0]]), np.array([1.0]))
        >>> 7.0 * filters[0] + offsets[0], whitening(np.array([7.0])) * 4 + 1
        (array([9.], dtype=float32), array([9.], dtype=float32))
        """
        filters = np.asarray(vectors, np.float64) @ self.matrix
        offsets = np.asarray(biases, np.float64) - filters @ self.mean
        return filters.astype(np.float32), np.asarray(offsets, np.float32)

    def vectors_of(self, filters: Float[Any, "*rows c"]) -> Float[np.ndarray, "*rows c"]:
        """Vectors on whitened activations that are equivalent to filters on raw ones: the inverse of `raw_filters`.

        Computed in float64, returned in float32; NaN stays NaN.

        >>> Whitening(np.array([3.0]), np.array([[0.5]])).vectors_of(np.array([[2.0]]))
        array([[4.]], dtype=float32)
        """
        rows = np.asarray(filters, np.float64)
        return np.linalg.solve(self.matrix, rows.reshape(-1, rows.shape[-1]).T).T.reshape(rows.shape).astype(np.float32)


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
    def of(cls, activations: Float[Any, "n h w c"], *, channels_last: bool = True) -> "Statistics":
        """Statistics of all pixels of these images; an image with a number that is not finite is left out.

        All sums are float64, so that up to float64 rounding the result does not depend on how images are divided into
        calls, on their order, or on the processor.

        Args:
            activations: NumPy or JAX array, or PyTorch tensor, of any floating type.
            channels_last: False if they are ``[n c h w]``, as PyTorch has them.

        Raises:
            InputError: `activations` is no array, does not have four axes, or is dominated by few images
                (`ImageEnergies.check`).

        >>> statistics = Statistics.of(np.array([1.0, 3.0, np.nan, 5.0], "float32").reshape(4, 1, 1, 1))
        >>> statistics.count, statistics.mean.tolist(), statistics.scatter.tolist()
        (3, [3.0], [[8.0]])
        """
        activations = with_channels_last(as_array("activations", activations), channels_last=channels_last)
        if activations.ndim != 4:
            raise InputError(
                f"`activations` must have 4 axes [n h w c] (samples, height, width, channels), but got shape "
                f"{tuple(activations.shape)}. One sample needs `activations[None]`."
            )
        images = np.asarray(activations)
        ImageEnergies.of(images, [f"sample {index}" for index in range(len(images))]).check()
        return cls.of_part(images)

    @classmethod
    def of_part(cls, images: Float[np.ndarray, "n h w c"]) -> "Statistics":
        """As `of`, of images that are only a part of the data set: whether they dominate it can be seen in the whole.

        >>> Statistics.of_part(np.array([1.0, 300.0]).reshape(2, 1, 1, 1)).count
        2
        """
        n, h, w, c = images.shape
        found, size = cls(0, np.zeros(c), np.zeros((c, c))), max(1, BLOCK_NUMBERS // (h * w * c))
        for start in range(0, n, size):
            pixels = images[start : start + size].astype(np.float64)
            pixels = pixels[np.isfinite(pixels).all(axis=(1, 2, 3))].reshape(-1, c)
            if len(pixels):
                mean = pixels.mean(axis=0)
                pixels -= mean
                found = found.merge(cls(len(pixels), mean, pixels.T @ pixels))
        return found

    def merge(self, other: "Statistics") -> "Statistics":
        """Statistics of the pixels of both (Chan, Golub & LeVeque, The American Statistician 37, 1983).

        >>> one, other = (Statistics.of(np.full((1, 1, 1, 1), value)) for value in (1.0, 3.0))
        >>> one.merge(other).count, one.merge(other).mean.tolist(), one.merge(other).scatter.tolist()
        (2, [2.0], [[2.0]])
        """
        if not self.count or not other.count:
            return other if other.count else self
        count, difference = self.count + other.count, other.mean - self.mean
        return Statistics(
            count,
            self.mean + difference * (other.count / count),
            self.scatter + other.scatter + np.outer(difference, difference) * (self.count * other.count / count),
        )

    def whitening(self, power: float) -> Whitening:
        """The change of coordinates ``x' = (S' / s)**(-power / 2) (x - mean) / sqrt(s)``.

        ``S'`` is the covariance plus 0.01 times its mean eigenvalue in every direction, ``s`` the mean eigenvalue of
        ``S'``.  Kept, so that equal powers get the same object.

        Args:
            power: 0 (activations are only centered and scaled) to 1 (whitened).  There is no default: vectors that were
                solved with one power mean nothing in the coordinates of another.

        Raises:
            InputError: the statistics hold no pixel.

        >>> Statistics.of(np.array([1.0, 3.0]).reshape(2, 1, 1, 1)).whitening(0.5).mean
        array([2.])
        """
        if not self.count:
            raise InputError(
                "`statistics` must hold a pixel, but every image had non-finite activations, or there was no image. "
                "Gather them from images that the network can process."
            )
        if power not in self._whitenings:
            self._whitenings[power] = Whitening(self.mean, self._matrix(power))
        return self._whitenings[power]

    @ft.cached_property
    def _whitenings(self) -> dict[float, Whitening]:
        return {}

    def check(self, where: str = "") -> None:
        """Raise `InputError` where a channel is so large beside the others that nothing of them would be left.

        Args:
            where: words for the message, such as " at layer 'late'".

        Raises:
            InputError: such a channel, or sums that have overflowed.
        """
        if not (np.isfinite(self.scatter).all() and np.isfinite(self.mean).all()):
            channel = int(np.argmin(np.isfinite(self.mean) & np.isfinite(self.scatter.diagonal())))
            raise InputError(
                f"`statistics`{where} must be finite, but those of channel {channel} have overflowed. Scale the "
                "activations down."
            )
        deviations = np.sqrt(self._covariance.diagonal())
        largest = int(deviations.argmax())
        others = np.delete(deviations, largest)
        others = others[others > 0]
        if len(others) and deviations[largest] > MAX_RATIO * np.median(others):
            raise InputError(
                f"`statistics`{where} must be of channels of comparable size, but channel {largest} has the standard "
                f"deviation {deviations[largest]:.0e}, and half of the others at most {np.median(others):.0e}, of "
                "which nothing would be left. Leave that channel out, or scale it down."
            )

    @ft.cached_property
    def _covariance(self):
        """The covariance; 0 for a constant channel whose variance is nothing but the rounding of a large mean."""
        covariance = self.scatter / self.count
        variances = covariance.diagonal()
        rounded = (variances > 0) & (variances <= (ROUNDING * self.mean) ** 2)
        rest = variances[~rounded]
        rounded &= variances > NEGLIGIBLE * (rest.mean() if len(rest) else 0)
        if rounded.any():
            covariance[rounded], covariance[:, rounded] = 0, 0
        return covariance

    @ft.cached_property
    def _spectrum(self):
        self.check()
        try:
            variances, directions = np.linalg.eigh(self._covariance)
        except np.linalg.LinAlgError as error:
            raise InputError(f"`statistics` must have a covariance with eigenvalues, but got none: {error}.") from error
        return np.maximum(variances, 0), directions

    def _matrix(self, power):
        variances, directions = self._spectrum
        mean = variances.mean()
        shrunk = variances + SHRINKAGE * mean if mean > 0 else np.ones_like(variances)
        scale = shrunk.mean()
        leveled = (shrunk / scale) ** (-power / 2) / np.sqrt(scale)
        if leveled.max() > np.finfo(np.float32).max:  # deviations that float32 hardly tells from 0, as of a dead layer
            leveled = np.ones_like(variances)
        return (directions * leveled) @ directions.T
