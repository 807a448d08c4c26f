"""Metrics of concepts and clusters: slow twins from the definitions, the study's own arithmetic, planted cases."""

from collections import Counter
from itertools import permutations
from math import log

import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from loce_jax.analysis.metrics.cluster_agreement import cluster_agreement
from loce_jax.analysis.metrics.quality import describe_quality
from loce_jax.analysis.metrics.spread import Spread
from loce_jax.checks import InputError


def make_clouds(seed, n=40, channels=3, concepts=4):
    rng = np.random.default_rng(seed)
    labels = rng.permutation((concepts * np.sqrt(np.arange(n) / n)).astype(int))  # of unequal sizes
    return rng.normal(size=(n, channels)) + 2 * labels[:, None], labels


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def distance(a, b):
    return float(sum((a - b) ** 2)) ** 0.5


# Distances


@pytest.mark.parametrize("seed", range(3))
def test_spreads_match_slow_twins(seed):
    vectors, labels = make_clouds(seed)
    found = describe_quality(vectors, labels, labels)
    concepts = sorted(set(labels.tolist()))
    assert found.concepts == tuple(concepts)
    clouds = [[vector for vector, label in zip(vectors, labels, strict=True) if label == name] for name in concepts]
    k, centers = len(clouds), [sum(cloud) / len(cloud) for cloud in clouds]
    within = [mean(distance(a, b) for i, a in enumerate(cloud) for b in cloud[:i]) for cloud in clouds]
    apart = [mean(distance(a, b) for a in clouds[i] for b in clouds[j]) for i in range(k) for j in range(i)]
    np.testing.assert_allclose(found.pairs.within, within, rtol=1e-12)
    assert found.pairs.between == pytest.approx(mean(apart), rel=1e-12)
    around = [mean(distance(a, center) for a in cloud) for cloud, center in zip(clouds, centers, strict=True)]
    gaps = [distance(centers[i], centers[j]) for i in range(k) for j in range(i)]
    np.testing.assert_allclose(found.centroids.within, around, rtol=1e-12)
    assert found.centroids.between == pytest.approx(mean(gaps), rel=1e-12)
    assert found.pairs.separability == pytest.approx(mean(apart) / mean(within), rel=1e-12)


PUBLISHED = {  # Paulke et al., table 1: distances within car, person, road, vegetation, building; between; ratio
    "Baseline": ([1.67, 1.83, 2.17, 2.16, 2.05], 4.99, 2.52),
    "Barlow Twins": ([5.57, 5.54, 4.83, 8.89, 5.35], 17.8, 2.95),
    "Denoising": ([4.825, 3.35, 5.768, 4.470, 4.47], 24.51, 5.35),
    "RPL": ([5.42, 5.58, 3.78, 6.66, 4.56], 14.99, 2.88),
}


@pytest.mark.parametrize("column", PUBLISHED)
def test_the_published_ratios_are_over_the_unweighted_mean(column):
    within, between, ratio = PUBLISHED[column]
    assert Spread(np.array(within), between).separability == pytest.approx(ratio, abs=0.006)  # printed to 0.01


def silhouette_slowly(vectors, labels):
    values = []
    for i, own in enumerate(labels):
        apart = {
            name: [distance(vectors[i], vectors[j]) for j in range(len(labels)) if labels[j] == name and j != i]
            for name in set(labels)
        }
        if not apart[own]:
            values.append(0.0)
            continue
        a, b = mean(apart[own]), min(mean(apart[name]) for name in apart if name != own)
        values.append((b - a) / max(a, b))
    return mean(values)


@pytest.mark.parametrize("seed", range(3))
def test_silhouette_matches_slow_twin_and_scikit_learn(seed):
    vectors, labels = make_clouds(seed)
    labels[7] = 99  # a concept with one vector
    found = describe_quality(vectors, labels, labels).silhouette
    assert found == pytest.approx(silhouette_slowly(vectors, labels.tolist()), abs=1e-13)
    assert found == pytest.approx(silhouette_score(vectors, labels), abs=1e-7)  # it expands squares


@pytest.mark.parametrize("seed", range(3))
def test_what_moves_turns_or_renames_changes_nothing(seed):
    vectors, labels = make_clouds(seed)
    expected = describe_quality(vectors, labels, labels)
    rng = np.random.default_rng(seed)
    order, turn = rng.permutation(len(labels)), np.linalg.qr(rng.normal(size=(3, 3)))[0]
    names = np.array(["d", "b", "c", "a"])[labels]  # whose ascending order is 3, 1, 2, 0
    renamed = describe_quality(vectors, names, names)
    assert renamed.concepts == ("a", "b", "c", "d")
    np.testing.assert_allclose(renamed.pairs.within[[3, 1, 2, 0]], expected.pairs.within)
    for cloud, labeled, scale in (
        (vectors[order], labels[order], 1),
        (vectors @ turn + 5, labels, 1),
        (3 * vectors, labels, 3),
        (vectors, names, 1),
    ):
        found = describe_quality(cloud, labeled, labeled)
        assert found.silhouette == pytest.approx(expected.silhouette, abs=1e-12)
        for mine, theirs in ((found.pairs, expected.pairs), (found.centroids, expected.centroids)):
            assert mine.between == pytest.approx(scale * theirs.between)
            assert mine.separability == pytest.approx(theirs.separability)
            np.testing.assert_allclose(sorted(mine.within), scale * np.sort(theirs.within))


