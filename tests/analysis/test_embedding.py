"""`embed_2d`: planted groups stay together, a seed repeats itself, and thin data is no error."""

import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from loce_jax.analysis import embedding
from loce_jax.analysis.embedding import embed_2d
from loce_jax.checks import InputError


def make_groups(seed, groups=3, each=25, channels=20):
    rng = np.random.default_rng(seed)
    labels = np.arange(groups * each) % groups
    centers = 8 * rng.normal(size=(groups, channels))
    return (centers[labels] + rng.normal(size=(len(labels), channels))).astype("float32"), labels


class RecordingUMAP:
    """Keeps what it is called with; its map is the first two channels.  The real one compiles for half a minute."""

    calls: list[dict]

    def __init__(self, **options):
        self.options = options

    def fit_transform(self, vectors):
        self.calls.append({**self.options, "vectors": vectors})
        return vectors[:, :2]


@pytest.mark.parametrize(("asked", "size"), [(None, 15), (6, 6)])
def test_umap_is_given_the_seed_and_exact_neighbors(asked, size, monkeypatch):
    monkeypatch.setattr(RecordingUMAP, "calls", [], raising=False)
    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=RecordingUMAP))
    vectors, _ = make_groups(0, groups=2, each=20)
    found = embed_2d(vectors.astype(float), seed=3, neighbors=asked)
    (call,) = RecordingUMAP.calls
    assert (call["n_neighbors"], call["init"], call["random_state"], call["n_jobs"]) == (size, "pca", 3, 1)
    assert call["vectors"].dtype == np.float32
    indices, distances = call["precomputed_knn"]
    apart = np.linalg.norm(vectors[:, None].astype(float) - vectors[None], axis=-1)
    np.testing.assert_array_equal(indices, np.argsort(apart, axis=1)[:, :size])  # the vector itself comes first
    np.testing.assert_allclose(distances, np.sort(apart, axis=1)[:, :size], rtol=1e-5, atol=1e-5)
    assert found.method == "umap" and np.ptp(found.points[:, 0]) >= np.ptp(found.points[:, 1])
    mine = np.linalg.norm(found.points[:, None] - found.points[None], axis=-1)
    flat = vectors[:, :2].astype(float)
    np.testing.assert_allclose(mine, np.linalg.norm(flat[:, None] - flat[None], axis=-1), atol=1e-5)  # turned only


@pytest.mark.slow
def test_umap_keeps_planted_groups_together_repeats_itself_and_is_silent():
    vectors, labels = make_groups(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        first, second = embed_2d(vectors, seed=3), embed_2d(vectors, seed=3)
    assert first.method == "umap"
    np.testing.assert_array_equal(first.points, second.points)
    distances = np.linalg.norm(first.points[:, None] - first.points[None], axis=-1) + np.diag([np.inf] * len(labels))
    assert (labels[distances.argmin(axis=1)] == labels).all()


def test_few_vectors_get_principal_components():
    rng = np.random.default_rng(0)
    flat = np.column_stack([rng.normal(size=12) * 5, rng.normal(size=12)])
    turn, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    result = embed_2d(np.hstack([flat, np.zeros((12, 4))]) @ turn)
    assert result.method == "pca"
    apart = [np.linalg.norm(p[:, None] - p[None], axis=-1) for p in (result.points, flat)]
    np.testing.assert_allclose(*apart, atol=1e-9)  # points of a plane keep their distances


@pytest.mark.parametrize(("asked", "used"), [(None, 15), (15, 15), (6, 6), (0, 2), (1, 2), (10**6, 39)])
def test_asked_neighborhoods_are_clipped_to_what_the_data_has(asked, used, monkeypatch):
    seen = []
    monkeypatch.setattr(embedding, "_umap", lambda vectors, seed, neighbors: seen.append(neighbors) or vectors[:, :2])
    embed_2d(np.random.default_rng(0).normal(size=(40, 5)), neighbors=asked)
    assert seen == [used]


@pytest.mark.slow
def test_larger_neighborhoods_lay_the_points_out_otherwise():
    vectors, _ = make_groups(0, groups=2, each=20)
    small, large = (embed_2d(vectors, neighbors=size).points for size in (0, 10**6))
    assert np.isfinite(small).all() and np.isfinite(large).all()
    assert not np.allclose(small, large)
    np.testing.assert_array_equal(embed_2d(vectors, neighbors=15).points, embed_2d(vectors).points)


@pytest.mark.parametrize("shape", [(0, 4), (1, 4), (2, 4), (5, 1), (1, 1)])
def test_thin_data(shape):
    result = embed_2d(np.random.default_rng(0).normal(size=shape))
    assert result.points.shape == (shape[0], 2) and np.isfinite(result.points).all() and result.method == "pca"


def test_constant_and_repeated_vectors():
    assert (embed_2d(np.ones((100, 7), "float32")).points == 0).all()
    repeated = np.repeat(make_groups(1)[0][:3], 40, axis=0)
    assert np.isfinite(embed_2d(repeated).points).all()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["collinear", "mostly repeated"])
def test_poor_data_for_umap(kind):
    line = np.linspace(0, 1, 60, dtype="float32")[:, None] * np.ones((1, 5), "float32")
    vectors = line if kind == "collinear" else np.vstack([line, np.zeros((60, 5), "float32")])
    result = embed_2d(vectors)
    assert result.method == "umap" and np.isfinite(result.points).all()


def test_bad_rows_are_refused_with_the_cure():
    with pytest.raises(InputError, match=r"1 of 2 rows hold NaN or infinity. Drop them first"):
        embed_2d(np.array([[0.0], [np.inf]]))
