"""Repeated clusterings share their subsets between layers; the original loader's orders are reproduced, and why not."""

import json

import numpy as np
import pytest

from loce_jax.analysis.clustering.cut import RELAXED, cluster
from loce_jax.analysis.clustering.repeats import repeat_clustering
from loce_jax.analysis.metrics.purity import cluster_purity
from loce_jax.analysis.paper_forms import paper_order, paper_split
from loce_jax.analysis.sampling import subsample
from loce_jax.checks import InputError


@pytest.fixture(scope="module")
def recorded(shared):
    notes = json.loads(shared("golden", "analysis.json").read_text())
    return notes["names"], np.load(shared("golden", "analysis.npz"))["labels"], notes["loaders"]


def by_concept(rows, labels):
    return {str(concept): rows[labels[rows] == concept].tolist() for concept in np.unique(labels)}


@pytest.mark.parametrize("seed", [None, 0, 42])
def test_reproduces_the_original_orders_and_splits(seed, recorded):
    names, labels, loaders = recorded
    first = paper_order(names, labels, seed)
    assert by_concept(first, labels) == loaders[f"seed_{seed}_first_load"]
    assert by_concept(paper_order(names, labels, seed, loads=2), labels) == loaders[f"seed_{seed}_second_load"]
    train, test = paper_split(labels, first)
    assert by_concept(train, labels) == loaders[f"seed_{seed}_train"]
    assert by_concept(test, labels) == loaders[f"seed_{seed}_test"]
    assert np.all(np.diff(labels[first]) >= 0)


def test_the_area_filter_is_strict_and_comes_before_the_order(recorded):
    names, labels, loaders = recorded
    area = np.array([loaders["area_used"][str(i)] for i in range(180)])
    kept = np.flatnonzero((area > 0.1) & (area < 0.5))
    order = kept[paper_order([names[i] for i in kept], labels[kept], None)]
    assert by_concept(order, labels) == loaders["area_0.1_0.5"]


def test_a_second_load_takes_other_embeddings_and_a_subset_does_not(recorded):
    names, labels, _ = recorded
    first, second = (set(paper_order(names, labels, 0, loads=n)[:10].tolist()) for n in (1, 2))
    assert first != second
    np.testing.assert_array_equal(subsample(labels, 10, 0), subsample(labels, 10, 0))


def test_subsets_are_even_and_of_the_right_size():
    labels = np.array(["cat"] * 50 + ["dog"] * 3 + ["emu"] * 20)
    chosen = [subsample(labels, 10, seed) for seed in range(400)]
    for rows in chosen:
        assert (np.diff(rows) > 0).all()
        assert [np.sum(labels[rows] == c) for c in ("cat", "dog", "emu")] == [10, 3, 10]
    counts = np.bincount(np.concatenate(chosen), minlength=73)
    # Of 400 draws a cat is in 80 +- 8 (binomial); five deviations happen to none of 50 in a million runs but 30
    assert np.abs(counts[:50] - 80).max() < 40
    assert counts[50:53].tolist() == [400] * 3
    assert subsample([], 10, 0).tolist() == []
    with pytest.raises(InputError, match=r"`max_per_concept` must be at least 1.*got 0"):
        subsample(labels, 0, 0)


def make_layers(seed, n=90):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % 3)
    return {"noise": rng.normal(size=(n, 5)), "good": 9 * np.eye(3)[labels] + rng.normal(size=(n, 3))}, labels


def test_matches_clustering_by_hand():
    layers, labels = make_layers(0)
    found = repeat_clustering(layers, labels, RELAXED, seeds=4, max_per_concept=20)
    assert found.layers == ("noise", "good")
    for i, vectors in enumerate(layers.values()):
        for j in range(4):
            rows = subsample(labels, 20, j)
            one = cluster(vectors[rows], labels[rows], RELAXED, n_total=90)
            assert found.purity[i, j] == cluster_purity(one.labels, labels[rows])
            assert found.clusters[i, j] == one.labels.max() + 1
    mean, std = found.mean(), found.std()
    assert mean[0][0] == pytest.approx(sum(found.purity[0]) / 4)
    expected = np.sqrt(sum((found.clusters[0] - mean[1][0]) ** 2) / 3)
    assert std[1][0] == pytest.approx(expected)
    assert mean[0][1] == 1
    assert mean[1][1] == 3
    assert std[1][1] == 0
    assert mean[1][0] > 10


def test_layers_are_compared_on_the_same_rows():
    layers, labels = make_layers(1)
    found = repeat_clustering({"a": layers["noise"], "b": layers["noise"] * 2}, labels, seeds=5, max_per_concept=15)
    np.testing.assert_array_equal(found.purity[0], found.purity[1])
    np.testing.assert_array_equal(found.clusters[0], found.clusters[1])
    assert len(set(found.clusters[0].tolist())) > 1  # the seeds do differ


def test_one_seed_has_no_spread_and_none_is_refused():
    layers, labels = make_layers(2)
    assert np.isnan(repeat_clustering(layers, labels, seeds=1).std()).all()
    with pytest.raises(InputError, match=r"`seeds` must be at least 1.*got 0"):
        repeat_clustering(layers, labels, seeds=0)
    with pytest.raises(InputError, match=r"`labels` must have shape \(89,\)"):
        repeat_clustering({"good": layers["good"], "short": layers["noise"][1:]}, labels)


def test_seeds_that_draw_every_row_are_computed_once(monkeypatch):
    rng = np.random.default_rng(0)
    vectors, labels, calls = rng.normal(size=(30, 3)), np.arange(30) % 3, []

    def counting(*args, **options):
        calls.append(options["seed"])
        return cluster(*args, **options)

    monkeypatch.setattr("loce_jax.analysis.clustering.repeats.cluster", counting)
    found = repeat_clustering({"late": vectors}, labels, seeds=5, max_per_concept=10)
    assert calls == [0] and len(set(found.purity[0])) == len(set(found.clusters[0])) == 1
    repeat_clustering({"late": vectors}, labels, seeds=3, max_per_concept=9)
    assert calls == [0, 0, 1, 2]
