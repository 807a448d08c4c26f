"""`nearest_neighbors` against a slow twin, on few vectors and, block by block, on many."""

import math

import jax
import numpy as np
import pytest

from loce_jax.analysis.neighbors import blocked
from loce_jax.analysis.neighbors.nearest import nearest_neighbors
from loce_jax.checks import InputError
from tests.support.selection import further


def distance(a, b, metric):
    if metric == "euclidean":
        return math.sqrt(math.fsum((x - y) ** 2 for x, y in zip(a, b, strict=True)))
    lengths = math.hypot(*a) * math.hypot(*b)
    return 1 - math.fsum(x * y for x, y in zip(a, b, strict=True)) / lengths if lengths else 1.0


def search_slowly(vectors, k, metric, groups):
    indices, distances = [], []
    for i, a in enumerate(vectors.tolist()):
        others = [(distance(a, b, metric), j) for j, b in enumerate(vectors.tolist()) if groups[i] != groups[j]]
        others = (sorted(others) + [(math.inf, -1)] * k)[:k]
        indices.append([j for _, j in others])
        distances.append([d for d, _ in others])
    return np.array(indices), np.array(distances)


def use_blocks(monkeypatch, tile=128):
    monkeypatch.setattr("loce_jax.analysis.neighbors.nearest._FEW", 0)
    monkeypatch.setattr("loce_jax.analysis.neighbors.blocked._TILE", tile)


@pytest.fixture(params=["blocks", *further("few", "short_blocks")])
def size(request, monkeypatch):
    if request.param != "few":
        monkeypatch.setattr("loce_jax.analysis.neighbors.nearest._SPARE", 1)
        use_blocks(monkeypatch, 256 if request.param == "blocks" else 32)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("grouped", ["alone", "in_order", "mixed"])
def test_matches_slow_twin(size, metric, grouped):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(300, 5)) + 2
    groups = {"alone": np.arange(300), "in_order": np.arange(300) // 7, "mixed": rng.integers(0, 40, 300)}[grouped]
    found = nearest_neighbors(vectors, 4, metric=metric, groups=None if grouped == "alone" else groups)
    indices, distances = search_slowly(vectors, 4, metric, groups)
    np.testing.assert_array_equal(found.indices, indices)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-12, atol=1e-15)  # 1 - cos cancels in the twin


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_copies_and_zeros_are_ordered_by_index(size, metric):
    rng = np.random.default_rng(1)
    vectors = rng.integers(0, 2, (300, 3)).astype(np.float32)  # eight different ones; of the cosine's, zeros
    found = nearest_neighbors(vectors, 50, metric=metric)
    indices, distances = search_slowly(vectors, 50, metric, np.arange(300))
    np.testing.assert_allclose(found.distances, distances, rtol=0, atol=1e-15)
    if metric == "euclidean":
        np.testing.assert_array_equal(found.indices, indices)
    zero = np.flatnonzero(~vectors.any(axis=1))
    for row in zero if metric == "cosine" else ():
        assert found.indices[row].tolist() == [i for i in range(51) if i != row][:50]
    for row in set(range(300)) - set(zero):
        copies = [i for i in range(300) if (vectors[i] == vectors[row]).all() and i != row]
        assert [i for i in found.indices[row] if i in copies] == copies[:50]
        assert (found.distances[row][np.isin(found.indices[row], copies)] == 0).all()


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_float32_cannot_mislead(size, metric):
    """Distances that differ by less than float32 resolves, far from the origin and beside an outlier."""
    rng = np.random.default_rng(2)
    vectors = 1 + 1e-7 * rng.normal(size=(300, 4))
    vectors[5] = 1e5
    found = nearest_neighbors(vectors, 3, metric=metric)
    if metric == "euclidean":
        indices, distances = search_slowly(vectors, 3, metric, np.arange(300))
    else:
        units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        indices, distances = search_slowly(units, 3, "euclidean", np.arange(300))
        distances = distances**2 / 2
    np.testing.assert_allclose(found.distances, distances, rtol=1e-6)  # the unit vectors are rounded to 1e-16 / 1e-7
    agree = (found.indices == indices).mean()
    assert agree == 1 if metric == "euclidean" else agree > 0.99


