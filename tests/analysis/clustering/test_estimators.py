"""The estimators against scikit-learn's own rules, recorded values of the original code, and their definitions."""

import json
from typing import Any
from unittest import SkipTest

import numpy as np
import pytest
from scipy.linalg import fractional_matrix_power
from sklearn.base import BaseEstimator
from sklearn.cluster import HDBSCAN
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from loce_jax.analysis.clustering.cut import ClusteringOptions, cluster
from loce_jax.analysis.clustering.estimators import AdaptiveClusterer, CentroidClassifier, Whitener
from loce_jax.analysis.paper_forms import paper_order, paper_split
from loce_jax.checks import InputError

COPY: Any = True  # declared as text by mistake; without it some versions warn
EXPECTED = {"check_array_api_input": "it asks for SCIPY_ARRAY_API, which must be set before SciPy is imported"}


@parametrize_with_checks(
    [AdaptiveClusterer(), CentroidClassifier(), Whitener()], expected_failed_checks=lambda estimator: EXPECTED
)
def test_obeys_scikit_learn(estimator, check):
    try:
        check(estimator)
    except SkipTest as why:
        pytest.fail(f"not checked: {why}")


@pytest.fixture(scope="module")
def recorded(shared):
    arrays = np.load(shared("golden", "analysis.npz"))
    notes = json.loads(shared("golden", "analysis.json").read_text())
    labels = arrays["labels"]
    train, test = paper_split(labels, paper_order(notes["names"], labels, 0))
    layers = {"L1": ([64], arrays["X1"]), "L1L2": ([64, 16], np.hstack([arrays["X1"], arrays["X2"]]))}
    return notes["clustering"], labels, train, test, layers


def shares(recorded, concepts):
    """Recorded dictionaries, concept after concept, as rows."""
    return np.array([[row.get(str(c), 0) for c in concepts] for concept in concepts for row in recorded[str(concept)]])


LINKED = ["ward_euclidean", "complete_cosine", "average_cosine"]


@pytest.mark.parametrize("layers", ["L1", "L1L2"])
@pytest.mark.parametrize("linked", LINKED)
def test_paper_predictions_are_reproduced(linked, layers, recorded):
    clusterings, labels, train, test, arrays = recorded
    expected, (widths, vectors) = clusterings[f"{linked}_{layers}_relaxed"], arrays[layers]
    method, metric = linked.split("_")
    clusterer = AdaptiveClusterer(9 / 144, 0.8, method, metric)  # groups of 9 among 144 to train on
    model = CentroidClassifier(clusterer, metric, widths, paper=True).fit(vectors[train], labels[train])
    assert len(model.table_.clusters) == expected["n_clusters_train"]
    np.testing.assert_array_equal(
        model.predict_proba(vectors[test]), shares(expected["predict_centroid_seed0_split"], model.classes_)
    )


@pytest.mark.parametrize("layers", ["L1", "L1L2"])
@pytest.mark.parametrize("linked", LINKED)
def test_the_nearest_neighbors_of_scikit_learn_are_the_original_ones(linked, layers, recorded):
    clusterings, labels, train, test, arrays = recorded
    vectors = arrays[layers][1]
    model = KNeighborsClassifier(5, metric=linked.split("_")[1]).fit(vectors[train], labels[train])
    expected = shares(clusterings[f"{linked}_{layers}_relaxed"]["predict_knn5_seed0_split"], model.classes_)
    np.testing.assert_array_equal(model.predict_proba(vectors[test]), expected)


