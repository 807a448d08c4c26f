"""The ridge recipe against scikit-learn's solver, against symmetries it must obey, and on rows it cannot solve."""

import functools as ft

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import fractional_matrix_power
from sklearn.linear_model import LogisticRegression

from loce_jax import InputError, RidgeRecipe, Statistics, Status, project, solve
from loce_jax.resampling import bilinear_matrix
from loce_jax.solver.ridge.curvature import apply_bands, couple
from loce_jax.solver.ridge.newton import initial_state, minimize
from loce_jax.solver.ridge.objective import Config, Params, image_features
from loce_jax.solver.ridge.row import RowSolver
from loce_jax.solver.whitening import on_device
from loce_jax.solver.xla import resize_matrices
from tests.support.selection import further

FEW = (6, 5), (13, 11), 4  # layer's grid, target's grid, channels: fewer than cells
MANY = (3, 4), (10, 9), 40  # more than cells
SHAPES = pytest.mark.parametrize("shape", [FEW, *further((MANY,))], ids=["few_channels", "many_channels"])


def make_batch(shape, n=4, seed=0):
    """Anisotropic activations that know a little of soft blob masks."""
    grid, target, channels = shape
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: target[0], : target[1]]
    center, radius = rng.uniform(3, 8, (n, 2, 1, 1)), rng.uniform(2, 3, (n, 1, 1))
    masks = np.clip(radius - np.hypot(y - center[:, 0], x - center[:, 1]) + 0.5, 0, 1)
    coarse = np.stack([upsample_slowly(mask[..., None], grid)[..., 0] for mask in masks])
    mixing = rng.normal(size=(channels, channels)) * np.geomspace(3, 0.3, channels)
    activations = rng.normal(size=(n, *grid, channels)) @ mixing + coarse[..., None] * rng.normal(size=channels)
    return activations.astype("float32"), masks.astype("float32")


def upsample_slowly(image, size):
    """Every channel, pixel by pixel; beyond the outermost centers the border's value holds."""
    return np.einsum("YXyx,yxc->YXc", taps_slowly(image.shape[:2], size), image)


@ft.cache
def taps_slowly(grid, size):
    """What each pixel of `size` takes of each cell of `grid`."""
    (h, w), (H, W) = grid, size
    out = np.zeros((H, W, h, w))
    for Y in range(H):
        for X in range(W):
            y = min(max((Y + 0.5) * h / H - 0.5, 0), h - 1)
            x = min(max((X + 0.5) * w / W - 0.5, 0), w - 1)
            for j in range(h):
                for i in range(w):
                    out[Y, X, j, i] = max(0, 1 - abs(y - j)) * max(0, 1 - abs(x - i))
    return out


def whiten_slowly(activations, whitening):
    """The recipe's words: mean and covariance over all pixels, a hundredth of the mean variance, a matrix power."""
    pixels = activations.reshape(-1, activations.shape[-1]).astype(float)
    covariance = np.cov(pixels, rowvar=False, bias=True).reshape(activations.shape[-1], -1)
    covariance += 0.01 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    scale = np.trace(covariance) / len(covariance)
    matrix = np.real(fractional_matrix_power(covariance / scale, -whitening / 2)) / np.sqrt(scale)
    return (activations - pixels.mean(axis=0)) @ matrix


def weigh_slowly(mask, class_weight_power):
    t, share = mask.astype(float), float(mask.mean())
    weights = (1 - share) ** class_weight_power * t + share**class_weight_power * (1 - t)
    return weights / weights.sum()


def fit_slowly(features, mask, l2, class_weight_power=0.5):
    """scikit-learn on the upsampled design matrix: a soft pixel is a sample of each of the two classes."""
    design = upsample_slowly(features, mask.shape).reshape(-1, features.shape[-1])
    t, weights = mask.ravel().astype(float), weigh_slowly(mask, class_weight_power).ravel()
    twin = LogisticRegression(C=1 / l2, tol=1e-10, max_iter=10_000)
    samples = np.concatenate([design, design]), np.repeat([1, 0], len(design))
    twin.fit(*samples, sample_weight=np.concatenate([weights * t, weights * (1 - t)]))
    return twin.coef_[0], np.ravel(twin.intercept_)[0]


def fit_own(activations, masks, options):
    """Solved with the statistics of these images."""
    return solve(activations, masks, options, statistics=Statistics.of(activations))


def converged(found):
    assert found.convergence is not None
    return np.asarray(found.convergence.converged)


