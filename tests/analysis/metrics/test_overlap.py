"""`overlap_ratio` against recorded values of the original code, a slow twin, and planted clouds."""

import numpy as np
import pytest

from loce_jax.analysis.metrics.overlap import overlap_ratio
from loce_jax.analysis.neighbors.interclass import interclass_distances
from loce_jax.checks import InputError


def make_clouds(seed, n=60, channels=3):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, channels)), rng.permutation(np.arange(n) % 3)


def overlap_slowly(vectors, labels):
    concepts = sorted(set(labels.tolist()))
    matrix = np.zeros((len(concepts), len(concepts)))
    for i, mine in enumerate(concepts):
        for j, other in enumerate(concepts):
            rows = [a for a in range(len(labels)) if labels[a] == mine]
            for a in rows if i != j else ():
                own = [((vectors[a] - vectors[b]) ** 2).sum() for b in rows if b != a]
                foreign = [((vectors[a] - vectors[b]) ** 2).sum() for b in range(len(labels)) if labels[b] == other]
                matrix[i, j] += (min(foreign) < min(own)) / len(rows)
    return matrix


def use_blocks(monkeypatch, tile=128):
    monkeypatch.setattr("loce_jax.analysis.neighbors.interclass._FEW", 0)
    monkeypatch.setattr("loce_jax.analysis.neighbors.blocked._TILE", tile)


@pytest.mark.parametrize("layer", ["1", "2"])
def test_reproduces_the_original_code(layer, shared):
    recorded = np.load(shared("golden", "analysis.npz"))
    result = overlap_ratio(recorded[f"X{layer}"], recorded["labels"])
    assert result.concepts == (3, 6, 8, 17, 18, 24)
    np.testing.assert_allclose(result.matrix, recorded[f"overlap_L{layer}"], rtol=1e-15)  # counts over 30


@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("seed", range(2))
def test_matches_slow_twin(seed, blocks, monkeypatch):
    if blocks:
        use_blocks(monkeypatch)
    vectors, labels = make_clouds(seed)
    found = overlap_ratio(vectors, labels).matrix
    assert found.max() > 0.3  # the clouds do overlap
    np.testing.assert_allclose(found, overlap_slowly(vectors, labels), rtol=1e-12)


@pytest.mark.parametrize("far", [0, 1e6])
def test_many_vectors_overlap_like_few_where_float32_cannot_tell(far, monkeypatch):
    rng = np.random.default_rng(1)
    labels = np.arange(400) % 4
    vectors = np.round(rng.normal(size=(400, 4)), 1) * 1e-3  # many equal distances, small beside the outlier's
    vectors[7] = far
    expected = interclass_distances(vectors, labels)
    use_blocks(monkeypatch)
    found = interclass_distances(vectors, labels)
    for name in ("nearest", "farthest", "overlap_counts"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_a_wide_cloud_overlaps_a_dense_one_inside_it():
    rng = np.random.default_rng(0)
    vectors = np.concatenate([rng.normal(size=(20, 1)), rng.normal(size=(20, 1)) * 0.001])
    matrix = overlap_ratio(vectors, np.repeat(["wide", "dense"], 20)).matrix
    assert matrix[0, 1] == 0  # "dense" comes first
    assert matrix[1, 0] > 0


def test_scale_order_and_names_change_nothing():
    vectors, labels = make_clouds(4)
    expected = overlap_ratio(vectors, labels).matrix
    order = np.random.default_rng(0).permutation(len(labels))
    np.testing.assert_array_equal(overlap_ratio(4 * vectors, labels).matrix, expected)
    np.testing.assert_array_equal(overlap_ratio(vectors[order], labels[order]).matrix, expected)
    renamed = overlap_ratio(vectors, np.array(["c", "b", "a"])[labels])
    np.testing.assert_array_equal(renamed.matrix, expected[::-1, ::-1])


def test_one_vector_has_no_other():
    vectors, labels = np.array([[0.0], [1.0], [9.0]]), ["a", "a", "b"]
    np.testing.assert_array_equal(overlap_ratio(vectors, labels).matrix, [[0, 0], [np.nan, 0]])
    np.testing.assert_array_equal(overlap_ratio(vectors, labels, paper=True).matrix, [[0, 0], [1, 0]])


def test_copies_none_and_one_concept():
    assert overlap_ratio(np.ones((4, 2)), ["a", "a", "b", "b"]).matrix.tolist() == [[0, 0], [0, 0]]
    assert overlap_ratio(np.ones((2, 2)), ["a", "a"]).matrix.tolist() == [[0]]
    assert overlap_ratio(np.zeros((0, 2)), []).matrix.shape == (0, 0)
    with pytest.raises(InputError, match="1 of 2 rows hold NaN"):
        overlap_ratio(np.array([[np.nan], [1.0]]), ["a", "b"])


def test_concepts_of_very_different_size_in_blocks(monkeypatch):
    rng = np.random.default_rng(3)
    labels = np.repeat([0, 1, 2, 3], [1, 33, 300, 2])
    vectors = rng.normal(size=(len(labels), 6)) + 100
    expected = interclass_distances(vectors, labels)
    use_blocks(monkeypatch, tile=64)
    found = interclass_distances(vectors, labels)
    for name in ("nearest", "farthest", "overlap_counts"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
