"""What `blocked` asks of a device can be compiled for any: its programs, as its callers call them, lowered for each."""

import jax
import numpy as np
import pytest
from jax import export

from loce_jax.analysis import blocked
from loce_jax.analysis.contacts import find_contacts
from loce_jax.analysis.neighbours import nearest_neighbours

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
            nearest_neighbours(vectors, 10, metric=metric)
        find_contacts(vectors, np.arange(len(vectors)) % 3)
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


def test_products_are_asked_for_in_all_digits(calls):
    """A GPU would else round the factors to 10 bits (TF32), a TPU to 8, and the bounds of `blocked` would not hold."""
    products = []
    for name, program in PROGRAMS.items():
        for arguments in calls[name]:
            text = export.export(program)(*(jax.ShapeDtypeStruct(*each) for each in arguments)).mlir_module()
            products += [line for line in text.splitlines() if "stablehlo.dot" in line]
    assert products and all("precision = [HIGHEST, HIGHEST]" in line for line in products)
