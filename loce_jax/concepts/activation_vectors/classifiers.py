"""Linear classifiers of scikit-learn, whose normals are concept vectors.

Shapes: n samples, k concepts, c channels.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Real

Labels = Real[np.ndarray, "n k"] | Bool[np.ndarray, "n k"]


@dataclass(frozen=True, eq=False)
class LabeledSamples:
    """Samples and their labels, in parts that were gathered one after the other."""

    samples: tuple[Float[np.ndarray, "_ c"], ...]
    labels: tuple[Real[np.ndarray, "_ k"] | Bool[np.ndarray, "_ k"], ...]

    @classmethod
    def of(cls, samples: Float[np.ndarray, "n c"], labels: Labels) -> "LabeledSamples":
        """One part."""
        return cls((samples,), (labels,))

    def merge(self, other: "LabeledSamples") -> "LabeledSamples":
        """Those of both."""
        return LabeledSamples(self.samples + other.samples, self.labels + other.labels)

    @property
    def channels(self) -> int:
        """The number c."""
        return self.samples[0].shape[1]

    @property
    def arrays(self) -> tuple[Float[np.ndarray, "n c"], Labels]:
        """All samples, and all labels."""
        return np.concatenate(self.samples), np.concatenate(self.labels)

    @property
    def label_mean(self) -> Float[np.ndarray, " k"]:
        """The mean of each concept's labels."""
        return np.concatenate(self.labels).mean(axis=0)


def fit_classifier(
    samples: Float[np.ndarray, "n c"], labels: Bool[np.ndarray, " n"], method: str, C: float
) -> tuple[Float[np.ndarray, " c"], float]:
    """Vector and offset of a classifier, on samples that are centered and scaled by one number; zeros without 2 labels.

    Args:
        samples: finite.
        labels: True with the concept; both weigh alike, however frequent.
        method: ``"linear_svm"`` or ``"logistic"``.
        C: inverse strength of the regularization.
    """
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - a second that the other methods do not need
    from sklearn.svm import LinearSVC  # noqa: PLC0415

    samples = samples.astype(np.float64)
    mean = samples.mean(axis=0)
    scale = np.sqrt(((samples - mean) ** 2).mean())
    if not np.isfinite(scale) or scale == 0 or labels.all() or not labels.any():
        return np.zeros(samples.shape[1]), 0.0
    common: dict[str, Any] = {"C": C, "class_weight": "balanced"}
    if method == "linear_svm":
        classifier = LinearSVC(**common, max_iter=10_000, random_state=0)
    else:
        classifier = LogisticRegression(**common, max_iter=1000)
    classifier.fit((samples - mean) / scale, labels)
    vector = np.ravel(classifier.coef_) / scale
    return vector, float(np.ravel(classifier.intercept_)[0] - vector @ mean)
