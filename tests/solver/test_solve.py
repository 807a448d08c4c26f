"""`solve` against a slow twin written from the paper, against symmetries it must obey, and on rows it cannot solve."""

import functools as ft
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from loce_jax import InputError, PaperRecipe, Status, solve
from loce_jax.solver.paper.init import initial_vector
from tests.support.selection import further

GRID, TARGET, CHANNELS = (4, 3), (9, 7), 5


def make_batch(seed, n=3):
    """Activations with a planted direction per sample, and soft blob masks, never empty and never full."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: TARGET[0], : TARGET[1]]
    center, radius = rng.uniform(2, 6, (n, 2, 1, 1)), rng.uniform(1.5, 2.5, (n, 1, 1))
    masks = np.clip(radius - np.hypot(y - center[:, 0], x - center[:, 1]) + 0.5, 0, 1).astype("float32")
    return rng.normal(size=(n, *GRID, CHANNELS)).astype("float32"), masks


def solve_slowly(activations, mask, objective, start, *, steps=50, lr=0.1, decay=0.01):
    """The reference in float64: channels upsampled first, derivatives by hand, Adam with decoupled decay."""
    features = np.stack([upsample_channel(activations[..., c], mask.shape) for c in range(activations.shape[-1])], -1)
    v = np.full(activations.shape[-1], float(start))
    m, s, losses = np.zeros_like(v), np.zeros_like(v), []
    weight = 1 - (mask > 0).mean()
    for t in range(1, steps + 1):
        p = 1 / (1 + np.exp(-np.einsum("hwc,c->hw", features, v)))
        if objective == "bce":
            loss = -(weight * mask * p + (1 - weight) * (1 - mask) * (1 - p)).sum()
            derivative = -(weight * mask - (1 - weight) * (1 - mask))
        elif objective == "mse":
            loss, derivative = ((mask - p) ** 2).mean(), 2 * (p - mask) / mask.size
        else:
            loss, derivative = np.abs(mask - p).mean(), np.sign(p - mask) / mask.size
        g = np.einsum("hw,hwc->c", derivative * p * (1 - p), features)
        if objective != "bce":
            norm = np.sqrt((v**2).sum())
            loss += np.abs(v).sum() + norm
            g = g + np.sign(v) + (v / norm if norm else 0)
        losses.append(loss)
        m, s = 0.9 * m + 0.1 * g, 0.999 * s + 0.001 * g**2
        v = v * (1 - lr * decay) - lr * (m / (1 - 0.9**t)) / (np.sqrt(s / (1 - 0.999**t)) + 1e-8)
    return v, losses


def upsample_channel(image, size):
    """One channel, pixel by pixel; beyond the outermost centers the border's value holds."""
    (h, w), (H, W) = image.shape, size
    out = np.zeros(size)
    for Y in range(H):
        for X in range(W):
            y = min(max((Y + 0.5) * h / H - 0.5, 0), h - 1)
            x = min(max((X + 0.5) * w / W - 0.5, 0), w - 1)
            for j in range(h):
                for i in range(w):
                    out[Y, X] += max(0, 1 - abs(y - j)) * max(0, 1 - abs(x - i)) * image[j, i]
    return out


# float32 against float64 over 50 steps; Adam divides by the gradient's size, which magnifies rounding of small ones
close = ft.partial(np.testing.assert_allclose, rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("start", ["zeros", "ones"])
@pytest.mark.parametrize("seed", range(3))
def test_matches_the_slow_twin(seed, start):
    activations, masks = make_batch(seed)
    solution = solve(activations, masks, PaperRecipe(init=start))
    for row, (a, t) in enumerate(zip(activations.astype(float), masks.astype(float), strict=True)):
        vector, losses = solve_slowly(a, t, "bce", start == "ones")
        close(solution.vectors[row], vector)
        np.testing.assert_allclose(solution.losses[row], losses, rtol=1e-4)


@pytest.mark.parametrize("objective", ["mse", "mae"])
def test_penalized_objectives_match_the_slow_twin(objective):
    """Loss only: the L1 derivative's sign flips on rounding when a weight passes 0, so weights may differ by one step.

    Until the first of them passes 0 the losses agree to rounding; afterwards to a step's share of the L1 norm.
    """
    activations, masks = make_batch(0)
    solution = solve(activations, masks, PaperRecipe(objective=objective, init="ones", penalty="sample"))
    for row, (a, t) in enumerate(zip(activations.astype(float), masks.astype(float), strict=True)):
        _, losses = solve_slowly(a, t, objective, 1)
        np.testing.assert_allclose(solution.losses[row], losses, rtol=2e-2)
        np.testing.assert_allclose(solution.losses[row, :10], losses[:10], rtol=1e-5)


@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.2}, {"learning_rate": 0.03}, {"num_steps": 7}], ids=str)
def test_every_number_of_the_recipe_counts(options):
    activations, masks = make_batch(4, n=1)
    names = {"weight_decay": "decay", "learning_rate": "lr", "num_steps": "steps"}
    vector, losses = solve_slowly(
        activations[0].astype(float), masks[0].astype(float), "bce", 0, **{names[k]: v for k, v in options.items()}
    )
    solution = solve(activations, masks, PaperRecipe(**options))
    close(solution.vectors[0], vector)
    assert solution.losses.shape == (1, len(losses))


