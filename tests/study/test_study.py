"""`loce analyze` and its steps: the numbers of the analyses, in files that hold whatever a run's names are."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from loce_jax import PaperRecipe, RidgeRecipe, open_run
from loce_jax.analysis.metrics.retrieval import precision_at, rank_by_distance
from loce_jax.analysis.metrics.separation import pairwise_separation
from loce_jax.analysis.outliers import find_outliers
from loce_jax.checks import InputError
from loce_jax.cli import main
from loce_jax.pipeline.plan import make_plan
from loce_jax.pipeline.run import run_plan
from loce_jax.pipeline.sources import scenes_source
from loce_jax.store import LayerRows, RunWriter, find_derived, keep_derived, open_storage
from loce_jax.store.files import FORMAT
from loce_jax.study import analyze as steps
from loce_jax.study.analyze import analyze
from loce_jax.study.options import Selection
from loce_jax.study.results.figures import Figures
from loce_jax.study.selection import map as map_module
from loce_jax.study.selection.embeddings import load_embeddings
from loce_jax.study.selection.layer_analysis import LayerAnalysis
from loce_jax.study.selection.photos import Photos
from tests.support.tiny import tiny_network

LAYERS = ("shallow", "deep")
FACTS = ("area", "x", "y", "width", "height", "brightness")
HOSTILE = "=cmd|' /C calc'!A0 $\\frac{ & ../../x"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of 40 scenes at two layers of color statistics."""
    out = tmp_path_factory.mktemp("study") / "run"
    run_plan(make_plan(tiny_network(), LAYERS, scenes_source(count=40), PaperRecipe(num_steps=20)), out)
    return out


@pytest.fixture(scope="module")
def analyzed(folder, tmp_path_factory):
    """All steps of all layers, with all their figures."""
    out = tmp_path_factory.mktemp("study") / "analysis"
    assert main(["analyze", str(folder), "--out", str(out), "--clusters.repeats", "3"]) == 0
    return out


def numbers_of(out, name="metrics"):
    return json.loads((out / f"{name}.json").read_text(), parse_constant=pytest.fail)


def embeddings_of(folder, layer="deep"):
    return load_embeddings(open_run(folder), [layer])


@pytest.mark.slow
def test_every_step_of_every_layer_is_in_the_metrics(analyzed):
    found = numbers_of(analyzed)
    assert set(found["steps"]) == set(LAYERS)
    for layer in LAYERS:
        assert set(found["steps"][layer]) == set(steps.STEPS)
        assert not [name for name, numbers in found["steps"][layer].items() if "not done" in numbers]
    assert set(found["best_layer"].values()) <= set(LAYERS) and found["compare"]["pairs"] > 0


def test_numbers_are_those_of_the_analyses(folder, tmp_path):
    steps = "separation", "retrieval", "clusters", "outliers"
    flags = ["--layers", "deep", "--steps", *steps, "--clusters.repeats", "1"]
    assert main(["analyze", str(folder), "--out", str(tmp_path), *flags]) == 0
    found, embeddings = numbers_of(tmp_path)["steps"]["deep"], embeddings_of(folder)
    separation = pairwise_separation(embeddings.vectors, embeddings.labels)
    assert found["separation"]["concepts"] == list(separation.concepts)
    np.testing.assert_array_equal(found["separation"]["separation"], separation.matrix)
    retrieved = precision_at(embeddings.vectors, embeddings.labels)
    np.testing.assert_array_equal(found["retrieval"]["precision"]["macro"], retrieved.precision.macro)
    predictions = found["clusters"]["predictions"]
    assert list(predictions) == ["centroids", *(f"{k} neighbors" for k in (3, 5, 7, 9, 11))]
    assert all(0 < share <= 1 for share in predictions.values())
    outliers = find_outliers(embeddings.vectors, embeddings.labels)
    first = [found["outliers"]["outliers"][concept][0][0] for concept in outliers.concepts]
    assert first == [embeddings.rows[ranking[0]] for ranking in outliers.rankings]


@pytest.mark.slow
def test_tables_and_pictures_can_be_opened(analyzed):
    for path in analyzed.rglob("*.csv"):
        head, *rows = list(csv.reader(path.open(newline="", encoding="utf-8")))
        assert {len(row) for row in rows} <= {len(head)}, path
    pictures = list(analyzed.rglob("*.png"))
    assert {path.stem for path in pictures} >= {
        "iou",
        "agreement",
        "tree",
        "map",
        "separation",
        "confusion",
        "outliers",
    }
    for path in pictures:
        assert min(Image.open(path).size) > 100
    assert not list(analyzed.rglob("*.partial"))


