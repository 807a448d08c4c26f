"""Whole commands about global concepts: slow, since the embedded network and its rests are compiled."""

import json

import numpy as np
import pytest

from loce_jax import fit, load_network
from loce_jax.cli import main
from loce_jax.data import open_scenes
from loce_jax.feature_spaces import gathering, reopening
from loce_jax.feature_spaces.reference_levels import HALVES

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    network = load_network("efficientnet-lite0", size=(96, 128))
    scenes = open_scenes(count=12)
    return fit(network, scenes, ["blocks.2", "blocks.4", "blocks.10"], out=tmp_path_factory.mktemp("scenes") / "run")


def test_concepts_are_found_tested_and_written(run, tmp_path, capsys):
    methods = ["ridge", "net2vec", "mean", "cav"]
    command = ["concepts", str(run.path), "--layers", "blocks.10", "--method", *methods, "--out", str(tmp_path)]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "8 images to find concepts on, 4 to test them on" in shown and "set IoU on held-out images" in shown
    found = json.loads((tmp_path / "concepts.json").read_text())
    assert found["made_with"]["methods"] == methods and not set(found["found on"]) & set(found["tested on"])
    arrays = np.load(tmp_path / "_blocks.10 ridge.npz", allow_pickle=False)
    assert arrays["vectors"].shape == (len(arrays["names"]), 112)
    assert (tmp_path / "set_iou__blocks.10.png").stat().st_size > 10_000
    page, layers = tmp_path / "page.html", tmp_path / "layers"
    assert main(["separation", str(run.path), "--out", str(layers)]) == 0
    assert main(["report", str(run.path), "--studies", str(tmp_path), str(layers), "--out", str(page)]) == 0
    shown = page.read_text()
    assert all(f"Separation, {layer}</h2>" in shown for layer in run.layers)
    assert "Global concepts</h2>" in shown and "Means over concepts, on held-out images</h3>" in shown


def test_spaces_are_compared_and_written(run, tmp_path, capsys):
    where = ["--models", "nothing", "efficientnet-lite0", "--scenes"]
    assert main(["spaces", str(run.path), "--method", "cav", "--draws", "20", "--out", str(tmp_path), *where]) == 0
    shown = capsys.readouterr().out
    assert "Claims, intervals over images" in shown and "the layer itself on other images" in shown
    assert "linear CKA" in shown and "RSA" in shown
    found = json.loads((tmp_path / "spaces.json").read_text())
    levels, matrices = {row["what"]: row["set IoU"] for row in found["levels"]}, found["matrices"]
    assert levels["vectors found with another seed: the method has none"] is None and levels[HALVES] > 0.1
    assert np.load(tmp_path / "spaces.npz", allow_pickle=False)["layers"].tolist() == list(run.layers)
    assert np.allclose(np.diag(matrices["set IoU of the maps"]), 1) and (tmp_path / "similarity.png").exists()


def test_a_class_is_tested_for_every_concept_and_layer(run, tmp_path, capsys):
    command = ["tcav", str(run.path), "--target", "tabby", "--layers", "blocks.10", "--examples", "6", "--draws", "99"]
    assert main([*command, "--out", str(tmp_path)]) == 0
    assert "TCAV scores of tabby on its 6 most likely images" in capsys.readouterr().out
    found = json.loads((tmp_path / "tcav.json").read_text())
    assert found["number"] == 281 and len(found["images of the class"]) == 6
    assert [row["concept"] for row in found["rows"]] == list(run.concepts)
    assert all(row["left_out"] == 0 and (row["p"] is None or 0 < row["p"] <= 1) for row in found["rows"])
    assert main([*command, "--samples", "images"]) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["concepts", "--method", "rigde"], "unknown method 'rigde'. Did you mean 'ridge'"),
        (["concepts", "--model", "nothing"], "unknown network 'nothing'"),
        (["tcav", "--target", "taby"], "unknown class 'taby'. Did you mean 'tabby'"),
        (["tcav", "--target", "1000"], "`--target` must be a whole number from 0 to 999"),
        (["tcav", "--target", "-1"], "`--target` must be a whole number from 0 to 999"),
        (["tcav", "--target=-1"], "but got -1"),
    ],
)
def test_what_cannot_be_done_is_one_line(words, said, run, capsys):
    assert main([words[0], str(run.path), *words[1:]]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("loce: ") and said in line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["concepts", "--test-groups", "b"], "unknown group 'b'. Known: scene"),
        (["spaces", "--test-groups", "b"], "unknown group 'b'. Known: scene"),
        (["spaces", "--layers", "blocks.4"], "`--layers` must be at least two"),
        (["spaces", "--draws", "0"], "`--draws` must be at least 1"),
    ],
)
def test_it_is_told_before_any_network_runs(words, said, run, capsys, monkeypatch):
    forbid_networks(monkeypatch)
    assert main([words[0], str(run.path), *words[1:]]) == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


def forbid_networks(monkeypatch):
    monkeypatch.setattr(gathering, "gather", lambda *_, **__: pytest.fail("a network ran"))
    monkeypatch.setattr(reopening, "reopen_network", lambda *_, **__: pytest.fail("a network was loaded"))


def test_too_few_common_images_are_told_before_any_network_runs(run, tmp_path, capsys, monkeypatch):
    few = fit(load_network("efficientnet-lite0", size=(96, 128)), open_scenes(count=3), ["blocks.2"], out=tmp_path)
    forbid_networks(monkeypatch)
    assert main(["spaces", str(run.path), str(few.path)]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "`RUN` must have at least 4 images in common" in line and "but have 3 images, 2 to find concepts on" in line
    assert "(`--share`, `--test-groups`)" in line and "groups`" not in line.replace("`--test-groups`", "")
