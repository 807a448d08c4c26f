"""All pixels of soft maps and masks, image after image, and their average precision with its interval.

Few pixels are kept as they are, many as histograms.
Shapes: k concepts, n images, H x W pixels, b resamples.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from loce_jax.analysis.bootstrap import BootstrapOptions, resample
from loce_jax.concepts.evaluation.average_precision import (
    BINS,
    average_precision,
    binned_precision,
    bounded_precision,
    score_bins,
)

MAX_KEPT = 2**24  # scores of all concepts that are kept, for exact average precisions: 84 MB
MAX_HISTOGRAMS = 512  # parts of the images with histograms of their own, of 6 KB a concept
JOINED = 8  # bins of the fine histogram that are one bin of those


class Precisions(NamedTuple):
    """Average precision of each concept, its largest possible error, and its values in the resamples."""

    value: Float[np.ndarray, " k"]
    error: Float[np.ndarray, " k"]
    draws: Float[np.ndarray, "b k"]


class PixelScores:
    """The pixels seen so far.

    >>> scores = PixelScores(1)
    >>> maps, masks = np.array([0.9, 0.8, 0.3, 0.1], "f4").reshape(1, 1, 2, 2), np.eye(2, dtype=bool)[None, None]
    >>> scores.add(maps, masks, np.zeros(1, int))
    >>> round(float(scores.precisions(BootstrapOptions()).value[0]), 4)
    0.75
    """

    def __init__(self, concepts: int):
        self._kept: list | None = []
        self._number = 0
        self._fine = np.zeros((concepts, 2, BINS))
        self._coarse: dict[int, np.ndarray] = {}

    def add(
        self, maps: Float[np.ndarray, "n k H W"], masks: Bool[np.ndarray, "n k H W"], groups: Int[np.ndarray, " n"]
    ) -> None:
        """More images; `groups` are numbered from 0, and those that are equal modulo `MAX_HISTOGRAMS` are joined."""
        self._number += maps.size
        if self._kept is not None and self._number <= MAX_KEPT:
            self._kept.append((maps, masks))
        else:
            self._kept = None
        cells = np.arange(2 * len(self._fine)).reshape(-1, 2) * BINS
        for scores, truth, group in zip(maps, masks, groups.tolist(), strict=True):
            bins = score_bins(np.nan_to_num(scores)) + np.where(truth, *cells.T[::-1, :, None, None])
            counts = np.bincount(bins.ravel(), minlength=self._fine.size).reshape(self._fine.shape)
            self._fine += counts
            joined = counts.reshape(*counts.shape[:2], -1, JOINED).sum(axis=-1).astype(np.uint32)
            part = group % MAX_HISTOGRAMS
            self._coarse[part] = self._coarse[part] + joined if part in self._coarse else joined

    def precisions(self, options: BootstrapOptions) -> Precisions:
        """Exact of the pixels that were kept, else of the histogram, with its error.

        The resamples are those of the parts' histograms, moved so that all parts together have the better value.
        """
        if self._kept is None:
            value, error = bounded_precision(self._fine)
        else:
            exact = [
                average_precision(np.concatenate(scores).ravel(), np.concatenate(truth).ravel())
                for scores, truth in ([[pair[i][:, k] for pair in self._kept] for i in (0, 1)] for k in self._concepts)
            ]
            value, error = np.array(exact), np.zeros(len(exact))
        weights = resample(np.array(sorted(self._coarse)), options)
        draws = np.empty((len(weights), len(value)))
        for k in self._concepts:
            parts = np.stack([self._coarse[part][k] for part in sorted(self._coarse)]).astype(np.float64)
            drawn = (weights @ parts.reshape(len(parts), -1)).reshape(len(weights), 2, -1)
            draws[:, k] = binned_precision(drawn) - binned_precision(parts.sum(axis=0)) + value[k]
        return Precisions(value, error, np.clip(draws, 0, 1))

    @property
    def _concepts(self):
        return range(len(self._fine))
