"""A run that is killed, whenever that is, is resumed to the bytes of one that was not."""

import signal
import subprocess
import sys

import pytest

from loce_jax import PaperRecipe, RidgeRecipe, open_run
from loce_jax.activations import make_extractor
from loce_jax.pipeline import plan as plans
from loce_jax.pipeline.plan import make_plan
from loce_jax.pipeline.run import run_plan
from tests.support.deadly import Killed, counted_calls, killed_at
from tests.support.selection import further
from tests.support.small_coco import ROOT, contents
from tests.support.tiny import Boxes, tiny_network

LAYERS = "shallow", "deep"
# Five images in three chunks.
FILE = ["fsync", "replace", "fsync"]
NEW_FILE = ["fsync", "link", "fsync"]


@pytest.mark.parametrize(
    ("recipe", "layers", "first_files"),
    [
        (PaperRecipe(num_steps=3), LAYERS, 1),  # where the data are
        # parts of the statistics and their records; the sums, and theirs
        *further((RidgeRecipe(), LAYERS[:1], 1 + 3 * 2 + 2)),
    ],
    ids=["paper", "ridge"],
)
def test_killed_at_any_call_it_ends_with_the_same_bytes(tmp_path, monkeypatch, recipe, layers, first_files):
    monkeypatch.setattr(plans, "IMAGES_PER_CHUNK", 2)
    plan = make_plan(tiny_network(), layers, Boxes(5), recipe)
    extract = make_extractor(plan.network, plan.layers)  # compiled once
    monkeypatch.setattr("loce_jax.pipeline.run.make_extractor", lambda *_: extract)
    with counted_calls() as calls:
        run_plan(plan, tmp_path / "whole")
    assert calls == [*NEW_FILE, *FILE * first_files, *FILE * 3 * (len(layers) + 1), *FILE]  # last, the manifest
    for call in range(1, len(calls) + 1):
        out = tmp_path / str(call)
        with killed_at(call), pytest.raises(Killed):
            run_plan(plan, out)
        if call > 2:  # the plan has its name
            run = open_run(out)
            assert not run.complete or call >= len(calls) - len(FILE)
            assert not run.finished or run.damaged() == []
        run_plan(plan, out)
        assert contents(out) == contents(tmp_path / "whole")


CHILD = """
import sys
from loce_jax import PaperRecipe
from loce_jax.pipeline import plan
from loce_jax.pipeline.run import run_plan
from tests.support.deadly import die_at
from tests.support.tiny import Boxes, tiny_network

plan.IMAGES_PER_CHUNK = 2
die_at(23)
run_plan(plan.make_plan(tiny_network(), ("shallow", "deep"), Boxes(5), PaperRecipe(num_steps=3)), sys.argv[1])
"""


@pytest.mark.slow
def test_killed_by_the_system_it_ends_with_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(plans, "IMAGES_PER_CHUNK", 2)
    command = [sys.executable, "-c", CHILD, str(tmp_path / "killed")]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL
    assert open_run(tmp_path / "killed").finished == ("00000",)
    assert list((tmp_path / "killed" / ".tmp").iterdir())
    plan = make_plan(tiny_network(), LAYERS, Boxes(5), PaperRecipe(num_steps=3))
    run_plan(plan, tmp_path / "killed")
    run_plan(plan, tmp_path / "whole")
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