def bias_of(found):
    assert found.bias is not None
    return np.asarray(found.bias)


@SHAPES
@pytest.mark.parametrize(
    ("l2", "whitening", "class_weight_power"),
    [(0.1, 0.5, 0.5), *further((1.0, 0.5, 1.0), (0.3, 0.0, 0.0), (0.01, 1.0, 0.5))],
)
def test_agrees_with_scikit_learn(shape, l2, whitening, class_weight_power):
    activations, masks = make_batch(shape)
    options = RidgeRecipe(l2=l2, whitening=whitening, class_weight_power=class_weight_power)
    found = fit_own(activations, masks, options)
    features = whiten_slowly(activations, whitening)
    assert converged(found).all()
    for row, (feature, mask) in enumerate(zip(features, masks, strict=True)):
        vector, bias = fit_slowly(feature, mask, l2, class_weight_power)
        size = np.linalg.norm(vector)
        assert np.linalg.norm(found.vectors[row] - vector) < 1e-4 * size
        assert abs(bias_of(found)[row] - bias) < 1e-4 * max(size, 1)


@SHAPES
def test_nothing_is_left_of_the_gradient(shape):
    """By the definition of the objective, differentiated by JAX in float64."""
    activations, masks = make_batch(shape, n=2)
    found = fit_own(activations, masks, RidgeRecipe(0.2))
    features = whiten_slowly(activations, 0.5)

    def objective(vector, bias, row):
        t, w = masks[row].astype(float), weigh_slowly(masks[row], 0.5)
        z = jnp.tensordot(taps_slowly(*shape[:2]), features[row] @ vector, 2) + bias
        return jnp.sum(w * (jnp.logaddexp(0, z) - t * z)) + 0.2 / 2 * vector @ vector

    with jax.enable_x64():
        for row in range(2):
            at = jnp.asarray(found.vectors[row], float), jnp.asarray(bias_of(found)[row], float)
            value, derivatives = jax.value_and_grad(objective, argnums=(0, 1))(*at, row)
            assert abs(value - found.losses[row, 0]) < 5e-6  # float32 sums and whitening of values near 0.6
            assert np.linalg.norm(derivatives[0]) < 3e-5 * 0.2 * np.linalg.norm(at[0])  # the tolerance, and whitening's
            assert abs(derivatives[1]) < 1e-5


@pytest.mark.slow
def test_bands_are_the_dense_product():
    grid, size = (4, 3), (7, 9)
    curvature, values = np.random.default_rng(0).random(size), np.random.default_rng(1).normal(size=grid)
    taps = taps_slowly(grid, size)
    slow = np.einsum("YXyx,YX,YXvu,vu->yx", taps, curvature, taps, values)
    bands = couple(jnp.asarray(curvature), resize_matrices(grid, size))
    np.testing.assert_allclose(apply_bands(bands, jnp.asarray(values)), slow, rtol=1e-5, atol=1e-5)  # float32


@pytest.mark.slow
@SHAPES
def test_any_initialization_ends_at_the_same_minimum(shape):
    activations, masks = make_batch(shape, n=1)
    options, (grid, target, _) = RidgeRecipe(0.3), shape
    resize = resize_matrices(grid, target)
    config, tolerance = Config.of(Statistics.of(activations), options), options.tolerance
    features, target = image_features(config.whitening(activations[0])), jnp.asarray(masks[0])
    solver, valid = RowSolver(config, resize, tolerance), jnp.asarray(True)
    found = solver.solve(features, target, valid)
    objective = solver.objective(features, solver.prepare(features, target, valid))
    parametrization = objective.parametrization
    for seed in range(3):
        rng = np.random.default_rng(seed)
        unknowns = jnp.asarray(rng.normal(size=parametrization.size), jnp.float32)
        there = Params(unknowns, parametrization.matvec(unknowns), jnp.float32(rng.normal()))
        iterate, last, steps = minimize(objective, initial_state(objective, there))
        assert last.converged and steps > 0
        vector = parametrization.vector(iterate.params.unknowns)
        assert np.linalg.norm(vector - found.vectors) < 2 * tolerance * np.linalg.norm(found.vectors)


