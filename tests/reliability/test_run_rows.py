"""Faults 13 to 27 of the list of faults that the product must withstand: numbers, machines, stores and reports.

Each test is named after its row; the tests of the package look at each fault from more sides.
"""

import errno
import os
import pickle
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest

import loce_jax
from loce_jax import InputError, PaperRecipe, load_network, open_run, solve
from loce_jax.activations import make_extractor
from loce_jax.analysis.mixtures.fit import fit_mixture
from loce_jax.analysis.outliers import find_outliers
from loce_jax.cli import main
from loce_jax.pipeline.distributed.shards import Shard
from loce_jax.pipeline.plan import make_plan
from loce_jax.pipeline.reading import SampleReader
from loce_jax.pipeline.run import run_plan
from loce_jax.pipeline.solve_chunk import solve_chunk
from loce_jax.report.page import compose
from loce_jax.solver import Status
from loce_jax.store import RunWriter, open_storage
from tests.pipeline.resuming.small import NETWORK, fit, make, patch
from tests.store.test_store import write_ridge
from tests.support.deadly import Killed, killed_at
from tests.support.selection import further
from tests.support.small_coco import contents, draw
from tests.support.tiny import NoPhotos, tiny_network

PACKAGE = Path(loce_jax.__file__).parent


@pytest.fixture
def folder(tmp_path, monkeypatch):
    patch(monkeypatch)
    draw(tmp_path, images=4)
    return tmp_path


def activations(n=3):
    rng = np.random.default_rng(0)
    masks = np.zeros((n, 8, 8), np.float32)
    masks[:, 2:6, 2:6] = 1
    return rng.normal(size=(n, 8, 8, 5)).astype("float32") + masks[..., None], masks


def test_row_13_non_finite_activations_fail_their_own_row_only():
    maps, masks = activations()
    recipe = PaperRecipe(num_steps=3)
    expected = solve(maps, masks, recipe)
    for bad in (np.nan, np.inf):
        broken = maps.copy()
        broken[1, 0, 0, 0] = bad
        found = solve(broken, masks, recipe)
        assert np.asarray(found.status).tolist() == [Status.OK, Status.NONFINITE, Status.OK]
        assert np.isnan(found.vectors[1]).all(), "never zeros"
        np.testing.assert_array_equal(np.asarray(found.vectors)[[0, 2]], np.asarray(expected.vectors)[[0, 2]])


def test_row_14_vectors_that_say_nothing_have_a_status_and_zeros_a_defined_distance():
    maps, masks = activations()
    maps[1] = 0
    found = solve(maps, masks, PaperRecipe(num_steps=3))
    assert np.asarray(found.status).tolist() == [Status.OK, Status.DEGENERATE, Status.OK]
    scores = find_outliers(np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 0.0]]), ["cat"] * 3).scores
    assert np.isfinite(scores).all() and scores[2] == 1


def test_row_15_mixtures_of_few_identical_and_float32_points_are_defined():
    rng = np.random.default_rng(0)
    points = (rng.normal(size=(200, 2)) + 1000).astype("float32")
    np.testing.assert_allclose(fit_mixture(points, 1).full.covariances[0], np.cov(points.T), rtol=0.02, atol=0.02)
    assert len(fit_mixture(np.ones((50, 2)), 3).populations) == 1
    assert len(fit_mixture(rng.normal(size=(4, 2)), 3).populations) == 1


def test_row_16_rows_that_do_not_converge_say_so_and_are_counted(tmp_path, capsys):
    write_ridge(tmp_path / "run")
    run = open_run(tmp_path / "run")
    np.testing.assert_array_equal(run.column("converged", "early"), [1, np.nan, 0])
    assert run.column("steps", "early")[2] == 50 and run.column("gradient_norm", "early")[2] > 1e-3
    assert main(["show", str(tmp_path / "run")]) == 0
    assert "1 LoCE did not converge: early" in capsys.readouterr().out


def test_row_17_a_device_without_memory_gets_half_the_images_and_in_the_end_one_line(folder, monkeypatch):
    plan, extract = make(folder), make_extractor(NETWORK, ("shallow",))
    images = [SampleReader.for_plan(plan)(item) for item in plan.dataset.items]

    def small(most):
        def on_device(batch):
            if len(batch) > most:
                raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory\nwhile trying to allocate.")
            return extract(batch)

        return on_device

    assert solve_chunk(plan, images, small(2), 4)[1] == 2
    monkeypatch.setattr("loce_jax.pipeline.run.make_extractor", lambda *_: small(0))
    for recipe, what in (("paper", "one image"), ("ridge", "images on their way through the network")):
        with pytest.raises(InputError, match=f"must hold .*{what}, but does not: RESOURCE_EXHAUSTED") as error:
            run_plan(make(folder, recipe), folder / recipe)
        assert "\n" not in str(error.value)


