"""Mixtures against recorded values of the original code, slow twins, planted Gaussians, and thin data."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from loce_jax.analysis.mixtures.decision import decision_map, make_grid
from loce_jax.analysis.mixtures.density import Gaussians, likeliest_component, log_density, responsibilities
from loce_jax.analysis.mixtures.ellipses import find_ellipses
from loce_jax.analysis.mixtures.fit import fit_mixture, fit_mixtures
from loce_jax.checks import InputError

CONCEPTS = (3, 6, 8, 17, 18, 24)


@pytest.fixture(scope="module")
def recorded(shared):
    return np.load(shared("golden", "analysis.npz"))


def make_points(seed, centers=((0, 0), (9, 1), (2, 12)), each=40):
    rng = np.random.default_rng(seed)
    return np.vstack([rng.normal(size=(each, 2)) + center for center in centers])


def make_gaussians(seed, k=3):
    rng = np.random.default_rng(seed)
    roots = rng.normal(size=(k, 2, 2)) + 2 * np.eye(2)
    return Gaussians(rng.dirichlet(np.ones(k)), 4 * rng.normal(size=(k, 2)), roots @ roots.transpose(0, 2, 1))


def density_slowly(gaussians, point):
    """Sum of the weighted normal densities, by the formula with inverse and determinant."""
    total = 0.0
    for weight, mean, covariance in zip(gaussians.weights, gaussians.means, gaussians.covariances, strict=True):
        away = point - mean
        exponent = -away @ np.linalg.inv(covariance) @ away / 2
        total += weight * np.exp(exponent) / np.sqrt((2 * np.pi) ** len(mean) * np.linalg.det(covariance))
    return total


def same_gaussians(found, recorded, name):
    # The original fits float32 points in float32, where scikit-learn counts 10 epsilons, 1.2e-6 points, too many in
    # each component: means of single points are that share too small, and covariances of spread 1 to 10 move by 2e-5.
    np.testing.assert_allclose(found.weights, recorded[f"{name}_w"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.means, recorded[f"{name}_mu"], rtol=1.3e-6, atol=1e-6)
    np.testing.assert_allclose(found.covariances, recorded[f"{name}_cov"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("concept", CONCEPTS)
def test_reproduces_the_original_code_by_concept(concept, recorded):
    rows = recorded["labels"] == concept
    found = fit_mixture(recorded["umap"][rows], paper=True)
    name = f"gmm_per_label_{concept}"
    same_gaussians(found.full, recorded, f"{name}_full")
    same_gaussians(found.kept, recorded, f"{name}_filt")
    np.testing.assert_allclose(found.bic, recorded[f"{name}_bic"], rtol=0, atol=5e-3)  # float32 again: 1.1e-3 seen
    np.testing.assert_array_equal(found.assignments, recorded["gmm_per_label_pred"][rows, 1])


@pytest.mark.slow
def test_reproduces_the_original_code_without_labels(recorded):
    found = fit_mixture(recorded["umap"], 2 * len(CONCEPTS), paper=True)
    same_gaussians(found.full, recorded, "gmm_ignore_labels_-1_full")
    same_gaussians(found.kept, recorded, "gmm_ignore_labels_-1_filt")
    np.testing.assert_allclose(found.bic, recorded["gmm_ignore_labels_-1_bic"], rtol=0, atol=5e-3)
    np.testing.assert_array_equal(found.assignments, recorded["gmm_ignore_labels_pred"][:, 1])
    # Its rule of 0.1 calls 11.7 % of these points outliers although each component is a clear group: here keep all.
    assert (found.assignments == -1).mean() == pytest.approx(21 / 180)
    everything = fit_mixture(recorded["umap"], 2 * len(CONCEPTS), outlier_weight=0.0, paper=True)
    assert everything.components.tolist() == list(range(8)) and (everything.assignments >= 0).all()
    # One of them is ten points on a line; the others stay without it.
    sound = fit_mixture(recorded["umap"], 2 * len(CONCEPTS), outlier_weight=0.0).full
    thin = np.linalg.eigvalsh(everything.full.covariances)[:, 0] < 2e-6
    assert thin.sum() == 1 and len(sound.weights) >= 7 and np.linalg.eigvalsh(sound.covariances)[:, 0].min() > 1e-4


@pytest.mark.slow
def test_reproduces_the_recorded_populations(recorded, shared):
    import json

    expected = json.loads(shared("golden", "analysis.json").read_text())["gmm"]
    for concept, found in fit_mixtures(recorded["umap"], recorded["labels"], paper=True).items():
        recorded_shares = expected[f"per_label_{concept}"]["populations"]  # leaves components without points out
        assert found.populations[found.populations > 0].tolist() == pytest.approx(recorded_shares, rel=1e-12)
    blind, without = fit_mixture(recorded["umap"], 2 * len(CONCEPTS), paper=True), expected["ignore_labels_-1"]
    assert blind.populations.tolist() == pytest.approx(without["populations"], rel=1e-12)
    assert [len(blind.full.weights), len(blind.kept.weights)] == [without["n_full"], without["n_filtered"]]


def test_reproduces_the_recorded_maps(recorded):
    points = make_grid(recorded["umap"], 50)
    np.testing.assert_allclose(points, recorded["gmm_mesh_grid"], rtol=0, atol=4e-6)  # float32 of numbers up to 20
    mixtures = fit_mixtures(recorded["umap"], recorded["labels"], paper=True)
    found = np.array(list(mixtures))[decision_map(mixtures, points)]
    np.testing.assert_array_equal(found, recorded["gmm_mesh_label"])
    full = fit_mixture(recorded["umap"], 12, paper=True).full
    components = likeliest_component(full, points, paper=True)
    np.testing.assert_array_equal(components, recorded["gmm_mesh_component_ignore_labels"])


def test_bic_is_the_formula():
    points = make_points(0)
    for count in (1, 2, 3):
        gaussians = fit_mixture(points, count, outlier_weight=0.0).full
        found = fit_mixture(points, count).bic
        if len(gaussians.weights) == count:  # else the lowest is elsewhere and its Gaussians are not at hand
            likelihood = sum(np.log(density_slowly(gaussians, point)) for point in points)
            parameters = count - 1 + 2 * count + 3 * count
            assert found[-1] == pytest.approx(-2 * likelihood + parameters * np.log(len(points)), rel=1e-9)
        else:
            pytest.fail(f"{count} planted groups were not found")


@pytest.mark.parametrize("seed", range(3))
def test_finds_planted_gaussians(seed):
    found = fit_mixture(make_points(seed))
    assert len(found.full.weights) == 3
    assert sorted(np.bincount(found.assignments)) == [40, 40, 40]
    groups = found.assignments.reshape(3, 40)
    assert (groups == groups[:, :1]).all()
    np.testing.assert_allclose(found.full.weights, 1 / 3, rtol=1e-3)  # a few points lie between the groups
    np.testing.assert_allclose(found.populations, 1 / 3, rtol=1e-12)


def test_a_rare_component_is_dropped_and_keeps_its_number_free():
    rng = np.random.default_rng(0)
    points = np.vstack([rng.normal(size=(92, 2)), 0.1 * rng.normal(size=(8, 2)) + 30])
    found, paper, all_of_it = (
        fit_mixture(points, 2),
        fit_mixture(points, 2, paper=True),
        fit_mixture(points, 2, outlier_weight=0.0),
    )
    assert found.full.weights.min() == pytest.approx(0.08, rel=1e-6)
    assert found.kept.weights.tolist() == [1.0] and paper.kept.weights[0] == pytest.approx(0.92, rel=1e-6)
    assert (found.assignments[92:] == -1).all() and (found.assignments[:92] == found.components[0]).all()
    np.testing.assert_array_equal(found.kept.means[0], found.full.means[found.components[0]])
    assert sorted(all_of_it.components.tolist()) == [0, 1] and sorted(found.populations) == [0.08, 0.92]
    # Right and wrong of it: without the renormalization the kept density does not integrate to 1.
    low, high = points.min(axis=0) - 3, points.max(axis=0) + 3
    cell = np.prod((high - low) / 399)
    assert np.exp(log_density(found.kept, make_grid(points, 400, margin=3.0))).sum() * cell == pytest.approx(
        1, abs=1e-3
    )
    assert np.exp(log_density(paper.kept, make_grid(points, 400, margin=3.0))).sum() * cell == pytest.approx(
        0.92, abs=1e-3
    )


@pytest.mark.parametrize("seed", range(3))
def test_densities_match_slow_twins(seed):
    gaussians, points = make_gaussians(seed), np.random.default_rng(seed).normal(size=(20, 2)) * 5
    expected = [density_slowly(gaussians, point) for point in points]
    np.testing.assert_allclose(np.exp(log_density(gaussians, points)), expected, rtol=1e-10)
    parts = np.array(
        [
            [w * multivariate_normal(m, s).pdf(p) for w, m, s in zip(*vars(gaussians).values(), strict=True)]
            for p in points
        ]
    )
    np.testing.assert_allclose(responsibilities(gaussians, points), parts / parts.sum(1, keepdims=True), rtol=1e-9)
    np.testing.assert_array_equal(likeliest_component(gaussians, points), parts.argmax(axis=1))
    unweighted = (parts / gaussians.weights).argmax(axis=1)
    np.testing.assert_array_equal(likeliest_component(gaussians, points, paper=True), unweighted)


def test_a_light_component_wins_less_ground_by_its_weight_and_as_much_without():
    line = np.column_stack([np.linspace(-5, 5, 1001), np.zeros(1001)])
    light = Gaussians(np.array([0.9, 0.1]), np.array([[-1.0, 0.0], [1.0, 0.0]]), np.stack([np.eye(2)] * 2))
    # Equal where 2 x = log 9 with the weights, and at 0, the first on ties, without.
    np.testing.assert_array_equal(likeliest_component(light, line), line[:, 0] > np.log(9) / 2)
    np.testing.assert_array_equal(likeliest_component(light, line, paper=True), line[:, 0] > 1e-9)


@pytest.mark.parametrize("seed", range(2))
def test_decision_map_matches_slow_twin_and_follows_priors(seed):
    rng = np.random.default_rng(seed)
    points, labels = make_points(seed, ((0, 0), (3, 0)), 30), np.repeat(["cat", "dog"], 30)
    mixtures, where = fit_mixtures(points, labels, 2), rng.normal(size=(50, 2)) * 3
    for priors in (None, {"cat": 30, "dog": 3}):
        expected = []
        for point in where:
            scores = [density_slowly(m.kept, point) * (priors or {}).get(c, 1) for c, m in mixtures.items()]
            expected.append(int(np.argmax(scores)))
        np.testing.assert_array_equal(decision_map(mixtures, where, priors=priors), expected)
    cats = (decision_map(mixtures, where) == 0).mean()
    assert (decision_map(mixtures, where, priors={"cat": 10.0, "dog": 1.0}) == 0).mean() > cats
    np.testing.assert_array_equal(
        decision_map(mixtures, where, priors={"cat": 7, "dog": 7}), decision_map(mixtures, where)
    )


def test_scale_shift_and_rotation_move_the_mixture_along():
    points = make_points(1)
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    found, moved = fit_mixture(points), fit_mixture(3 * points @ turn.T + 5)
    np.testing.assert_array_equal(found.assignments, moved.assignments)
    np.testing.assert_allclose(moved.full.means, 3 * found.full.means @ turn.T + 5, rtol=1e-5)  # the 1e-6 on variances
    np.testing.assert_allclose(moved.full.covariances, 9 * turn @ found.full.covariances @ turn.T, atol=1e-4)


@pytest.mark.parametrize("sigmas", [1.0, 2.0])
def test_ellipses_hold_what_they_say(sigmas):
    covariance = np.array([[5.0, 3.0], [3.0, 4.0]])
    gaussians = Gaussians(np.ones(1), np.array([[1.0, -2.0]]), covariance[None])
    found = find_ellipses(gaussians, sigmas=sigmas)
    sample = np.random.default_rng(0).multivariate_normal([1, -2], covariance, 200_000)
    angle = np.radians(found.angles[0])
    turned = (sample - found.centers[0]) @ np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    inside = ((turned / (found.lengths[0] / 2)) ** 2).sum(axis=1) <= 1
    # Four standard deviations of a share of 200,000 draws are 0.0044.
    assert inside.mean() == pytest.approx(1 - np.exp(-(sigmas**2) / 2), abs=0.0045)


def test_ellipses_by_hand():
    tilted = 0.5 * np.array([[5.0, 3.0], [3.0, 5.0]])  # eigenvalue 4 along (1, 1), 1 along (1, -1)
    found = find_ellipses(
        Gaussians(np.ones(2) / 2, np.zeros((2, 2)), np.stack([tilted, np.diag([9.0, 1.0])])), sigmas=3.0
    )
    np.testing.assert_allclose(found.lengths, [[12, 6], [18, 6]], rtol=1e-12)
    np.testing.assert_allclose(found.angles, [45, 0], atol=1e-9)


@pytest.mark.parametrize(
    ("points", "components", "paper"),
    [
        (1, 1, True),
        (2, 1, True),
        (5, 1, True),
        (6, 2, True),
        (9, 3, True),
        (40, 5, True),
        (11, 1, False),
        (12, 2, False),
    ],
)
def test_no_more_components_are_tried_than_points_allow(points, components, paper):
    found = fit_mixture(np.random.default_rng(0).normal(size=(points, 2)), paper=paper)
    assert len(found.bic) == components and np.isfinite(found.bic).all()
    assert found.populations.sum() == pytest.approx(1, rel=1e-12) and np.isfinite(found.kept.covariances).all()


@pytest.mark.parametrize("strangers", [1, 2, 5])
def test_a_component_on_a_few_points_is_none_but_on_six_it_is(strangers):
    """Each makes the likelihood, and so the BIC, as good as the 1e-6 that the fit adds lets it."""
    rng = np.random.default_rng(0)
    cloud = rng.normal(size=(40, 2))
    points = np.vstack([cloud, 1e-3 * rng.normal(size=(strangers, 2)) + 8])
    paper = fit_mixture(points, paper=True).full
    assert np.rint(paper.weights * len(points)).min() <= strangers
    found = fit_mixture(points)
    assert len(found.full.weights) == 1 and (found.assignments == 0).all()
    six = fit_mixture(np.vstack([cloud, 0.3 * rng.normal(size=(6, 2)) + 8]), 2)
    assert sorted(six.populations) == pytest.approx([6 / 46, 40 / 46])


def test_components_on_a_line_or_on_copies_are_none():
    rng = np.random.default_rng(0)
    cloud, along = rng.normal(size=(40, 2)), np.linspace(20, 30, 12)
    for thin in (np.column_stack([along, along]), np.full((12, 2), 20.0)):
        points = np.vstack([cloud, thin])
        paper, found = fit_mixture(points, 2, paper=True).full, fit_mixture(points, 2).full
        assert np.linalg.eigvalsh(paper.covariances)[:, 0].min() < 1.1e-6
        assert np.linalg.eigvalsh(found.covariances)[:, 0].min() > 0.1


@pytest.mark.parametrize("seed", range(5))
def test_a_stranger_does_not_hide_the_groups(seed):
    points = np.vstack([make_points(seed), [[300.0, -200.0]]])
    paper, found = fit_mixture(points, paper=True), fit_mixture(points)
    assert 1 in np.rint(121 * paper.full.weights)
    assert len(found.full.weights) == 3 and sorted(np.bincount(found.assignments[:-1])) == [40, 40, 40]


@pytest.mark.parametrize("seed", range(5))
def test_every_component_is_sound_or_alone(seed):
    """Twenty points, as COCO has of a concept: without the rule most draws end in components of one or two points."""
    points = np.random.default_rng(seed).standard_t(2, size=(20, 2))
    found = fit_mixture(points).full
    assert len(found.weights) == 1 or (20 * found.weights).min() > 5.9


def test_one_identical_and_no_points():
    one, same = fit_mixture(np.full((1, 2), 3.0)), fit_mixture(np.full((20, 2), 3.0))
    for found in (one, same):
        assert found.full.weights.tolist() == [1.0]
        np.testing.assert_allclose(found.full.means, [[3, 3]], rtol=1e-14)
        np.testing.assert_allclose(found.full.covariances, 1e-6 * np.eye(2)[None], rtol=1e-9, atol=1e-20)
        assert (found.assignments == 0).all()
    assert one.bic[0] == pytest.approx(-2 * log_density(one.full, np.full((1, 2), 3.0))[0], rel=1e-9)  # log 1 is 0
    none = fit_mixture(np.zeros((0, 2)))
    assert none.full.means.shape == (0, 2) and none.assignments.shape == none.bic.shape == (0,)
    where = np.zeros((3, 2))
    assert np.isneginf(log_density(none.full, where)).all() and (likeliest_component(none.full, where) == -1).all()
    assert responsibilities(none.full, where).shape == (3, 0)
    assert (decision_map({"cat": none}, where) == -1).all() and (decision_map({}, where) == -1).all()
    assert (decision_map({"cat": none, "dog": same}, where) == 1).all()
    assert fit_mixtures(np.zeros((0, 2)), []) == {}


def test_everything_can_be_an_outlier():
    found = fit_mixture(make_points(0), outlier_weight=0.9, paper=True)
    assert len(found.components) == 0 and (found.assignments == -1).all()


def test_grid_of_one_point_is_its_margin():
    assert make_grid(np.array([[1.0, 2.0]]), 2).tolist() == [[0, 1], [2, 1], [0, 3], [2, 3]]


def test_bad_calls_say_what_to_do():
    with pytest.raises(InputError, match=r"`points` must be finite, but 1 of 2 rows"):
        fit_mixture(np.array([[0.0, np.nan], [1.0, 1.0]]))
    with pytest.raises(InputError, match=r"`max_components` must be at least 1 \(components\), but got 0"):
        fit_mixture(np.zeros((2, 2)), 0)
    with pytest.raises(InputError, match=r"`labels` must have shape \(2,\)"):
        fit_mixtures(np.zeros((2, 2)), ["cat"])
    with pytest.raises(InputError, match=r"`priors` must hold a number above 0 for every concept, but lacks \['cat'\]"):
        decision_map(fit_mixtures(np.zeros((2, 2)), ["cat", "cat"]), np.zeros((1, 2)), priors={"dog": 1})
    with pytest.raises(InputError, match=r"`points` must hold at least one point"):
        make_grid(np.zeros((0, 2)))
    with pytest.raises(InputError, match=r"`gaussians` must have 2 coordinates, because ellipses are flat, but got 3"):
        find_ellipses(Gaussians(np.ones(1), np.zeros((1, 3)), np.eye(3)[None]))
