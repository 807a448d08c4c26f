"""Networks side by side over relative depth: whose runs are pooled, on which concepts, and what is drawn."""

import json

import numpy as np
import pytest

from loce_jax.analysis.bootstrap import BootstrapOptions
from loce_jax.analysis.metrics.retrieval import precision_at
from loce_jax.analysis.metrics.separation import pairwise_separation
from loce_jax.checks import InputError
from loce_jax.cli import main
from loce_jax.store import open_run
from loce_jax.study.options import RetrievalOptions, Selection
from loce_jax.study.published import Published
from loce_jax.study.results.step_result import write_result
from loce_jax.study.selection.networks import load_networks, order_as_depth, pool_by_network
from loce_jax.study.steps.depth import study_depth
from tests.support.planted_run import N, write_run

DEPTHS = {"first": {"early": 0.25, "late": 0.5}, "second": {"late": 0.75}}
KS = (5, 1)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs of the network "first", one of the network "second", which lacks the concept "fox"."""
    folder = tmp_path_factory.mktemp("depth")
    write_run(folder / "coco", model="first")
    write_run(folder / "foxes", labels=["emu", "fox"] * 20, seed=1, model="first")
    write_run(folder / "other", layers=("late",), seed=2, model="models/second")
    return {name: open_run(folder / name) for name in ("coco", "foxes", "other")}


@pytest.fixture(scope="module")
def layers(runs):
    return load_networks(pool_by_network(runs), DEPTHS, Selection())


@pytest.fixture(scope="module")
def found(layers):
    separation = np.array([[0, 0.1, np.nan], [0.1, 0, 0.3], [np.nan, 0.3, 0]])
    published = Published("a figure", (1, 2), {("first", "late"): np.array([0.4, 0.5])}, ("cat", "dog", "emu"),
                          {("second", "late"): separation})  # fmt: skip
    return study_depth(layers, RetrievalOptions(ks=KS), BootstrapOptions(resamples=50), published)


def test_runs_of_one_network_are_pooled_and_concepts_of_all_are_kept(layers):
    assert [(one.network, one.layer, one.depth) for one in layers] == [
        ("first", "early", 0.25),
        ("first", "late", 0.5),
        ("second", "late", 0.75),
    ]
    assert [len(one.embeddings.rows) for one in layers] == [N + 20, N + 20, N]
    assert all(one.embeddings.concepts == ("cat", "dog", "emu") for one in layers)


def test_networks_of_one_name_are_told_apart(runs, tmp_path):
    other = write_run(tmp_path / "wide", model="elsewhere/first")
    pools = pool_by_network({**runs, "wide": other})
    assert list(pools) == ["first (coco + foxes)", "second", "first (wide)"]


def test_numbers_are_those_of_the_measures(layers, found):
    for one, numbers in zip(layers, found.metrics["layers"], strict=True):
        vectors, labels = one.embeddings.vectors, one.embeddings.labels
        matrix = pairwise_separation(vectors, labels).matrix
        pairs = [matrix[1, 0], matrix[2, 0], matrix[2, 1]]
        assert numbers["separation"]["mean"] == pytest.approx(np.mean(pairs), rel=1e-12)
        assert numbers["separation"]["quartiles"] == pytest.approx([np.percentile(pairs, q) for q in (25, 75)])
        precision = precision_at(vectors, labels, KS).precision.macro
        np.testing.assert_array_equal(numbers["precision"]["mean"], precision)
        assert (numbers["precision"]["low"] <= numbers["precision"]["high"]).all()
    rows = found.data["precision_intervals"].rows
    assert [row[3] for row in rows] == [5, 1] * 3 and rows[3][7] == 0.4 and np.isnan(rows[2][7])


def test_published_values_stand_where_network_and_layer_are_the_same(found):
    published = [numbers["published"] for numbers in found.metrics["layers"]]
    assert [one["mean separation"] for one in published] == pytest.approx([np.nan, np.nan, 0.2], nan_ok=True)
    np.testing.assert_array_equal([one["precision"] for one in published], [[np.nan] * 2, [np.nan, 0.4], [np.nan] * 2])
    assert found.headline["published values"] == "second: late, first: late"
    by_depth, panels, precision, by_k = (found.figures[name] for name in found.figures)
    (lines,) = (axes.lines for axes in by_depth.axes)
    hollow = [line for line in lines if line.get_markerfacecolor() == "white" and len(line.get_xdata())]
    assert [(list(line.get_xdata()), list(line.get_ydata())) for line in hollow] == [([0.75], [pytest.approx(0.2)])]
    titles = [axes.get_title() for axes in panels.axes if axes.get_title()]
    assert titles[0].startswith("first: ")
    assert titles[1] == "second: late\nbelow the diagonal: ours, above: published"
    shown = np.ma.filled(panels.axes[1].images[0].get_array(), np.nan)
    ours = found.metrics["layers"][2]["separation"]["matrix"]
    np.testing.assert_allclose(shown[np.tril_indices(3, -1)], ours[np.tril_indices(3, -1)])
    np.testing.assert_allclose(shown[np.triu_indices(3, 1)], [0.1, np.nan, 0.3])
    assert [axes.get_title() for axes in precision.axes[:2]] == ["first", "second"]
    hollow = [line for line in precision.axes[0].lines if line.get_markerfacecolor() == "white"]
    assert [list(line.get_ydata()) for line in hollow] == [[0.4], []]
    assert [list(line.get_xdata()) for line in by_k.axes[1].lines] == [[1, 5]], "k ascends"


def test_a_file_that_fits_nothing_says_so(layers):
    strange = Published(ks=(1,), precision={("third", "late"): np.array([0.5])})
    found = study_depth(layers[:2], RetrievalOptions(ks=(1,)), BootstrapOptions(resamples=5), strange)
    assert found.summary() == ["published values: none, no network and layer of the file is in the runs"]


def test_what_cannot_be_compared_is_refused(runs, tmp_path):
    pools = pool_by_network(runs)
    with pytest.raises(InputError, match="`joined` has no relative depth"):
        load_networks(pools, DEPTHS, Selection(joined="raw"))
    with pytest.raises(InputError, match="unknown layer 'blocks.3'"):
        load_networks(pools, DEPTHS, Selection(layers=("blocks.3",)))
    strange = write_run(tmp_path / "strange", labels=["gnu", "hen"] * 20, model="third")
    with pytest.raises(InputError, match="two concepts in common"):
        load_networks(pool_by_network({**runs, "strange": strange}), {**DEPTHS, "third": DEPTHS["first"]}, Selection())


def test_one_layer_is_the_last():
    assert order_as_depth(("late",)) == {"late": 1.0}


@pytest.mark.slow
def test_pictures_are_drawn(found, tmp_path):
    """Drawn to files, which the fast set does not."""
    files = [path for path in write_result(found, tmp_path) if path.suffix == ".png"]
    assert len(files) == 4 and min(path.stat().st_size for path in files) > 10_000


def test_the_command_says_what_is_pooled_and_where_depth_is_unknown(runs, tmp_path, capsys):
    published = tmp_path / "published.json"
    published.write_text(json.dumps({"k": [1], "mean_precision_at_k": {"second": {"late": [0.5]}}}))
    paths = [str(run.path) for run in runs.values()]
    assert (
        main(["depth", *paths, "--published", str(published), "--resamples", "9", "--out", str(tmp_path / "out")]) == 0
    )
    shown = capsys.readouterr()
    assert "3 concepts; left out, since not every layer has LoCEs of them: fox\n" in shown.out
    assert "first: coco, foxes" in shown.out and "published values: second: late" in shown.out
    assert "the layers of first are set at equal steps from 0 to 1" in shown.err
    found = json.loads((tmp_path / "out" / "depth.json").read_text())
    assert [one["depth"] for one in found["layers"]] == [0, 1, 1] and found["made_with"]["options"]["bootstrap"]
    assert main(["depth", *paths, "--published", paths[0]]) == 2
    assert "`--published` must be an existing file" in capsys.readouterr().err
    assert main(["depth"]) == 2
    assert "`RUN` must be different runs, at least one, but got none" in capsys.readouterr().err
