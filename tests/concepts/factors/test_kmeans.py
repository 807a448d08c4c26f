"""k-means: planted concepts, one a cell, whatever the rotation; many cells in batches."""

import numpy as np
import pytest

from loce_jax.checks import InputError
from loce_jax.concepts.factors import kmeans
from loce_jax.concepts.factors.fit import fit
from loce_jax.concepts.factors.kmeans import KMeansOptions
from tests.concepts.factors.planted import best_cosines, clusters, rotation

OPTIONS = KMeansOptions(components=4)


@pytest.mark.parametrize("seed", range(3))
def test_planted_concepts_are_found(seed):
    cells, directions, labels = clusters(seed)
    found = fit(cells, OPTIONS)
    assert (best_cosines(found.atoms, directions) >= 0.99).all()
    codes = found.encode(cells)
    assert (codes.sum(axis=1) == 1).all()
    assert all(len(set(codes[labels == label].argmax(axis=1))) == 1 for label in range(4))
    for cell, code in zip(cells[:20], codes, strict=False):
        distances = [((cell - atom) ** 2).sum() for atom in found.atoms]
        assert int(np.argmin(distances)) == code.argmax()


def test_many_cells_are_clustered_in_batches_with_a_note(monkeypatch):
    monkeypatch.setattr(kmeans, "MANY_CELLS", 100)
    cells, directions, _ = clusters(0)
    found = fit(cells, OPTIONS)
    assert (best_cosines(found.atoms, directions) >= 0.99).all()
    assert found.notes == ("300 cells are many: clustered in batches",)


def test_rotated_copies_have_the_same_clusters():
    cells, _, _ = clusters(0)
    turned = (cells.astype(float) @ rotation(1, 8)).astype("f4")
    first, second = (fit(one, OPTIONS).encode(one) for one in (cells, turned))
    assert {tuple(column) for column in first.T} == {tuple(column) for column in second.T}


def test_fewer_different_cells_than_components_are_refused():
    with pytest.raises(InputError, match="at most the 2 different cells"):
        fit(np.eye(2).repeat(3, axis=0), OPTIONS)
