"""Several runs as one: whose LoCEs lie in one space, in which coordinates, and what a user sees of it."""

import json

import numpy as np
import pytest

from loce_jax import PaperRecipe, RidgeRecipe
from loce_jax.checks import InputError
from loce_jax.cli import main
from loce_jax.pipeline.plan import make_plan
from loce_jax.pipeline.run import run_plan
from loce_jax.store import open_run
from loce_jax.study.options import Selection, StudyOptions
from loce_jax.study.selection.layer_analysis import analyze_pool
from loce_jax.study.selection.pool import PooledRun, label_by_end
from loce_jax.study.steps.map import study_map
from tests.support.planted_run import N, write_run
from tests.support.tiny import Boxes, tiny_network


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs whose concepts "cat", "dog", "emu" and "emu", "fox" overlap in one, with images of the same names."""
    folder = tmp_path_factory.mktemp("pool")
    first = write_run(folder / "one", failed=(4,))
    second = write_run(folder / "two", layers=("late", "latest"), labels=["emu", "fox"] * 20, seed=1)
    return {"one": first, "two": second}


def test_rows_of_all_runs_stand_one_after_the_other(runs):
    pool = PooledRun(runs)
    assert pool.layers == ("late",) and pool.concepts == ("cat", "dog", "emu", "fox")
    assert pool.table["image"][[0, N]].tolist() == ["one: 0.jpg", "two: 0.jpg"]
    assert pool.table["row"][[N - 1, N]].tolist() == [N - 1, 0]
    for row in (0, N - 1, N, N + 39):
        run, own = (runs["one"], row) if row < N else (runs["two"], row - N)
        np.testing.assert_array_equal(pool.vectors("late")[row], run.vectors("late")[own])
        assert pool.table["concept"][row] == run.table["concept"][own]
        assert pool.column("status", "late")[row] == run.column("status", "late")[own]
    assert pool.responses("late").shape == (N + 40, 2, 2)


def test_concepts_of_one_name_are_one_or_told_apart(runs):
    assert PooledRun(runs, apart=True).concepts == ("cat", "dog", "emu (one)", "emu (two)", "fox")
    (joined,) = analyze_pool(runs)
    (apart,) = analyze_pool(runs, apart=True)
    assert len(joined.embeddings.positions_of("emu")) == 50
    assert [len(apart.embeddings.positions_of(f"emu ({run})")) for run in runs] == [30, 20]


def test_a_pool_of_one_run_has_its_vectors(runs):
    pool = PooledRun({"one": runs["one"]})
    np.testing.assert_array_equal(pool.vectors("early"), runs["one"].vectors("early"))
    assert pool.layers == ("early", "late")


def test_the_map_says_which_run_each_loce_is_of(runs):
    (analysis,) = analyze_pool(runs, Selection(), StudyOptions())
    found = study_map(analysis)
    table = found.data["map"]
    assert table.columns[:4] == ("run", "row", "image", "concept") and len(table.rows) == N - 1 + 40
    for run, row, image, concept in (line[:4] for line in table.rows):
        assert (image, concept) == (runs[run].table["image"][row], runs[run].table["concept"][row])
    few = analysis.embeddings.take(np.array([0, N]))
    assert few.runs is not None and few.runs.tolist() == ["one", "two"]
    names = [text.get_text() for text in found.figures["map"].axes[-1].get_legend().get_texts()]
    assert names == ["cat", "dog", "emu", "fox", "one", "two"]
    figure = found.figures["composite"]
    assert "purity" in figure.axes[3].get_title()
    assert [text.get_text() for text in figure.axes[4].get_legend().get_texts()] == names


class BrightBoxes(Boxes):
    """The same with other photographs."""

    fingerprint = "boxes 2"

    def read(self, item):
        reading = super().read(item)
        return type(reading)((255 - reading.photo // 2).astype(np.uint8), reading.masks)


@pytest.fixture(scope="module")
def ridge(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ridge")
    for name, data in {"dark": Boxes(), "bright": BrightBoxes()}.items():
        run_plan(make_plan(tiny_network(), ("deep",), data, RidgeRecipe()), folder / name)
    return {name: open_run(folder / name) for name in ("dark", "bright")}


def test_ridge_vectors_respond_in_common_coordinates_as_in_their_own(ridge):
    """A twin in plain NumPy: the whitening of all images' pixels together, from counts, means and scatters."""
    vectors = PooledRun(ridge).vectors("deep").astype(np.float64)
    parts = [run.statistics("deep") for run in ridge.values()]
    count = sum(part.count for part in parts)
    mean = sum(part.count * part.mean for part in parts) / count
    second = sum(part.scatter + part.count * np.outer(part.mean, part.mean) for part in parts) / count
    values, axes = np.linalg.eigh(second - np.outer(mean, mean))
    values = values + 0.01 * values.mean()
    matrix = (axes * ((values / values.mean()) ** -0.25 / np.sqrt(values.mean()))) @ axes.T
    filters = np.concatenate([run.raw_filters("deep")[0] for run in ridge.values()])
    good = np.isfinite(filters).all(axis=1)
    assert np.isfinite(vectors[good]).all() and np.isnan(vectors[~good]).all()
    scale = np.abs(filters[good]).max()
    np.testing.assert_allclose(vectors[good] @ matrix, filters[good], atol=1e-4 * scale)  # float32 vectors
    first = ridge["dark"].vectors("deep")
    assert not np.allclose(vectors[: len(first)], first, equal_nan=True, rtol=0.01), "its own coordinates are others"