def make_clouds(seed, n=60):
    """Three concepts in three directions, at lengths that say nothing."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(["cat", "dog", "emu"], n // 3))
    directions = np.eye(3)[np.unique(labels, return_inverse=True)[1]] + 0.1 * rng.normal(size=(n, 3))
    return directions * rng.uniform(0.5, 20, size=(n, 1)), labels


def nearest_slowly(model, vectors, labels, clusters, query):
    """The concepts of the nearest mean of unit vectors, with loops over one layer."""
    best = np.inf, []
    for name in sorted(set(clusters.tolist())):
        members = [v / np.sqrt(sum(v**2)) for v in vectors[clusters == name]]
        gap = np.sqrt(sum((sum(members) / len(members) - query / np.sqrt(sum(query**2))) ** 2))
        if gap < best[0]:
            best = gap, [float(np.mean(labels[clusters == name] == c)) for c in model.classes_]
    return best[1]


@pytest.mark.parametrize("seed", range(3))
def test_predictions_match_slow_twin_and_do_not_know_lengths(seed):
    vectors, labels = make_clouds(seed)
    model = CentroidClassifier().fit(vectors[:40], labels[:40])
    clusters = AdaptiveClusterer().fit(vectors[:40], labels[:40]).labels_
    expected = [nearest_slowly(model, vectors[:40], labels[:40], clusters, query) for query in vectors[40:]]
    np.testing.assert_allclose(model.predict_proba(vectors[40:]), expected, rtol=1e-14)  # shares: one division
    np.testing.assert_array_equal(model.predict_proba(1000 * vectors[40:]), model.predict_proba(vectors[40:]))
    assert (model.predict(vectors[40:]) == labels[40:]).all()


class Known(BaseEstimator):
    """Every concept is a cluster."""

    def fit(self, X, y):
        self.labels_ = np.unique(y, return_inverse=True)[1]
        return self


def test_long_raw_queries_go_to_the_longest_centroid_and_normalized_ones_to_the_nearest():
    def at(*degrees):
        return np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=1)

    vectors, labels = at(-1, 1, -5, 85), ["cat", "cat", "dog", "dog"]  # means: at 0 of length 1, at 40 of length 0.7
    query = 100 * at(28)
    assert CentroidClassifier(Known()).fit(vectors, labels).predict(query).tolist() == ["dog"]
    assert CentroidClassifier(Known(), paper=True).fit(vectors, labels).predict(query).tolist() == ["cat"]


def test_layers_weigh_alike_whatever_their_lengths():
    rng = np.random.default_rng(0)
    vectors, labels = make_clouds(0)
    both = np.hstack([vectors, rng.normal(size=(60, 2))])
    louder = both * [1, 1, 1, 1000, 1000]
    first, second = (
        CentroidClassifier(Known(), widths=[3, 2]).fit(a[:40], labels[:40]).predict_proba(a[40:])
        for a in (both, louder)
    )
    np.testing.assert_array_equal(first, second)


def test_noise_is_left_out_and_zeros_get_the_shares_of_all():
    vectors, labels = make_clouds(0)
    vectors[:2] = [[9, 9, 9], [-9, 9, -9]]
    model = CentroidClassifier(HDBSCAN(5, metric="cosine", copy=COPY), "cosine").fit(vectors, labels)
    assert model.table_.counts.sum() < 60  # some are noise
    np.testing.assert_allclose(model.predict_proba(np.zeros((1, 3))), [[1 / 3] * 3])
    noise = CentroidClassifier(HDBSCAN(5, copy=COPY)).fit(np.ones((9, 2)), ["cat"] * 3 + ["dog"] * 6)
    assert len(noise.table_.clusters) == 0
    np.testing.assert_allclose(noise.predict_proba(np.ones((1, 2))), [[1 / 3, 2 / 3]])


def test_the_clusterer_is_the_function():
    vectors, labels = make_clouds(1)
    found = AdaptiveClusterer(0.2, 0.7, "average", "cosine").fit(vectors, labels)
    expected = cluster(vectors, labels, ClusteringOptions(0.2, 0.7, "average", "cosine"))
    np.testing.assert_array_equal(found.labels_, expected.labels)
    pipeline = make_pipeline(Whitener(), CentroidClassifier()).fit(vectors, labels)
    assert pipeline.score(vectors, labels) > 0.9


@pytest.mark.parametrize("shrinkage", [0.0, 0.3])
@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_whitening_is_a_power_of_the_covariance(power, shrinkage):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(50, 4)) @ rng.normal(size=(4, 4)) + 3
    whitener = Whitener(power, shrinkage).fit(vectors)
    covariance = np.cov(vectors, rowvar=False)
    covariance = (1 - shrinkage) * covariance + shrinkage * np.trace(covariance) / 4 * np.eye(4)
    expected = (vectors - vectors.mean(axis=0)) @ fractional_matrix_power(covariance, -power / 2)
    np.testing.assert_allclose(whitener.transform(vectors), expected, atol=1e-10)  # SciPy's power goes by Schur
    np.testing.assert_allclose(whitener.inverse_transform(whitener.transform(vectors)), vectors, rtol=1e-10)
    if power == 1 and shrinkage == 0:
        np.testing.assert_allclose(np.cov(whitener.transform(vectors), rowvar=False), np.eye(4), atol=1e-12)


def test_directions_without_variance_are_dropped_and_come_back_as_the_mean():
    vectors = np.random.default_rng(0).normal(size=(5, 8)) + 7  # spans 4 directions
    whitener = Whitener(power=1.0).fit(vectors)
    white = whitener.transform(vectors)
    assert (whitener.variances_ > 0).sum() == np.linalg.matrix_rank(white) == 4
    assert np.abs(white).max() < 5  # no direction of rounding errors blown up
    np.testing.assert_allclose(whitener.inverse_transform(white), vectors, rtol=1e-10)
    same = Whitener().fit_transform(np.full((3, 2), 5.0))
    assert same.tolist() == [[0, 0]] * 3


def test_powers_and_shrinkages_out_of_range_are_refused():
    with pytest.raises(InputError, match=r"`power` must be from 0 .* but got 2"):
        Whitener(power=2).fit(np.eye(2))
    with pytest.raises(InputError, match=r"`shrinkage` must be from 0 .* but got -0.1"):
        Whitener(shrinkage=-0.1).fit(np.eye(2))