def test_row_18_a_disk_without_room_is_seen_before_the_run_and_a_full_one_keeps_what_is_finished(folder, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
        with pytest.raises(InputError, match=r"a disk with room for the run, about .* has 1e-06 free"):
            fit(folder, folder / "run")
        assert not (folder / "run").exists()
    calls, sync = [], os.fsync

    def full(descriptor):
        calls.append(1)
        if len(calls) > 9:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    with monkeypatch.context() as patched, pytest.raises(OSError, match="No space left"):
        patched.setattr(os, "fsync", full)
        fit(folder, folder / "run")
    assert open_run(folder / "run").finished == ("00000",) and open_run(folder / "run").damaged() == []
    fit(folder, folder / "run")
    fit(folder, folder / "whole")
    assert contents(folder / "run") == contents(folder / "whole")


@pytest.mark.parametrize("recipe", ["paper", *further("ridge")])
def test_row_19_a_run_killed_while_it_writes_ends_with_the_same_bytes(folder, recipe):
    fit(folder, folder / "whole", recipe)
    for call in (4, 9, 14):
        with killed_at(call), pytest.raises(Killed):
            fit(folder, folder / str(call), recipe)
        fit(folder, folder / str(call), recipe)
        assert contents(folder / str(call)) == contents(folder / "whole")


def test_row_20_a_run_that_is_interrupted_continues_to_the_same_bytes(folder):
    """By Ctrl-C; other signals are in `tests/cli/test_stopping.py`."""

    def interrupt(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_plan(make(folder), folder / "run", progress=interrupt)
    assert open_run(folder / "run").complete, "two chunks: one was done, one in hand"
    fit(folder, folder / "run")
    fit(folder, folder / "whole")
    assert contents(folder / "run") == contents(folder / "whole")


def test_row_21_a_second_writer_is_refused_and_told_who_the_first_is(folder, monkeypatch):
    monkeypatch.setattr("loce_jax.store.local_storage.SECONDS_TO_WAIT", 0.05)
    plan = make(folder).record()
    with RunWriter(open_storage(folder / "run"), plan):
        with pytest.raises(InputError, match=rf"another process is writing .*\(process {os.getpid()} on .+\)"):
            fit(folder, folder / "run")
    fit(folder, folder / "run")


def test_row_22_other_settings_networks_and_data_are_refused_with_the_differences(folder):
    fit(folder, folder / "run")
    source = make(folder).dataset
    other = make_plan(tiny_network(broken_layer="deep"), ("deep",), source, PaperRecipe(num_steps=4))
    with pytest.raises(InputError, match=r"layers: \['shallow'\] there, .*recipe.num_steps: 3 there, 4 now"):
        run_plan(other, folder / "run")
    text = (folder / "coco.json").read_text()
    (folder / "coco.json").write_text(text.replace('"segmentation": [[', '"segmentation": [[1, 1, ', 1))
    with pytest.raises(InputError, match="differs in data.fingerprint: "):
        fit(folder, folder / "run")


def test_row_23_a_flipped_bit_of_a_run_is_never_read_as_a_number(folder):
    """Finding it in every file, and repairing it: `tests/store/test_store.py`, `tests/pipeline/resuming`."""
    run = fit(folder, folder / "run")
    (path,) = (folder / "run" / "layers" / "00-shallow").glob("00001.*")
    content = bytearray(path.read_bytes())
    for position in range(len(content) - 40, len(content), 8):
        content[position] ^= 1
        path.write_bytes(content)
        with pytest.raises(InputError, match="is damaged"):
            open_run(folder / "run").vectors("shallow")
        content[position] ^= 1
    path.write_bytes(content)
    np.testing.assert_array_equal(open_run(folder / "run").vectors("shallow"), run.vectors("shallow"))


class Bomb:
    """Code that runs if anybody unpickles it."""

    def __reduce__(self):
        return os.mkdir, ("exploded",)


def test_row_24_stored_files_run_no_code(folder, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("work"))
    run = fit(folder, folder / "run")
    for name in (
        "layers/00-shallow/00000.safetensors",
        "chunks/00000.json",
        "manifest.json",
        "source.json",
        "plan.json",
    ):
        (folder / "run" / name).write_bytes(pickle.dumps(Bomb()))
        with pytest.raises(InputError):
            fit(folder, folder / "run", max_failures=1.0)
            open_run(folder / "run").vectors("shallow")
            run.storage.read(name).decode("ascii")
            raise InputError(f"{name} is made anew without being read")
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_bytes(pickle.dumps(Bomb()))
    (folder / "model" / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InputError):
        load_network(str(folder / "model"))
    assert not Path("exploded").exists()
    forbidden = re.compile(
        r"\b(?:import (?:pickle|joblib|dill|shelve|marshal)|trust_remote_code=True|allow_pickle=True)"
    )
    found = {path.name for path in PACKAGE.rglob("*.py") if forbidden.search(path.read_text())}
    assert found <= {"legacy_pth.py"}


def test_row_25_names_in_the_report_are_text(folder):
    hostile = "</script><img src=x onerror=alert(1)>"
    run = fit(folder, folder / "run")
    table = {**run.table, "image": np.array([hostile] * len(run.table["image"]))}
    shown: Any = SimpleNamespace(
        storage=None,
        plan={**run.plan, "data": {**run.plan["data"], "name": hostile}},
        layers=run.layers,
        concepts=run.concepts,
        table=table,
        column=run.column,
        vectors=run.vectors,
        responses=run.responses,
    )
    page = compose(shown, NoPhotos())
    assert hostile not in page and "Content-Security-Policy" in page


def test_row_26_workers_do_not_wait_for_each_other(folder):
    """Worker 1 of 2 does its shard alone, of the first pass all that is missing; nobody else ever starts."""
    run = run_plan(make(folder, "ridge"), folder / "run", shard=Shard(1, 2))
    assert run.finished == ("00001",)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda index: run_plan(make(folder, "ridge"), folder / "run", shard=Shard(index, 2)), range(2)))
    fit(folder, folder / "whole", "ridge")
    assert contents(folder / "run") == contents(folder / "whole")


def test_row_27_unknown_architectures_are_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "perceiver", "architectures": ["PerceiverModel"]}')
    with pytest.raises(InputError, match="perceiver"):
        load_network(str(tmp_path))
