"""Trees, cuts, tables and pre-merged parts against recorded values, slow twins and symmetries."""

import dataclasses
import json

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from loce_jax.analysis.clustering.cluster_table import normalize, strongest_channels, tabulate_clusters
from loce_jax.analysis.clustering.cut import (
    RELAXED,
    STRICT,
    ClusteringOptions,
    cluster,
    cut_adaptive,
    cut_counts,
    cut_height,
    cut_size,
    max_cluster_size,
)
from loce_jax.analysis.clustering.density import density_clusters
from loce_jax.analysis.clustering.linkage import METHODS, METRICS, check_height, link
from loce_jax.analysis.clustering.precluster import precluster
from loce_jax.analysis.metrics.purity import cluster_purity
from loce_jax.analysis.paper_forms import paper_order, paper_split
from loce_jax.checks import InputError

LINKED = [
    (method, metric, layers)
    for method, metric in (("ward", "euclidean"), ("complete", "cosine"), ("average", "cosine"))
    for layers in ("L1", "L1L2")
]
WIDTHS = {"L1": [64], "L1L2": [64, 16]}


@pytest.fixture(scope="module")
def recorded(shared):
    arrays = np.load(shared("golden", "analysis.npz"))
    notes = json.loads(shared("golden", "analysis.json").read_text())
    return arrays, notes, {"L1": arrays["X1"], "L1L2": np.hstack([arrays["X1"], arrays["X2"]])}


def cut(tree, labels, kind, options):
    if kind == "adaptive":
        size, purity = options["cluster_size_threshold"], options["cluster_purity_threshold"]
        return cut_adaptive(tree, labels, size=size, purity=purity)
    if kind == "size":
        return cut_size(tree, options["cluster_size_threshold"])
    return cut_height(tree, options["cluster_linkage_threshold"])


@pytest.mark.parametrize(("method", "metric", "layers"), LINKED)
def test_reproduces_every_clustering_of_the_original_code(method, metric, layers, recorded):
    arrays, notes, vectors = recorded
    chosen = notes["selected_for_clustering"]
    labels, mine = arrays["labels"][chosen], vectors[layers][chosen]
    tree = link(mine, method=method, metric=metric)
    np.testing.assert_array_equal(tree, arrays[f"Z_{method}_{metric}_{layers}"])
    name = f"{method}_{metric}_{layers}_"
    clusterings = {key: value for key, value in notes["clustering"].items() if key.startswith(name)}
    assert len(clusterings) == 7
    for expected in clusterings.values():
        found = cut(tree, labels, expected["type"], expected["kwargs"])
        assert found.nodes.tolist() == expected["node_ids"]
        assert found.labels.tolist() == expected["labels"]
        leaves = [found.order[found.labels[found.order] == i].tolist() for i in range(expected["n_clusters"])]
        assert leaves == expected["leaves"]
        assert cluster_purity(found.labels, labels) == expected["purity"]
        table = tabulate_clusters(mine, labels, found.labels)
        rows = [{str(c): p for c, p in zip(table.concepts, row, strict=True) if p} for row in table.probabilities]
        assert rows == expected["probs"]


@pytest.mark.parametrize(("method", "metric", "layers"), LINKED)
def test_reproduces_centroids_and_strongest_channels(method, metric, layers, recorded):
    arrays, notes, vectors = recorded
    name, widths = f"{method}_{metric}_{layers}_relaxed", WIDTHS[layers]
    chosen = notes["selected_for_clustering"]
    options = dataclasses.replace(RELAXED, method=method, metric=metric)
    found = cluster(vectors[layers][chosen], arrays["labels"][chosen], options, n_total=180)
    table = tabulate_clusters(vectors[layers][chosen], arrays["labels"][chosen], found.labels, widths=widths)
    # The original code sums up to 40 values in float32: rounding errors of some 1e-7 of the largest (5 and 1)
    np.testing.assert_allclose(table.raw, arrays[f"centroids_raw_{name}"], atol=2e-6)
    np.testing.assert_allclose(table.normalized, arrays[f"centroids_norm_{name}"], atol=3e-7)
    # Its channels were printed for the clusters of the training split
    train, _ = paper_split(arrays["labels"], paper_order(notes["names"], arrays["labels"], 0))
    mine, labels = vectors[layers][train], arrays["labels"][train]
    centroids = tabulate_clusters(
        mine, labels, cluster(mine, labels, options, n_total=180).labels, widths=widths
    ).normalized
    lines = []
    for i in range(len(centroids)):
        lines.append(str(i))
        for layer, part in zip(notes["layers"], np.split(centroids, np.cumsum(widths)[:-1], axis=1), strict=False):
            for kind, absolute in (("orig", False), ("abs", True)):
                lines.append(f"{kind} {layer} {strongest_channels(part, 3, absolute=absolute)[i].tolist()}")
    assert lines == notes["clustering"][name]["top3_filters_printed"].splitlines()


