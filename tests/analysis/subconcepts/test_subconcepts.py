"""`split_concept`: planted parts are found, one cloud stays one, and thin data is no error."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from loce_jax.analysis.subconcepts.split import _silhouettes, split_concept
from loce_jax.checks import InputError


def make_parts(seed, sizes=(30, 20, 12), channels=8, apart=6.0):
    rng = np.random.default_rng(seed)
    parts = np.repeat(np.arange(len(sizes)), sizes)
    return rng.normal(size=(len(parts), channels)) + apart * np.eye(channels)[parts], parts


def silhouette_slowly(vectors, subconcepts):
    """Rousseeuw 1987: (b - a) / max(a, b) of each point; 0 for a point alone in its subconcept."""
    total = 0.0
    for i, vector in enumerate(vectors):
        distances = np.sqrt(((vectors - vector) ** 2).sum(axis=1))
        means = {
            g: distances[(subconcepts == g) & (np.arange(len(subconcepts)) != i)].mean()
            for g in set(subconcepts) - {subconcepts[i]}
        }
        mine = (subconcepts == subconcepts[i]) & (np.arange(len(subconcepts)) != i)
        if mine.any():
            a, b = distances[mine].mean(), min(means.values())
            total += (b - a) / max(a, b)
    return total / len(vectors)


def ward_slowly(vectors, count):
    """Merge the two subconcepts whose union raises the sum of squares least, until `count` are left."""
    subconcepts = [[i] for i in range(len(vectors))]

    def spread(rows):
        return ((vectors[rows] - vectors[rows].mean(axis=0)) ** 2).sum()

    while len(subconcepts) > count:
        pairs = [
            (spread(a + b) - spread(a) - spread(b), i, i + 1 + j)
            for i, a in enumerate(subconcepts)
            for j, b in enumerate(subconcepts[i + 1 :])
        ]
        _, i, j = min(pairs)
        subconcepts[i] += subconcepts.pop(j)
    return {frozenset(rows) for rows in subconcepts}


def as_sets(subconcepts):
    return {frozenset(np.flatnonzero(subconcepts == subconcept).tolist()) for subconcept in set(subconcepts.tolist())}


@pytest.mark.parametrize("seed", range(3))
def test_finds_planted_parts_the_largest_first(seed):
    vectors, parts = make_parts(seed)
    order = np.random.default_rng(seed).permutation(len(parts))
    found = split_concept(vectors[order])
    np.testing.assert_array_equal(found.subconcepts, parts[order])
    assert found.p_value == 1 / 40 and found.silhouettes.argmax() == 1 and len(found.silhouettes) == 7


@pytest.mark.slow
@pytest.mark.slow
def test_one_gaussian_is_one_concept():
    # The test's level is 5 %; of 15 clouds of each kind, more than 3 are split with a probability of 0.5 %.
    for shape in ([1.0, 1.0], [9.0, 3.0, 1.0, 1.0, 1.0, 1.0]):
        splits = 0
        for seed in range(15):
            cloud = np.random.default_rng(seed).normal(size=(30, len(shape))) * shape
            splits += split_concept(cloud, max_clusters=3).subconcepts.max() > 0
        assert splits <= 3, shape


def test_the_silhouette_alone_would_split_one_gaussian():
    found = split_concept(np.random.default_rng(0).normal(size=(60, 2)))
    assert found.subconcepts.max() == 0 and found.silhouettes.max() > 0.25 and found.p_value > 0.05


@pytest.mark.parametrize("seed", range(3))
def test_silhouettes_and_cuts_match_slow_twins(seed):
    vectors, _ = make_parts(seed, (9, 8, 6), 3, 2.0)
    found = split_concept(vectors, max_clusters=4)
    for count, silhouette in zip((2, 3, 4), found.silhouettes, strict=True):
        subconcepts = split_concept(vectors, count).subconcepts
        assert as_sets(subconcepts) == ward_slowly(vectors, count)
        assert silhouette == pytest.approx(silhouette_slowly(vectors, subconcepts), rel=1e-10)
        sizes = np.bincount(subconcepts)
        assert (np.diff(sizes) <= 0).all()


def test_height_cuts_the_tree_there():
    vectors = np.array([[0.0], [1.0], [10.0], [12.0], [11.0]])
    assert split_concept(vectors, height=0.5).subconcepts.max() == 4
    assert split_concept(vectors, height=3.0).subconcepts.tolist() == [1, 1, 0, 0, 0]
    assert split_concept(vectors, height=100.0).subconcepts.max() == 0
    assert np.isnan(split_concept(vectors, height=3.0).p_value)


def test_scale_shift_rotation_and_order_change_nothing():
    vectors, _ = make_parts(0)
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(8, 8)))
    expected, moved = split_concept(vectors), split_concept(100 * vectors @ turn + 3)
    np.testing.assert_array_equal(moved.subconcepts, expected.subconcepts)
    np.testing.assert_allclose(moved.silhouettes, expected.silhouettes, rtol=1e-9)
    order = np.random.default_rng(1).permutation(len(vectors))
    np.testing.assert_array_equal(split_concept(vectors[order]).subconcepts, expected.subconcepts[order])


def test_groups_of_one_size_are_numbered_as_they_come():
    vectors = np.array([[9.0], [0.0], [9.1], [0.1]])
    assert split_concept(vectors, 2).subconcepts.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_thin_data_is_one_group(n):
    found = split_concept(np.random.default_rng(0).normal(size=(n, 4)))
    assert found.subconcepts.tolist() == [0] * n and len(found.silhouettes) == 0 and np.isnan(found.p_value)


def test_identical_vectors():
    assert split_concept(np.ones((9, 3))).subconcepts.tolist() == [0] * 9
    assert split_concept(np.ones((9, 3)), 4).subconcepts.tolist() == [0] * 9
    twice = np.repeat(np.array([[0.0], [5.0]]), 6, axis=0)
    assert split_concept(twice, 5).subconcepts.tolist() == [0] * 6 + [1] * 6


def test_bad_calls_say_what_to_do():
    vectors = np.ones((3, 2))
    with pytest.raises(InputError, match=r"must not both be given, .* but got 2 and 1.0. Drop one"):
        split_concept(vectors, 2, height=1.0)
    with pytest.raises(InputError, match=r"`n_clusters` must be at least 1, but got 0"):
        split_concept(vectors, 0)
    with pytest.raises(InputError, match=r"`height` must be 0 or more \(a distance\), but got -1.0"):
        split_concept(vectors, height=-1.0)
    with pytest.raises(InputError, match=r"`max_clusters` must be at least 2 .* but got 1. Use `n_clusters=1`"):
        split_concept(vectors, max_clusters=1)
    with pytest.raises(InputError, match=r"1 of 2 rows hold NaN"):
        split_concept(np.array([[np.nan], [0.0]]))


@pytest.mark.parametrize("n", [4, 9, 40])
def test_silhouettes_are_scikit_learns(n):
    from sklearn.metrics import silhouette_score

    points = np.random.default_rng(n).normal(size=(n, 3))
    points[0] = points[1]
    for cut in (np.arange(n) % 2, np.minimum(np.arange(n), 2), np.arange(n) // 2):
        apart = squareform(pdist(points))
        expected = silhouette_score(apart, cut, metric="precomputed")
        found = _silhouettes(np.array([apart, 2 * apart]), np.array([[cut, cut], [cut, cut]]))
        assert found == pytest.approx(np.full((2, 2), expected), rel=1e-14)