def test_more_neighbors_than_vectors(size):
    found = nearest_neighbors(np.array([[1.0, 0.0], [1.0, 1.0]]), 3)
    assert found.indices.tolist() == [[1, -1, -1], [0, -1, -1]]
    assert np.isinf(found.distances[:, 1:]).all()
    alone = nearest_neighbors(np.ones((1, 2)), 1)
    assert alone.indices.tolist() == [[-1]] and np.isinf(alone.distances).all()
    together = nearest_neighbors(np.ones((3, 2)), 1, groups=["a", "a", "a"])
    assert together.indices.tolist() == [[-1], [-1], [-1]]


def test_no_vectors():
    assert nearest_neighbors(np.zeros((0, 2)), 3).indices.shape == (0, 3)


def test_order_and_scale_change_nothing(size):
    rng = np.random.default_rng(3)
    vectors, order = rng.normal(size=(100, 6)), rng.permutation(100)
    for metric in ("cosine", "euclidean"):
        expected = nearest_neighbors(vectors, 3, metric=metric)
        np.testing.assert_array_equal(
            order[nearest_neighbors(vectors[order], 3, metric=metric).indices], expected.indices[order]
        )
        for scale in (2.0**-40, 2.0**40):
            scaled = nearest_neighbors(scale * vectors, 3, metric=metric)
            np.testing.assert_array_equal(scaled.indices, expected.indices)
            np.testing.assert_array_equal(
                scaled.distances, expected.distances * (scale if metric == "euclidean" else 1)
            )


@pytest.mark.slow
def test_bounds_hold_and_are_close():
    """What `blocked` promises, from the definition: on ordinary data, on one cluster among outliers, on copies."""
    rng = np.random.default_rng(4)
    ordinary = rng.normal(size=(500, 40))
    outliers = ordinary * 1e-4
    outliers[::50] = ordinary[::50] * 1e4
    for points in (ordinary, outliers, np.round(ordinary[:, :3]), np.zeros((70, 2)), 1e-25 * ordinary):
        concepts = np.arange(len(points)) % 3
        squares = ((points[:, None] - points[None]) ** 2).sum(axis=2)
        bounds = blocked.concept_bounds(points, concepts)
        for concept in range(3):
            to_concept = squares[:, concepts == concept]
            assert (
                np.abs(bounds.farthest[:, concept] - to_concept.max(axis=1)) <= bounds.error_bound[:, concept]
            ).all()
            to_concept = np.where(np.eye(len(points), dtype=bool), np.inf, squares)[:, concepts == concept]
            assert (np.abs(bounds.nearest[:, concept] - to_concept.min(axis=1)) <= bounds.error_bound[:, concept]).all()
        assert (bounds.error_bound <= 1e-5 * (points**2).sum(axis=1).max() + 1e-30).all()

        np.fill_diagonal(squares, np.inf)
        chosen, limits = blocked.candidates(points, (points**2).sum(axis=1), np.arange(len(points)), 9)
        np.put_along_axis(squares, chosen, np.inf, axis=1)
        assert (squares.min(axis=1) >= limits * (1 - 1e-12)).all()
        assert (chosen != np.arange(len(points))[:, None]).all() and (np.diff(np.sort(chosen, axis=1)) > 0).all()


def test_compilations_do_not_depend_on_the_number(monkeypatch, caplog):
    use_blocks(monkeypatch, 96)  # a shape that no other test compiles
    rng = np.random.default_rng(5)

    def compilations(n):
        caplog.clear()
        with jax.log_compiles():
            nearest_neighbors(rng.normal(size=(n, 7)), 3)
        return sum("Compiling" in record.getMessage() for record in caplog.records)

    assert compilations(100) > 0
    assert [compilations(n) for n in (10, 150, 400)] == [0, 0, 0]


def test_bad_calls_are_refused_with_the_cure():
    with pytest.raises(InputError, match="`k` must be at least 1"):
        nearest_neighbors(np.ones((2, 2)), 0)
    with pytest.raises(InputError, match="unknown metric 'cosin'. Did you mean 'cosine'"):
        nearest_neighbors(np.ones((2, 2)), 1, metric="cosin")
    with pytest.raises(InputError, match=r"`groups` must have shape \(2,\)"):
        nearest_neighbors(np.ones((2, 2)), 1, groups=[1])
