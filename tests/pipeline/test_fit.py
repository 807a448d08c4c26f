"""`loce_jax.fit` on a data set of one's own: a run like any other, and clear words where the data set does not fit."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import loce_jax
from loce_jax import InputError, PaperRecipe, open_run
from loce_jax.cli import main
from loce_jax.data.samples import Item, Pair, Problem, check_dataset
from loce_jax.pipeline.plan import make_plan
from loce_jax.pipeline.resuming.data_location import reopen
from loce_jax.pipeline.run import run_plan
from loce_jax.pipeline.sources import coco_source, scenes_source, source_from
from loce_jax.report.page import write_report
from loce_jax.study.analyze import analyze
from loce_jax.study.options import Selection, StudyOptions
from loce_jax.study.selection.layer_analysis import analyze_layers
from loce_jax.study.selection.photos import Photos
from tests.support.small_coco import contents, draw
from tests.support.tiny import Boxes, tiny_network

FEW_STEPS = PaperRecipe(num_steps=20)
TOLERANT = {"recipe": FEW_STEPS, "max_failures": 0.2}  # one of the eight images is missing


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return loce_jax.fit(
        tiny_network(), Boxes(), ["shallow", "-1"], out=tmp_path_factory.mktemp("fit") / "run", **TOLERANT
    )


def test_a_run_comes_of_it(run):
    assert run.layers == ("shallow", "deep") and run.concepts == ("left", "right") and run.complete
    assert run.table["status"].tolist() == ["ok"] * 6 + ["image_missing"] * 2 + ["ok"] * 8
    assert np.nanmean(run.table["iou"]) > 0.5
    assert run.plan["data"] == {
        "name": "Boxes",
        "fingerprint": "boxes 1",
        "concepts": ["left", "right"],
    }


def test_the_same_call_continues(run, tmp_path):
    loce_jax.fit(tiny_network(), Boxes(), ["shallow", "deep"], out=tmp_path / "run", **TOLERANT)
    computed = {name: found for name, found in contents(run.path).items() if not name.startswith("derived/")}
    assert contents(tmp_path / "run") == computed
    (tmp_path / "run" / "chunks" / "00000.json").unlink()
    loce_jax.fit(tiny_network(), Boxes(), ["shallow", "deep"], out=tmp_path / "run", **TOLERANT)
    assert contents(tmp_path / "run") == computed
    other = Boxes()
    other.fingerprint = "boxes 2"
    with pytest.raises(InputError, match="data.fingerprint: 'boxes 1' there, 'boxes 2' now"):
        loce_jax.fit(tiny_network(), other, ["shallow", "deep"], out=tmp_path / "run", **TOLERANT)


def test_the_page_and_the_pictures_need_the_data_set(run, tmp_path, capsys):
    page = write_report(run, Boxes(), tmp_path / "page.html")
    assert "left" in page.read_text()
    assert main(["report", str(run.path), "--out", str(tmp_path / "other.html")]) == 2
    assert "its data set was given from Python. Pass it along there" in capsys.readouterr().err
    assert main(["outliers", str(run.path), "--layers", "deep", "--out", str(tmp_path / "out")]) == 0
    assert "there will be no photographs: `run` must name a data set" in capsys.readouterr().err
    layers = analyze_layers(run, Selection(layers=("deep",)), Photos(run, Boxes()), StudyOptions())
    assert len(layers[0].photos.tiles([0, 1])) == 2
    analyze(layers, tmp_path / "all", steps=["outliers"])
    assert (tmp_path / "all" / "deep" / "outliers.png").exists()


def test_another_data_set_is_not_shown_as_the_runs(run, tmp_path):
    other = Boxes()
    other.fingerprint = "boxes 2"
    for show in (lambda: write_report(run, other, tmp_path / "page.html"), lambda: Photos(run, other)):
        with pytest.raises(InputError, match="the fingerprint 'boxes 1', but has 'boxes 2'"):
            show()


def test_it_does_what_the_command_does(tmp_path):
    draw(tmp_path, images=5)
    source = coco_source(str(tmp_path / "coco.json"), str(tmp_path / "images"), ("box",))
    run_plan(make_plan(tiny_network(), ["deep"], source, FEW_STEPS), tmp_path / "from a source")
    run = loce_jax.fit(tiny_network(), source.open(), ["deep"], out=tmp_path / "run", recipe=FEW_STEPS)
    assert contents(run.path) == contents(tmp_path / "from a source")
    assert reopen(open_run(run.path)).fingerprint == source.open().fingerprint


def test_scenes_know_how_to_be_opened_again():
    scenes: Any = scenes_source(count=3, seed=1).open()
    assert source_from(scenes.source) == scenes_source(count=3, seed=1)
    assert dataclasses.replace(scenes, size=(96, 128)).source is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"read": None}, "lacks read"),
        ({"items": []}, "'SimpleNamespace' has none"),
        ({"items": [Item("a", 0, (4, 4), ())]}, "'SimpleNamespace' has none"),
        ({"items": [Item("a", 0, (4, 4), (Pair("left"),))] * 2}, "'a' is there twice"),
        ({"items": [Item("a", 0, (4, 4), (Pair("up"),))]}, "'a' has \\['up'\\]"),
        ({"items": [Item("a", 0, (4, 4), (Pair("left"), Pair("left")))]}, "'a' has \\['left', 'left'\\]"),
    ],
    ids=str,
)
def test_data_sets_that_do_not_fit_are_refused(change, message):
    boxes = Boxes()
    parts = {"items": boxes.items, "concepts": boxes.concepts, "fingerprint": "1", "read": boxes.read} | change
    dataset = SimpleNamespace(**{name: part for name, part in parts.items() if part is not None})
    with pytest.raises(InputError, match=message):
        check_dataset(dataset)


@pytest.mark.parametrize(
    ("photo", "masks", "message"),
    [
        (np.zeros((4, 4), np.uint8), [np.zeros((4, 4), bool)] * 2, r"uint8 \[H, W, 3\], but that of '0' is uint8"),
        (np.zeros((4, 4, 3)), [np.zeros((4, 4), bool)] * 2, "is float64 of shape"),
        (np.zeros((4, 4, 3), np.uint8), [np.zeros((4, 4), bool)], "each of 2 concepts of '0', but gave 1"),
        (np.zeros((4, 4, 3), np.uint8), [np.zeros((4, 4), bool), np.zeros((4, 4))], "'right' in '0' is float64"),
        (np.zeros((4, 4, 3), np.uint8), [np.zeros((4, 5), bool), np.zeros((4, 4), bool)], r"shape \(4, 5\)"),
    ],
    ids=str,
)
def test_readings_that_do_not_fit_are_refused(photo, masks, message, tmp_path, monkeypatch):
    boxes = Boxes(1)
    monkeypatch.setattr(boxes, "read", lambda item: SimpleNamespace(photo=photo, masks=masks))
    with pytest.raises(InputError, match=message):
        run_plan(make_plan(tiny_network(), ["deep"], boxes, FEW_STEPS), tmp_path / "run")


def test_what_a_data_set_leaves_out_is_said_and_strict_refuses_it(tmp_path, caplog):
    class Incomplete(Boxes):
        problems: tuple[Problem, ...] = ()

    data = Incomplete(2)
    lost = Problem("b.png", "label file", "", "image_missing", "no image has its name.")
    data.problems = (Problem("a.png", "annotation 3", "box", "no_area", "it has one point."), lost)
    fit = loce_jax.fit
    fit(tiny_network(), data, ["deep"], out=tmp_path / "run", recipe=FEW_STEPS)
    assert "left out 1 file without a partner, such as 'b.png'" in caplog.text
    with pytest.raises(InputError, match=r"`strict` refuses 'b.png', label file: image_missing .*the first of 1 that"):
        fit(tiny_network(), data, ["deep"], out=tmp_path / "strict", recipe=FEW_STEPS, strict=True)
    assert not (tmp_path / "strict").exists()
    data.problems = data.problems[:1]
    fit(tiny_network(), data, ["deep"], out=tmp_path / "strict", recipe=FEW_STEPS, strict=True)
