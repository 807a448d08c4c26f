"""Ranking and precision against recorded values of the original code, a slow twin, and planted answers."""

import json
import math

import numpy as np
import pytest

from loce_jax.analysis.metrics.retrieval import precision_at, rank_by_distance
from loce_jax.checks import InputError

KS = (1, 5, 10, 20, 30, 40)


def retrieve_slowly(vectors, labels, groups, ks):
    """Precision and average precision of every query, from their definitions."""

    def cosine(a, b):
        lengths = math.sqrt(sum(a * a) * sum(b * b))
        return 1 - sum(a * b) / lengths if lengths else 1.0

    precision, average = [], []
    for i in range(len(labels)):
        others = [j for j in range(len(labels)) if j != i and (groups is None or groups[j] != groups[i])]
        others.sort(key=lambda j: (cosine(vectors[i], vectors[j]), j))
        hits = [labels[j] == labels[i] for j in others]
        precision.append([sum(hits[:k]) / len(hits[:k]) if hits else math.nan for k in ks])
        at_hits = [[sum(hits[: r + 1]) / (r + 1) for r in range(min(k, len(hits))) if hits[r]] for k in ks]
        average.append(
            [sum(p) / min(k, sum(hits)) if any(hits) else math.nan for p, k in zip(at_hits, ks, strict=True)]
        )
    return np.array(precision), np.array(average)


@pytest.mark.parametrize("layer", ["1", "2"])
def test_precision_reproduces_the_original_code(layer, shared):
    recorded = np.load(shared("golden", "analysis.npz"))
    result = precision_at(recorded[f"X{layer}"], recorded["labels"], KS)
    assert result.concepts == (3, 6, 8, 17, 18, 24)
    for concept in result.concepts:
        mine = result.precision.per_query[recorded["labels"] == concept]
        np.testing.assert_allclose(mine, recorded[f"prec_L{layer}_{concept}"], rtol=0, atol=1e-15)


def test_the_papers_mean_reproduces_the_original_code(shared):
    recorded = np.load(shared("golden", "analysis.npz"))
    expected = json.loads(shared("golden", "analysis.json").read_text())["mAP_L1_mean_over_category_means"]
    found = precision_at(recorded["X1"], recorded["labels"], KS).precision.macro
    np.testing.assert_allclose(found, [expected[str(k)] for k in KS], rtol=0, atol=1e-15)


def test_ranking_reproduces_the_original_code(shared):
    recorded = np.load(shared("golden", "analysis.npz"))
    order, distances = recorded["cos_order_L1_top45"], recorded["cos_dist_L1"]
    for query in range(0, 180, 7):
        found = rank_by_distance(recorded["X1"], query)
        assert order[query, 0] == query
        assert found.indices[:44].tolist() == order[query, 1:].tolist()
        # Recorded in float32: near 1, the last of its digits is 6e-8.
        np.testing.assert_allclose(found.distances, distances[query, found.indices], rtol=0, atol=5e-7)
        assert sorted(found.indices) == [i for i in range(180) if i != query]


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("with_images", [False, True])
def test_matches_slow_twin(with_images, many, monkeypatch):
    if many:
        monkeypatch.setattr("loce_jax.analysis.neighbors.nearest._FEW", 0)
        monkeypatch.setattr("loce_jax.analysis.neighbors.blocked._TILE", 64)
    rng = np.random.default_rng(0)
    labels = np.array([*rng.integers(0, 3, 79), 9])  # the last has no other of its concept
    vectors = rng.normal(size=(80, 4)) + 2 * np.eye(10)[labels][:, :4]
    groups = rng.integers(0, 12, 80) if with_images else None
    ks = (1, 3, 40, 100)
    precision, average = retrieve_slowly(vectors, labels, groups, ks)
    result = precision_at(vectors, labels, ks, groups=groups)
    assert result.ks == ks and result.concepts == (0, 1, 2, 9)
    for scores, expected in ((result.precision, precision), (result.average_precision, average)):
        np.testing.assert_allclose(scores.per_query, expected, rtol=1e-13)
        means = np.array([np.mean(expected[labels == concept], axis=0) for concept in result.concepts])
        np.testing.assert_allclose(scores.per_concept, means, rtol=1e-13)
        np.testing.assert_allclose(scores.macro, np.nanmean(means, axis=0), rtol=1e-13)
        np.testing.assert_allclose(scores.pooled, np.nanmean(expected, axis=0), rtol=1e-13)
        np.testing.assert_allclose(scores.pooled_std, np.nanstd(expected, axis=0), rtol=1e-13)
    assert (precision[-1] == 0).all() and np.isnan(average[-1]).all()


def test_the_query_is_removed_by_its_index():
    """The released code removes whatever comes first: a copy in another concept, or anything before a zero vector."""
    vectors = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.1], [0.0, 0.0], [0.0, 1.0]])
    result = precision_at(vectors, ["a", "b", "a", "c", "c"], (1, 2))
    # Queries 0 and 1 are copies, each the other's nearest; query 3 is at distance 1 from all, in order of index.
    assert result.precision.per_query.tolist() == [[0, 0.5], [0, 0], [1, 0.5], [0, 0], [0, 0]]
    assert rank_by_distance(vectors, 1).indices.tolist() == [0, 2, 3, 4]
    assert rank_by_distance(vectors, 3).indices.tolist() == [0, 1, 2, 4]
    assert rank_by_distance(vectors, 3).distances.tolist() == [1, 1, 1, 1]


