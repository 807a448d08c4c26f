"""`loce data check` and the flags of data: tables, files, exit codes."""

import csv
import json
import re
from itertools import chain

import numpy as np
import pytest
from PIL import Image

from loce_jax.cli import COMMANDS as ALL_COMMANDS
from loce_jax.cli import main
from loce_jax.cli.data_flags import DataLocation
from loce_jax.cli.flags import find_flags
from loce_jax.data.selection import DataOptions
from tests.support.every_kind import CASES, DATA
from tests.support.trees import made_up_frames, save, write_camvid, write_labels, write_yolo


def check(*arguments):
    return main(["data", "check", *map(str, arguments)])


def test_a_clean_data_set(tmp_path, capsys):
    write_camvid(tmp_path, made_up_frames(3))
    assert check("camvid", tmp_path) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^Sky +3 +– +0 ", shown, re.MULTILINE), "no annotations, not 0 of them"
    assert "Concepts: 4" in shown and "Groups: 2" in shown and shown.endswith("No problem.\n")
    assert check(tmp_path, "--concepts", "Sky") == 0, "a path shows its kind"
    assert "Concepts: 1" in capsys.readouterr().out


def test_problems_are_listed_and_written_and_the_exit_code_is_3(tmp_path, capsys):
    write_labels(tmp_path, made_up_frames(3))
    (tmp_path / "images" / "seq0_000.png").unlink()
    save(tmp_path / "images" / "seq0_001.png", np.zeros((5, 5, 3), np.uint8))
    out = tmp_path / "out"
    assert check("labels", tmp_path, "--out", out) == 3
    shown = capsys.readouterr().out
    assert "2 problems." in shown and "size_mismatch" in shown and "seq0_000.png" in shown
    with (out / "problems.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["file"], row["status"]) for row in rows] == [
        ("seq0_000.png", "image_missing"),
        ("seq0_001.png", "size_mismatch"),
    ]
    assert {path.stem for path in out.glob("*.csv")} == {"concepts", "sizes", "groups", "problems"}


@pytest.mark.parametrize("options", [[], ["--data.max-images", "1"]])
def test_all_faulty_entries_of_a_coco_file_are_problems(options, tmp_path, capsys):
    Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
    square = {"image_id": 1, "category_id": 1, "segmentation": [[1, 1, 9, 1, 9, 9, 1, 9]]}
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": 20, "width": 30}],
        "annotations": [{"id": 1, **square}, {"id": 1, **square, "image_id": 2}, {"id": 3, **square, "category_id": 7}],
        "categories": [{"id": 1, "name": "cat"}],
    }
    (tmp_path / "ann.json").write_text(json.dumps(content))
    flags = ["coco", tmp_path / "ann.json", "--images", tmp_path]
    assert check(*flags, *options, "--out", tmp_path / "out") == 3
    assert "2 problems." in capsys.readouterr().out
    with (tmp_path / "out" / "problems.csv").open(newline="") as file:
        assert [row["annotation"] for row in csv.DictReader(file)] == ["annotation 1", "annotation 3"]