def test_what_lies_in_two_spaces_is_refused_in_one_line(runs, ridge, tmp_path):
    network = tiny_network()
    run_plan(make_plan(network, ("deep",), Boxes(), PaperRecipe(num_steps=3)), tmp_path / "paper")
    run_plan(make_plan(network, ("deep",), Boxes(), PaperRecipe(num_steps=4)), tmp_path / "longer")
    run_plan(make_plan(network, ("shallow",), Boxes(), PaperRecipe(num_steps=3)), tmp_path / "shallow")
    paper, longer, shallow = (open_run(tmp_path / name) for name in ("paper", "longer", "shallow"))
    (tmp_path / "link").symlink_to(tmp_path / "paper")
    for others, said in (
        ({"a": paper, "b": ridge["dark"]}, "same recipe to be pooled.*'a' has name 'paper', and 'b' name 'ridge'"),
        ({"a": paper, "b": longer}, "num_steps 3, and 'b' num_steps 4"),
        ({"a": paper, "b": runs["one"]}, "network and weights.*'tiny' with the fingerprint 0000.*'planted'"),
        ({"a": paper, "b": shallow}, "a layer in common.*a: deep; b: shallow"),
        ({"a": paper, "b": open_run(tmp_path / "." / "link")}, "different runs"),
        ({}, "at least one run"),
    ):
        with pytest.raises(InputError, match=said) as error:
            PooledRun(others)
        assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="unknown layer 'early' of run"):
        analyze_pool(runs, Selection(layers=("early",)))


def test_vectors_of_other_lengths_are_refused(runs, tmp_path):
    wide = write_run(tmp_path / "wide", vectors=np.ones((N, 7)))
    with pytest.raises(InputError, match="equal length at layer 'late', but got 6 in 'one', 7 in 'wide'"):
        PooledRun({"one": runs["one"], "wide": wide}).vectors("late")


def test_labels_of_paths():
    assert label_by_end(["s3://bucket/run/", "here"]) == {"s3://bucket/run/": "run", "here": "here"}


def test_the_command_pools_runs(runs, tmp_path, capsys):
    paths = [str(run.path) for run in runs.values()]
    assert main(["map", *paths, "--out", str(tmp_path), "--apart"]) == 0
    assert f"{N + 40} rows of 2 runs" in capsys.readouterr().out
    found = json.loads((tmp_path / "late" / "map.json").read_text())
    assert list(found["concepts"]) == ["cat", "dog", "emu (one)", "emu (two)", "fox"]
    assert len(found["made_with"]["runs"]) == 2 and found["made_with"]["apart"] is True
    assert (tmp_path / "late" / "composite.png").exists()
    assert main(["map", paths[0], paths[0]]) == 2
    assert "must be different runs" in capsys.readouterr().err
    assert main(["map", *paths, "--images", "photos"]) == 2
    assert "`--images`" in capsys.readouterr().err