def test_perfect_and_hopeless_retrieval():
    vectors = np.repeat(np.eye(3), 4, axis=0)
    perfect = precision_at(vectors, np.repeat([0, 1, 2], 4), (1, 3, 6))
    assert perfect.precision.macro.tolist() == [1, 1, 0.5]  # six of which three can be relevant
    assert perfect.average_precision.macro.tolist() == [1, 1, 1]
    hopeless = precision_at(vectors, np.tile([0, 1, 2, 3], 3), (1, 3))
    assert hopeless.precision.macro.tolist() == hopeless.average_precision.macro.tolist() == [0, 0]


def test_macro_and_pooled_differ_where_concepts_differ_in_size():
    vectors = np.array([[1.0, 0.0]] * 6 + [[0.0, 1.0], [1.0, 0.0]])
    scores = precision_at(vectors, [0] * 6 + [1] * 2, (1,)).precision
    assert scores.per_concept.tolist() == [[1], [0]]
    assert scores.macro.tolist() == [0.5]
    assert scores.pooled.tolist() == [0.75]
    assert scores.pooled_std[0] == pytest.approx(math.sqrt(0.75 * 0.25), rel=1e-15)


def test_order_scale_and_names_change_nothing():
    rng = np.random.default_rng(1)
    vectors, labels, order = rng.normal(size=(60, 4)), np.arange(60) % 3, rng.permutation(60)
    expected = precision_at(vectors, labels, KS)
    shuffled = precision_at(vectors[order], labels[order], KS)
    np.testing.assert_array_equal(shuffled.precision.per_query, expected.precision.per_query[order])
    lengths = 2.0 ** rng.integers(-5, 5, (60, 1))
    np.testing.assert_array_equal(
        precision_at(lengths * vectors, labels, KS).average_precision.per_query, expected.average_precision.per_query
    )
    renamed = precision_at(vectors, np.array(["c", "b", "a"])[labels], KS)
    np.testing.assert_array_equal(renamed.precision.per_concept, expected.precision.per_concept[::-1])


def test_vectors_of_the_same_image_are_left_out():
    vectors = np.array([[1.0, 0.0], [1.0, 0.01], [1.0, 0.5], [0.0, 1.0]])
    groups = ["x", "x", "y", "z"]
    assert rank_by_distance(vectors, 0, groups=groups).indices.tolist() == [2, 3]
    result = precision_at(vectors, ["a", "a", "b", "a"], (1, 2), groups=groups)
    assert result.precision.per_query[0].tolist() == [0, 0.5]
    assert result.average_precision.per_query[0].tolist() == [0, 0.5]


def test_nothing_to_retrieve():
    alone = precision_at(np.ones((1, 2)), ["a"], (1, 5))
    assert np.isnan(alone.precision.per_query).all() and np.isnan(alone.precision.macro).all()
    none = precision_at(np.zeros((0, 2)), [], (1,))
    assert none.concepts == () and none.precision.per_concept.shape == (0, 1) and np.isnan(none.precision.pooled).all()
    together = precision_at(np.eye(3), ["a", "a", "b"], (1,), groups=["x", "x", "x"])
    assert np.isnan(together.precision.per_query).all() and np.isnan(together.average_precision.per_query).all()
    assert rank_by_distance(np.ones((1, 2)), 0).indices.shape == (0,)


def test_euclidean_distances_see_the_lengths():
    vectors = np.array([[1.0, 0.0], [9.0, 0.0], [1.0, 1.0]])
    assert rank_by_distance(vectors, 0).indices.tolist() == [1, 2]
    assert rank_by_distance(vectors, 0, metric="euclidean").indices.tolist() == [2, 1]
    assert rank_by_distance(vectors, 0, metric="euclidean").distances.tolist() == [1, 8]
    assert precision_at(vectors, ["a", "a", "b"], (1,)).precision.per_query[0, 0] == 1
    assert precision_at(vectors, ["a", "a", "b"], (1,), metric="euclidean").precision.per_query[0, 0] == 0


def test_bad_calls_are_refused_with_the_cure():
    with pytest.raises(InputError, match="`query` must be a row of the 2 vectors"):
        rank_by_distance(np.ones((2, 2)), 2)
    with pytest.raises(InputError, match="`ks` must be cut-offs of at least 1"):
        precision_at(np.ones((2, 2)), ["a", "b"], (0, 5))
    with pytest.raises(InputError, match=r"`groups` must have shape \(2,\)"):
        rank_by_distance(np.ones((2, 2)), 0, groups=["x"])
    with pytest.raises(InputError, match=r"`groups` must have shape \(2,\)"):
        precision_at(np.ones((2, 2)), ["a", "b"], groups=["x"])
