"""Finite numbers whose squares overflow or vanish: a status or an error that names them, never a silent zero."""

import functools as ft
from dataclasses import replace

import jax
import numpy as np
import pytest

from loce_jax import InputError, PaperRecipe, RidgeRecipe, Statistics, Status, solve
from loce_jax.image_energies import ImageEnergies
from loce_jax.solver.rows import mark_degenerate
from loce_jax.solver.solution import Convergence, Solution
from tests.solver.test_ridge import FEW, make_batch
from tests.support.selection import further

OVERFLOWING = pytest.mark.parametrize("scale", [1e12, 1e20, 1e25, 1e30, 1e37])


@pytest.mark.parametrize("scale", [100, 1e3, 1e6, *further(1e12, 1e20, 1e30, 1e37)])
def test_one_image_that_would_drown_the_others_is_named(scale):
    activations, _ = make_batch(FEW)
    activations[1] *= np.float32(scale / np.abs(activations[1]).max())
    channel = int((activations[1].astype(float) ** 2).sum(axis=(0, 1)).argmax())
    with pytest.raises(InputError, match=rf"those of 'sample 1' are .* times those of .* in channel {channel},"):
        Statistics.of(activations)


@pytest.mark.parametrize(("n", "factor"), [(6, 30), (60, 100), *further((600, 1000))])
def test_whoever_is_solved_beside_a_large_image_is_not_drowned_silently(n, factor):
    activations, masks = make_batch(FEW, n=n)
    usual = solve(activations, masks, RidgeRecipe(), statistics=Statistics.of(activations))
    activations[1] *= factor
    with pytest.raises(InputError, match="those of 'sample 1' are"):
        Statistics.of(activations)
    parts = [Statistics.of(activations[i : i + 1]) for i in range(n)]  # whose images nobody compared
    whole = ft.reduce(Statistics.merge, parts)
    found = solve(activations, masks, RidgeRecipe(), statistics=whole)
    others = np.arange(n) != 1
    assert usual.ok.all()
    assert (np.asarray(found.status)[others] == Status.DEGENERATE).all() and found.status[1] == Status.OK


def test_one_channel_of_one_image_is_named_with_the_layer():
    activations, _ = make_batch(FEW)
    activations[2, 0, 0, 3] = 1e25
    energies = ImageEnergies.of(activations, ["a.jpg", "b.jpg", "c.jpg", "d.jpg"])
    with pytest.raises(InputError, match="those of 'c.jpg' at layer 'late' are .* most of all in channel 3,"):
        energies.check(" at layer 'late'")


def test_several_such_images_do_not_hide_each_other():
    activations, _ = make_batch(FEW, n=12)
    activations[[2, 7]] *= 1e12
    with pytest.raises(InputError, match="those of 'sample [27]' are"):
        Statistics.of(activations)


def test_energies_do_not_depend_on_how_images_are_divided():
    activations, _ = make_batch(FEW)
    activations[3] = 0
    names = list("abcd")
    whole = ImageEnergies.of(activations, names)
    first, *parts = [ImageEnergies.of(activations[i : i + 1], names[i : i + 1]) for i in range(4)]
    assert len(whole.energies) == 3 and first.merge(parts[0]).merge(parts[1].merge(parts[2])) == whole
    assert ImageEnergies().merge(whole) == whole == whole.merge(ImageEnergies())


@pytest.mark.parametrize("scale", [1e-20, 1e-3, 1, 1e3, 1e12])
def test_a_common_scale_and_usual_differences_are_no_fault(scale):
    activations, _ = make_batch(FEW)
    activations[1] *= 3
    activations[2] = 0
    Statistics.of((activations * scale).astype("float32")).check()


@OVERFLOWING
def test_a_constant_channel_leaves_the_others_as_they_are(scale):
    activations, masks = make_batch(FEW)
    expected = activations.copy()
    activations[..., 2], expected[..., 2] = scale, 0
    found = solve(activations, masks, RidgeRecipe(), statistics=Statistics.of(activations))
    without = solve(expected, masks, RidgeRecipe(), statistics=Statistics.of(expected))
    assert found.ok.all() and (np.asarray(found.vectors)[:, 2] == 0).all()
    np.testing.assert_allclose(found.vectors, without.vectors, rtol=1e-4, atol=1e-4)