@pytest.mark.parametrize("seed", range(3))
def test_background_is_the_opposite_of_foreground(seed):
    """With hard masks: every soft pixel counts as foreground, which breaks the symmetry on purpose."""
    activations, masks = make_batch(seed)
    masks = np.round(masks)
    np.testing.assert_allclose(
        solve(activations, 1 - masks).vectors, -solve(activations, masks).vectors, rtol=1e-4, atol=1e-4
    )


def test_permuted_channels_permute_the_vector():
    activations, masks = make_batch(1)
    order = np.random.default_rng(0).permutation(CHANNELS)
    permuted = solve(activations[..., order], masks).vectors
    np.testing.assert_allclose(permuted, solve(activations, masks).vectors[:, order], rtol=1e-4, atol=1e-4)


def test_samples_do_not_know_of_each_other():
    activations, masks = make_batch(2, n=6)
    together = solve(activations, masks).vectors
    alone = [solve(activations[i : i + 1], masks[i : i + 1]).vectors[0] for i in range(6)]
    np.testing.assert_array_equal(together, np.stack(alone))
    np.testing.assert_array_equal(together[::-1], solve(activations[::-1], masks[::-1]).vectors)


def test_concepts_of_an_image_share_its_activations():
    activations, masks = make_batch(3, n=4)
    shared = solve(activations[:1], masks[None])
    alone = solve(np.repeat(activations[:1], 4, axis=0), masks)
    assert shared.vectors.shape == (1, 4, CHANNELS)
    np.testing.assert_allclose(shared.vectors[0], alone.vectors, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(shared.iou[0], alone.iou)


def test_padding_is_no_result_and_changes_nothing():
    activations, masks = make_batch(3, n=4)
    valid = np.array([[True, False], [True, True]])
    solution = solve(activations[:2], masks.reshape(2, 2, *TARGET), valid=valid)
    assert solution.status.tolist() == [[Status.OK, Status.PADDING], [Status.OK, Status.OK]]
    assert np.isnan(solution.vectors[0, 1]).all() and np.isnan(solution.iou[0, 1])
    np.testing.assert_allclose(
        solution.vectors[0, 0], solve(activations[:1], masks[:1]).vectors[0], rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("objective", ["bce", *further("mse", "mae")])
def test_bad_rows_are_flagged_and_do_not_spread(objective):
    options = PaperRecipe(objective=objective)
    activations, masks = make_batch(0, n=6)
    good = solve(activations[[0, 5]], masks[[0, 5]], options)
    activations[1, 2, 1, 3], activations[2, 0, 0, 0], masks[3], masks[4] = np.nan, np.inf, 0, 1
    solution = solve(activations, masks, options)
    expected = [Status.OK, Status.NONFINITE, Status.NONFINITE, Status.MASK_EMPTY, Status.MASK_FULL, Status.OK]
    assert solution.status.tolist() == expected
    assert solution.ok.tolist() == [True, False, False, False, False, True]
    for name in ("vectors", "losses", "responses", "iou"):
        values = np.asarray(getattr(solution, name)).reshape(6, -1)
        np.testing.assert_array_equal(np.isnan(values).all(axis=1), ~np.asarray(solution.ok))
    if objective == "bce":
        np.testing.assert_array_equal(np.asarray(solution.vectors)[[0, 5]], good.vectors)
    else:
        assert np.isfinite(np.asarray(solution.vectors)[[0, 5]]).all()


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_activations_are_solved_in_float32(dtype):
    activations, masks = make_batch(5)
    half = activations.astype(jnp.dtype(dtype))  # not by XLA, which cannot on a processor without F16C
    solution = solve(half, masks)
    assert solution.vectors.dtype == jnp.float32
    np.testing.assert_array_equal(solution.vectors, solve(half.astype("float32"), masks).vectors)


def test_random_starts_are_one_draw_for_all_and_seeded():
    activations, masks = make_batch(6)
    for start in ("uniform", "normal"):
        first, again, other = (solve(activations, masks, PaperRecipe(init=start, seed=s)) for s in (0, 0, 1))
        np.testing.assert_array_equal(first.vectors, again.vectors)
        assert not np.allclose(first.vectors, other.vectors)
        begun = initial_vector(PaperRecipe(init=start), CHANNELS)
        given = solve(activations, masks, initial=np.broadcast_to(begun, (3, CHANNELS)))
        np.testing.assert_array_equal(first.vectors, given.vectors)


@pytest.mark.slow
def test_coupled_penalty_ties_samples_and_sample_penalty_does_not():
    activations, masks = make_batch(7)
    for options, tied in ((PaperRecipe("mse"), True), (PaperRecipe("mse", penalty="sample"), False)):
        alone = solve(activations[:1], masks[:1], options).vectors[0]
        assert np.allclose(alone, solve(activations, masks, options).vectors[0], atol=1e-6) != tied


def test_planted_concept_is_redrawn():
    rng = np.random.default_rng(0)
    masks = (rng.random((8, 14, 14)) < 0.3).astype("float32")
    activations = rng.normal(size=(8, 14, 14, 64)) + (2 * masks - 1)[..., None] * rng.normal(size=64)
    solution = solve(activations.astype("float32"), masks)
    np.testing.assert_array_equal(solution.iou, 1)
    np.testing.assert_array_equal(solution.project((14, 14)) > 0.5, masks == 1)


def test_projection_on_demand_is_the_vectors_own():
    activations, masks = make_batch(8)
    solution = solve(activations, masks)
    response = np.einsum("hwc,c->hw", activations[0].astype(float), np.asarray(solution.vectors[0], float))
    expected = 1 / (1 + np.exp(-upsample_channel(response, (20, 30))))
    np.testing.assert_allclose(solution.project((20, 30))[0], expected, atol=1e-5)


def test_solves_inside_a_users_jit():
    activations, masks = make_batch(9)
    inside = jax.jit(lambda a, m: solve(a, m).vectors)(activations, masks)
    np.testing.assert_allclose(inside, solve(activations, masks).vectors, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a, m: (a[0], m), r"4 axes \[n h w c\].*got shape \(4, 3, 5\)"),
        (lambda a, m: (a.astype("int32"), m), r"float32, bfloat16, float16.*got int32"),
        (lambda a, m: (a, m[:2]), r"n = 3 as in `activations`, but got \(2, 9, 7\)"),
        (lambda a, m: (a, m[:, :0]), r"have cells and channels, and `masks` pixels, but got .*\(3, 0, 7\)"),
        (lambda a, m: (a[:, :, :0], m), r"have cells and channels.*got shapes \(3, 4, 0, 5\)"),
        (lambda a, m: (a, m * 255), r"lie in \[0, 1\], but got values from 0 to 255.*Divide 8-bit masks by 255"),
    ],
)
def test_wrong_input_says_what_to_do(change, message):
    unchecked = getattr(solve, "__wrapped__", solve)  # users run without the tests' own shape checker
    with pytest.raises(InputError, match=message):
        unchecked(*change(*make_batch(0)))


