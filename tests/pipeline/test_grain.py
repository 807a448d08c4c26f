"""Reading by processes of Grain: the same bytes as by threads, and no waiting for a process that died."""

import importlib.util
import os
import signal
from dataclasses import dataclass

import pytest

from loce_jax import InputError, RidgeRecipe
from loce_jax.cli import main
from loce_jax.data.samples import Item, Reading
from loce_jax.pipeline.grain_reading import read_in_processes
from loce_jax.pipeline.plan import make_plan
from loce_jax.pipeline.reading import SampleReader
from loce_jax.pipeline.run import run_plan
from loce_jax.pipeline.sources import coco_source
from tests.support.small_coco import arguments, contents, draw
from tests.support.tiny import tiny_network


def test_the_bytes_are_those_of_threads(grain, tmp_path):
    """Of both passes, and of a photo that is missing."""
    draw(tmp_path)
    (tmp_path / "images" / "041.png").unlink()
    source = coco_source(str(tmp_path / "coco.json"), str(tmp_path / "images"))
    plan = make_plan(tiny_network(), ("shallow",), source, RidgeRecipe())
    run_plan(plan, tmp_path / "threads")
    run_plan(plan, tmp_path / "processes", read=read_in_processes(2))
    assert contents(tmp_path / "processes") == contents(tmp_path / "threads")


@dataclass(frozen=True)
class Deadly:
    """A data set that ends the process which reads it."""

    name: str = "deadly"
    items: tuple[Item, ...] = (Item("photo", 0, (4, 4), ()),)
    concepts: tuple[str, ...] = ()
    fingerprint: str = "0"

    def read(self, item: Item) -> Reading:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError(item)


def test_a_process_that_died_ends_the_reading(grain):
    dataset = Deadly()
    reader = SampleReader(dataset, tiny_network().preprocess, (10, 10))
    with pytest.raises(OSError, match="`readers` must stay alive, but one of these processes ended"):
        list(read_in_processes(1)(reader, {"00000": dataset.items}))


def test_what_cannot_be_is_refused_at_the_door(tmp_path, monkeypatch, capsys):
    with pytest.raises(InputError, match="`readers` must be 1 to 256 processes.* but got 0"):
        read_in_processes(0)
    draw(tmp_path)
    fit = [*arguments(tmp_path, tmp_path / "run"), "--readers", "2"]
    assert main([*fit, "--engine", "ray"]) == 2
    assert "tasks of Ray read in threads" in capsys.readouterr().err
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "grain" else find_spec(name))
    assert main(fit) == 2
    assert '`pip install "loce_jax[grain]"` brings it' in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
