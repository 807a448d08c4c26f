"""A run finds its data wherever both lie, refuses others, and reads nothing that its user did not make or name."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from loce_jax import InputError, open_run
from loce_jax.cli.data_flags import RunData
from loce_jax.data.samples import Fault
from loce_jax.data.selection import DataOptions
from loce_jax.pipeline.plan import make_plan
from loce_jax.pipeline.resuming.data_location import reopen
from loce_jax.pipeline.run import run_plan
from loce_jax.pipeline.sources import Source, coco_source, scenes_source
from loce_jax.store.sealed import seal, unseal
from tests.pipeline.resuming.small import NETWORK, RECIPES, fit, invert
from tests.support.small_coco import contents
from tests.support.trees import made_up_frames, write_camvid


@pytest.fixture
def project(folder, monkeypatch):
    """A folder in which a run was made with relative paths; another one whose data have the same names."""
    monkeypatch.chdir(folder)
    source = coco_source("coco.json", "images")
    run_plan(make_plan(NETWORK, ("shallow",), source, RECIPES["paper"]), "run")
    other = folder / "other"
    shutil.copytree(folder / "images", other / "images")
    coco = json.loads((folder / "coco.json").read_text())
    for annotation in coco["annotations"]:
        annotation["segmentation"] = [[0, 0, 9, 0, 9, 9, 0, 9]]
    (other / "coco.json").write_text(json.dumps(coco))
    return folder


def masks(dataset):
    return [dataset.read(item).masks[0] for item in dataset.items]


def test_a_run_seen_from_elsewhere_shows_its_own_data(project, monkeypatch):
    own = masks(reopen(open_run("run")))
    monkeypatch.chdir(project / "other")
    np.testing.assert_array_equal(masks(reopen(open_run("../run"))), own)


def test_a_run_that_moved_with_its_data_finds_them(project, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    for name in ("run", "images", "coco.json"):
        os.rename(project / name, name)
    assert len(reopen(open_run("run")).items) == 6


def test_other_data_are_refused_with_the_cure(project):
    run = open_run("run")
    with pytest.raises(InputError, match="concepts, annotations or options differ.* Give the data: `--coco FILE"):
        reopen(run, {"path": "other/coco.json"})
    os.rename("coco.json", "moved.json")
    with pytest.raises(InputError, match="cannot be opened: .*coco.json.* Give the data: `--coco FILE"):
        reopen(run)
    assert len(RunData(coco="moved.json").open(run).items) == 6
    assert len(RunData(data=("coco", "moved.json"), images="other/images").open(run).items) == 6
    with pytest.raises(InputError, match="must be a kind and one path, but got 'coco a b'"):
        RunData(data=("coco", "a", "b")).open(run)
    with pytest.raises(InputError, match="give one data set: .* Got coco a and coco b"):
        RunData(data=("coco", "a"), coco="b").open(run)


def test_photos_that_are_others_now_are_not_shown(project):
    dataset = reopen(open_run("run"))
    invert(project / "images" / "003.png")
    with pytest.raises(Fault, match="003.png is another photo than the run was made from"):
        dataset.read(dataset.items[3])
    assert dataset.read(dataset.items[2]).masks


def test_a_run_of_somebody_else_points_at_no_folder_outside(project, monkeypatch, tmp_path_factory):
    monkeypatch.setenv("LOCE_CACHE", str(tmp_path_factory.mktemp("another user")))
    run = open_run("run")
    with pytest.raises(InputError, match=r"not made by this user, .* outside of it, at '/.*coco.json', .*name them"):
        reopen(run)
    with pytest.raises(InputError, match="not made by this user"):
        reopen(run, {"path": "coco.json"})  # the folder of images is still the run's word
    assert len(reopen(run, {"path": "coco.json", "images": "images"}).items) == 6
    for name in ("images", "coco.json"):  # below the run they are part of what the user named
        shutil.copytree(name, f"run/{name}") if name == "images" else shutil.copy(name, f"run/{name}")
    record = unseal((project / "run" / "source.json").read_bytes())
    root = project / "run"
    record["paths"] = {"path": [str(root / "coco.json"), "coco.json"], "images": [str(root / "images"), "images"]}
    record["source"] |= {"path": str(root / "coco.json"), "images": str(root / "images")}
    record.pop("sha256")
    (root / "source.json").write_bytes(seal(record))
    assert len(reopen(run).items) == 6


@pytest.mark.parametrize("text", ["", "[]", "{}", "\x00"])
def test_a_damaged_note_is_one_line_and_can_be_done_without(project, text):
    (project / "run" / "source.json").write_text(text)
    run = open_run("run")
    with pytest.raises(InputError, match="must say where its data are, but 'run' does not.* Give the data"):
        reopen(run)
    assert len(RunData(coco="coco.json", images="images").open(run).items) == 6
    fit(project, "run")
    assert len(reopen(run).items) == 6


def test_data_that_no_note_describes_are_found_by_the_flags_of_fit(tmp_path):
    """Split, concepts and options belong to the fingerprint; the concepts are in the plan."""
    root = write_camvid(tmp_path / "data", made_up_frames(4))
    shutil.copytree(root / "train", root / "val")
    shutil.copytree(root / "trainannot", root / "valannot")
    options = DataOptions(max_images=3, masks="ellipse")
    given = {"path": str(root), "split": "val", "concepts": ("Sky", "Road")}
    source = Source("camvid", given, options)
    run = run_plan(make_plan(NETWORK, ("shallow",), source, RECIPES["paper"]), tmp_path / "run")
    flags = RunData(data=("camvid", str(root)), split="val")
    assert flags.open(run).concepts == ("Sky", "Road"), "the note has concepts and options"
    (tmp_path / "run" / "source.json").unlink()
    assert flags.open(run, options).concepts == ("Sky", "Road")
    for other, chosen in ((flags, DataOptions()), (replace(flags, split="train"), options)):
        with pytest.raises(InputError, match="are others: .* options differ"):
            other.open(run, chosen)
    guessed = RunData(data=(str(root),), split="val")
    assert len(guessed.open(run, options).items) == 3


def test_data_of_another_kind_are_opened_without_what_the_note_says(project):
    Path("photos").mkdir()
    with pytest.raises(InputError, match="must hold CamVid's folders"):
        RunData(data=("camvid", "photos")).open(open_run("run"))


def test_a_run_is_continued_by_fingerprint_and_not_by_spelling(project, tmp_path_factory):
    kept = contents(project / "run")
    os.remove("run/chunks/00001.json")
    fit(project, "run")  # absolute paths
    assert contents(project / "run") == kept
    os.remove("run/chunks/00001.json")
    moved = tmp_path_factory.mktemp("moved")
    shutil.copytree("images", moved / "images", copy_function=shutil.copy2)
    shutil.copy("coco.json", moved / "renamed.json")
    source = coco_source(str(moved / "renamed.json"), str(moved / "images"))
    run = run_plan(make_plan(NETWORK, ("shallow",), source, RECIPES["paper"]), "run")
    assert contents(project / "run") == kept
    shutil.rmtree("images")
    assert len(reopen(run).items) == 6, "where they were seen last"


def test_scenes_have_no_place(tmp_path):
    run = run_plan(make_plan(NETWORK, ("shallow",), scenes_source(count=2), RECIPES["paper"]), tmp_path)
    assert len(reopen(run).items) == 2


@pytest.mark.wrong_types
@pytest.mark.parametrize(
    "source",
    [
        {"kind": "scenes", "count": 10**9},
        {"kind": "scenes", "count": "many"},
        {"kind": "scenes", "unknown": 1},
        {"kind": ["scenes"]},
        {"kind": "coco", "path": 3, "images": []},
        {"kind": "scenes", "options": {"seed": "x"}},
    ],
    ids=str,
)
def test_a_note_of_any_content_is_one_line(tmp_path, source):
    run = run_plan(make_plan(NETWORK, ("shallow",), scenes_source(count=2), RECIPES["paper"]), tmp_path)
    (tmp_path / "source.json").write_bytes(seal({"source": source, "paths": {}, "signature": ""}))
    with pytest.raises(InputError, match="cannot be opened") as error:
        reopen(run)
    assert "\n" not in str(error.value)


def test_the_cure_names_the_kind_of_the_data(tmp_path):
    run = run_plan(make_plan(NETWORK, ("shallow",), scenes_source(count=2), RECIPES["paper"]), tmp_path)
    source = {"kind": "voc", "path": "nowhere"}
    (tmp_path / "source.json").write_bytes(seal({"source": source, "paths": {}, "signature": ""}))
    with pytest.raises(InputError, match="cannot be opened: .* Give the data: `--data voc PATH`, and the flags that"):
        reopen(run)