WRONG_OPTIONS = {
    "PaperRecipe(objective='bcee')": "unknown objective 'bcee'. Did you mean 'bce'",
    "PaperRecipe(init='zero')": "unknown init 'zero'. Did you mean 'zeros'",
    "PaperRecipe(num_steps=0)": "`num_steps` must be finite and at least 1, but got 0",
    "PaperRecipe(learning_rate=float('nan'))": "`learning_rate` must be finite",
    "RidgeRecipe(l2=0.0)": "`l2` must be above 0 and below inf, but got 0.0",
    "RidgeRecipe(whitening=1.5)": "`whitening` must be a power from 0 to 1, but got 1.5",
    "RidgeRecipe(tolerance=1.0)": "`tolerance` must be above 0 and below 1, but got 1.0",
    "recipe_from({'name': 'rigde'})": "unknown recipe 'rigde'. Did you mean 'ridge'",
    "recipe_from({'name': 'ridge', 'num_steps': 9})": "unknown option of the ridge recipe 'num_steps'",
    "recipe_from({'l2': 2.0})": "unknown option of the paper recipe 'l2'",
}


def test_wrong_options_say_what_to_do():
    """In a process of its own, as users run it: the tests' type checker would refuse some of these first."""
    tries = "".join(f"try: {call}\nexcept InputError as error: print(error)\n" for call in WRONG_OPTIONS)
    code = f"from loce_jax import InputError\nfrom loce_jax.recipes import *\n{tries}"
    lines = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(lines) == len(WRONG_OPTIONS)
    for line, expected in zip(lines, WRONG_OPTIONS.values(), strict=True):
        assert expected in line