def test_a_query_lists_its_neighbors_by_row_and_by_name(folder, tmp_path, capsys):
    run, embeddings = open_run(folder), embeddings_of(folder)
    row = int(embeddings.rows[5])
    name = f"{run.table['image'][row]}:{run.table['concept'][row]}"
    for query in (str(row), name):
        flags = ["--query", query, "--shown", "3", "--layers", "deep", "--out", str(tmp_path)]
        assert main(["retrieval", str(folder), *flags]) == 0
        found = numbers_of(tmp_path / "deep", f"query_{row}")
        ranking = rank_by_distance(embeddings.vectors, 5)
        assert [line[1] for line in found["nearest"]] == embeddings.rows[ranking.indices[:3]].tolist()
        assert [line[1] for line in found["farthest"]] == embeddings.rows[ranking.indices[:-4:-1]].tolist()
    assert f"Row {row}" in capsys.readouterr().out
    assert main(["retrieval", str(folder), "--query", "nothing:cat"]) == 2
    assert "`--query` must be a row of the run's table or IMAGE:CONCEPT" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", ["stats", "clusters", "separation", "retrieval", "label-errors", "quality", "outliers"]
)
def test_each_step_is_a_command(command, folder, capsys):
    assert main([command, str(folder), "--layers", "deep"]) == 0
    assert len(capsys.readouterr().out.splitlines()) > 2


def test_a_command_that_writes_no_file_draws_no_figure(folder, monkeypatch):
    monkeypatch.setattr(Figures, "__getitem__", lambda self, name: pytest.fail(f"{name} was drawn"))
    assert main(["separation", str(folder), "--layers", "deep"]) == 0


def test_subconcepts_of_one_concept(folder, tmp_path, capsys):
    flags = ["--concept", "cup", "--n-clusters", "2", "--layers", "deep", "--out", str(tmp_path)]
    assert main(["subconcepts", str(folder), *flags]) == 0
    found = numbers_of(tmp_path / "deep", "subconcepts")
    assert (
        set(found) == {"cup", "made_with", "written"}
        and found["cup"]["subconcepts"] == 2
        and sum(found["cup"]["shares"]) == pytest.approx(1)
    )
    _, *rows = csv.reader((tmp_path / "deep" / "attributes.csv").open(newline=""))
    assert {row[1] for row in rows} == {"1", "2"} and len(rows) == 10
    assert {row[3].split(" ")[0] for row in rows} <= {*FACTS, "IoU", "scale", "light", "background", "with"}
    for group in "12":  # what is not chance first
        chance = [float(row[7]) >= 0.05 for row in rows if row[1] == group]
        assert chance == sorted(chance)
    assert main(["subconcepts", str(folder), "--concept", "cap"]) == 2
    assert "Did you mean 'cup'" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_compared_with_itself_agrees(folder, tmp_path):
    other = tmp_path / "other"
    run_plan(make_plan(tiny_network(), LAYERS, scenes_source(count=30), PaperRecipe(num_steps=20)), other)
    assert main(["compare", str(folder), str(other), "--layers", "deep", "--out", str(tmp_path / "out")]) == 0
    found = numbers_of(tmp_path / "out", "compare")
    first, second = found["missing"].values()
    assert first > second == 0  # the first thirty scenes are the same
    assert {"purity", "purity std", "clusters"} <= set(next(iter(found["views"].values())))
    for agreement in found["agreement"].values():
        np.testing.assert_allclose(agreement["matrix"], np.ones((2, 2)), atol=1e-6)


@pytest.fixture(scope="module")
def ridge(tmp_path_factory):
    """The same scenes by the other recipe, at one layer."""
    out = tmp_path_factory.mktemp("study") / "ridge"
    run_plan(make_plan(tiny_network(), ["deep"], scenes_source(count=40), RidgeRecipe()), out)
    return out


@pytest.mark.slow
def test_recipes_are_compared_pair_by_pair_and_told_apart(folder, ridge, tmp_path, capsys):
    assert main(["compare", str(folder), str(ridge), "--layers", "deep", "--out", str(tmp_path)]) == 0
    found = numbers_of(tmp_path, "compare")
    assert list(found["views"]) == [f"{folder} (paper): deep", f"{ridge} (ridge): deep"]
    assert set(found["missing"].values()) == {0} and found["pairs"] == len(embeddings_of(folder).rows)
    for name, run in zip(found["views"], (folder, ridge), strict=True):
        assert found["views"][name]["mean IoU"] == pytest.approx(embeddings_of(run).iou.mean())
    (shown,) = (row for row in csv.reader((tmp_path / "agreement.csv").open(newline="")) if "ridge" in row[0])
    assert shown[1] == f"{folder} (paper): deep"
    assert main(["compare", str(ridge), str(ridge / "..") + "/ridge", "--layers", "deep"]) == 0
    assert "(ridge)" not in capsys.readouterr().out.split("Agreement")[-1], "one recipe needs no name"