@pytest.mark.slow
@SHAPES
def test_float32_is_as_good_as_float64(shape):
    activations, masks = make_batch(shape, n=3)
    options = RidgeRecipe(0.05)
    single = fit_own(activations, masks, options)
    with jax.enable_x64():
        features = jnp.asarray(whiten_slowly(activations, 0.5))
        whitening = on_device(Statistics.of(activations).whitening(0.5))
        config = Config(whitening, jnp.asarray(0.05), jnp.asarray(0.5))
        rows, columns = (jnp.asarray(bilinear_matrix(*lengths)) for lengths in zip(*shape[:2], strict=True))
        for row in range(3):
            sample = image_features(features[row]), jnp.asarray(masks[row], float), jnp.asarray(True)
            double = RowSolver(config, (rows, columns), options.tolerance).solve(*sample)
            assert double.vectors.dtype == np.float64
            apart = np.linalg.norm(single.vectors[row] - double.vectors)
            assert apart < 1e-4 * np.linalg.norm(double.vectors)


def test_rows_do_not_know_of_each_other():
    activations, masks = make_batch(MANY, n=5)
    statistics, options = Statistics.of(activations), RidgeRecipe()
    together = solve(activations, masks, options, statistics=statistics)
    for row in range(5):
        alone = solve(activations[row : row + 1], masks[row : row + 1], options, statistics=statistics)
        np.testing.assert_allclose(alone.vectors[0], together.vectors[row], rtol=1e-4, atol=1e-5)
    pairs = solve(activations, np.stack([masks, masks[:, ::-1]], axis=1), options, statistics=statistics)
    np.testing.assert_allclose(pairs.vectors[:, 0], together.vectors, rtol=1e-4, atol=1e-5)


def test_rows_that_cannot_be_solved_say_why_and_touch_nobody():
    activations, masks = make_batch(FEW, n=5)
    statistics, options = Statistics.of(activations), RidgeRecipe()
    clean = solve(activations, masks, options, statistics=statistics)
    activations[0, 1, 1, 1], masks[1], masks[2] = np.nan, 0, 1
    valid = np.array([[True], [True], [True], [False], [True]])
    found = solve(activations, masks[:, None], options, statistics=statistics, valid=valid)
    words = [Status.NONFINITE, Status.MASK_EMPTY, Status.MASK_FULL, Status.PADDING, Status.OK]
    assert found.status[:, 0].tolist() == words
    assert converged(found)[:, 0].tolist() == [False] * 4 + [True]
    for field in (found.vectors, found.losses, found.responses, found.iou, bias_of(found)):
        assert np.isnan(field[:4]).all()
    np.testing.assert_allclose(found.vectors[4, 0], clean.vectors[4], rtol=1e-5, atol=1e-6)


@SHAPES
def test_numbers_that_overflow_are_a_status(shape):
    activations, masks = make_batch(shape)
    statistics, options = Statistics.of(activations), RidgeRecipe()
    clean = solve(activations, masks, options, statistics=statistics)
    activations[0] *= 1e30
    found = solve(activations, masks, options, statistics=statistics)
    assert found.status.tolist() == [Status.NONFINITE, Status.OK, Status.OK, Status.OK]
    assert np.isnan(found.vectors[0]).all() and not converged(found)[0]
    np.testing.assert_allclose(found.vectors[1:], clean.vectors[1:], rtol=1e-5, atol=1e-6)


@SHAPES
def test_symmetries(shape):
    """What changes nothing in the problem changes nothing in the answer; what mirrors it mirrors the answer."""
    activations, masks = make_batch(shape)
    fit = ft.partial(fit_own, options=RidgeRecipe(0.2))
    plain = fit(activations, masks)
    close = ft.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-4)  # float32 statistics of other numbers
    close(fit(7 * activations + 3, masks).vectors, plain.vectors)
    close(fit(activations[..., ::-1], masks).vectors, plain.vectors[:, ::-1])
    flipped = fit(activations[:, ::-1], masks[:, ::-1])
    close(flipped.vectors, plain.vectors)
    opposite = fit(activations, 1 - masks)
    close(opposite.vectors, -plain.vectors)
    close(bias_of(opposite), -bias_of(plain))


def test_a_stronger_penalty_makes_a_shorter_vector_and_a_worse_fit():
    activations, masks = make_batch(FEW)
    found = [fit_own(activations, masks, RidgeRecipe(l2)) for l2 in (0.01, 0.1, 1.0, 10.0)]
    lengths = np.array([np.linalg.norm(one.vectors, axis=1) for one in found])
    assert (np.diff(lengths, axis=0) < 0).all()
    fits = np.array([one.losses[:, 0] for one in found]) - 0.5 * lengths**2 * np.array([[0.01], [0.1], [1.0], [10.0]])
    assert (np.diff(fits, axis=0) > 0).all()