def make_cloud(seed, n=40, concepts=3):
    rng = np.random.default_rng(seed)
    labels = rng.integers(concepts, size=n)
    return rng.normal(size=(concepts, 4))[labels] + rng.normal(size=(n, 4)), labels


def walk_slowly(tree, is_cluster):
    """The definition: from the root, left first, by recursion; returns lists of leaves."""
    n = len(tree) + 1

    def leaves(node):
        return [node] if node < n else [leaf for child in tree[node - n, :2] for leaf in leaves(int(child))]

    def visit(node):
        if node < n or is_cluster(leaves(node), node):
            return [leaves(node)]
        return [found for child in tree[node - n, :2] for found in visit(int(child))]

    return visit(2 * n - 2)


def members(clusters):
    return [clusters.order[clusters.labels[clusters.order] == i].tolist() for i in range(len(clusters.nodes))]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(3))
def test_cuts_match_the_recursive_definition(seed, method):
    vectors, labels = make_cloud(seed)
    tree = link(vectors, method=method)

    def share(leaves):
        return max(np.mean(labels[leaves] == c) for c in range(3))

    height = float(np.median(tree[:, 2]))
    expected = walk_slowly(tree, lambda leaves, node: len(leaves) <= 5 or share(leaves) >= 0.75)
    assert members(cut_adaptive(tree, labels, size=5, purity=0.75)) == expected
    assert members(cut_size(tree, 5)) == walk_slowly(tree, lambda leaves, node: len(leaves) <= 5)
    assert members(cut_height(tree, height)) == walk_slowly(tree, lambda leaves, node: tree[node - 40, 2] <= height)


def merge_slowly(vectors, gap):
    """Heights of the merges: try all pairs of groups, merge the nearest two, again."""
    groups, heights = [[v] for v in vectors], []
    while len(groups) > 1:
        height, i, j = min(
            (gap(np.array(a), np.array(b)), i, i + 1 + k)
            for i, a in enumerate(groups)
            for k, b in enumerate(groups[i + 1 :])
        )
        heights.append(height)
        groups[i] += groups.pop(j)
    return heights


def spread(points):
    return ((points - points.mean(axis=0)) ** 2).sum()


def cosine(a, b):
    return np.array([[1 - u @ v / np.sqrt((u @ u) * (v @ v)) for v in b] for u in a])


@pytest.mark.parametrize(
    ("method", "metric", "gap"),
    [
        ("ward", "euclidean", lambda a, b: np.sqrt(2 * (spread(np.vstack([a, b])) - spread(a) - spread(b)))),
        ("complete", "cosine", lambda a, b: cosine(a, b).max()),
        ("average", "cosine", lambda a, b: cosine(a, b).mean()),
        ("single", "cosine", lambda a, b: cosine(a, b).min()),
    ],
)
def test_heights_are_what_they_are_said_to_be(method, metric, gap):
    vectors, _ = make_cloud(0, n=15)
    np.testing.assert_allclose(link(vectors, method=method, metric=metric)[:, 2], merge_slowly(vectors, gap), rtol=1e-9)


def same_partition(a, b):
    return adjusted_rand_score(a, b) == 1


@pytest.mark.parametrize("options", [STRICT, RELAXED, ClusteringOptions(0.1, 0.8, "complete", "cosine")])
@pytest.mark.parametrize("seed", range(3))
def test_scale_shift_order_and_names_change_nothing(seed, options):
    vectors, labels = make_cloud(seed, n=100)
    expected = cluster(vectors, labels, options).labels
    order = np.random.default_rng(seed).permutation(100)
    assert same_partition(cluster(vectors[order], labels[order], options).labels, expected[order])
    np.testing.assert_array_equal(cluster(8 * vectors, labels, options).labels, expected)
    np.testing.assert_array_equal(cluster(vectors, np.array(["x", "a", "k"])[labels], options).labels, expected)
    if options.metric == "euclidean":
        assert same_partition(cluster(vectors + 7, labels, options).labels, expected)


