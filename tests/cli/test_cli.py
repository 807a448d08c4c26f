"""The command line as a user meets it: what it prints, and one clear line with code 2 when it cannot."""

import json
import logging
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from loce_jax import RidgeRecipe, open_run
from loce_jax.cli import main

MODEL = "efficientnet-lite0"


@pytest.fixture
def coco(tmp_path):
    """Three photos of noise, a bright square in each, annotated as two concepts."""
    rng = np.random.default_rng(0)
    (tmp_path / "images" / "sub").mkdir(parents=True)
    images, annotations = [], []
    for number in range(3):
        photo = rng.integers(0, 90, (90, 120, 3), dtype=np.uint8)
        photo[20:60, 30:90] += 150
        name = f"sub/{number}.png"
        Image.fromarray(photo).save(tmp_path / "images" / name)
        images.append({"id": number, "file_name": name, "height": 90, "width": 120})
        for category, box in ((1, [30, 20, 90, 20, 90, 60, 30, 60]), (2, [0, 60, 120, 60, 120, 90, 0, 90])):
            id_ = 10 * number + category
            annotations.append({"id": id_, "image_id": number, "category_id": category, "segmentation": [box]})
    categories = [{"id": 1, "name": "window"}, {"id": 2, "name": "floor"}]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "coco.json").write_text(json.dumps(document))
    return document, tmp_path


def fit(folder, *more, layers=("blocks.4",)):
    files = "--coco", str(folder / "coco.json"), "--images", str(folder / "images")
    return main(["fit", "--model", MODEL, "--layers", *layers, *files, "--out", str(folder / "run"), *more])


def test_fit_show_and_report(coco, capsys):
    _, folder = coco
    assert fit(folder, "--concepts", "window") == 0
    first = capsys.readouterr()
    assert "3/3 images" in first.err and "window" in first.out and "floor" not in first.out
    run = open_run(folder / "run")
    assert run.table["image"].tolist() == ["sub/0.png", "sub/1.png", "sub/2.png"]
    assert (run.table["iou"] > 0.3).all()

    assert main(["show", str(folder / "run"), "--verify"]) == 0
    shown = capsys.readouterr().out
    assert f"{np.mean(run.table['iou']):.3f}" in shown and "mean IoU" in shown and "0.0%" in shown

    assert main(["report", str(folder / "run")]) == 0
    assert "window" in (folder / "run" / "report.html").read_text()
    capsys.readouterr()
    assert fit(folder, "--concepts", "window") == 0, "a finished run may be asked for again, page and all"
    assert "Nothing was left to do. Records and lengths" in capsys.readouterr().out
    (folder / "run" / "manifest.json").unlink()
    assert main(["show", str(folder / "run")]) == 0
    assert main(["show", str(folder / "run"), "--verify"]) == 2
    assert "missing or damaged: manifest.json. The same `loce fit` with `--repair`" in one_line(capsys)
    assert fit(folder, "--concepts", "window", "--repair") == 0
    assert main(["show", str(folder / "run"), "--verify"]) == 0
    capsys.readouterr()
    (damaged,) = (folder / "run" / "layers").rglob("*.safetensors")
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert fit(folder, "--concepts", "window", "--verify") == 2
    assert f"these files of '{folder / 'run'}' are missing or damaged: layers/" in one_line(capsys)


def test_layers_as_table_and_as_json(capsys):
    assert main(["layers", MODEL]) == 0
    table = capsys.readouterr().out
    assert main(["layers", MODEL, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "224 x 224 stretched, bicubic, RGB" in table and found["input"]["size"] == [224, 224]
    rows = found["layers"]
    assert found["dead_ends"] == [] and "note" not in table
    assert rows[0].keys() == {"name", "shape", "stride", "kind", "aliases"}
    assert all(row["name"] in table for row in rows)
    assert [row["shape"] for row in rows if "blocks.4" in row["aliases"]] == [[28, 28, 40]]


@pytest.mark.slow
def test_solver_flags_reach_the_plan(coco):
    _, folder = coco
    flags = "--solver.num-steps", "5", "--solver.objective", "mse", "--solver.penalty", "sample", "--size", "96", "128"
    assert fit(folder, *flags) == 0
    run = open_run(folder / "run")
    assert run.plan["recipe"]["num_steps"] == 5 and run.plan["model"]["preprocess"]["size"] == [96, 128]
    assert run.responses(run.layers[0]).shape[1:] == (12, 16)


@pytest.mark.slow
def test_the_recipe_is_a_flag_and_reaches_plan_and_rows(coco, capsys):
    _, folder = coco
    assert fit(folder, "--recipe", "ridge", "--solver.l2", "2", "--solver.whitening", "0.25") == 0
    printed = capsys.readouterr()
    assert "6/6 images, each read twice" in printed.err and "did not converge" not in printed.out
    run = open_run(folder / "run")
    assert run.recipe == RidgeRecipe(l2=2.0, whitening=0.25)
    assert np.isfinite(run.biases(run.layers[0])).all() and run.statistics(run.layers[0]).count == 3 * 28 * 28
    assert main(["show", str(folder / "run"), "--verify"]) == 0


@pytest.mark.slow
def test_an_unreachable_tolerance_is_said(coco, capsys):
    _, folder = coco
    assert fit(folder, "--recipe", "ridge", "--solver.tolerance", "1e-12", "--concepts", "window") == 0
    assert "LoCEs did not converge: _blocks.4" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--recipe", "ridge", "--solver.num-steps", "5"], "`--solver.num-steps` is no option of the ridge recipe"),
        (["--solver.l2", "2"], "`--solver.l2` is no option of the paper recipe"),
        (["--recipe", "ridge", "--solver.whitening", "2"], "`--solver.whitening` must be a power from 0 to 1"),
    ],
    ids=str,
)
def test_options_of_the_other_recipe_are_one_line(flags, said, coco, capsys):
    _, folder = coco
    assert fit(folder, *flags) == 2
    assert said in one_line(capsys)
    assert not (folder / "run").exists()


