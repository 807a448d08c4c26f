"""Each kind of data from one command to the page: fit, report and check, by `--data KIND PATH`."""

from itertools import chain

import numpy as np
import pytest

from loce_jax import open_run
from loce_jax.cli import main
from tests.support.every_kind import CASES, DATA
from tests.support.small_coco import write_network
from tests.support.trees import (
    camvid_frames,
    made_up_frames,
    write_camvid,
    write_cityscapes,
    write_labels,
    write_voc,
)

pytestmark = pytest.mark.slow  # what no other test proves: that a command line reaches each reader, and the page too


MORE = {
    "voc objects": (
        "voc",
        lambda root, frames: {"path": write_voc(root, frames, {2: 7}), "labels": "SegmentationObject"},
    ),
    "cityscapes 30": (
        "cityscapes",
        lambda root, frames: {"path": write_cityscapes(root, frames, {3: 4}), "classes": "30"},
    ),
    "labels, palette": ("labels", lambda root, frames: {"path": write_labels(root, frames, "palette")}),
    "labels, color": ("labels", lambda root, frames: {"path": write_labels(root, frames, "color")}),
}
WRITERS = {name: (name, write) for name, write in DATA.items()} | MORE


def flags(kind, given):
    """The command line of what `open_data` takes."""
    path, *others = given.items()
    return [kind, path[1], *chain.from_iterable((f"--{name}", value) for name, value in others)]


def fit_and_report(folder, data, *more):
    """One command for the run, one for the page."""
    network, run = write_network(folder), folder / "run"
    command = ["fit", "--data", *data, "--model", network, "--layers", "late", "--out", run, *more]
    assert main(list(map(str, command))) == 0
    assert main(["report", str(run)]) == 0
    assert (run / "report.html").stat().st_size > 10_000
    return open_run(run)


@pytest.mark.parametrize("name", [*CASES, *MORE])
def test_one_command_a_kind(name, tmp_path):
    kind, write = WRITERS[name]
    (tmp_path / "data").mkdir()
    data = flags(kind, write(tmp_path / "data", made_up_frames(3)))
    run = fit_and_report(tmp_path, data)
    assert run.complete and set(run.table["status"].tolist()) == {"ok"}
    assert main(["data", "check", *map(str, data)]) == 0


def test_the_page_of_data_that_have_moved(tmp_path):
    data = write_voc(tmp_path / "data", made_up_frames(3), {2: 7})
    run = fit_and_report(tmp_path, ["voc", data])
    (tmp_path / "elsewhere").mkdir()
    data.rename(tmp_path / "elsewhere" / "voc")
    assert main(["report", str(run.path)]) == 2
    assert main(["report", str(run.path), "--data", "voc", str(tmp_path / "elsewhere" / "voc")]) == 0


def test_options_of_the_data_reach_the_run(tmp_path):
    data = ["camvid", write_camvid(tmp_path / "data", made_up_frames(6))]
    options = ["--data.groups", "seq0", "seq1", "--data.max-per-concept", "2", "--data.masks", "ellipse"]
    run = fit_and_report(tmp_path, data, *options, "--data.noise", "gaussian", "--data.paper")
    assert set(run.table["group"].tolist()) <= {"seq0", "seq1"}
    assert all(run.table["concept"].tolist().count(name) == 2 for name in run.concepts)


@pytest.mark.parametrize("kind", ["camvid", "voc", "cityscapes"])
def test_camvid_frames_with_the_embedded_network(kind, shared, tmp_path):
    """The real thing: CamVid, and a VOC and a Cityscapes tree of its frames, from one command each."""
    frames = camvid_frames(shared("data", "camvid"), count=6)
    root = tmp_path / "data"
    write = {
        "camvid": write_camvid,
        "voc": lambda root, frames: write_voc(root, frames, {8: 7, 9: 15, 10: 2}),
        "cityscapes": lambda root, frames: write_cityscapes(root, frames, {0: 23, 1: 11, 3: 7, 5: 21, 8: 26, 9: 24}),
    }
    write[kind](root, frames)
    command = ["fit", "--data", kind, str(root), "--layers", "blocks.10", "--out", str(tmp_path / "run")]
    assert main(command) == 0
    run = open_run(tmp_path / "run")
    assert run.complete and len(set(run.table["image"].tolist())) >= 5
    ok = run.select(status="ok")
    assert len(ok) > 0.9 * len(run.table["status"]) and np.median(run.column("iou", run.layers[0])[ok]) > 0.1