def test_blocks_change_nothing_and_large_concepts_are_drawn_from(monkeypatch):
    vectors, labels = make_clouds(0, n=600)
    whole = describe_quality(vectors, labels, labels)
    assert not whole.sampled
    monkeypatch.setattr("loce_jax.analysis.metrics.spread._BLOCK", 7)
    assert describe_quality(vectors, labels, labels).silhouette == pytest.approx(whole.silhouette, abs=1e-13)
    monkeypatch.setattr("loce_jax.analysis.metrics.quality._MAX_VECTORS", 4 * 60)
    found = describe_quality(vectors, labels, labels, seed=3)
    assert found.sampled
    np.testing.assert_array_equal(found.centroids.within, whole.centroids.within)  # exact all the same
    # Distances deviate by about 1 and silhouettes by 0.2; means over 60 vectors a concept: four standard errors.
    np.testing.assert_allclose(found.pairs.within, whole.pairs.within, atol=4 / np.sqrt(60))
    assert found.pairs.between == pytest.approx(whole.pairs.between, abs=4 / np.sqrt(60))
    assert found.silhouette == pytest.approx(whole.silhouette, abs=0.8 / np.sqrt(60))
    again, other = (describe_quality(vectors, labels, labels, seed=seed) for seed in (3, 4))
    assert again.silhouette == found.silhouette != other.silhouette


def test_a_drawn_concept_keeps_its_weight(monkeypatch):
    monkeypatch.setattr("loce_jax.analysis.metrics.quality._MAX_VECTORS", 2 * 20)
    vectors = np.concatenate([np.zeros(900), np.full(100, 5.0)])[:, None]  # silhouettes 1 and 1
    vectors[900:, 0] += np.tile([-4.0, 4.0], 50)  # a loose concept: its silhouettes are low
    labels = np.repeat([0, 1], [900, 100])
    found = describe_quality(vectors, labels, labels)
    assert found.silhouette == pytest.approx(silhouette_score(vectors, labels), abs=0.02)
    assert found.silhouette > 0.85


# Clusters


def entropy(*columns):
    counts = Counter(zip(*columns, strict=True))
    total = sum(counts.values())
    return -sum(count / total * log(count / total) for count in counts.values())


def agree_slowly(clusters, labels):
    n, concepts, names = len(labels), sorted(set(labels)), sorted(set(clusters))
    both, own, theirs = entropy(clusters, labels), entropy(clusters), entropy(labels)
    homogeneity = 1 - (both - own) / theirs if theirs else 1.0
    completeness = 1 - (both - theirs) / own if own else 1.0
    pairs = [(i, j) for i in range(n) for j in range(i)]
    together = sum(clusters[i] == clusters[j] and labels[i] == labels[j] for i, j in pairs)
    in_cluster = sum(clusters[i] == clusters[j] for i, j in pairs)
    in_concept = sum(labels[i] == labels[j] for i, j in pairs)
    chance = in_cluster * in_concept / len(pairs)
    counts = Counter(zip(clusters, labels, strict=True))
    short, long = (names, concepts) if len(names) <= len(concepts) else (concepts, names)
    matched = max(
        sum(counts[(a, b) if short is names else (b, a)] for a, b in zip(short, chosen, strict=True))
        for chosen in permutations(long, len(short))
    )
    pure = sum(max(counts[name, concept] for concept in concepts) for name in names)
    return {
        "clusters": len(names),
        "homogeneity": homogeneity,
        "completeness": completeness,
        "v_measure": 2 * homogeneity * completeness / (homogeneity + completeness),
        "nmi": (own + theirs - both) / ((own + theirs) / 2),
        "ari": (together - chance) / ((in_cluster + in_concept) / 2 - chance),
        "error": 1 - matched / n,
        "impurity": 1 - pure / n,
    }


@pytest.mark.parametrize(("clusters", "concepts"), [(4, 4), (2, 5), (6, 3)])
@pytest.mark.parametrize("seed", range(3))
def test_agreement_matches_slow_twins(seed, clusters, concepts):
    rng = np.random.default_rng(seed)
    labels = rng.integers(concepts, size=40)
    guesses = np.where(rng.random(40) < 0.6, labels % clusters, rng.integers(clusters, size=40))
    found = cluster_agreement(guesses, labels)
    for name, expected in agree_slowly(guesses.tolist(), labels.tolist()).items():
        assert getattr(found, name) == pytest.approx(expected, abs=1e-12), name
    assert found.impurity <= found.error
    assert found.v_measure == pytest.approx(found.nmi, abs=1e-12)
    words, order = np.array(["zebra", "cat", "dog", "bus", "car", "ant"]), rng.permutation(40)
    renamed = cluster_agreement(words[guesses][order], labels[order])
    for name in vars(found):
        assert getattr(renamed, name) == pytest.approx(getattr(found, name), abs=1e-12), name


