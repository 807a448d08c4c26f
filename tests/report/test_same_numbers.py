"""The page, `loce map` and `loce separation` show one run: the same rows, the same coordinates, the same separation."""

import csv
import json

import numpy as np
import pytest

from loce_jax.analysis.embedding import Embedding2D
from loce_jax.cli import main
from loce_jax.report import content
from loce_jax.report.images import Pictures
from loce_jax.study.options import Selection, StudyOptions
from loce_jax.study.selection import map as map_module
from loce_jax.study.selection.layer_analysis import analyze_layers
from loce_jax.study.selection.photos import Photos
from tests.support.planted_run import N, write_run

FAILED = range(0, N, 4)  # at the last layer; they are good at the first


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run", failed=FAILED)


@pytest.fixture
def computed(monkeypatch):
    """How many maps were computed; a map is two channels."""
    calls = []

    def compute(vectors, **_):
        calls.append(len(vectors))
        return Embedding2D(vectors[:, :2].astype(float), "umap")

    monkeypatch.setattr(map_module, "embed_2d", compute)
    return calls


def page_of(run):
    return content.page_data(run, content.choose_rows(run), Pictures(), run.layers[0])


def shown(layer):
    """Positions and coordinates of the page's points at one layer."""
    there = [index for index, x in enumerate(layer["x"]) if x is not None]
    return there, np.array([[layer[axis][index] for axis in "xy"] for index in there])


def centered(points):
    low, high = points.min(axis=0), points.max(axis=0)
    return 2 * (points - (low + high) / 2) / (high - low).max()


@pytest.mark.slow
def test_page_and_command_have_one_map_of_the_same_rows(run, tmp_path, computed):
    page = page_of(run)
    assert computed == [N, N - len(FAILED)]
    assert main(["map", str(run.path), "--out", str(tmp_path / "out")]) == 0
    assert len(computed) == 2, "the command reads the map that the page has computed"
    for layer in page["layers"]:
        there, points = shown(layer)
        lines = list(csv.DictReader((tmp_path / "out" / layer["name"] / "map.csv").open(newline="")))
        images = [page["points"]["image"][index] for index in there]
        assert images == [line["image"] for line in lines]
        expected = centered(np.array([[float(line["x"]), float(line["y"])] for line in lines]))
        np.testing.assert_allclose(points, expected, atol=1e-4)  # the page rounds to four digits
    assert len(shown(page["layers"][0])[0]) == N, "a row that failed at one layer is shown at the other"


def test_page_and_pictures_have_one_color_for_a_concept(run, computed):
    page = page_of(run)
    last = run.concepts[-1]
    (analysis,) = analyze_layers(run, Selection((run.layers[0],), concepts=(last,)), Photos(run, None), StudyOptions())
    assert analysis.styles == {last: page["concept_styles"][page["concepts"].index(last)]}
    assert page["concept_styles"][-1] != page["concept_styles"][0]


def test_page_and_command_have_one_separation(run, tmp_path, computed):
    page = page_of(run)
    assert main(["separation", str(run.path), "--out", str(tmp_path / "out")]) == 0
    for layer in page["layers"]:
        found = json.loads((tmp_path / "out" / layer["name"] / "separation.json").read_text())
        order = [found["concepts"].index(page["concepts"][index]) for index in layer["separated"]]
        expected = np.array(found["separation"])[np.ix_(order, order)]
        np.testing.assert_allclose(layer["separation"], expected, atol=5.1e-5)  # rounded to four digits
