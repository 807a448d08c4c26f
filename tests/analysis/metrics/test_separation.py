"""Pairwise and category separation against recorded values of the original code, slow twins, and symmetries."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.metrics.pairwise import euclidean_distances

from loce_jax.analysis.metrics.separation import category_separation, pairwise_separation, percentile_of
from loce_jax.analysis.neighbors.interclass import interclass_distances
from loce_jax.checks import InputError
from tests.support.selection import further


def make_clouds(seed, n=30, channels=5):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, channels)), rng.permutation(np.arange(n) % 4)


def separate_slowly(vectors, labels, i, j):
    def distances(rows, columns):
        return [float(np.sqrt(((a - b) ** 2).sum())) for a in rows for b in columns]

    first, second = vectors[labels == i], vectors[labels == j]
    both = np.vstack([first, second])
    return min(distances(first, second)) / (max(distances(both, both)) + 1e-6)


@pytest.mark.parametrize("layer", ["1", "2"])
def test_reproduces_the_original_code(layer, shared):
    recorded = np.load(shared("golden", "analysis.npz"))
    vectors, labels, expected = recorded[f"X{layer}"], recorded["labels"], recorded[f"pairwise_sep_L{layer}"]
    result = pairwise_separation(vectors, labels)
    assert result.concepts == (3, 6, 8, 17, 18, 24)
    np.testing.assert_allclose(result.matrix, expected, rtol=0, atol=1e-7)
    # What is left is float32: it expands distances into dot products and divides in that precision.  Redo it so.
    rounded = euclidean_distances(vectors)
    for row, i in enumerate(result.concepts):
        for column, j in enumerate(result.concepts[:row]):
            both = np.isin(labels, (i, j))
            gap, size = rounded[np.ix_(labels == i, labels == j)].min(), rounded[np.ix_(both, both)].max()
            assert float(gap / (size + 1e-6)) == pytest.approx(expected[row, column], abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_matches_slow_twin(seed):
    vectors, labels = make_clouds(seed)
    result = pairwise_separation(vectors, labels)
    assert result.concepts == (0, 1, 2, 3)
    for i in range(4):
        for j in range(4):
            expected = 0 if i == j else separate_slowly(vectors, labels, i, j)
            assert result.matrix[i, j] == pytest.approx(expected, rel=1e-12)


def test_hand_computed_values():
    vectors = np.array([[0.0, 0.0], [0.0, 4.0], [3.0, 0.0]])
    assert pairwise_separation(vectors, ["a", "a", "b"]).matrix[0, 1] == pytest.approx(3 / (5 + 1e-6), rel=1e-14)


@pytest.mark.parametrize("seed", range(3))
def test_scale_shift_and_order_change_nothing(seed):
    vectors, labels = make_clouds(seed)
    expected = pairwise_separation(vectors, labels).matrix
    order = np.random.default_rng(seed + 100).permutation(len(labels))
    np.testing.assert_allclose(pairwise_separation(1000 * vectors, labels).matrix, expected, rtol=1e-5)  # the 1e-6
    np.testing.assert_allclose(pairwise_separation(vectors + 7, labels).matrix, expected, rtol=1e-12)
    np.testing.assert_array_equal(pairwise_separation(vectors[order], labels[order]).matrix, expected)
    np.testing.assert_array_equal(expected, expected.T)


@pytest.mark.parametrize("seed", range(2))
def test_many_vectors_are_separated_like_few(seed, monkeypatch):
    vectors, labels = make_clouds(seed, n=500)
    vectors[:20] = vectors[20:40]
    expected = interclass_distances(vectors, labels)
    monkeypatch.setattr("loce_jax.analysis.neighbors.interclass._FEW", 0)
    monkeypatch.setattr("loce_jax.analysis.neighbors.blocked._TILE", 128)
    found = interclass_distances(vectors, labels)
    for name in ("counts", "nearest", "farthest", "overlap_counts"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_coinciding_none_and_single_vectors():
    assert pairwise_separation(np.ones((4, 2)), ["a", "a", "b", "b"]).matrix.tolist() == [[0, 0], [0, 0]]
    assert pairwise_separation(np.zeros((0, 2)), []).matrix.shape == (0, 0)
    assert pairwise_separation(np.ones((1, 2)), ["a"]).matrix.tolist() == [[0]]


def test_bad_rows_are_refused_with_the_cure():
    with pytest.raises(InputError, match=r"1 of 3 rows hold NaN or infinity. Drop them first"):
        pairwise_separation(np.array([[0.0], [np.nan], [1.0]]), ["a", "a", "b"])
    with pytest.raises(InputError, match=r"`labels` must have shape \(3,\) \(one per vector\), but got \(2,\)"):
        pairwise_separation(np.zeros((3, 1)), ["a", "b"])


@pytest.mark.parametrize("layer", ["1", "2"])
def test_categories_reproduce_the_original_code(layer, shared):
    recorded = np.load(shared("golden", "analysis.npz"))
    result = category_separation(recorded[f"X{layer}"], recorded["labels"])
    found = np.stack([result.intra, result.inter, result.index], axis=1)
    # The recorded distances were expanded into dot products in float32: 12 * 2**-23 each, more after the subtraction.
    np.testing.assert_allclose(found, recorded[f"sep_L{layer}"], rtol=1e-6)


@pytest.mark.parametrize("seed", range(2))
def test_categories_match_slow_twin(seed):
    vectors, labels = make_clouds(seed)
    result = category_separation(vectors, labels)
    for i, concept in enumerate(result.concepts):
        mine, others = vectors[labels == concept], vectors[labels != concept]
        pairs = [
            np.sqrt(((mine[a] - mine[b]) ** 2).sum()) for a in range(len(mine)) for b in range(len(mine)) if a != b
        ]
        least = min(np.sqrt(((a - b) ** 2).sum()) for a in mine for b in others)
        assert result.intra[i] == pytest.approx(sum(pairs) / len(pairs), rel=1e-12)
        assert result.inter[i] == pytest.approx(least, rel=1e-12)
        assert result.index[i] == pytest.approx(least / (sum(pairs) / len(pairs)), rel=1e-12)


def test_categories_do_not_depend_on_scale_and_shift():
    vectors, labels = make_clouds(5)
    expected = category_separation(vectors, labels)
    np.testing.assert_allclose(category_separation(3 * vectors + 7, labels).index, expected.index, rtol=1e-12)
    np.testing.assert_allclose(category_separation(3 * vectors, labels).intra, 3 * expected.intra, rtol=1e-12)


def test_categories_of_which_nothing_can_be_said():
    alone = category_separation(np.array([[0.0], [2.0], [5.0]]), ["a", "a", "b"])
    np.testing.assert_array_equal(alone.intra, [2, np.nan])
    np.testing.assert_array_equal(alone.inter, [3, 3])
    np.testing.assert_array_equal(alone.index, [1.5, np.nan])
    only = category_separation(np.array([[0.0], [2.0]]), ["a", "a"])
    assert only.intra.tolist() == [2] and np.isnan(only.inter).all() and np.isnan(only.index).all()
    copies = category_separation(np.array([[0.0], [0.0], [0.0], [1.0]]), ["a", "a", "b", "b"])
    np.testing.assert_array_equal(copies.index, [np.nan, 0])
    assert category_separation(np.array([[0.0], [0.0], [4.0]]), ["a", "a", "b"]).index[0] == np.inf
    assert category_separation(np.zeros((0, 2)), []).intra.shape == (0,)


def test_percentiles_match_slow_twin_and_resist_an_outlier():
    vectors, labels = make_clouds(2)
    np.testing.assert_allclose(
        pairwise_separation(vectors, labels, percentile=0).matrix,
        pairwise_separation(vectors, labels).matrix,
        rtol=1e-12,
    )
    result = pairwise_separation(vectors, labels, percentile=5)
    for i in range(4):
        for j in range(i):
            between = [np.linalg.norm(a - b) for a in vectors[labels == i] for b in vectors[labels == j]]
            both = vectors[(labels == i) | (labels == j)]
            every = [np.linalg.norm(both[a] - both[b]) for a in range(len(both)) for b in range(a)]
            expected = np.percentile(between, 5) / (np.percentile(every, 95) + 1e-6)
            assert result.matrix[i, j] == result.matrix[j, i] == pytest.approx(expected, rel=1e-12)

    rng = np.random.default_rng(0)
    apart = np.concatenate([rng.normal(size=(60, 3)), rng.normal(size=(60, 3)) + 20])
    names = np.repeat(["a", "b"], 60)
    clean = [pairwise_separation(apart, names, percentile=p).matrix[0, 1] for p in (None, 5)]
    apart[0] = apart[60] + 1e-3
    stained = [pairwise_separation(apart, names, percentile=p).matrix[0, 1] for p in (None, 5)]
    assert clean[0] > 0.5 and stained[0] < 1e-3  # one vector decides the paper's value
    assert stained[1] == pytest.approx(clean[1], abs=0.02)  # and hardly moves the other


def test_contacts_are_reused_and_checked():
    vectors, labels = make_clouds(1)
    interclass = interclass_distances(vectors, labels)
    expected = pairwise_separation(vectors, labels).matrix
    np.testing.assert_array_equal(pairwise_separation(vectors, labels, interclass=interclass).matrix, expected)
    with pytest.raises(InputError, match="`interclass` must be of these vectors and labels"):
        pairwise_separation(vectors[1:], labels[1:], interclass=interclass)
    with pytest.raises(InputError, match="`percentile` must be from 0"):
        pairwise_separation(vectors, labels, percentile=95)


@pytest.mark.parametrize("percentile", [0.0, 5.0, 50.0])
def test_robust_category_separation_matches_slow_twin(percentile):
    vectors, labels = make_clouds(0)
    found = category_separation(vectors, labels, percentile=percentile)
    for place, concept in enumerate(found.concepts):
        between = sorted(
            float(np.sqrt(((a - b) ** 2).sum())) for a in vectors[labels == concept] for b in vectors[labels != concept]
        )
        at = percentile / 100 * (len(between) - 1)
        low, high = between[int(at)], between[min(int(at) + 1, len(between) - 1)]
        assert found.inter[place] == pytest.approx(low + (at % 1) * (high - low), rel=1e-12)
        assert found.index[place] == pytest.approx(found.inter[place] / found.intra[place], rel=1e-12)
    if percentile == 0:
        np.testing.assert_allclose(found.index, category_separation(vectors, labels).index, rtol=1e-12)


def test_one_outlier_moves_the_paper_category_separation_and_hardly_the_robust_one():
    rng = np.random.default_rng(0)
    vectors = np.vstack([rng.normal(size=(60, 4)), rng.normal(size=(60, 4)) + 12])
    labels = np.repeat([0, 1], 60)
    strayed = vectors.copy()
    strayed[0] = vectors[60] + 0.01

    def change(**options):
        before, after = (category_separation(cloud, labels, **options).inter for cloud in (vectors, strayed))
        return float(np.abs(after / before - 1).max())

    assert change() > 0.9 and change(percentile=5.0) < 0.1


def distances_slowly(vectors, labels):
    """Nearest, farthest and overlap counts from the definitions, pair by pair."""
    concepts, n = sorted(set(labels.tolist())), len(labels)
    apart = np.array([[np.sqrt(((a - b) ** 2).sum()) for b in vectors] for a in vectors])
    others = apart + np.diag(np.full(n, np.inf))
    nearest, farthest, overlaps = (np.zeros((len(concepts),) * 2) for _ in range(3))
    for i, mine in enumerate(concepts):
        for j, other in enumerate(concepts):
            rows, columns = labels == mine, labels == other
            nearest[i, j] = others[rows][:, columns].min()
            farthest[i, j] = apart[rows][:, columns].max()
            overlaps[i, j] = (others[rows][:, columns].min(axis=1) < others[rows][:, rows].min(axis=1)).sum()
    return nearest, farthest, overlaps


@pytest.mark.parametrize("concepts", [2, 17, *further(60, 119)])
@pytest.mark.parametrize("few", [0, 2000], ids=["by bounds", "all at once"])
def test_many_concepts_are_as_by_definition_and_cost_no_more(concepts, few, monkeypatch):
    """At most every pair of vectors is measured, however many concepts there are."""
    rng, n = np.random.default_rng(concepts), 120
    labels = rng.permutation(np.arange(n) % concepts)
    vectors = rng.normal(size=(n, 3)) + labels[:, None] / concepts
    vectors[:9] = vectors[9:18]
    measured = []

    def counting(a, b):
        measured.append(len(a) * len(b))
        return cdist(a, b)

    for name, value in {"_FEW": few, "_AT_ONCE": 50, "_SMALL": 0, "cdist": counting}.items():
        monkeypatch.setattr(f"loce_jax.analysis.neighbors.interclass.{name}", value)
    monkeypatch.setattr("loce_jax.analysis.neighbors.blocked._TILE", 128)
    found = interclass_distances(vectors, labels)
    nearest, farthest, overlaps = distances_slowly(vectors, labels)
    np.testing.assert_allclose(found.nearest, nearest, rtol=1e-14)
    np.testing.assert_allclose(found.farthest, farthest, rtol=1e-14)
    np.testing.assert_array_equal(found.overlap_counts, overlaps)
    assert sum(measured) <= n**2 and len(measured) <= 2 * concepts + n


@pytest.mark.parametrize("percentile", [0, 5, 12.5, 50])
def test_robust_forms_are_those_of_plain_percentiles(percentile):
    vectors, labels = make_clouds(5, n=40)
    apart, order = cdist(vectors, vectors), sorted(set(labels.tolist()))
    found = pairwise_separation(vectors, labels, percentile=percentile).matrix
    inter = category_separation(vectors, labels, percentile=percentile).inter
    for i, mine in enumerate(order):
        assert inter[i] == np.percentile(apart[labels == mine][:, labels != mine], percentile)
        for j, other in enumerate(order[:i]):
            both, between = (labels == mine) | (labels == other), apart[labels == mine][:, labels == other]
            inside = apart[both][:, both][np.triu_indices(both.sum(), 1)]
            expected = np.percentile(between, percentile) / (np.percentile(inside, 100 - percentile) + 1e-6)
            assert found[i, j] == found[j, i] == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("n", [1, 2, 3, 10, 57])
def test_one_percentile_is_numpys_to_the_last_bit(n):
    values = np.random.default_rng(n).normal(size=n)
    for percentile in (0, 5, 33.3, 50, 87.5, 100):
        assert percentile_of(values, percentile) == np.percentile(values, percentile)