def test_perfect_and_split_and_joined_clusters():
    labels = np.repeat(["a", "b"], 6)
    perfect = cluster_agreement(np.repeat([9, 2], 6), labels)
    assert vars(perfect) == {
        "clusters": 2,
        "homogeneity": 1,
        "completeness": 1,
        "v_measure": 1,
        "nmi": 1,
        "ari": 1,
        "error": 0,
        "impurity": 0,
    }
    split = cluster_agreement(np.arange(12) // 3, labels)  # pure, but in twice as many clusters
    assert (split.impurity, split.error) == (0, 0.5) and split.homogeneity == pytest.approx(1)
    joined = cluster_agreement(np.zeros(12, int), labels)
    assert (joined.completeness, joined.homogeneity, joined.error, joined.ari) == (1, 0, 0.5, 0)


def test_the_matching_is_the_best_and_not_the_greedy_one():
    # Greedy takes the 5 first and is left with 0; the best takes 4 + 4.
    clusters, labels = [0] * 9 + [1] * 4, [0] * 5 + [1] * 4 + [0] * 4
    assert cluster_agreement(clusters, labels).error == pytest.approx(1 - 8 / 13)


def test_a_mixture_finds_planted_concepts():
    rng = np.random.default_rng(0)
    labels = np.repeat(["car", "person", "road"], [30, 20, 50])
    centers = {"car": [0, 0, 0], "person": [9, 0, 0], "road": [0, 9, 9]}
    vectors = np.array([centers[name] for name in labels]) + rng.normal(size=(100, 3))
    found = describe_quality(vectors, labels)
    assert (found.agreement.error, found.agreement.ari, found.clusterer) == (0, 1, "full")
    assert found.silhouette > 0.7 and found.pairs.separability > 3
    wide = np.hstack([vectors, 0.1 * rng.normal(size=(100, 60))])  # fewer vectors a component than channels
    assert describe_quality(wide, labels).clusterer == "diag"
    assert describe_quality(wide, labels).agreement.error == 0
    shuffled = describe_quality(vectors, rng.permutation(labels))
    assert abs(shuffled.agreement.ari) < 0.1 and shuffled.silhouette < 0.1
    assert describe_quality(vectors, labels, labels).clusterer == "given"


# Too little


def test_one_concept():
    found = describe_quality(np.array([[0.0], [2.0]]), ["cat", "cat"])
    assert found.concepts == ("cat",) and found.pairs.within.tolist() == [2] and found.centroids.within.tolist() == [1]
    assert np.isnan([found.pairs.between, found.centroids.between, found.silhouette, found.pairs.separability]).all()
    assert (found.agreement.clusters, found.agreement.error) == (1, 0)


def test_one_vector_and_none():
    found = describe_quality(np.ones((1, 3)), ["cat"])
    assert np.isnan([found.pairs.within[0], found.centroids.within[0], found.silhouette]).all()
    assert found.agreement.error == 0
    with pytest.raises(InputError, match="at least one embedding"):
        describe_quality(np.ones((0, 3)), [])
    nothing = cluster_agreement([], [])
    assert nothing.clusters == 0 and np.isnan([nothing.ari, nothing.error, nothing.v_measure]).all()


def test_concepts_with_one_vector_are_left_out_of_the_ratio():
    found = describe_quality(np.array([[0.0], [2.0], [9.0]]), ["a", "a", "b"], [0, 0, 1])
    assert found.pairs.within.tolist()[0] == 2 and np.isnan(found.pairs.within[1])
    assert found.pairs.separability == pytest.approx(8 / 2)
    assert found.centroids.separability == pytest.approx(8 / 1)
    alone = describe_quality(np.array([[0.0], [2.0]]), ["a", "b"], [0, 1])
    assert np.isnan(alone.pairs.separability) and alone.silhouette == 0


def test_identical_points():
    same = describe_quality(np.ones((6, 2)), ["a", "b"] * 3)
    assert (same.pairs.within.tolist(), same.pairs.between, same.silhouette) == ([0, 0], 0, 0)
    assert np.isnan(same.pairs.separability)
    assert (same.agreement.clusters, same.agreement.error) == (1, 0.5)
    apart = describe_quality(np.repeat([[0.0], [1.0]], 3, axis=0), np.repeat(["a", "b"], 3))
    assert apart.pairs.separability == np.inf and apart.silhouette == 1 and apart.agreement.error == 0


def test_what_does_not_match_is_refused():
    with pytest.raises(InputError, match=r"`clusters` must have shape \(2,\) \(one per label\), but got \(3,\)"):
        describe_quality(np.ones((2, 1)), ["a", "b"], [0, 1, 2])
    with pytest.raises(InputError, match="`vectors` must be finite"):
        describe_quality(np.array([[np.nan], [1.0]]), ["a", "b"])
