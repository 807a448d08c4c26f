"""Two clouds side by side: slow twins from the definitions, what must and must not change a number, planted cases."""

from itertools import permutations
from math import comb

import numpy as np
import pytest

from loce_jax.analysis.comparison.alignment import align_rows
from loce_jax.analysis.comparison.cka import linear_cka
from loce_jax.analysis.comparison.distance_agreement import distance_agreement
from loce_jax.analysis.comparison.neighbor_agreement import neighbor_agreement
from loce_jax.analysis.comparison.rank_agreement import rank_agreement
from loce_jax.checks import InputError


def make_clouds(seed, n=12, c=4, d=7):
    """Two clouds that have something in common."""
    rng = np.random.default_rng(seed)
    first = rng.normal(size=(n, c)) + 3
    return first, first @ rng.normal(size=(c, d)) + 2 * rng.normal(size=(n, d))


def rotation(seed, c):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(c, c)))[0]


# Matching rows


def test_rows_are_matched_by_their_keys():
    rng = np.random.default_rng(0)
    keys = [(f"{image}.jpg", concept) for image in range(9) for concept in ("cat", "dog")]
    first, second = ([keys[row] for row in rng.permutation(18)[:12]] for _ in range(2))
    match = align_rows(first, second)
    assert [first[row] for row in match.first] == [second[row] for row in match.second]
    assert [first[row] for row in match.first] == [key for key in first if key in second]
    assert match.only_first == tuple(key for key in first if key not in second) != ()
    assert match.only_second == tuple(key for key in second if key not in first) != ()
    back = align_rows(second, first)
    assert sorted(zip(back.second, back.first, strict=True)) == sorted(zip(match.first, match.second, strict=True))


def test_nothing_in_common_and_nothing_at_all():
    match = align_rows(["a"], ["b"])
    assert (match.first.tolist(), match.only_first, match.only_second) == ([], ("a",), ("b",))
    assert align_rows([], []).first.shape == (0,)


def test_a_key_that_occurs_twice_is_refused():
    with pytest.raises(InputError, match=r"`second` must hold every key once.*\('a.jpg', 'cat'\) occurs in several"):
        align_rows([("a.jpg", "cat")], [("b.jpg", "cat"), ("a.jpg", "cat"), ("a.jpg", "cat")])


# Ranks


def rank_slowly(values):
    return [sum(b < a for b in values) + (sum(b == a for b in values) + 1) / 2 for a in values]


def correlate_slowly(a, b):
    a, b = ([x - sum(side) / len(side) for x in side] for side in (a, b))
    across = sum(x * y for x, y in zip(a, b, strict=True))
    return across / (sum(x * x for x in a) * sum(y * y for y in b)) ** 0.5


def kendall_slowly(a, b):
    pairs = [(i, j) for i in range(len(a)) for j in range(i)]
    agree = sum(np.sign(a[i] - a[j]) * np.sign(b[i] - b[j]) for i, j in pairs)
    untied = [sum(side[i] != side[j] for i, j in pairs) for side in (a, b)]
    return agree / (untied[0] * untied[1]) ** 0.5


@pytest.mark.parametrize("seed", range(5))
def test_rank_agreement_matches_slow_twin(seed):
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 6, 25) / 5, rng.integers(0, 6, 25) / 5  # many ties, as IoU 0
    found = rank_agreement(first, second)
    assert found.spearman == pytest.approx(correlate_slowly(rank_slowly(first), rank_slowly(second)), abs=1e-13)
    assert found.kendall == pytest.approx(kendall_slowly(first, second), abs=1e-13)
    for a, b in ((second, first), (np.exp(first), second)):
        same = rank_agreement(a, b)
        assert (same.spearman, same.kendall) == pytest.approx((found.spearman, found.kendall), abs=1e-13)
    against = rank_agreement(-first, second)
    assert (against.spearman, against.kendall) == pytest.approx((-found.spearman, -found.kendall), abs=1e-13)


def test_missing_values_are_left_out_of_ranks():
    first, second = np.array([0.1, np.nan, 0.5, 0.9, 0.3]), np.array([0.2, 0.4, 0.6, np.inf, 0.1])
    found = rank_agreement(first, second)
    assert found == rank_agreement(first[[0, 2, 4]], second[[0, 2, 4]]) and found.pairs == 3


def test_ranks_of_too_little():
    for first, second in (([0.5], [0.5]), ([], []), ([0.5, 0.5], [0.1, 0.2]), ([np.nan, 0.5], [0.1, 0.2])):
        found = rank_agreement(np.array(first), np.array(second))
        assert np.isnan([found.spearman, found.kendall]).all()
    with pytest.raises(InputError, match="Match the rows with `align_rows`"):
        rank_agreement(np.zeros(3), np.zeros(4))


# Distances