@pytest.mark.parametrize("kind", ["coco", "panoptic", "labelstudio"])
def test_a_file_that_is_no_json_is_a_problem_with_its_line(kind, tmp_path, capsys):
    (tmp_path / "ann.json").write_text('{"images": [],\n "annotations": [}')
    flags = [kind, tmp_path / "ann.json", "--images", tmp_path, *(["--labels", tmp_path] if kind == "panoptic" else [])]
    assert check(*flags, "--out", tmp_path / "out") == 3
    assert "1 problem." in capsys.readouterr().out
    with (tmp_path / "out" / "problems.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["file"] == str(tmp_path / "ann.json")
    assert (row["status"], row["annotation"]) == ("file_unreadable", "line 2, column 18")


NOTHING_LEFT = ["yolo", "labels", "folder", "cvat", "labelstudio", "npz"]


def without_a_usable_mask(kind, root):
    """Flags of a data set of which two masks, and with them all, cannot be used."""
    frames = made_up_frames(2)
    if kind == "yolo":
        write_yolo(root, frames)
        for file in root.rglob("labels/train/*.txt"):
            file.write_text("7 0 0 1 0 1 1\n")
        return [kind, root]
    if kind == "cvat":
        shape = '<polygon label="car" points="1,2;3"/>'
        (root / "annotations.xml").write_text(
            f'<annotations><image id="0" name="a.png" width="64" height="48">{shape}{shape}</image></annotations>'
        )
        return [kind, root, "--images", root]
    if kind == "labelstudio":
        brush = {"type": "brushlabels", "value": {"brushlabels": ["car"]}, "original_width": 64, "original_height": 48}
        task = {"id": 1, "data": {"image": "a.png"}, "annotations": [{"result": [brush, brush]}]}
        (root / "export.json").write_text(json.dumps([task]))
        return [kind, root / "export.json", "--images", root]
    if kind == "npz":
        masks = np.full((2, 48, 64), 3, np.uint8)
        masks[:, 0, :2] = 1, 2
        np.savez(root / "a.npz", images=np.zeros((2, 48, 64, 3), np.uint8), masks=masks)
        return [kind, root / "a.npz"]
    write_labels(root, frames)
    for file in root.rglob("labels/*.png"):
        file.write_bytes(b"none")
    return [kind, root]


@pytest.mark.parametrize("kind", NOTHING_LEFT)
def test_where_nothing_can_be_used_all_problems_are_listed(kind, tmp_path, capsys):
    assert check(*without_a_usable_mask(kind, tmp_path), "--out", tmp_path / "out") == 3
    shown = capsys.readouterr().out
    assert "2 problems." in shown and "must hold" in shown
    assert len((tmp_path / "out" / "problems.csv").read_text().splitlines()) == 3


def test_values_without_a_class_are_noted_and_the_exit_code_stays_0(tmp_path, capsys):
    write_labels(tmp_path, made_up_frames(3))
    (tmp_path / "classes.txt").write_text("1 road\n2 car")
    assert check("labels", tmp_path) == 0
    assert "Note: values without a class: 0 (3 images), 3 (3 images)\nNo problem.\n" in capsys.readouterr().out


def test_one_problem_is_called_one(tmp_path, capsys):
    write_labels(tmp_path, made_up_frames(2))
    (tmp_path / "images" / "seq0_000.png").unlink()
    assert check("labels", tmp_path) == 3
    assert capsys.readouterr().out.endswith("\n1 problem.\n")


def test_without_pyarrow_one_line_says_what_to_install(tmp_path, capsys, monkeypatch):
    write_labels(tmp_path, made_up_frames(1))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert check("labels", tmp_path, "--out", tmp_path / "out") == 0
    assert "No Parquet files, since pyarrow is not installed" in capsys.readouterr().out


@pytest.mark.datasets
def test_parquet_is_written_where_pyarrow_is_installed(tmp_path):
    """With the extra `datasets`, which brings pyarrow: the numbers come back."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    write_labels(tmp_path, made_up_frames(1))
    assert check("labels", tmp_path, "--out", tmp_path / "out") == 0
    table = parquet.read_table(tmp_path / "out" / "concepts.parquet")
    assert table.column("concept").to_pylist() == ["sky", "road", "car"]


def test_a_long_list_is_cut_on_the_terminal_only(tmp_path, capsys):
    write_labels(tmp_path, made_up_frames(24))
    for path in list((tmp_path / "images").iterdir())[:21]:
        path.unlink()
    assert check("labels", tmp_path, "--out", tmp_path / "out") == 3
    assert "Problems: 21, the first 20" in capsys.readouterr().out
    assert len((tmp_path / "out" / "problems.csv").read_text().splitlines()) == 22


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "give one data set"),
        (["coco", "a", "b"], "`--data` must be a kind and one path, but got 'coco a b'"),
        (["nothing", "here"], "unknown kind of data 'nothing'"),
        (["scenes", "--split", "val"], "`--split` has no meaning for data of kind 'scenes'"),
        (["scenes", "--data.min-area", "2"], "`--data.min-area` and `--data.max-area` must be shares"),
        (["scenes", "--data.crowd", "own"], "`--data.crowd` has no meaning for data of kind 'scenes'"),
        (["scenes", "--coco", "a.json"], "give one data set"),
    ],
    ids=str,
)
def test_wrong_flags_are_one_line(flags, message, capsys):
    assert check(*flags) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


COMMANDS = [command for command in ALL_COMMANDS.values() if "run_data" in command.__dataclass_fields__]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.__name__)
def test_commands_that_reopen_the_data_of_a_run_take_the_flags_of_fit(command):
    """But `--concepts`, which are those that are analyzed; those of the data are in the plan."""
    named = {flag for _, flag in find_flags(DataLocation)} | {flag for _, flag in find_flags(DataOptions, "data.")}
    assert {"--data", "--split", "--data.max-images"} < named
    assert named <= {flag for _, flag in find_flags(command)} | {"--concepts"}


def test_no_network_is_used(tmp_path, monkeypatch):
    import socket

    def refuse(*_, **__):
        raise AssertionError("no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    write_labels(tmp_path, made_up_frames(1))
    assert check("labels", tmp_path) == 0


def test_names_that_no_terminal_should_obey_are_shown_as_text(tmp_path, capsys):
    Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
    name = "[/red]\x1b[31m"
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": 20, "width": 30}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[80, 60]]}],
        "categories": [{"id": 1, "name": name}],
    }
    (tmp_path / "ann.json").write_text(json.dumps(content))
    assert check("coco", tmp_path / "ann.json", "--images", tmp_path) == 3
    shown = capsys.readouterr().out
    assert "\x1b" not in shown and "[/red]" in shown


BROKEN = {
    "cvat": ("annotations.xml", "<annotations>\n <image", "line 2, column 2"),
    "labels": ("classes.txt", "0 sky\n\n1 road\ncar 2", "line 4"),
    "labels, entry": ("classes.txt", "0 sky\n0 road", "entry 1"),
    "yolo": ("data.yaml", "names:\n  - sky\n - road", "line 3, column 2"),
    "labelstudio": ("export.json", '{"tasks": []}', ""),
    "npz": ("a.npz", "none", ""),
    "voc": ("ImageSets/Segmentation/val.txt", "\n", ""),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_of_each_kind_is_a_problem_with_its_place(case, tmp_path, capsys):
    kind = case.partition(",")[0]
    name, text, place = BROKEN[case]
    given = DATA[kind](tmp_path, made_up_frames(2))
    file = given["path"] if given["path"].is_file() else given["path"] / name
    file.write_text(text)
    assert check(*flags_of(kind, given), "--out", tmp_path / "out") == 3
    assert capsys.readouterr().out.endswith("1 problem.\n")
    with (tmp_path / "out" / "problems.csv").open(newline="") as table:
        (row,) = csv.DictReader(table)
    assert (row["file"], row["annotation"], row["status"]) == (str(file), place, "file_unreadable")
    assert main(["fit", "--data", *map(str, flags_of(kind, given)), "--layers", "x", "--out", str(tmp_path / "r")]) == 2


def flags_of(kind, given):
    """The command line of what `open_data` takes."""
    path, *others = given.items()
    return [kind, path[1], *chain.from_iterable((f"--{name}", value) for name, value in others)]


PICTURES = {".png", ".jpg"}
NONE_READ = {"cityscapes", "camvid", "folder"}  # whose trees hold pictures alone, or files that nobody reads


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("content", [b"\xff{<", b"", b"{}", b"names: {", b"0"], ids=str)
def test_no_content_of_a_file_is_a_wrong_use(kind, content, tmp_path):
    """Whatever stands in a file: problems and exit code 3, or nothing to say, but not 2."""
    given = DATA[kind](tmp_path, made_up_frames(2))
    codes = []
    for file in [file for file in tmp_path.rglob("*") if file.is_file() and file.suffix not in PICTURES]:
        kept = file.read_bytes()
        file.write_bytes(content)
        codes.append(check(*flags_of(kind, given)))
        file.write_bytes(kept)
    assert set(codes) <= {0, 3}
    assert 3 in codes or kind in NONE_READ or content != b"\xff{<"


def test_a_data_set_in_which_nothing_is_marked_is_a_problem_unless_a_concept_was_asked_for(tmp_path, capsys):
    Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": 20, "width": 30}],
        "annotations": [],
        "categories": [{"id": 1, "name": "cat"}],
    }
    (tmp_path / "ann.json").write_text(json.dumps(content))
    flags = ["coco", tmp_path / "ann.json", "--images", tmp_path]
    assert check(*flags) == 3
    assert "nothing_usable" in capsys.readouterr().out
    assert check(*flags, "--concepts", "cat") == 2


def test_files_without_a_partner_are_listed_also_where_none_has_one(tmp_path, capsys):
    write_labels(tmp_path, made_up_frames(2))
    for number, file in enumerate(sorted((tmp_path / "labels").iterdir())):
        file.rename(file.with_name(f"other{number}.png"))
    assert check("labels", tmp_path) == 3
    shown = capsys.readouterr().out
    assert "4 problems." in shown and "Are these the folders?" in shown