def test_rounding_of_a_usual_constant_channel_changes_no_bit():
    activations, _ = make_batch(FEW)
    activations[..., 1] = 0.1
    statistics = Statistics.of(activations)
    assert (statistics._covariance == statistics.scatter / statistics.count).all()


def test_a_channel_that_drowns_the_others_is_named():
    activations, masks = make_batch(FEW)
    activations[..., 2] *= 1e15
    statistics = Statistics.of(activations)
    with pytest.raises(
        InputError, match=r"`statistics` at layer 'late' must be .* channel 2 has the standard deviation"
    ):
        statistics.check(" at layer 'late'")
    with pytest.raises(InputError, match="channel 2"):
        solve(activations, masks, RidgeRecipe(), statistics=statistics)


def test_sums_that_overflow_are_named():
    statistics = Statistics(3, np.array([0.0, np.inf]), np.eye(2))
    with pytest.raises(InputError, match="channel 1 have overflowed"):
        statistics.whitening(0.5)


@pytest.mark.parametrize("scale", [1e25, 0, 1e-20, *further(1e20, 1e-10, 1e-30, 1e-37, 1e-40)])
def test_a_vector_of_the_papers_recipe_that_says_nothing_is_degenerate(scale):
    activations, masks = make_batch(FEW)
    expected = solve(activations, masks)
    activations[1] *= np.float32(scale)
    found = solve(activations, masks)
    assert np.asarray(found.status).tolist() == [Status.OK, Status.DEGENERATE, Status.OK, Status.OK]
    assert np.isnan(np.asarray(found.vectors)[1]).all() and np.isnan(np.asarray(found.iou)[1])
    assert np.isnan(np.asarray(found.responses)[1]).all() and np.isnan(np.asarray(found.losses)[1]).all()
    others = [0, 2, 3]
    np.testing.assert_array_equal(np.asarray(found.vectors)[others], np.asarray(expected.vectors)[others])


SOLVERS = pytest.mark.parametrize(
    "solver", [solve, jax.jit(lambda activations, masks: solve(activations, masks))], ids=["on the host", "inside jit"]
)


@SOLVERS
@pytest.mark.parametrize("grid", [(4, 3), (1, 1)])
def test_equal_cells_say_nothing_whatever_noise_makes_of_them(solver, grid):
    _, masks = make_batch(FEW)
    cells = np.random.default_rng(0).normal(size=(len(masks), 1, 1, 5))
    found = solver(np.broadcast_to(cells, (len(masks), *grid, 5)).astype("float32"), masks)
    assert (np.asarray(found.status) == Status.DEGENERATE).all() and np.isnan(np.asarray(found.iou)).all()


@SOLVERS
@pytest.mark.parametrize(("scale", "status"), [(1e-6, Status.DEGENERATE), (0.1, Status.OK)])
def test_responses_that_the_papers_projection_rounds_to_one_half_say_nothing(solver, scale, status):
    activations, masks = make_batch(FEW)
    found = solver(activations * np.float32(scale), masks)
    assert (np.asarray(found.status) == status).all()
    assert np.isnan(np.asarray(found.iou)).all() == (status == Status.DEGENERATE)


@pytest.mark.parametrize("scale", [1e-20, *further(1e-30)])
def test_the_ridge_recipe_solves_at_any_scale_of_float32(scale):
    activations, masks = make_batch(FEW)
    expected = solve(activations, masks, RidgeRecipe(), statistics=Statistics.of(activations))
    activations *= np.float32(scale)
    found = solve(activations, masks, RidgeRecipe(), statistics=Statistics.of(activations))
    assert found.ok.all()
    np.testing.assert_allclose(found.responses, expected.responses, atol=1e-4)


def test_the_ridge_recipe_on_less_than_float32_holds_is_degenerate():
    activations, masks = make_batch(FEW)
    activations = (activations * 1e-40).astype("float32")  # denormal
    found = solve(activations, masks, RidgeRecipe(), statistics=Statistics.of(activations))
    assert (np.asarray(found.status) == Status.DEGENERATE).all()