def distances_slowly(cloud, metric):
    found = []
    for i in range(len(cloud)):
        for j in range(i):
            a, b = cloud[i], cloud[j]
            cosine = 1 - sum(a * b) / (sum(a * a) ** 0.5 * sum(b * b) ** 0.5 or 1)
            found.append(cosine if metric == "cosine" else sum((a - b) ** 2) ** 0.5)
    return found


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("seed", range(3))
def test_distance_agreement_matches_slow_twin(seed, metric):
    first, second = make_clouds(seed)
    first[3] = 0  # at cosine distance 1 from all
    found = distance_agreement(first, second, metric=metric)
    a, b = distances_slowly(first, metric), distances_slowly(second, metric)
    assert found.pearson == pytest.approx(correlate_slowly(a, b), abs=1e-12)
    assert found.spearman == pytest.approx(correlate_slowly(rank_slowly(a), rank_slowly(b)), abs=1e-12)
    assert (found.pairs, found.sampled) == (66, False)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_what_changes_no_distance_changes_no_agreement(metric):
    first, second = make_clouds(0)
    expected = distance_agreement(first, second, metric=metric)
    order = np.random.default_rng(1).permutation(len(first))
    for a, b in (
        (first @ rotation(2, 4), second),
        (3 * first, second @ rotation(3, 7) / 5),
        (second, first),
        (first[order], second[order]),
    ):
        found = distance_agreement(a, b, metric=metric)
        assert (found.spearman, found.pearson) == pytest.approx((expected.spearman, expected.pearson), abs=1e-12)
    itself = distance_agreement(first, first, metric=metric)
    assert (itself.spearman, itself.pearson) == pytest.approx((1, 1), abs=1e-12)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_pairs_are_drawn_from_many(metric, monkeypatch):
    first, second = make_clouds(0, n=60)
    whole = distance_agreement(first, second, metric=metric)
    monkeypatch.setattr("loce_jax.analysis.comparison.distance_agreement._MAX_PAIRS", 900)
    found = distance_agreement(first, second, metric=metric)
    assert (found.pairs, found.sampled) == (900, True)
    # A correlation of 900 independent pairs has a standard error below 1 / 30; five of them.
    assert found.spearman == pytest.approx(whole.spearman, abs=5 / 30)
    assert found.pearson == pytest.approx(whole.pearson, abs=5 / 30)
    assert distance_agreement(first, second, metric=metric) == found
    assert distance_agreement(first, second, metric=metric, seed=1) != found
    corners = np.eye(60)  # all distances are equal, but for those to oneself, which must not be drawn
    assert np.isnan(distance_agreement(corners, second, metric=metric).pearson)


def test_blocks_change_nothing(monkeypatch):
    clouds = make_clouds(0, n=60)
    expected = distance_agreement(*clouds)
    monkeypatch.setattr("loce_jax.analysis.comparison.distance_agreement._BLOCK", 7)
    assert distance_agreement(*clouds) == expected


def test_agreement_of_too_few_distances():
    for n in (0, 1, 2):
        assert np.isnan(distance_agreement(np.arange(2.0 * n).reshape(n, 2), np.ones((n, 3))).spearman)
    assert np.isnan(distance_agreement(np.ones((9, 2)), make_clouds(0, n=9)[1], metric="euclidean").pearson)


# Kernels


def centered_kernel_slowly(cloud):
    center = np.eye(len(cloud)) - 1 / len(cloud)
    return center @ (cloud @ cloud.T) @ center


def cka_slowly(first, second):
    k, l = centered_kernel_slowly(first), centered_kernel_slowly(second)  # noqa: E741
    return np.trace(k @ l) / np.sqrt(np.trace(k @ k) * np.trace(l @ l))


def hsic_slowly(first, second):
    """Mean over all quadruples of different rows of K_ij (L_ij + L_qr - 2 L_iq), which is what HSIC is the mean of."""
    k, l = first @ first.T, second @ second.T  # noqa: E741
    terms = [k[i, j] * (l[i, j] + l[q, r] - 2 * l[i, q]) for i, j, q, r in permutations(range(len(first)), 4)]
    assert len(terms) == 24 * comb(len(first), 4)
    return float(np.mean(terms))


SHAPES = [(12, 4, 7), (6, 9, 2), (6, 2, 9), (7, 8, 12), (9, 9, 3)]  # products between channels and between rows


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_cka_matches_slow_twin(shape):
    first, second = make_clouds(0, *shape)
    assert linear_cka(first, second) == pytest.approx(cka_slowly(first, second), rel=1e-11)


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape[0] < 10], ids=str)
def test_unbiased_cka_matches_slow_twin(shape):
    first, second = make_clouds(1, *shape)
    norms = hsic_slowly(first, first) * hsic_slowly(second, second)
    expected = hsic_slowly(first, second) / np.sqrt(norms)
    assert linear_cka(first, second, unbiased=True) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize("shape", [(12, 4, 7), (12, 20, 30)], ids=str)
