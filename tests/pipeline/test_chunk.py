"""Chunks within bounds: of device memory, of main memory, and of compilations."""

import logging
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from loce_jax import InputError, PaperRecipe, RidgeRecipe, open_run
from loce_jax.activations import make_extractor
from loce_jax.cli import main
from loce_jax.pipeline import memory
from loce_jax.pipeline.plan import make_plan
from loce_jax.pipeline.reading import SampleReader
from loce_jax.pipeline.run import RunOptions, run_plan
from loce_jax.pipeline.solve_chunk import solve_chunk
from loce_jax.pipeline.sources import scenes_source
from loce_jax.recipes import Recipe
from tests.support.tiny import tiny_network

LAYERS = ("shallow", "deep")


def make(count, recipe: Recipe = PaperRecipe(num_steps=3)):  # noqa: B008 - frozen
    return make_plan(tiny_network(), LAYERS, scenes_source(count=count), recipe)


@pytest.fixture(scope="module")
def plan():
    return make(40)


@pytest.fixture(scope="module")
def opened(plan):
    return [SampleReader.for_plan(plan)(item) for item in plan.dataset.items[:13]]


def too_much(extract, most):
    """`extract` on a device whose memory holds `most` images."""

    def on_small_device(images):
        if len(images) > most:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 1 bytes.")
        return extract(images)

    return on_small_device


def equal(one, other):
    for layer in LAYERS:
        for name in ("vectors", "losses", "responses", "iou", "status"):
            np.testing.assert_array_equal(getattr(one[layer], name), getattr(other[layer], name))


def test_out_of_device_memory_halves_the_images_and_says_so(plan, opened, caplog):
    extract = make_extractor(plan.network, plan.layers)
    expected, _ = solve_chunk(plan, opened, extract, 32)
    found, batch_size = solve_chunk(plan, opened, too_much(extract, 8), 32)
    assert batch_size == 8
    assert "does not hold 16 images together; going on with 8" in caplog.text
    equal(expected, found)


@pytest.mark.slow
def test_a_device_too_small_for_one_image_says_so(plan, opened):
    with pytest.raises(InputError, match="must hold one image, but does not: RESOURCE_EXHAUSTED: .*JAX_PLATFORMS=cpu"):
        solve_chunk(plan, opened, too_much(make_extractor(plan.network, plan.layers), 0), 4)


def test_groups_of_equal_size_give_the_same_rows(plan, opened, monkeypatch):
    """As on a GPU: at most two concepts together, padded; image by image on the cores of a CPU."""
    extract = make_extractor(plan.network, plan.layers)
    expected, _ = solve_chunk(plan, opened, extract, 16)
    monkeypatch.setattr("loce_jax.pipeline.solve_chunk.concepts_per_call", lambda counts: 2)
    found, _ = solve_chunk(plan, opened, extract, 16)
    assert len(expected["deep"].status) == sum(len(one.samples) for one in opened) > 16  # more than one block
    equal(expected, found)


@pytest.mark.slow
def test_the_number_of_compilations_does_not_grow_with_the_data(tmp_path, caplog):
    def compilations(count):
        jax.clear_caches()
        caplog.clear()
        with jax.log_compiles(), caplog.at_level(logging.WARNING):
            run_plan(make(count), tmp_path / str(count))
        return sum(record.getMessage().startswith("Compiling") for record in caplog.records)

    first = compilations(33)
    assert first > 0
    assert [compilations(count) for count in (1, 97, 129)] == [first] * 3


@pytest.mark.slow
def test_the_ridge_recipe_compiles_nothing_more_for_more_data(tmp_path, caplog):
    run_plan(make(33, RidgeRecipe()), tmp_path / "first")
    for count in (1, 97):
        caplog.clear()
        with jax.log_compiles(), caplog.at_level(logging.WARNING):
            run_plan(make(count, RidgeRecipe()), tmp_path / str(count))
        compiled = [record.args[0] for record in caplog.records if record.getMessage().startswith("Compiling")]
        assert compiled == ["jit(forward)"], "the network, anew for each run"


def test_memory_decides_how_many_images_go_together(plan, monkeypatch):
    monkeypatch.setattr(memory, "_resident", lambda: 0)
    assert memory.images_per_batch(plan, None) == 32
    monkeypatch.setattr(memory, "_reading", lambda plan: 3e8)
    monkeypatch.setattr(memory, "_forward", lambda plan: 2e8)
    monkeypatch.setattr(memory, "_image", lambda plan: 1e7)
    # 1.1 * (0.3 + 0.2 + images * 0.01) gigabytes; a chunk being worked on and one being read were counted as `_reading`
    needed = {images: 1.1 * (0.5 + images * 0.01) for images in (8, 16, 32)}
    for images, gigabytes in needed.items():
        assert memory.images_per_batch(plan, gigabytes + 0.001) == images
    with pytest.raises(InputError, match=r"for this plan 0\.6 gigabytes, but got 0\.63"):
        memory.images_per_batch(plan, 0.63)


def test_too_little_memory_is_refused_at_the_door(plan, tmp_path):
    with pytest.raises(InputError, match=r"`memory` must hold the network, .* gigabytes, but got 0.01"):
        run_plan(plan, tmp_path / "run", RunOptions(memory=0.01))
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_memory_is_a_flag(tmp_path, capsys):
    flags = ["--layers", "blocks.4", "--scenes", "--memory", "0.01", "--out", str(tmp_path / "run")]
    assert main(["fit", *flags]) == 2
    assert "`--memory` must hold the network" in capsys.readouterr().err


ON_EIGHT_DEVICES = """
import sys
import jax
jax.config.update("jax_num_cpu_devices", 8)
from tests.pipeline.test_chunk import make
from loce_jax.activations import make_extractor
from loce_jax.pipeline.run import RunOptions, run_plan
assert len(jax.devices()) == 8
plan = make(40)
photos = jax.numpy.zeros((3, *plan.network.preprocess.size, 3), "uint8")
assert make_extractor(plan.network, plan.layers)(photos)["deep"].shape[0] == 3
run_plan(plan, sys.argv[1])
"""


@pytest.mark.slow
def test_a_run_on_eight_devices_has_the_vectors_of_one(plan, tmp_path):
    command = [sys.executable, "-c", ON_EIGHT_DEVICES, str(tmp_path / "eight")]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    eight, one = open_run(tmp_path / "eight"), run_plan(plan, tmp_path / "one")
    assert eight.complete
    for layer in LAYERS:
        # XLA's code for the eight, Numba's for the one, after three steps
        np.testing.assert_allclose(eight.vectors(layer), one.vectors(layer), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(eight.column("iou", layer), one.column("iou", layer), atol=5e-3)
