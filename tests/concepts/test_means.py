"""Means, medoids and cluster means of LoCEs against loops; failed LoCEs are left out and counted."""

import numpy as np
import pytest

from loce_jax import InputError, PaperRecipe, solve
from loce_jax.concepts.means import cluster_means, mean, medoid
from loce_jax.solver.solution import Status
from tests.concepts.planted import cosine, planted

RNG = np.random.default_rng(3)
FILTERS, OFFSETS = RNG.normal(size=(9, 4)).astype("f4"), RNG.normal(size=9).astype("f4")
FILTERS[4], OFFSETS[4] = np.nan, np.nan
LABELS = ["b", "a", "b", "a", "a", "b", "c", "a", "b"]
FILTERS[6] = np.inf


def rows(label):
    """The finite LoCEs of a concept."""
    return [row for row in range(9) if LABELS[row] == label and np.isfinite(FILTERS[row]).all()]


def test_means_are_means_of_what_did_not_fail():
    found = mean(FILTERS, OFFSETS, LABELS)
    assert found.vectors.names == ("a", "b", "c")
    assert found.used.tolist() == [3, 4, 0]
    assert found.failed.tolist() == [1, 0, 1]
    assert found.vectors.status.tolist() == [Status.OK, Status.OK, Status.NONFINITE]
    assert np.isnan(found.vectors.vectors[2]).all()
    for row, label in enumerate("ab"):
        expected = sum(FILTERS[one].astype(float) for one in rows(label)) / len(rows(label))
        np.testing.assert_allclose(found.vectors.vectors[row], expected, rtol=1e-6)  # float32 results
        np.testing.assert_allclose(found.vectors.offsets[row], OFFSETS[rows(label)].mean(), rtol=1e-5)


def test_medoids_are_the_most_central_by_cosine():
    found = medoid(FILTERS, OFFSETS, LABELS).vectors
    for row, label in enumerate("ab"):
        totals = [sum(cosine(FILTERS[one], FILTERS[other]) for other in rows(label)) for one in rows(label)]
        best = rows(label)[int(np.argmax(totals))]
        np.testing.assert_allclose(found.vectors[row], FILTERS[best])
        np.testing.assert_allclose(found.offsets[row], OFFSETS[best])


def test_clusters_have_means_of_their_own():
    clusters = [0, 10, 0, 2, 2, 1, 0, 2, 1]
    found = cluster_means(FILTERS, OFFSETS, LABELS, clusters)
    assert found.vectors.names == ("a 2", "a 10", "b 0", "b 1", "c 0")
    assert found.used.tolist() == [2, 1, 2, 2, 0]
    np.testing.assert_allclose(found.vectors.vectors[0], (FILTERS[3] + FILTERS[7]) / 2, rtol=1e-6)


def test_planted_directions_are_found_from_local_vectors():
    activations, masks = planted(n=32)
    local = solve(activations, masks[:, 0].astype("f4"), PaperRecipe())
    filters, offsets = local.raw_filters()
    # each LoCE fits the noise of its 42 cells, so one alone is near the direction, and the mean of 32 nearer
    assert cosine(mean(filters, offsets, ["x"] * 32).vectors.vectors[0]) >= 0.99
    assert cosine(medoid(filters, offsets, ["x"] * 32).vectors.vectors[0]) >= 0.9


@pytest.mark.wrong_types
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((FILTERS[0], OFFSETS, LABELS), "`filters` must have shape"),
        ((FILTERS, OFFSETS[:3], LABELS), "`offsets` must have shape"),
        ((FILTERS, OFFSETS, LABELS[:2]), "`labels` must have shape"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, words):
    with pytest.raises(InputError, match=words):
        mean(*arguments)
