"""Running moments of activations and labels, from which mean differences and pattern-CAVs follow.  NumPy, float64.

Shapes: n samples, k concepts, c channels.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Real

from loce_jax.statistics import BLOCK_NUMBERS


@dataclass(frozen=True, eq=False)
class LabelMoments:
    """Means and products of samples and their labels in [0, 1]; moments of parts `merge` to those of the whole.

    Attributes:
        count: number of samples.
        mean: of the samples.
        label_mean: of each concept's labels.
        label_scatter: sum of the squares of centered labels.
        products: sum of the products of centered labels and centered samples.
    """

    count: int
    mean: Float[np.ndarray, " c"]
    label_mean: Float[np.ndarray, " k"]
    label_scatter: Float[np.ndarray, " k"]
    products: Float[np.ndarray, "k c"]

    @classmethod
    def none(cls, concepts: int, channels: int) -> "LabelMoments":
        """Those of no sample."""
        return cls(0, np.zeros(channels), np.zeros(concepts), np.zeros(concepts), np.zeros((concepts, channels)))

    @classmethod
    def of(
        cls, samples: Float[np.ndarray, "n c"], labels: Real[np.ndarray, "n k"] | Bool[np.ndarray, "n k"]
    ) -> "LabelMoments":
        """Those of samples, which are converted to float64 a block at a time.

        >>> LabelMoments.of(np.array([[1.0], [3.0]]), np.array([[0.0], [1.0]])).slopes.tolist()
        [[2.0]]
        """
        found, size = cls.none(labels.shape[1], samples.shape[1]), max(1, BLOCK_NUMBERS // samples.shape[1])
        for start in range(0, len(samples), size):
            block, marks = (array[start : start + size].astype(np.float64) for array in (samples, labels))
            mean, label_mean = block.mean(axis=0), marks.mean(axis=0)
            marks -= label_mean
            scatter, products = (marks**2).sum(axis=0), marks.T @ (block - mean)
            found = found.merge(cls(len(block), mean, label_mean, scatter, products))
        return found

    def merge(self, other: "LabelMoments") -> "LabelMoments":
        """Those of the samples of both (Chan, Golub & LeVeque, The American Statistician 37, 1983)."""
        if not self.count or not other.count:
            return other if other.count else self
        count = self.count + other.count
        share, weight = other.count / count, self.count * other.count / count
        shift, label_shift = other.mean - self.mean, other.label_mean - self.label_mean
        return LabelMoments(
            count,
            self.mean + shift * share,
            self.label_mean + label_shift * share,
            self.label_scatter + other.label_scatter + label_shift**2 * weight,
            self.products + other.products + np.outer(label_shift, shift) * weight,
        )

    @property
    def channels(self) -> int:
        """The number c."""
        return len(self.mean)

    @property
    def slopes(self) -> Float[np.ndarray, "k c"]:
        """The regression of samples on labels: covariance by the labels' variance; NaN where labels do not vary.

        For labels 0 and 1 it is the difference of the two means.
        """
        return self.products / np.where(self.label_scatter > 0, self.label_scatter, np.nan)[:, None]

    @property
    def thresholds(self) -> Float[np.ndarray, " k"]:
        """The response ``sample @ slope`` of the sample that the regression gives to the label one half.

        For labels 0 and 1 it is the middle between the two means' responses.
        """
        slopes = self.slopes
        middles = self.mean + slopes * (0.5 - self.label_mean)[:, None]
        with np.errstate(over="ignore"):
            return (slopes * middles).sum(axis=1)
