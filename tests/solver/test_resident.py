"""The kernel that takes all steps, in Pallas's interpreter, against `solve`; and that it lowers for CUDA."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from loce_jax import InputError, PaperRecipe, solve
from loce_jax.solver.gpu.resident import Chip, chip_of, fits_on_chip, solve_resident
from loce_jax.solver.losses import OBJECTIVES, Objective
from loce_jax.solver.paper.init import initial_vector
from loce_jax.solver.xla import solve_by_xla
from tests.support.selection import further

H200 = Chip(cores=132, cache=50 * 2**20)


def make_batch(shape, target, *, n=2, k=2, dtype="float32"):
    """Activations that are partly 0, as a ReLU leaves them, and soft targets of all values."""
    rng = np.random.default_rng(0)
    activations = np.maximum(rng.normal(size=(n, *shape)), 0).astype("float32")
    targets = np.clip(rng.normal(size=(n, k, *target)), 0, 1).astype("float32")
    return jnp.asarray(activations).astype(dtype), jnp.asarray(targets)


def resident(activations, targets, options):
    shape = (*targets.shape[:2], activations.shape[-1])
    start = jnp.broadcast_to(initial_vector(options, shape[-1]), shape)
    return solve_resident(activations, targets, start, options, interpret=True)


def assert_same(found, solution):
    """The goal's 1e-3, relative to the largest entry; both sum in float32, in another order, so most are far closer.

    Adam divides by the derivative's own size, which magnifies the rounding of entries with hardly any derivative.
    """
    for mine, theirs in zip(found, (solution.vectors, solution.losses), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-3 * float(jnp.abs(theirs).max()))


@pytest.mark.parametrize(
    ("objective", "shape", "target", "start", "dtype"),
    [
        # channels in three parts, strips and bands not full
        pytest.param("bce", (5, 7, 50), (23, 40), "zeros", "bfloat16", marks=pytest.mark.slow),
        pytest.param("mse", (5, 7, 50), (23, 40), "zeros", "float32", marks=pytest.mark.slow),
        pytest.param("mae", (5, 7, 50), (23, 40), "normal", "bfloat16", marks=pytest.mark.slow),
        ("bce", (4, 4, 16), (16, 16), "ones", "float32"),  # one strip, full
        # smaller than anything Triton multiplies
        pytest.param("mae", (1, 3, 1), (5, 2), "normal", "float32", marks=pytest.mark.slow),
        pytest.param("mse", (20, 3, 33), (40, 7), "uniform", "float16", marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_matches_solve(objective, shape, target, start, dtype):
    activations, targets = make_batch(shape, target, dtype=dtype)
    options = PaperRecipe(objective=objective, init=start, penalty="sample", num_steps=6)
    assert_same(resident(activations, targets, options), solve(activations, targets, options))


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"weight_decay": 0.5}, {"learning_rate": 0.03}, {"epsilon": 10.0}], ids=str)
def test_every_number_of_the_recipe_counts(options):
    activations, targets = make_batch((3, 4, 6), (9, 9))
    recipe = PaperRecipe(**{"num_steps": 5, **options})
    found = resident(activations, targets, recipe)
    assert_same(found, solve(activations, targets, recipe))
    assert not np.allclose(found[0], resident(activations, targets, PaperRecipe(num_steps=5))[0], rtol=1e-2)


@pytest.mark.slow
def test_planted_concept_is_redrawn_as_solve_does():
    rng = np.random.default_rng(0)
    masks = (rng.random((2, 1, 14, 14)) < 0.3).astype("float32")
    activations = rng.normal(size=(2, 14, 14, 24)) + (2 * masks[:, 0] - 1)[..., None] * 2 * rng.normal(size=24)
    activations = jnp.asarray(activations, jnp.float32)
    options = PaperRecipe()
    vectors, losses = resident(activations, jnp.asarray(masks), options)
    assert_same((vectors, losses), solve(activations, masks, options))
    np.testing.assert_array_equal(jnp.einsum("nhwc,nkc->nkhw", activations, vectors) > 0, masks == 1)


@pytest.mark.slow
def test_samples_and_concepts_do_not_know_of_each_other():
    activations, targets = make_batch((3, 5, 20), (12, 10), n=3)
    options = PaperRecipe(num_steps=4)
    vectors, losses = resident(activations, targets, options)
    for found, swapped in zip(
        (vectors, losses), resident(activations[::-1], targets[::-1, ::-1], options), strict=True
    ):
        np.testing.assert_array_equal(found, swapped[::-1, ::-1])
    bad = resident(activations.at[1, 2, 2, 3].set(jnp.nan), targets.at[0, 1, 3, 3].set(jnp.inf), options)
    for found, spoilt in zip((vectors, losses), bad, strict=True):
        np.testing.assert_array_equal(np.isfinite(spoilt).all(axis=2), [[True, False], [False, False], [True, True]])
        np.testing.assert_array_equal(found[0, 0], spoilt[0, 0])
        np.testing.assert_array_equal(found[2], spoilt[2])


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["bce", "mse"])
def test_padding_stays_0_without_an_epsilon(objective):
    """Beyond the last channel the derivative is 0, and AdamW without an epsilon divides 0 by 0."""
    activations, targets = make_batch((3, 3, 5), (8, 8))
    options = PaperRecipe(objective=objective, init="ones", penalty="sample", epsilon=0.0, num_steps=3)
    found = resident(activations, targets, options)
    assert np.isfinite(found[0]).all()
    assert_same(found, solve(activations, targets, options))


@pytest.mark.slow
def test_an_objective_is_what_the_table_of_objectives_says(monkeypatch):
    """No objective is taken for another one."""
    cubed = Objective(lambda p, target, _: (p - target) ** 3, lambda p, target, _: 3 * (p - target) ** 2, averaged=True)
    monkeypatch.setitem(OBJECTIVES, "mae", cubed)
    activations, targets = make_batch((3, 4, 6), (9, 8))
    options = PaperRecipe("mae", penalty="sample", num_steps=7)  # a number of steps that no other test compiles
    samples = activations, targets, np.ones(targets.shape[:2], bool), np.zeros(6, np.float32)
    assert_same(resident(activations, targets, options), solve_by_xla(samples, options))


def test_coupled_samples_are_refused():
    activations, targets = make_batch((2, 2, 3), (4, 4))
    with pytest.raises(InputError, match=r"penalty='sample' with the objective 'mse'.*got penalty='batch'"):
        resident(activations, targets, PaperRecipe("mse"))


def test_chosen_only_where_a_sample_a_multiprocessor_fits_the_cache():
    fitting = [(7, 7, 2048), (14, 14, 768)]
    for shape in [*fitting, (14, 14, 1024), (25, 34, 256), (56, 56, 96)]:
        assert fits_on_chip(*shape, "bfloat16", H200) == (shape in fitting)
        assert not fits_on_chip(*shape, "float32", H200)
        assert not fits_on_chip(*shape, "bfloat16", chip_of(jax.devices("cpu")[0]))
    assert not fits_on_chip(7, 7, 2048, "bfloat16", H200, target=(900, 100))


@pytest.mark.parametrize("objective", ["bce", *further("mse", "mae")])
@pytest.mark.parametrize("shape", [(7, 7, 2048), *further(((14, 14, 768),), ((5, 7, 50),))], ids=str)
def test_lowers_for_cuda(shape, objective):
    """Triton's own rules (powers of two, what it can read and multiply) are met; needs no GPU."""
    options = PaperRecipe(objective=objective, penalty="sample")
    arrays = (
        jax.ShapeDtypeStruct((3, *shape), jnp.bfloat16),
        jax.ShapeDtypeStruct((3, 2, 100, 100), jnp.float32),
        jax.ShapeDtypeStruct((3, 2, shape[-1]), jnp.float32),
    )
    with on_paper("NVIDIA H200", cores=132):
        traced = jax.jit(lambda a, t, s: solve_resident(a, t, s, options)).trace(*arrays)
        assert "triton" in traced.lower(lowering_platforms=("cuda",)).as_text()


@contextlib.contextmanager
def on_paper(kind, cores):
    """From jax 0.12 on, lowering asks which GPU it is for; 0.10 takes compute capability 9.0 where there is none."""
    device = jax.sharding.AbstractDevice(device_kind=kind, num_cores=cores, platform="gpu")
    with jax.sharding.use_abstract_mesh(jax.sharding.AbstractMesh((), (), abstract_device=device)):
        yield