@pytest.mark.slow
def test_a_ridge_run_is_studied_in_its_own_coordinates(ridge, tmp_path):
    run = open_run(ridge)
    analysis = LayerAnalysis(run, load_embeddings(run, ["deep"]), Photos(run, None))
    analyze([analysis], tmp_path, steps=("separation", "retrieval"))
    found, options = numbers_of(tmp_path), RidgeRecipe()
    assert found["runs"][0]["recipe"] == options.describe()
    assert not [name for name, numbers in found["steps"]["deep"].items() if "not done" in numbers]
    good = run.select(status="ok")
    separation = pairwise_separation(run.vectors("deep")[good], run.table["concept"][good])
    np.testing.assert_array_equal(found["steps"]["deep"]["separation"]["separation"], separation.matrix)


def test_compare_asks_for_two(folder, capsys):
    assert main(["compare", str(folder), "--layers", "deep"]) == 2
    assert "`views` must be at least two layers or runs" in capsys.readouterr().err


@pytest.mark.slow
def test_layers_are_joined_to_one_cloud(folder, tmp_path):
    assert main(["separation", str(folder), "--joined", "normalized", "--out", str(tmp_path)]) == 0
    embeddings = load_embeddings(open_run(folder), LAYERS, normalized=True)
    assert embeddings.widths == (6, 9)
    np.testing.assert_allclose((embeddings.vectors[:, :6] ** 2).sum(axis=1), 1, rtol=1e-6)
    found = numbers_of(tmp_path / "shallow + deep", "separation")
    np.testing.assert_array_equal(
        found["separation"], pairwise_separation(embeddings.vectors, embeddings.labels).matrix
    )


def test_the_map_is_computed_once_and_kept_with_its_seed(folder, monkeypatch):
    run = open_run(folder)
    embeddings = load_embeddings(run, ["shallow"])
    first = LayerAnalysis(run, embeddings, Photos(run, None)).map
    monkeypatch.setattr(map_module, "embed_2d", lambda *_, **__: pytest.fail("computed again"))
    again = LayerAnalysis(run, embeddings, Photos(run, None)).map
    np.testing.assert_array_equal(first.points, again.points)
    assert first.method == again.method
    with pytest.raises(pytest.fail.Exception):
        _ = LayerAnalysis(run, embeddings, Photos(run, None), Selection(seed=1)).map


def test_what_is_derived_is_found_only_for_what_it_was_made_from(tmp_path):
    storage, arrays = open_storage(tmp_path), {"points": np.arange(6.0).reshape(3, 2)}
    assert find_derived(storage, "../map", {"seed": 0}) is None
    assert keep_derived(storage, "../map", {"seed": 0}, arrays)
    found = find_derived(storage, "../map", {"seed": 0})
    assert found and found.keys() == {"points"} and (found["points"] == arrays["points"]).all()
    assert find_derived(storage, "../map", {"seed": 1}) is None
    for file in (tmp_path / "derived").iterdir():
        content = file.read_bytes()
        for damaged in (content[:40], content[:-1] + b"?"):
            file.write_bytes(damaged)
            assert find_derived(storage, "../map", {"seed": 0}) is None
        file.write_bytes(content)
    assert find_derived(storage, "../map", {"seed": 0})


def test_a_place_that_cannot_be_written_is_no_obstacle(tmp_path):
    (tmp_path / "derived").write_text("a file where the folder should be")
    assert not keep_derived(open_storage(tmp_path), "map", {}, {"points": np.zeros((1, 2))})


def test_a_kept_map_that_does_not_fit_is_computed_again(folder, monkeypatch):
    run = open_run(folder)
    embeddings = load_embeddings(run, ["deep"], concepts=["cat"])
    kept = {"umap": np.full((len(embeddings.rows), 2), np.nan), "pca": np.zeros((1, 2)), "other": np.zeros((1, 2))}
    monkeypatch.setattr(map_module, "find_derived", lambda *_: kept)
    assert LayerAnalysis(run, embeddings, Photos(run, None)).map.points.shape == (len(embeddings.rows), 2)


def test_a_run_in_an_object_store_is_studied_too(folder):
    storage = open_storage("memory://study/run")
    for path in folder.rglob("*"):
        if path.is_file() and not path.name.startswith(".") and path.parent.name != "derived":
            storage.write(path.relative_to(folder).as_posix(), path.read_bytes())
    assert main(["map", "memory://study/run", "--layers", "deep", "--concepts", "cat"]) == 0
    assert len(storage.names("derived")) == 2, "the map, and what it was made from"