def test_planted_clouds_are_found_and_a_mixed_one_is_split_down_to_the_group_size():
    rng = np.random.default_rng(0)
    places = np.repeat(np.eye(4) * 50, 30, axis=0)
    vectors, labels = places + rng.normal(size=(120, 4)), np.repeat(["cat", "cat", "dog", "emu"], 30)
    found = cluster(vectors, labels)
    assert cluster_purity(found.labels, labels) == 1
    assert len(found.nodes) <= 4  # two clouds of cats may be one
    labels[:30] = np.where(np.arange(30) % 2, "cat", "dog")
    mixed = cluster(vectors, labels)
    sizes = [np.sum(mixed.labels == i) for i in np.unique(mixed.labels[:30])]
    pure = [
        cluster_purity(np.zeros(s, int), labels[mixed.labels == i])
        for i, s in zip(np.unique(mixed.labels[:30]), sizes, strict=True)
    ]
    assert all(s <= max_cluster_size(0.025, 120) or p >= 0.9 for s, p in zip(sizes, pure, strict=True))
    assert len(sizes) > 5


def test_distances_by_products_make_the_same_tree(monkeypatch):
    vectors = np.random.default_rng(0).normal(size=(300, 20)).astype("float32")
    expected = link(vectors)
    monkeypatch.setattr("loce_jax.analysis.clustering.linkage._FEW", 0)  # as with more vectors than that
    found = link(vectors)
    np.testing.assert_array_equal(found[:, [0, 1, 3]], expected[:, [0, 1, 3]])
    np.testing.assert_allclose(found[:, 2], expected[:, 2], rtol=1e-12)  # that of `pair_distances`
    with np.errstate(over="ignore", invalid="ignore"), pytest.raises(InputError, match="`metric` must be defined"):
        link(vectors.astype("float64") * 1e200)  # whose squares are not finite


def test_a_chain_of_3000_needs_no_recursion():
    steps = np.arange(3000.0)[:, None] ** 1.001  # gaps grow, so single linkage adds one end after the other
    tree = link(steps, method="single")
    found = cut_adaptive(tree, np.arange(3000) % 2, size=2, purity=0.9)
    assert len(found.nodes) == 2999
    assert cut_height(tree, 0.0).labels.max() == 2999
    assert cut_height(tree, 1e9).labels.max() == 0


def test_degenerate_clouds():
    same = cluster(np.ones((6, 2)), list("aaabbb"))
    assert cluster_purity(same.labels, list("aaabbb")) >= 0.5
    assert cluster(np.zeros((5, 3)), ["a"] * 5).labels.tolist() == [0] * 5
    assert cluster(np.zeros((2, 3)), ["a", "b"]).labels.tolist() == [0, 0]  # two are at most a group
    assert cluster(np.ones((2, 3)), ["a", "b"]).tree.tolist() == [[0, 1, 0, 2]]
    assert np.isnan(cluster_purity(np.zeros(0, int), []))
    assert cut_size(np.zeros((0, 4)), 3).labels.tolist() == [0]
    assert tabulate_clusters(np.zeros((0, 2)), [], np.zeros(0, int)).raw.shape == (0, 2)


def test_group_sizes():
    assert [max_cluster_size(share, 180) for share in (0.025, 0.05)] == [4, 9]  # as the original code
    assert max_cluster_size(0.05, 0) == max_cluster_size(0.05, 59) == 2  # int() would give 0 and 2
    assert max_cluster_size(0.05, 60) == 3


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_links(metric):
    vectors = np.abs(make_cloud(0)[0])  # a distance between distributions is among them
    tree = link(vectors, method="average", metric=metric)
    assert tree[-1, 3] == 40
    assert (np.diff(tree[:, 2]) >= 0).all()


