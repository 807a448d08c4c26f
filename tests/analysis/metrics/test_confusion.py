"""Confusion: small cases by hand, slow twins, symmetries, and concepts that say nothing."""

import numpy as np
import pytest

from loce_jax.analysis.metrics.confusion import (
    Confusion,
    centroid_confusion,
    cluster_confusion,
    component_confusion,
    neighbor_confusion,
)
from loce_jax.checks import InputError


def make_cloud(seed, n=36, channels=4, k=3):
    rng = np.random.default_rng(seed)
    own = rng.permutation(np.arange(n) % k)
    return rng.normal(size=(n, channels)) + 1.5 * np.eye(channels)[own], own


def make_memberships(seed, n=36):
    return np.random.default_rng(seed).dirichlet(np.full(5, 0.3), n)


def every_kind(vectors, labels, seed=0):
    clusters, memberships = (
        np.random.default_rng(seed).integers(-1, 9, len(labels)),
        make_memberships(seed, len(labels)),
    )
    return (
        lambda rows, names: neighbor_confusion(vectors[rows], names[rows], 5),
        lambda rows, names: centroid_confusion(vectors[rows], names[rows]),
        lambda rows, names: cluster_confusion(clusters[rows], names[rows]),
        lambda rows, names: component_confusion(memberships[rows], names[rows]),
    ), labels


def cosine_slowly(a, b):
    return float(sum(x * y for x, y in zip(a, b, strict=True)) / np.sqrt(sum(x * x for x in a) * sum(y * y for y in b)))


def neighbors_slowly(vectors, own, k, images):
    rows = [[] for _ in range(own.max() + 1)]
    for i in range(len(own)):
        others = sorted(
            (1 - cosine_slowly(vectors[i], vectors[j]), j) for j in range(len(own)) if images[i] != images[j]
        )
        near = [own[j] for _, j in others[:k]]
        rows[own[i]].append([near.count(concept) / len(near) for concept in range(own.max() + 1)])
    return [np.mean(row, axis=0) for row in rows]


def centroids_slowly(vectors, own):
    matrix = np.zeros((own.max() + 1, own.max() + 1))
    for i, vector in enumerate(vectors):
        means = []
        for concept in range(own.max() + 1):
            members = [v / np.sqrt((v**2).sum()) for j, v in enumerate(vectors) if own[j] == concept and j != i]
            means.append(np.mean(members, axis=0))
        matrix[own[i], int(np.argmax([cosine_slowly(vector, mean) for mean in means]))] += 1
    return matrix / matrix.sum(axis=1, keepdims=True)


def meetings_slowly(memberships, own):
    rows = [[] for _ in range(own.max() + 1)]
    for a in range(len(own)):
        row = np.zeros(own.max() + 1)
        for component in range(memberships.shape[1]):
            others = [b for b in range(len(own)) if b != a]
            present = sum(memberships[b, component] for b in others)
            for b in others:
                if present > 0:
                    row[own[b]] += memberships[a, component] * memberships[b, component] / present
        if row.sum() > 0:
            rows[own[a]].append(row / row.sum())
    return [np.mean(row, axis=0) for row in rows]


@pytest.mark.parametrize("seed", range(3))
def test_matches_slow_twins(seed):
    vectors, own = make_cloud(seed)
    images = np.random.default_rng(seed).integers(0, 12, len(own))
    found = neighbor_confusion(vectors, own, 5, groups=images).matrix
    np.testing.assert_allclose(found, neighbors_slowly(vectors, own, 5, images), rtol=1e-12)
    np.testing.assert_allclose(centroid_confusion(vectors, own).matrix, centroids_slowly(vectors, own), rtol=1e-12)
    memberships = make_memberships(seed)
    found = component_confusion(memberships, own).matrix
    np.testing.assert_allclose(found, meetings_slowly(memberships, own), rtol=1e-9)  # totals less own, not others' sums
    clusters = np.random.default_rng(seed).integers(-1, 8, len(own))
    hard = np.eye(9)[clusters] * (clusters >= 0)[:, None]
    found = cluster_confusion(clusters, own).matrix
    np.testing.assert_allclose(found, meetings_slowly(hard, own), rtol=1e-12)
    np.testing.assert_allclose(found, component_confusion(hard, own).matrix, rtol=1e-12)


@pytest.mark.parametrize("kind", range(4))
def test_rows_sum_to_one_and_order_and_names_only_move_the_matrix(kind):
    functions, own = every_kind(*make_cloud(0))
    confuse, everyone = functions[kind], np.arange(len(own))
    names = np.array(["dog", "ant", "cat"])  # sorted: ant (1), cat (2), dog (0)
    found, renamed = confuse(everyone, own), confuse(everyone, names[own])
    np.testing.assert_allclose(found.matrix.sum(axis=1), 1, rtol=1e-12)
    assert renamed.concepts == ("ant", "cat", "dog")
    np.testing.assert_allclose(renamed.matrix, found.matrix[np.ix_([1, 2, 0], [1, 2, 0])], rtol=1e-12)
    assert renamed.error == pytest.approx(found.error, rel=1e-12)
    assert found.error == pytest.approx(1 - np.trace(found.matrix) / 3, rel=1e-12)
    shuffled = np.random.default_rng(2).permutation(everyone)
    np.testing.assert_allclose(confuse(shuffled, own).matrix, found.matrix, rtol=1e-12)


@pytest.mark.parametrize("confuse", [neighbor_confusion, centroid_confusion])
def test_lengths_of_vectors_change_nothing(confuse):
    vectors, own = make_cloud(1)
    lengths = np.random.default_rng(1).uniform(1e-3, 1e3, (len(own), 1))
    np.testing.assert_array_equal(confuse(vectors * lengths, own).matrix, confuse(vectors, own).matrix)


