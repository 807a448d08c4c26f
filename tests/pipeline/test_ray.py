"""A run as tasks of a local Ray cluster: the same bytes as in one process, also when a worker is killed."""

import importlib.util
import logging
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from loce_jax import InputError, RidgeRecipe, open_run
from loce_jax.cli import main
from loce_jax.pipeline.distributed.ray_cluster import RayOptions
from loce_jax.pipeline.distributed.ray_engine import do_chunk_on_ray, run_on_ray
from loce_jax.pipeline.distributed.run_spec import RunSpec
from loce_jax.pipeline.run import RunOptions, run_plan
from loce_jax.pipeline.sources import coco_source
from tests.support.small_coco import LAYERS, ROOT, arguments, contents, draw


def test_without_ray_it_says_what_to_install(tmp_path, monkeypatch, capsys):
    draw(tmp_path)
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ray" else find_spec(name))
    assert main([*arguments(tmp_path, tmp_path / "run"), "--engine", "ray"]) == 2
    assert capsys.readouterr().err.count('`pip install "loce_jax[ray]"` brings it.') == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [({"cpus": -1.0}, "`cpus` of Ray"), ({"gpus": float("nan")}, "`gpus` of Ray"), ({"retries": -2}, "`retries`")],
    ids=str,
)
def test_impossible_resources_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        RayOptions(**options)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "127.0.0.1:99999", "127.0.0.1:port"], ids=str)
def test_an_address_where_nobody_answers_is_refused_at_once(ray, address, spec, tmp_path, monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(InputError, match="`address` of Ray must be a cluster that answers"):
        run_on_ray(spec, str(tmp_path / "run"), cluster=RayOptions(address=address))


@pytest.fixture(scope="module")
def cluster(ray):
    """A local cluster of two workers, which see this checkout."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])))
        patch.setenv("LOCE_TEST_CLUSTER", str(os.getpid()))
        ray.init(num_cpus=2, include_dashboard=False, logging_level=logging.WARNING, log_to_driver=False)
        yield ray
        ray.shutdown()


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    """Data, and what to do with them."""
    folder = tmp_path_factory.mktemp("coco")
    draw(folder)
    source = coco_source(str(folder / "coco.json"), str(folder / "images"))
    return RunSpec(str(folder / "network"), LAYERS, source)


def busy_workers():
    """Process ids of this test's Ray workers that are doing a chunk just now; Ray writes it into their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command, variables = (path / "cmdline").read_bytes(), (path / "environ").read_bytes()
        except OSError:
            continue
        is_ours = f"LOCE_TEST_CLUSTER={os.getpid()}".encode() in variables
        if is_ours and command.startswith(f"ray::{do_chunk_on_ray.__name__}".encode()):
            found.append(int(path.name))
    return found


def kill_one():
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for pid in busy_workers():
            os.kill(pid, signal.SIGKILL)
            return pid
        time.sleep(0.02)
    raise AssertionError("no Ray worker does a chunk")


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="workers are found in /proc")
def test_a_worker_killed_in_the_middle_changes_no_byte(cluster, spec, tmp_path):
    seen, killed = [], []

    def progress(done, total):
        seen.append((done, total))
        if 0 < done < total and not killed:
            killed.append(kill_one())

    run = run_on_ray(spec, str(tmp_path / "ray"), progress=progress)
    assert killed and killed[0] not in busy_workers()
    assert run.complete and run.damaged() == []
    assert seen[0] == (0, 135) and seen[-1] == (135, 135) and len(seen) == 6
    assert cluster.is_initialized(), "a cluster that was there before stays"
    run_plan(spec.plan(), tmp_path / "whole")
    assert contents(tmp_path / "ray") == contents(tmp_path / "whole")


def test_what_ends_a_task_ends_the_run_in_the_same_words(cluster, spec, tmp_path):
    (Path(spec.source.given["images"]) / "050.png").unlink()
    with pytest.raises(InputError, match=r"^`strict` refuses '050.png', concept 'box'.*image_missing") as caught:
        run_on_ray(spec, str(tmp_path / "run"), options=RunOptions(strict=True))
    assert "\n" not in str(caught.value)
    assert not open_run(tmp_path / "run").complete
    run = run_on_ray(spec, str(tmp_path / "run"))
    assert run.complete and (run.table["status"] == "image_missing").sum() == 1


def test_an_interrupt_does_not_stop_a_task_in_the_middle(spec, tmp_path, monkeypatch):
    """Ray cancels so; a worker that is stopped in an import would fail all later tasks."""
    after = []

    def interrupted(*_, **__):
        signal.raise_signal(signal.SIGINT)
        after.append(1)
        return iter(())

    monkeypatch.setattr("loce_jax.pipeline.distributed.ray_engine.compute_chunks", interrupted)
    monkeypatch.chdir(tmp_path)  # undone at the end; the task goes there itself
    before = signal.getsignal(signal.SIGINT)
    do_chunk_on_ray("00000", spec, str(tmp_path / "run"), str(tmp_path), False)
    assert after == [1] and signal.getsignal(signal.SIGINT) is before


def test_the_ridge_recipe_has_its_first_pass_on_ray_too(cluster, spec, tmp_path):
    spec, seen = replace(spec, recipe=RidgeRecipe()), []
    run = run_on_ray(spec, str(tmp_path / "ray"), progress=lambda done, total: seen.append((done, total)))
    assert run.complete and run.damaged() == []
    assert seen[0] == (0, 270) and seen[6] == (135, 270) and seen[-1] == (270, 270) and len(seen) == 12
    run_plan(spec.plan(), tmp_path / "whole")
    assert contents(tmp_path / "ray") == contents(tmp_path / "whole")