@SHAPES
@pytest.mark.parametrize("power", [0.5, *further(0.0, 1.0)])
def test_the_raw_filter_and_the_whitened_one_segment_the_same_mask(shape, power):
    activations, masks = make_batch(shape)
    found = fit_own(activations, masks, RidgeRecipe(whitening=power))
    filters, offsets = found.raw_filters()
    raw = np.einsum("nhwc,nc->nhw", activations, filters) + np.asarray(offsets)[:, None, None]
    np.testing.assert_allclose(raw, found.responses, rtol=1e-3, atol=1e-3)  # float32, means subtracted late
    mine = project(activations[0], filters[0], offsets[0], shape[1])
    np.testing.assert_allclose(mine, found.project(shape[1])[0], rtol=1e-4, atol=1e-4)
    drawn, mask = np.asarray(mine) > 0.5, masks[0] > 0.5
    assert found.iou[0] == pytest.approx((drawn & mask).sum() / (drawn | mask).sum())


def test_a_layer_that_knows_nothing_is_degenerate():
    activations, masks = make_batch(FEW)
    found = fit_own(np.ones_like(activations), masks, RidgeRecipe())
    assert (np.asarray(found.status) == Status.DEGENERATE).all() and not converged(found).any()
    assert np.isnan(np.asarray(found.vectors)).all()


@SHAPES
def test_an_image_that_is_alike_everywhere_knows_nothing(shape):
    activations, masks = make_batch(shape)
    statistics = Statistics.of(activations)
    activations[1] = activations[1, 0, 0]
    found = solve(activations, masks, RidgeRecipe(), statistics=statistics)
    assert np.asarray(found.status).tolist() == [Status.OK, Status.DEGENERATE, Status.OK, Status.OK]
    assert converged(found).tolist() == [True, False, True, True]
    assert np.isnan(np.asarray(found.vectors[1])).all() and np.isfinite(np.asarray(found.vectors)[[0, 2, 3]]).all()


@pytest.mark.slow
def test_solves_inside_a_users_jit_and_after_it():
    activations, masks = make_batch(FEW)
    statistics, options = Statistics.of(activations), RidgeRecipe()

    def vectors_of(activations, masks):
        return solve(activations, masks, options, statistics=statistics).vectors

    inside = jax.jit(vectors_of)(activations, masks)
    np.testing.assert_allclose(inside, vectors_of(activations, masks), rtol=1e-4, atol=1e-5)


def test_dead_channels_and_fewer_pixels_than_channels_are_no_trouble():
    activations, masks = make_batch(MANY, n=2)  # 24 pixels, 40 channels
    activations[..., :5] = 0
    found = fit_own(activations, masks, RidgeRecipe(0.1, 1.0))
    assert converged(found).all() and np.isfinite(found.vectors).all()
    assert (np.abs(found.vectors[:, :5]) < 1e-6).all()


@pytest.mark.slow
def test_a_grid_finer_than_the_target():
    activations, masks = make_batch(((14, 15), (10, 9), 3))
    found = fit_own(activations, masks, RidgeRecipe(0.3))
    features = whiten_slowly(activations, 0.5)
    vector, _ = fit_slowly(features[0], masks[0], 0.3)
    assert np.linalg.norm(found.vectors[0] - vector) < 1e-4 * np.linalg.norm(vector)


def test_what_did_not_converge_says_so_and_is_kept():
    activations, masks = make_batch(FEW)
    wanted = RidgeRecipe(tolerance=1e-30)
    found, usual = fit_own(activations, masks, wanted), fit_own(activations, masks, RidgeRecipe())
    assert not converged(found).any() and found.ok.all()
    np.testing.assert_allclose(found.vectors, usual.vectors, rtol=1e-3, atol=1e-4)


def test_bad_calls_are_refused():
    activations, masks = make_batch(FEW)
    statistics, ridge = Statistics.of(activations), RidgeRecipe()
    for match, call in {
        "`statistics` must be given": lambda: solve(activations, masks, ridge),
        "`statistics` belongs": lambda: solve(activations, masks, statistics=statistics),
        "same layer": lambda: solve(activations[..., :2], masks, ridge, statistics=statistics),
        "`initial` has no meaning": lambda: solve(
            activations, masks, ridge, statistics=statistics, initial=np.zeros((4, 4))
        ),
    }.items():
        with pytest.raises(InputError, match=match):
            call()