def test_what_changes_no_cka_and_what_does(shape, unbiased):
    _, c, d = shape
    first, second = make_clouds(0, *shape)
    expected = linear_cka(first, second, unbiased=unbiased)
    assert 0 < expected < 0.999
    order = np.random.default_rng(1).permutation(len(first))
    for a, b in (
        (first @ rotation(2, c), second @ rotation(3, d)),
        (1e-200 * first, 1e200 * second),
        (first + 5, second - 7),
        (second, first),
        (first[order], second[order]),
        (np.hstack([first, np.zeros((12, 30))]), second),  # the other way of multiplying
    ):
        assert linear_cka(a, b, unbiased=unbiased) == pytest.approx(expected, rel=1e-10)
    assert linear_cka(first, -3 * first @ rotation(4, c), unbiased=unbiased) == pytest.approx(1, abs=1e-12)
    sheared = first * np.geomspace(1, 30, c)  # invertible, but no rotation
    assert abs(linear_cka(sheared, second, unbiased=unbiased) - expected) > 0.01
    assert linear_cka(sheared, first, unbiased=unbiased) < 0.95


def test_only_the_unbiased_one_is_zero_between_strangers():
    rng = np.random.default_rng(0)
    clouds = [(rng.normal(size=(20, 40)), rng.normal(size=(20, 30))) for _ in range(60)]
    biased = np.array([linear_cka(*pair) for pair in clouds])
    unbiased = np.array([linear_cka(*pair, unbiased=True) for pair in clouds])
    assert biased.min() > 0.5
    assert abs(unbiased.mean()) < 4 * unbiased.std() / np.sqrt(60)  # four standard errors
    assert unbiased.min() < 0


def test_cka_of_too_little():
    points = make_clouds(0)[0]
    for unbiased, few in ((False, 1), (True, 3)):
        assert np.isnan(linear_cka(points[:few], points[:few], unbiased=unbiased))
        assert linear_cka(points[: few + 1], points[: few + 1], unbiased=unbiased) == pytest.approx(1)
        assert np.isnan(linear_cka(np.full((12, 3), 0.1), points, unbiased=unbiased))  # whose mean is not quite 0.1
        assert np.isnan(linear_cka(np.zeros((12, 3)), points, unbiased=unbiased))
    lone = np.zeros((4, 1))
    lone[0] = 0.3  # of different rows, no product but 0 is left: the estimated norm is 0, up to rounding
    assert hsic_slowly(lone, lone) == 0
    assert np.isnan(linear_cka(lone, points[:4], unbiased=True)) and np.isnan(linear_cka(lone, lone, unbiased=True))
    assert linear_cka(lone, lone) == pytest.approx(1)


# Neighbors


def neighbors_slowly(cloud, i, k, metric, groups):
    def distance(j):
        a, b = cloud[i], cloud[j]
        cosine = 1 - sum(a * b) / (sum(a * a) * sum(b * b)) ** 0.5
        return cosine if metric == "cosine" else sum((a - b) ** 2)

    return set(sorted((j for j in range(len(cloud)) if groups[j] != groups[i]), key=distance)[:k])


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize(("k", "grouped"), [(1, False), (4, True), (30, True)])
def test_neighbor_agreement_matches_slow_twin(metric, k, grouped):
    first, second = make_clouds(0)
    groups = np.arange(12) // 3 if grouped else np.arange(12)
    shares = []
    for i in range(12):
        a, b = (neighbors_slowly(cloud, i, k, metric, groups) for cloud in (first, second))
        shares.append(len(a & b) / len(a | b))
    found = neighbor_agreement(first, second, k, metric=metric, groups=groups)
    assert found == pytest.approx(np.mean(shares), rel=1e-14)
    assert 0 < found < 1 or k == 30  # where all others are neighbors in both
    turned = neighbor_agreement(5 * first @ rotation(0, 4), second @ rotation(1, 7), k, metric=metric, groups=groups)
    assert turned == found


def test_the_same_neighbors_and_none():
    first, _ = make_clouds(0)
    assert neighbor_agreement(first, first, 3) == 1
    assert np.isnan(neighbor_agreement(first[:1], first[:1], 3))
    assert np.isnan(neighbor_agreement(first, first, 3, groups=["one image"] * 12))
    groups = ["one image"] * 11 + ["another"]
    assert neighbor_agreement(first, first[:, ::-1], 30, groups=groups) == 1


def test_two_members_that_change_places():
    spot = np.array([[0.0], [0.1], [0.25], [9.0], [9.1], [9.25]])
    found = neighbor_agreement(spot, spot[[0, 1, 3, 2, 4, 5]], 2, metric="euclidean")
    assert found == pytest.approx((4 * 1 / 3 + 2 * 0) / 6)  # four keep one of two neighbors, the two keep none


@pytest.mark.parametrize("compare", [distance_agreement, linear_cka, lambda a, b: neighbor_agreement(a, b, 2)])
def test_clouds_that_do_not_match_are_refused(compare):
    with pytest.raises(InputError, match=r"`second` must have shape \(3, 5\) .* Match the rows with `align_rows`"):
        compare(np.zeros((3, 2)), np.zeros((4, 5)))
    with pytest.raises(InputError, match="`second` must be finite"):
        compare(np.zeros((3, 2)), np.full((3, 2), np.nan))