def test_statistics_of_other_images_do_not_make_zeros_silent():
    activations, masks = make_batch(FEW)
    found = solve(activations * 1e-20, masks, RidgeRecipe(), statistics=Statistics.of(activations))
    assert (np.asarray(found.status) == Status.DEGENERATE).all()
    assert found.convergence is not None and not np.asarray(found.convergence.converged).any()


def solution(**changes):
    """Five images with a row each: usual, a vector of zeros, no response, an infinite one, and an empty mask."""
    vectors = np.ones((5, 3), "float32")
    responses = np.broadcast_to(np.eye(2, dtype="float32"), (5, 2, 2)).copy()
    vectors[1], responses[2], responses[3, 0, 0], vectors[4] = 0, 0, np.inf, np.nan
    status = np.array([0, 0, 0, 0, Status.MASK_EMPTY], np.int8)
    numbers = vectors, np.ones((5, 1), "float32"), responses, np.ones(5, "float32"), status
    usual = Solution(*numbers, **changes)
    return jax.tree.map(lambda leaf: jax.device_put(leaf[:, None]), usual)


CELLS = np.ones((5, 2, 2, 3), "float32")
MARKS = pytest.mark.parametrize("mark", [mark_degenerate, jax.jit(mark_degenerate)], ids=["on the host", "on a device"])


@MARKS
def test_what_says_nothing(mark):
    found = mark(solution(), CELLS)
    assert np.asarray(found.status)[:, 0].tolist() == [0, *[Status.DEGENERATE] * 3, Status.MASK_EMPTY]
    assert np.isfinite(np.asarray(found.iou))[:, 0].tolist() == [True, False, False, False, True]
    assert found.status.dtype == np.int8 and found.vectors.dtype == np.float32


@MARKS
@pytest.mark.parametrize(
    ("responses", "status"),
    [
        ([[1.0, 1.0], [1.0, 1.0]], Status.DEGENERATE),
        ([[1.0, 1.0000001], [1.0, 1.0]], Status.DEGENERATE),  # the next float32
        ([[1.0, 1.00001], [1.0, 1.0]], Status.OK),
        ([[-0.0078, 0.0078], [0.0, 0.0]], Status.DEGENERATE),  # 255 * sigmoid is 127.5 +- 0.497 everywhere
        ([[-0.0079, 0.0079], [0.0, 0.0]], Status.OK),
    ],
)
def test_responses_that_say_the_same_of_all_cells(mark, responses, status):
    usual = solution()
    changed = np.array(usual.responses)
    changed[0, 0] = np.array(responses, "float32")
    assert mark(replace(usual, responses=jax.device_put(changed)), CELLS).status[0, 0] == status


@MARKS
@pytest.mark.parametrize("largest", [0.0, 1.0, 1e20])
def test_a_channel_whose_weight_stayed_zero_since_it_overflowed(mark, largest):
    usual, cells = solution(), CELLS.copy()
    cells[0, 1, 0, 2] = -largest
    vectors = np.array(usual.vectors)
    vectors[0, 0, 2] = 0
    found = mark(replace(usual, vectors=jax.device_put(vectors)), cells)
    assert found.status[0, 0] == (Status.DEGENERATE if largest > 1 else Status.OK)


def test_responses_that_a_bias_makes_are_no_vector():
    bias, flags = np.ones(5, "float32"), Convergence(np.ones(5, bool), np.ones(5, np.int32), np.ones(5, "float32"))
    found = mark_degenerate(solution(bias=bias, convergence=flags), CELLS)
    assert np.asarray(found.status)[:, 0].tolist() == [0, Status.DEGENERATE, 0, Status.DEGENERATE, Status.MASK_EMPTY]
    assert found.convergence is not None
    assert np.asarray(found.convergence.converged)[:, 0].tolist() == [True, False, True, False, True]


def test_marks_inside_a_users_jit_too():
    activations, masks = make_batch(FEW, n=1)
    status = jax.jit(lambda a, m: solve(a, m, PaperRecipe(num_steps=2)).status)(activations * 0, masks)
    assert status.tolist() == [Status.DEGENERATE]