def test_bad_calls_say_what_to_do(monkeypatch):
    vectors, labels = make_cloud(0)
    with pytest.raises(InputError, match=r"must be 'euclidean' for 'median'.*got 'cosine'. Use method"):
        link(vectors, method="median", metric="cosine")
    with pytest.raises(InputError, match=r"unknown method 'warf'. Did you mean 'ward'"):
        link(vectors, method="warf")
    with pytest.raises(InputError, match=r"at least 2.*but got 1. Add some"):
        link(vectors[:1])
    with pytest.raises(InputError, match=r"1 of 40 have every channel 0. Drop them"):
        link(np.vstack([vectors[1:], np.zeros((1, 4))]), method="complete", metric="cosine")
    with pytest.raises(InputError, match=r"1 of 40 have every channel the same"):
        link(np.vstack([vectors[1:], np.ones((1, 4))]), method="complete", metric="correlation")
    with pytest.raises(InputError, match=r"`purity` must be above 0 and at most 1.*got 1.5"):
        ClusteringOptions(purity=1.5)
    with pytest.raises(InputError, match=r"`size` must be at least 1.*got 0"):
        cut_size(link(vectors), 0)
    with pytest.raises(InputError, match=r"`labels` must have shape \(40,\) \(one per leaf"):
        cut_adaptive(link(vectors), labels[:-1], size=3, purity=0.9)
    with pytest.raises(InputError, match=r"`widths` must sum to the 4 channels.*got \[1, 2\]"):
        normalize(vectors, widths=[1, 2])
    monkeypatch.setattr("loce_jax.analysis.clustering.linkage.memory_limit", lambda: 16 * 40 * 39 // 2 - 1)
    with pytest.raises(InputError, match=r"40 need 0.0 GB .* Take fewer \(`max_per_concept`\), or merge"):
        link(vectors)
    monkeypatch.setattr("loce_jax.analysis.clustering.linkage.memory_limit", lambda: 16 * 40 * 39 // 2)
    assert len(link(vectors)) == 39


@pytest.mark.parametrize("seed", range(3))
def test_purity_matches_slow_twin_and_does_not_know_names(seed):
    rng = np.random.default_rng(seed)
    clusters, labels = rng.integers(5, size=50), rng.integers(3, size=50)
    right = sum(max(sum((clusters == k) & (labels == c)) for c in range(3)) for k in range(5))
    assert cluster_purity(clusters, labels) == right / 50
    assert cluster_purity(9 - clusters, np.array(["b", "c", "a"])[labels]) == right / 50
    assert cluster_purity(np.arange(50), labels) == 1


@pytest.mark.parametrize("seed", range(3))
def test_tables_match_slow_twin(seed):
    vectors, labels = make_cloud(seed)
    vectors[3] = 0
    clusters = np.random.default_rng(seed).integers(-1, 4, size=40)
    table = tabulate_clusters(vectors, labels, clusters, widths=[1, 3])
    assert table.clusters.tolist() == [0, 1, 2, 3]
    for i in range(4):
        mine = np.flatnonzero(clusters == i)
        assert table.counts[i].tolist() == [sum(labels[j] == c for j in mine) for c in table.concepts]
        np.testing.assert_allclose(table.raw[i], sum(vectors[j] for j in mine) / len(mine), rtol=1e-12)
        units = [
            np.concatenate([p / (np.sqrt(sum(p**2)) or 1) for p in (vectors[j][:1], vectors[j][1:])]) for j in mine
        ]
        np.testing.assert_allclose(table.normalized[i], sum(units) / len(mine), rtol=1e-10)
        assert table.top[i] == table.concepts[table.counts[i].tolist().index(max(table.counts[i]))]
    np.testing.assert_allclose(table.probabilities.sum(axis=1), 1)
    scaled = tabulate_clusters(vectors * [9, 2, 2, 2], labels, clusters, widths=[1, 3])
    np.testing.assert_allclose(scaled.normalized, table.normalized, rtol=1e-12)


def test_parts_of_one_are_exact_and_weights_count():
    vectors, labels = make_cloud(0, n=100)
    parts = precluster(vectors, labels, 100)
    exact = cluster(vectors, labels, RELAXED)
    found = cut_counts(link(parts.centroids), parts.counts, size=max_cluster_size(0.05, 100), purity=0.8)
    np.testing.assert_array_equal(found.labels[parts.labels], exact.labels)
    # A leaf that stands for 9 of the same is as 9 leaves at the same place
    tree = link(np.array([[0.0], [1.0], [3.0]]))
    heavy = cut_counts(tree, np.array([[9, 0], [0, 1], [0, 5]]), size=5, purity=0.9)
    assert heavy.labels.tolist() == [1, 1, 0]  # 9 of 10 are pure
    light = cut_counts(tree, np.array([[1, 0], [0, 1], [0, 5]]), size=1, purity=0.9)
    assert light.labels.tolist() == [1, 2, 0]


@pytest.mark.parametrize("seed", range(3))
def test_parts_find_planted_clouds_and_account_for_everyone(seed):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(600) % 6)
    vectors = 40 * np.eye(6)[labels] + rng.normal(size=(600, 6))
    parts = precluster(vectors, labels, 60, seed=seed)
    assert parts.counts.sum() == 600
    assert len(parts.centroids) <= 60
    for i in range(len(parts.counts)):
        mine = parts.labels == i
        assert parts.counts[i].tolist() == [np.sum(labels[mine] == c) for c in range(6)]
        np.testing.assert_allclose(parts.centroids[i], vectors[mine].mean(axis=0), rtol=1e-9, atol=1e-9)
    found = cut_counts(link(parts.centroids), parts.counts, size=max_cluster_size(0.025, 600), purity=0.9)
    assert same_partition(found.labels[parts.labels], labels)
    assert same_partition(cluster(vectors, labels).labels, labels)


def test_density_finds_planted_clouds_and_leaves_noise_out():
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(90) % 3)
    vectors = 20 * np.eye(3)[labels] + rng.normal(size=(90, 3))
    vectors[0] = -500  # far off by direction, too
    for metric in ("euclidean", "cosine"):
        found = density_clusters(vectors, 10, metric=metric)
        kept = found.labels >= 0
        assert found.labels.max() == 2
        assert kept.sum() > 60
        assert cluster_purity(found.labels[kept], labels[kept]) == 1
        assert (found.probabilities[~kept] == 0).all()
    assert found.labels[0] == -1
    order = rng.permutation(90)
    again = density_clusters(vectors[order] * 3, 10, metric="cosine")
    assert same_partition(again.labels, found.labels[order])


