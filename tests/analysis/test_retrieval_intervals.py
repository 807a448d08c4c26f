"""Intervals of retrieval over images: against a slow twin, and what they must be where nothing varies."""

import numpy as np
import pytest

from loce_jax.analysis.bootstrap import BootstrapOptions
from loce_jax.analysis.metrics.retrieval import precision_at
from loce_jax.analysis.metrics.retrieval_intervals import estimate_macro
from loce_jax.checks import InputError

RNG = np.random.default_rng(0)
LABELS = np.array(["cat", "dog", "emu", "cat", "dog", "cat"] * 5)
IMAGES = np.repeat([f"{number}.jpg" for number in range(10)], 3)
SCORES = precision_at(
    RNG.normal(size=(30, 4)) + np.eye(3, 4)[np.unique(LABELS, return_inverse=True)[1]], LABELS, (1, 3)
)
OPTIONS = BootstrapOptions(resamples=40, seed=3)


@pytest.mark.parametrize("scores", [SCORES.precision, SCORES.average_precision], ids=["precision", "average precision"])
def test_draws_are_means_over_concepts_of_the_queries_of_drawn_images(scores):
    """A twin with loops: images drawn by the same generator, each with all of its queries."""
    found = estimate_macro(scores, LABELS, IMAGES, OPTIONS)
    names = sorted(set(IMAGES.tolist()))
    rng = np.random.default_rng(3)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=40)
    for draw, times in zip(found.draws, drawn, strict=True):
        for column in range(2):
            means = []
            for concept in ("cat", "dog", "emu"):
                values = [
                    scores.per_query[row, column]
                    for row in range(30)
                    if LABELS[row] == concept and not np.isnan(scores.per_query[row, column])
                    for _ in range(times[names.index(IMAGES[row])])
                ]
                if values:
                    means.append(sum(values) / len(values))
            assert draw[column] == pytest.approx(sum(means) / len(means), rel=1e-12)
    np.testing.assert_array_equal(found.value, scores.macro)
    assert (found.low <= found.high).all()


def test_perfect_retrieval_has_an_interval_of_length_0():
    vectors = np.eye(3)[np.unique(LABELS, return_inverse=True)[1]]
    found = estimate_macro(precision_at(vectors, LABELS, (1,)).precision, LABELS, IMAGES, OPTIONS)
    assert found.low.tolist() == found.value.tolist() == found.high.tolist() == [1]


def test_one_image_has_no_interval_and_labels_must_fit():
    found = estimate_macro(SCORES.precision, LABELS, ["one.jpg"] * 30, OPTIONS)
    assert np.isnan(found.low).all() and np.isfinite(found.value).all()
    with pytest.raises(InputError, match="`labels` must have shape"):
        estimate_macro(SCORES.precision, LABELS[1:])
