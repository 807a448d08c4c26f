"""Layers joined to one cloud: a slow twin, what lengths must not do, and zeros."""

import numpy as np
import pytest

from loce_jax.analysis.concatenation import concatenate
from loce_jax.analysis.vectors import unit_rows
from loce_jax.checks import InputError


def make_parts(seed, n=7, widths=(3, 5, 1)):
    rng = np.random.default_rng(seed)
    return {f"layer{place}": rng.normal(size=(n, width)) for place, width in enumerate(widths)}


def join_slowly(layers, normalized):
    rows = []
    for i in range(len(next(iter(layers.values())))):
        row = []
        for vectors in layers.values():
            length = sum(float(x) ** 2 for x in vectors[i]) ** 0.5 if normalized else 1.0
            row += [float(x) / length for x in vectors[i]]
        rows.append(row)
    return rows


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_matches_slow_twin(seed, normalized):
    layers = make_parts(seed)
    joined = concatenate(layers, normalized=normalized)
    assert (joined.layers, joined.widths) == (("layer0", "layer1", "layer2"), (3, 5, 1))
    np.testing.assert_allclose(joined.vectors, join_slowly(layers, normalized), rtol=1e-14)


def test_the_original_code_joins_raw_vectors(shared):
    with np.load(shared("golden", "analysis.npz")) as recorded:
        chosen = np.arange(180).reshape(6, 30)[:, :25].ravel()  # those that it clustered
        first, second, expected = recorded["X1"][chosen], recorded["X2"][chosen], recorded["Z_ward_euclidean_L1L2"]
    joined = concatenate({"L1": first, "L2": second}).vectors
    nearest = expected[0, :2].astype(int)  # the first merge of the linkage: the two nearest vectors
    difference = joined[nearest[0]] - joined[nearest[1]]
    # Ward's linkage in SciPy works on float64 distances of the same numbers: only the order of additions differs.
    assert np.linalg.norm(difference) == pytest.approx(expected[0, 2], rel=1e-12)


def test_normalized_layers_count_alike_whatever_their_scale():
    layers = make_parts(0)
    expected = concatenate(layers, normalized=True).vectors
    for scale in (1e-300, 1e-3, 1e300):  # squares of the extremes are 0 and infinite
        scaled = {**layers, "layer1": layers["layer1"] * scale}
        np.testing.assert_allclose(concatenate(scaled, normalized=True).vectors, expected, rtol=1e-13)
    cosines = sum(unit_rows(part) @ unit_rows(part).T for part in layers.values())
    gaps = ((expected[:, None] - expected) ** 2).sum(axis=2)
    np.testing.assert_allclose(gaps, 2 * (len(layers) - cosines), atol=1e-14)


def test_zeros_stay_zero_and_no_rows_are_allowed():
    layers = {"a": np.array([[0.0, 0.0], [3.0, 4.0]]), "b": np.array([[2.0], [0.0]])}
    assert concatenate(layers, normalized=True).vectors.tolist() == [[0, 0, 1], [0.6, 0.8, 0]]
    assert concatenate({"a": np.zeros((0, 2)), "b": np.zeros((0, 3))}, normalized=True).vectors.shape == (0, 5)
    assert concatenate({"a": np.ones((2, 1), np.float32)}).vectors.dtype == np.float64


def test_rows_that_do_not_match_are_refused():
    with pytest.raises(
        InputError, match=r"`layers\['b'\]` must have shape \(2, 3\) .* but got \(4, 3\). Keep the pairs"
    ):
        concatenate({"a": np.zeros((2, 1)), "b": np.zeros((4, 3))})
    with pytest.raises(InputError, match=r"`layers\['b'\]` must be finite"):
        concatenate({"a": np.zeros((2, 1)), "b": np.array([[np.nan], [0.0]])})
    with pytest.raises(InputError, match="at least one layer"):
        concatenate({})