def test_separate_concepts_are_not_confused_and_planted_confusion_is_named():
    rng = np.random.default_rng(0)
    own = np.repeat([0, 1, 2], 30)
    vectors = 10 * np.eye(5)[own] + 0.1 * rng.normal(size=(90, 5))
    vectors[30:39] += 10 * np.eye(5)[2] - 10 * np.eye(5)[1]  # 9 of 30 ones look like twos
    for found in (
        neighbor_confusion(vectors[own != 1], own[own != 1]),
        centroid_confusion(vectors[own != 1], own[own != 1]),
    ):
        assert found.error == 0 and found.pairs == ()
    found = centroid_confusion(vectors, own)
    np.testing.assert_allclose(found.matrix, [[1, 0, 0], [0, 0.7, 0.3], [0, 0, 1]], rtol=1e-12)
    assert found.pairs == ((1, 2, pytest.approx(0.3)),) and found.error == pytest.approx(0.1)
    found = neighbor_confusion(vectors, own, 5)
    assert found.pairs[0][:2] in {(1, 2), (2, 1)} and found.matrix[0].tolist() == [1, 0, 0]


def test_each_vector_is_left_out_of_its_own_mean():
    found = centroid_confusion(np.vstack([np.eye(4), [1, 1, 0, 0]]), ["a", "a", "b", "b", "b"])
    # The a's are at right angles to each other and not to the mean of b.  The third and the fourth are at right angles
    # to both means and share their votes; the last one is the direction of a.  With themselves in, the a's were right.
    np.testing.assert_allclose(found.matrix, [[0, 1], [2 / 3, 1 / 3]], rtol=1e-12)


def test_random_labels_are_confused_as_often_as_they_occur():
    rng = np.random.default_rng(0)
    own = rng.permutation(np.repeat([0, 1], [150, 450]))
    found = neighbor_confusion(rng.normal(size=(600, 10)), own)
    np.testing.assert_allclose(found.matrix, [[0.25, 0.75]] * 2, atol=0.05)  # 1500 neighbors: 4 deviations are 0.045


def test_clusters_by_hand():
    found = cluster_confusion(np.array([0, 0, 0, 1, 1, -1, 5]), list("aabbbab"))
    # a: two in cluster 0, each meets one a and one b.  b: one meets two a's, two meet each other; one is alone.
    np.testing.assert_allclose(found.matrix, [[1 / 2, 1 / 2], [1 / 3, 2 / 3]], rtol=1e-12)
    assert found.kind == "clusters" and found.pairs == (("a", "b", 0.5), ("b", "a", pytest.approx(1 / 3)))


def test_ties_share_the_vote():
    found = centroid_confusion(np.array([[1.0, 0.0]] * 6), list("aabbcc"))
    np.testing.assert_allclose(found.matrix, np.full((3, 3), 1 / 3), rtol=1e-12)
    opposite = centroid_confusion(
        np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [-1.0, 0.0]]), list("aabbb")
    )
    # The b at right angles: the others of b cancel, and so do the a's; both cosines are 0.  The other b's are more like
    # nothing (the a's) than like a mean that points away from them.
    np.testing.assert_allclose(opposite.matrix, [[0, 1], [5 / 6, 1 / 6]], rtol=1e-12)


def test_concepts_without_evidence_are_nan_and_left_out_of_the_error():
    vectors = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    found = centroid_confusion(vectors, ["a", "a", "one", "zero", "zero"])
    assert found.matrix[0].tolist() == [1, 0, 0] and np.isnan(found.matrix[1:]).all()
    assert found.error == 0 and found.pairs == ()
    found = cluster_confusion(np.array([0, 0, 1, -1]), ["a", "a", "b", "b"])
    assert found.matrix[0].tolist() == [1, 0] and np.isnan(found.matrix[1]).all()
    same = neighbor_confusion(vectors, ["a", "a", "b", "b", "b"], 2, groups=[0, 0, 0, 0, 1])
    np.testing.assert_array_equal(same.matrix, [[0, 1], [1 / 3, 2 / 3]])  # all meet the last, it the a's
    alone = neighbor_confusion(vectors[:1], ["a"])
    assert np.isnan(alone.matrix).all() and np.isnan(alone.error) and alone.pairs == ()


def test_no_vectors_and_one_concept():
    for found in (
        neighbor_confusion(np.zeros((0, 3)), []),
        centroid_confusion(np.zeros((0, 3)), []),
        cluster_confusion(np.zeros(0, int), []),
        component_confusion(np.zeros((0, 3)), []),
    ):
        assert found.concepts == () and found.matrix.shape == (0, 0) and np.isnan(found.error) and found.pairs == ()
    assert centroid_confusion(np.eye(3), ["a"] * 3).matrix.tolist() == [[1]]


def test_pairs_are_sorted():
    matrix = np.array([[0.5, 0.3, 0.2], [0.0, 0.6, 0.4], [np.nan] * 3])
    found = Confusion(("a", "b", "c"), matrix, "clusters")
    assert found.pairs == (("b", "c", 0.4), ("a", "b", 0.3), ("a", "c", 0.2))
    assert found.error == pytest.approx(0.45)


def test_bad_calls_say_what_to_do():
    with pytest.raises(InputError, match=r"`labels` must have shape \(2,\)"):
        centroid_confusion(np.ones((2, 2)), ["a"])
    with pytest.raises(InputError, match=r"`responsibilities` must not be negative.* lowest is -1.0"):
        component_confusion(np.array([[1.0], [-1.0]]), ["a", "b"])
    with pytest.raises(InputError, match=r"`responsibilities` must be finite, but 1 of 2 rows"):
        component_confusion(np.array([[1.0], [np.nan]]), ["a", "b"])