def test_there_is_one_flag_for_the_recipe(capsys):
    with pytest.raises(SystemExit):
        main(["fit", "--help"])
    shown = capsys.readouterr().out
    assert "--recipe {paper,ridge}" in shown and "--solver.recipe" not in shown


def one_line(capsys):
    error = capsys.readouterr().err
    assert error.startswith("loce: ") and error.count("\n") == 1, error
    return error


@pytest.mark.parametrize("argument", ["a\0b", "\ud800"])
def test_text_that_no_shell_passes_on_is_one_line(argument, capsys):
    assert main(["stats", "run", "--out", argument]) == 2
    assert "argument 4 must be text that the system can pass on" in one_line(capsys)


def test_a_flag_before_the_command_is_one_line(capsys):
    assert main(["--model", "none", "layers"]) == 2
    assert "unknown command '--model'" in one_line(capsys)


def test_unknown_names_come_with_the_nearest_known(coco, capsys):
    _, folder = coco
    assert fit(folder, layers=("block.4",)) == 2
    assert "unknown layer 'block.4'" in (error := one_line(capsys)) and "'_blocks.4'" in error
    assert fit(folder, "--concepts", "windw") == 2
    assert "unknown concept 'windw'. Did you mean 'window'" in one_line(capsys)
    assert main(["layers", "efficientnet"]) == 2
    assert "'efficientnet-lite0'" in one_line(capsys)
    assert not (folder / "run").exists()


def test_wrong_paths_are_one_line(coco, capsys):
    _, folder = coco
    out = "--out", str(folder / "run")
    start = ["fit", "--layers", "blocks.4", *out]
    for files, message in [
        (["--coco", "nowhere.json", "--images", str(folder)], "nowhere.json"),
        (["--coco", str(folder / "coco.json"), "--images", str(folder / "nowhere")], "nowhere"),
        (["--coco", str(folder / "images"), "--images", str(folder)], "images"),
        (["--coco", str(folder / "coco.json")], "`--images` must be given for data of kind 'coco'"),
        ([], "give one data set"),
    ]:
        assert main([*start, *files]) == 2
        assert message in one_line(capsys)
    for command in ("show", "report"):
        assert main([command, str(folder / "nowhere")]) == 2
        assert "nothing is there" in one_line(capsys)


def test_paths_outside_the_image_root_are_refused(coco, capsys):
    document, folder = coco
    (folder / "secret.png").write_bytes((folder / "images" / "sub" / "0.png").read_bytes())
    for name in ("../secret.png", str(folder / "secret.png")):
        document["images"][0]["file_name"] = name
        (folder / "coco.json").write_text(json.dumps(document))
        assert fit(folder) == 2
        assert "secret.png" in one_line(capsys)
        assert not (folder / "run").exists()


def test_empty_data_are_one_line(coco, capsys):
    document, folder = coco
    (folder / "coco.json").write_text(json.dumps({**document, "annotations": []}))
    assert fit(folder) == 2
    one_line(capsys)


@pytest.mark.slow
def test_strict_ends_with_code_2(coco, capsys):
    _, folder = coco
    (folder / "images" / "sub" / "1.png").write_bytes(b"not a picture")
    assert fit(folder, "--strict") == 2
    assert "image_unreadable" in capsys.readouterr().err
    assert fit(folder) == 4
    printed = capsys.readouterr()
    assert "2 pairs skipped: image_unreadable" in printed.out
    assert "rows could not be read (2 image_unreadable), more than 0.05 of them" in printed.err
    assert fit(folder, "--max-failures", "1") == 0


@pytest.mark.parametrize("name", ["shwo", "[/red]", ""])
def test_an_unknown_command_is_one_line(name, capsys):
    assert main([name, "run"]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f"loce: unknown command {name!r}. ") and printed.count("\n") == 1
    assert ("Did you mean 'show'?" in printed) == (name == "shwo")


def test_closed_output_streams_end_no_command():
    command = f'"{sys.executable}" -m loce_jax.cli'
    for streams in (">&-", "2>&-", ">&- 2>&-"):
        done = subprocess.run(["sh", "-c", f"{command} --version {streams}"], capture_output=True, check=False)
        assert done.returncode == 0 and b"Traceback" not in done.stderr


def test_an_output_that_nobody_can_write_is_told_and_one_that_nobody_reads_is_not():
    command = f'"{sys.executable}" -m loce_jax.cli --version'
    full = subprocess.run(["sh", "-c", f"{command} > /dev/full"], capture_output=True, text=True, check=False)
    assert full.returncode == 1
    assert full.stderr == "loce: standard output cannot be written: No space left on device.\n"
    lost = subprocess.run(["sh", "-c", f"{command} 2> /dev/full"], capture_output=True, text=True, check=False)
    assert lost.returncode == 0 and lost.stdout.startswith("loce ")
    read, write = os.pipe()
    os.close(read)
    unread = subprocess.run(["sh", "-c", command], stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (unread.returncode, unread.stderr) == (141, "")


def test_warnings_have_no_prefix_whatever_a_library_does_to_logging(monkeypatch, capsys):
    monkeypatch.setattr(logging.root, "handlers", [])
    assert main(["--version"]) == 0
    logging.basicConfig()  # as absl does, when Orbax is imported
    logging.getLogger("loce_jax.store.read").warning("the manifest is missing")
    assert capsys.readouterr().err == "the manifest is missing\n"
