"""Derivatives, ablations and steps along directions: planted linear scores, finite differences, loops in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from loce_jax import InputError
from loce_jax.attribution import ablate, directional_derivatives, perturb
from loce_jax.attribution.scores import IMAGES_PER_BATCH
from loce_jax.solver import Status

RNG = np.random.default_rng(0)
ACTIVATIONS, VECTORS = RNG.normal(size=(3, 2, 4, 5)), RNG.normal(size=(2, 5))
CELL_WEIGHTS = RNG.normal(size=(2, 4, 5))


def bent(activations):
    """A score that bends: every cell weighs on its own, and cells act on each other."""
    return jnp.tanh((activations * CELL_WEIGHTS.astype(activations.dtype)).sum()) + jnp.prod(
        jnp.cos(activations[..., 0])
    )


def bent_slowly(activations):
    return np.tanh((activations * CELL_WEIGHTS).sum()) + np.prod(np.cos(activations[..., 0]))


def test_derivatives_are_finite_differences():
    with jax.enable_x64(True):
        found = directional_derivatives(bent, ACTIVATIONS, VECTORS)
    assert found.cells.shape == (3, 2, 2, 4)
    step = 1e-6  # central differences: errors of step^2 = 1e-12 and of rounding, 1e-16 / step = 1e-10
    for n, image in enumerate(ACTIVATIONS):
        for k, vector in enumerate(VECTORS):
            for y in range(2):
                for x in range(4):
                    high, low = image.copy(), image.copy()
                    high[y, x] += step * vector
                    low[y, x] -= step * vector
                    expected = (bent_slowly(high) - bent_slowly(low)) / (2 * step)
                    np.testing.assert_allclose(found.cells[n, k, y, x], expected, atol=1e-8)
            high, low = image + step * vector, image - step * vector
            np.testing.assert_allclose(found.sums[n, k], (bent_slowly(high) - bent_slowly(low)) / (2 * step), atol=1e-8)


def test_a_planted_linear_score_has_the_derivatives_of_its_weights():
    weights = np.array([1.0, 0, -2, 0, 0], "f4")
    found = directional_derivatives(lambda a: a.sum((0, 1)) @ weights, ACTIVATIONS, np.eye(5))
    np.testing.assert_array_equal(found.sums, np.tile(8 * weights, (3, 1)))  # 8 cells; sums of whole numbers
    doubled = directional_derivatives(lambda a: a.sum((0, 1)) @ weights, ACTIVATIONS, 2 * np.eye(5))
    np.testing.assert_array_equal(doubled.sums, 2 * found.sums)


@pytest.mark.parametrize("offsets", [None, np.array([0.5, -2.0])])
def test_ablation_takes_the_response_to_zero_and_changes_nothing_else(offsets):
    def slowly(image, vector, offset):
        changed = image.copy()
        for y in range(2):
            for x in range(4):
                response = sum(a * v for a, v in zip(image[y, x], vector, strict=True)) + offset
                changed[y, x] -= response * vector / sum(v * v for v in vector)
        return changed

    with jax.enable_x64(True):
        found = ablate(bent, ACTIVATIONS, VECTORS, offsets)
    for n, image in enumerate(ACTIVATIONS):
        np.testing.assert_allclose(found.before[n], bent_slowly(image), rtol=1e-12)
        for k, vector in enumerate(VECTORS):
            changed = slowly(image, vector, 0 if offsets is None else offsets[k])
            np.testing.assert_allclose(found.after[n, k], bent_slowly(changed), rtol=1e-12)
    np.testing.assert_array_equal(found.changes, found.after - found.before[:, None])


def test_ablation_knows_no_length_and_no_sign_of_a_direction():
    with jax.enable_x64(True):
        plain, other = ablate(bent, ACTIVATIONS, VECTORS), ablate(bent, ACTIVATIONS, -1e30 * VECTORS)
    np.testing.assert_allclose(other.after, plain.after, rtol=1e-12)


@pytest.mark.parametrize("step", [0.7, -3.0])
def test_a_step_moves_every_cell_by_its_length(step):
    with jax.enable_x64(True):
        found = perturb(bent, ACTIVATIONS, VECTORS, step)
    expected = np.zeros((3, 2))
    for n, image in enumerate(ACTIVATIONS):
        for k, vector in enumerate(VECTORS):
            unit = vector / np.sqrt(sum(v * v for v in vector))
            expected[n, k] = bent_slowly(image + step * unit) - bent_slowly(image)
    np.testing.assert_allclose(found.changes, expected, atol=1e-12)
    np.testing.assert_allclose(found.mean_changes, expected.mean(0), atol=1e-12)
    np.testing.assert_array_equal(found.shares_increased, (expected > 0).mean(0))


def test_a_step_sees_what_a_derivative_misses():
    def bump(activations):
        return -((activations - 1) ** 2).sum()

    one, direction = np.zeros((1, 1)), np.ones((1, 1))
    assert directional_derivatives(bump, one, direction).sums[0, 0] > 0 > perturb(bump, one, direction, 3.0).changes


def test_no_change_is_no_growth():
    found = perturb(lambda a: a[0], np.zeros((4, 2)), np.array([[0.0, 1.0]]), 1.0)
    assert found.shares_increased == found.mean_changes == 0


def test_bad_images_and_directions_have_a_status_and_do_not_spread():
    activations, vectors = ACTIVATIONS.astype("f4"), np.stack([VECTORS[0], np.zeros(5), np.full(5, np.nan)])
    activations[1, 0, 0, 0] = np.nan
    expected = [[Status.NONFINITE if n == 1 else Status.OK, Status.DEGENERATE, Status.DEGENERATE] for n in range(3)]
    derivatives = directional_derivatives(bent, activations, vectors)
    for found in (derivatives, ablate(bent, activations, vectors), perturb(bent, activations, vectors, 1.0)):
        np.testing.assert_array_equal(found.status, expected)
    effects = ablate(bent, activations, vectors)
    for numbers in (derivatives.sums, effects.after, effects.changes):
        np.testing.assert_array_equal(np.isfinite(numbers), np.array(expected) == 0)
    np.testing.assert_array_equal(np.isfinite(derivatives.cells).all((2, 3)), np.array(expected) == 0)
    np.testing.assert_array_equal(np.isfinite(effects.mean_changes), [True, False, False])


def test_more_images_than_a_batch_are_each_computed_by_itself():
    activations = RNG.normal(size=(IMAGES_PER_BATCH + 3, 3)).astype("f4")
    found = directional_derivatives(lambda a: (a**2).sum(), activations, np.eye(3))
    np.testing.assert_allclose(found.sums, 2 * activations, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((lambda a: a.sum(), ACTIVATIONS, np.ones(5)), r"`vectors` must have shape \[k c\] with c = 5"),
        ((lambda a: a.sum(), ACTIVATIONS, np.ones((2, 4))), r"but got \(2, 4\)"),
        ((lambda a: a.sum(0), ACTIVATIONS, VECTORS), r"`score` must return one number .* returns shape \(4, 5\)"),
        ((lambda a: a.sum(), ACTIVATIONS[0, 0, 0], VECTORS), r"`activations` must be .* got float64 of shape \(5,\)"),
        ((lambda a: a.sum(), np.ones((2, 5), int), VECTORS), "floating-point numbers"),
        ((lambda a, b: a.sum(), ACTIVATIONS, VECTORS, (np.ones(2),)), "arrays of the 3 images .* some of \\[2\\]"),
    ],
)
def test_errors_name_the_argument(arguments, words):
    with pytest.raises(InputError, match=words):
        directional_derivatives(*arguments)


def test_errors_of_steps_and_offsets():
    with pytest.raises(InputError, match="`step` must be a finite number"):
        perturb(bent, ACTIVATIONS, VECTORS, np.inf)
    with pytest.raises(InputError, match="`offsets` must have shape"):
        ablate(bent, ACTIVATIONS, VECTORS, np.zeros(3))