def test_density_is_the_same_with_and_without_all_distances_at_once(monkeypatch):
    rng = np.random.default_rng(1)
    vectors = 3 * rng.normal(size=(6, 5))[np.arange(120) % 6] + rng.normal(size=(120, 5))
    found = density_clusters(vectors, 5)
    monkeypatch.setattr("loce_jax.analysis.clustering.density.MATRIX_AT_MOST", 0)
    again = density_clusters(vectors, 5)
    np.testing.assert_array_equal(again.labels, found.labels)
    np.testing.assert_allclose(again.probabilities, found.probabilities, atol=1e-12)
    assert 1 <= found.labels.max() and (found.labels < 0).any()


def test_density_without_density():
    assert density_clusters(np.ones((20, 2)), 5).labels.tolist() == [-1] * 20
    assert density_clusters(np.ones((3, 2)), 5).labels.tolist() == [-1] * 3
    assert density_clusters(np.zeros((0, 2)), 5).labels.tolist() == []
    with pytest.raises(InputError, match=r"`min_size` must be at least 2.*got 1"):
        density_clusters(np.ones((3, 2)), 1)
    with pytest.raises(InputError, match=r"1 of 3 have every channel 0"):
        density_clusters(np.array([[0.0], [1.0], [2.0]]), 2, metric="cosine")


def test_a_metric_that_is_not_defined_is_one_clear_error():
    vectors = np.random.default_rng(0).normal(size=(12, 4))
    with np.errstate(invalid="ignore"), pytest.raises(InputError, match="'jensenshannon' is not: .* Use \"euclidean\""):
        link(vectors, method="average", metric="jensenshannon")
    with pytest.raises(InputError, match="'mahalanobis' is not: "):
        link(vectors[:3], method="average", metric="mahalanobis")


@pytest.mark.parametrize(
    ("metric", "most", "vectors"),
    [
        ("cosine", 2, np.array([[0, 1.0], [0, -1.0]])),
        ("correlation", 2, np.array([[0, 1.0, 2.0], [2.0, 1.0, 0]])),
        ("jensenshannon", 0.833, np.eye(2)),
    ],
)
def test_a_height_that_no_tree_can_reach_is_refused(metric, most, vectors):
    tree = link(vectors, method="complete", metric=metric)
    assert tree[-1, 2] == pytest.approx(most, abs=1e-3)  # nothing is farther apart
    check_height(0.99 * most, metric)
    for height in (4.0, most + 1e-3):
        assert cut_height(tree, height).labels.max() == 0
        expected = f"`height` must be above 0 and below {most}, the greatest distance by '{metric}' .* but got {height}"
        with pytest.raises(InputError, match=expected):
            check_height(height, metric)
    check_height(4.0, "euclidean")
    for nothing in (0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match=r"`height` must be above 0 \(the unit of the tree\), but got .* Try 4."):
            check_height(nothing, "euclidean")
