"""Programs for accelerators, seen without one: `blocked` is lowered for each platform, and no product loses digits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from loce_jax.analysis.neighbors import blocked
from loce_jax.analysis.neighbors.interclass import interclass_distances
from loce_jax.analysis.neighbors.nearest import nearest_neighbors
from loce_jax.recipes import PaperRecipe, RidgeRecipe
from loce_jax.solver import project
from loce_jax.solver.ridge.objective import Config
from loce_jax.solver.whitening import DeviceWhitening
from loce_jax.solver.xla import solve_by_xla

CELLS, VECTORS, WHITENING = jnp.zeros((2, 3, 4, 16)), jnp.zeros((5, 16)), DeviceWhitening(jnp.zeros(16), jnp.eye(16))
PLATFORMS = ("cpu", "cuda", "tpu")
PROGRAMS = {name: program for name, program in vars(blocked).items() if isinstance(program, type(jax.jit(abs)))}


@pytest.fixture(scope="module")
def calls():
    """The shapes that each compiled program of `blocked` is called with, for more vectors than a tile holds."""
    seen = {name: set() for name in PROGRAMS}

    def watch(name):
        def call(*arrays):
            seen[name].add(tuple((array.shape, array.dtype) for array in arrays))
            return PROGRAMS[name](*arrays)

        return call

    vectors = np.random.default_rng(0).normal(size=(blocked._TILE + 500, 24))
    with pytest.MonkeyPatch.context() as patch:
        for name in PROGRAMS:
            patch.setattr(blocked, name, watch(name))
        for metric in ("cosine", "euclidean"):
            nearest_neighbors(vectors, 10, metric=metric)
        interclass_distances(vectors, np.arange(len(vectors)) % 3)
    return seen


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_program_is_lowered_for_every_platform(name, platform, calls):
    assert calls[name], f"nobody calls {name}"
    for arguments in calls[name]:
        shapes = [jax.ShapeDtypeStruct(*argument) for argument in arguments]
        exported = export.export(PROGRAMS[name], platforms=[platform])(*shapes)
        assert exported.platforms == (platform,) and "custom_call" not in exported.mlir_module()
        assert "f64" not in exported.mlir_module(), "no accelerator is quick at it, and TPUs have none"


def products(program, *arguments):
    text = export.export(jax.jit(program))(*arguments).mlir_module()
    return [line for line in text.splitlines() if "stablehlo.dot" in line]


def in_all_digits(lines):
    """A GPU would else round the factors to 10 bits (TF32), a TPU to 8."""
    return len(lines) > 0 and all("precision = [HIGHEST, HIGHEST]" in line for line in lines)


def test_bounds_on_distances_are_multiplied_in_all_digits(calls):
    found = [
        line
        for name, program in PROGRAMS.items()
        for arguments in calls[name]
        for line in products(program, *(jax.ShapeDtypeStruct(*each) for each in arguments))
    ]
    assert in_all_digits(found)


@pytest.mark.slow
@pytest.mark.parametrize("grid", [(3, 4), (5, 6)])  # fewer cells than channels, and more
@pytest.mark.parametrize("options", [PaperRecipe(), PaperRecipe(objective="mse"), RidgeRecipe()])
def test_solvers_multiply_in_all_digits(grid, options):
    cells, targets = jnp.zeros((2, *grid, 16)), jnp.zeros((2, 3, 20, 20))
    samples = cells, targets, jnp.ones((2, 3), bool), jnp.zeros(16)
    config = Config(WHITENING, jnp.array(0.1), jnp.array(0.5)) if options.needs_statistics else None
    assert in_all_digits(products(lambda *arrays: solve_by_xla(arrays[0], options, arrays[1]), samples, config))


@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        (project, (CELLS[0], VECTORS, jnp.zeros(5))),
        (DeviceWhitening.__call__, (WHITENING, CELLS)),
    ],
)
def test_what_is_drawn_and_whitened_is_multiplied_in_all_digits(program, arguments):
    assert in_all_digits(products(program, *arguments))