@pytest.mark.slow
def test_without_its_data_set_a_run_is_analyzed_without_photographs(folder, tmp_path, capsys, monkeypatch):
    def gone(*_, **__):
        raise InputError("`images` must be an existing folder.")

    monkeypatch.setattr("loce_jax.cli.data_flags.reopen", gone)
    for command in ("outliers", "subconcepts"):
        assert main([command, str(folder), "--layers", "deep", "--out", str(tmp_path)]) == 0
    assert "there will be no photographs" in capsys.readouterr().err
    assert (tmp_path / "deep" / "outliers.png").exists()


@pytest.mark.slow
def test_a_step_that_cannot_be_done_does_not_stop_the_others(folder, tmp_path, monkeypatch):
    def refuse(analysis):
        raise InputError("`vectors` must be others.")

    monkeypatch.setitem(steps.STEPS, "clusters", refuse)
    run = open_run(folder)
    analysis = LayerAnalysis(run, load_embeddings(run, ["deep"]), Photos(run, None))
    analyze([analysis], tmp_path, steps=("clusters", "separation"))
    found = numbers_of(tmp_path)["steps"]["deep"]
    assert found["clusters"] == {"not done": "`vectors` must be others."} and "separation" in found["separation"]


@pytest.fixture
def hostile(tmp_path):
    """A run whose layer, concepts and images have names that no file, formula or formatter should take at its word."""
    rng = np.random.default_rng(0)
    n, names = 40, [HOSTILE, "<b>dog</b>"]
    layer = "../../" + HOSTILE
    plan = {
        "layers": {layer: {}},
        "data": {"concepts": names, "source": {"kind": "coco"}},
        "format": FORMAT,
        "chunks": ["00000"],
        "model": {"name": HOSTILE},
    }
    labels = [names[i % 2] for i in range(n)]
    vectors = (rng.normal(size=(n, 6)) + 3 * np.eye(2, 6)[np.arange(n) % 2]).astype("float32")
    numbers = LayerRows(
        rows=np.arange(n),
        vectors=vectors,
        responses=np.zeros((n, 2, 2), "float16"),
        iou=rng.random(n),
        loss=np.zeros(n, "float32"),
        status=["ok"] * n,
    )
    columns = {
        "image": [f"../{HOSTILE}/{i}.jpg" for i in range(n)],
        "image_id": list(range(n)),
        "concept": labels,
        "area": [0.1] * n,
        "reason": [""] * n,
    }
    with RunWriter(open_storage(tmp_path / "run"), plan) as writer:
        writer.write("00000", columns, {layer: numbers})
    return tmp_path


@pytest.mark.slow
def test_hostile_names_stay_names(hostile, capsys):
    before = set(hostile.parent.iterdir())
    out = hostile / "out"
    out.mkdir()
    (out / "mine.txt").write_text("the released code deletes such folders with all that is in them")
    assert main(["analyze", str(hostile / "run"), "--out", str(out), "--clusters.repeats", "1"]) == 0
    assert set(hostile.parent.iterdir()) - before <= {hostile.parent / "cache0"}
    assert {path.name for path in hostile.iterdir()} == {"run", "out"}
    assert (out / "mine.txt").exists()
    for path in out.rglob("*.csv"):
        for row in csv.reader(path.open(newline="", encoding="utf-8")):
            assert not [cell for cell in row if cell.startswith(("=", "@", "+"))]
    assert not [name for name, found in next(iter(numbers_of(out)["steps"].values())).items() if "not done" in found]


def test_a_run_without_a_good_row_says_so(hostile):
    run = open_run(hostile / "run")
    run.table["concept"][:] = "other"
    with pytest.raises(InputError, match="must have a good LoCE"):
        load_embeddings(run, run.layers, concepts=[HOSTILE])


def test_layers_are_found_by_name_end_or_glob(folder):
    run = open_run(folder)
    assert run.resolve([]) == LAYERS and run.resolve(["*e*", "deep"]) == ("deep",)


@pytest.mark.slow
def test_one_concept_and_one_example_make_a_picture(folder, tmp_path):
    flags = ["--concepts", "cat", "--layers", "deep", "--out", str(tmp_path)]
    assert main(["outliers", str(folder), "--shown", "1", *flags]) == 0
    assert main(["clusters", str(folder), "--repeats", "1", *flags]) == 0
    assert main(["retrieval", str(folder), *flags]) == 0
    found = numbers_of(tmp_path / "deep", "clusters")
    assert found["purity"] == 1 and found["clusters"] == 1
    assert {path.name for path in (tmp_path / "deep").glob("*.png")} == {
        *("outliers.png", "tree.png", "clusters.png", "retrieval.png")
    }
