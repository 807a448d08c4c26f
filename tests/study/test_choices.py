"""What is chosen reaches every step, what is found is in files, what is left out is said: on small planted runs."""

import csv
import json
import re

import numpy as np
import pytest

from loce_jax.analysis.clustering.cut import STRICT, ClusteringOptions, cluster, max_cluster_size
from loce_jax.analysis.comparison.rank_agreement import rank_agreement
from loce_jax.analysis.embedding import Embedding2D
from loce_jax.analysis.metrics.purity import cluster_purity
from loce_jax.analysis.metrics.quality import describe_quality
from loce_jax.analysis.mixtures.density import likeliest_component
from loce_jax.analysis.sampling import subsample
from loce_jax.checks import InputError
from loce_jax.cli import main
from loce_jax.store.records import plan_digest
from loce_jax.study.analyze import analyze
from loce_jax.study.options import (
    Clustering,
    ClusterOptions,
    MapOptions,
    Selection,
    SeparationOptions,
    StudyOptions,
    SubconceptOptions,
)
from loce_jax.study.results.step_result import listed, write_result
from loce_jax.study.selection import map as map_module
from loce_jax.study.selection.embeddings import find_layers_of_all, load_embeddings
from loce_jax.study.selection.layer_analysis import LayerAnalysis, analyze_layers, clustering_options
from loce_jax.study.selection.photos import Photos
from loce_jax.study.steps import separation as separation_module
from loce_jax.study.steps.clusters import study_clusters
from loce_jax.study.steps.compare import study_compare
from loce_jax.study.steps.confusion import study_confusion
from loce_jax.study.steps.map import study_map
from loce_jax.study.steps.quality import study_quality
from loce_jax.study.steps.retrieval import study_retrieval
from loce_jax.study.steps.separation import study_separation
from loce_jax.study.steps.stats import study_stats
from loce_jax.study.steps.subconcepts import study_subconcepts
from tests.support.planted_run import NAMES, N, write_run
from tests.support.selection import further


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("choices") / "run")


def study(run, selection, **chosen):
    return analyze_layers(run, selection, Photos(run, None), StudyOptions(**chosen))


def one(run, *, concepts=(), **chosen):
    """The analysis of the last layer."""
    (found,) = study(run, Selection((run.layers[-1],), concepts=concepts), **chosen)
    return found


def table_of(path):
    head, *rows = csv.reader(path.open(newline="", encoding="utf-8"))
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_iou_is_an_attribute_that_can_distinguish_sub_concepts(tmp_path):
    codes = np.arange(60) % 2
    vectors = 9 * np.eye(2, 4)[codes] + np.random.default_rng(0).normal(size=(60, 4))
    split = write_run(tmp_path, labels=["cat"] * 60, vectors=vectors, iou=np.where(codes, 0.8, 0.1))
    found = study_subconcepts(one(split))
    assert found.metrics["cat"]["subconcepts"] == 2
    strongest = {row[1]: row[3] for row in reversed(found.tables["attributes"].rows)}
    assert strongest == {1: "IoU", 2: "IoU"}


def test_rows_below_the_least_iou_are_left_out_and_counted(run, tmp_path, capsys):
    iou, good = run.column("iou", "late"), run.column("status", "late") == "ok"
    embeddings = load_embeddings(run, ["late"], min_iou=0.5)
    np.testing.assert_array_equal(embeddings.rows, np.flatnonzero(good & (iou >= 0.5)))
    assert embeddings.below_min_iou == N - len(embeddings.rows) > 0
    flags = ["--layers", "late", "--min-iou", "0.5", "--out", str(tmp_path)]
    assert main(["outliers", str(run.path), *flags]) == 0
    said = f"late: {len(embeddings.rows)} LoCEs, {embeddings.below_min_iou} with an IoU below 0.5 are left out"
    assert said in capsys.readouterr().out
    rows = [int(row["row"]) for row in table_of(tmp_path / "late" / "outliers.csv")]
    assert set(rows) <= set(embeddings.rows.tolist())
    both = load_embeddings(run, ["early", "late"], min_iou=0.5)
    early = run.column("iou", "early")
    np.testing.assert_array_equal(both.rows, np.flatnonzero((iou >= 0.5) & (early >= 0.5)))


@pytest.mark.parametrize(
    ("least", "expected"), [(30.0, "from 0 .all LoCEs. to 1"), (0.99, "all 90 good ones at 'late'")]
)
def test_a_least_iou_that_leaves_nothing_is_refused(run, least, expected):
    with pytest.raises(InputError, match=expected):
        load_embeddings(run, ["late"], min_iou=least)


@pytest.mark.slow
def test_concepts_are_cut_at_a_height_or_follow_their_mixture(run):
    whole = one(run, subconcepts=SubconceptOptions(height=1e9))
    assert {numbers["subconcepts"] for numbers in study_subconcepts(whole).metrics.values()} == {1}
    lone = one(run, subconcepts=SubconceptOptions(height=0.0))
    assert study_subconcepts(lone).metrics["cat"]["subconcepts"] == N // 3
    analysis = one(run, subconcepts=SubconceptOptions(by="components"))
    found = study_subconcepts(analysis)
    for concept, mixture in analysis.mixtures.items():
        assigned = mixture.assignments[mixture.assignments >= 0]
        expected = [np.mean(mixture.assignments == group) for group in np.unique(assigned)]
        assert found.metrics[concept]["shares"] == pytest.approx(expected)
    with pytest.raises(InputError, match="`n_clusters` and `height` must be left out where `by`"):
        study_subconcepts(one(run, subconcepts=SubconceptOptions(by="components", n_clusters=2)))


def test_a_concept_that_is_one_cloud_is_said_to_be_one(run, capsys):
    assert main(["subconcepts", str(run.path), "--layers", "late", "--concept", "cat"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"cat +30 +1 ", shown) and "Attributes that differ between sub-concepts: nothing" in shown


@pytest.fixture(scope="module")
def gaps(tmp_path_factory):
    """A run in which a third of the rows failed at its last layer."""
    return write_run(tmp_path_factory.mktemp("choices") / "gaps", failed=range(0, N, 4))


def test_draws_are_shared_between_layers_though_rows_failed_in_one(gaps):
    options = ClusterOptions(repeats=3, max_per_concept=12)
    good = np.setdiff1d(np.arange(N), np.arange(0, N, 4))
    drawn = []
    for analysis in study(gaps, Selection(), clusters=options):
        places, _ = analysis.clusters
        drawn.append(analysis.embeddings.rows[places].tolist())
        assert study_clusters(analysis).metrics["repeated"]["drawn_from"] == len(good)
    labels = gaps.table["concept"][good]
    assert drawn == [good[subsample(labels, 12, 0)].tolist()] * 2


@pytest.mark.parametrize(
    "chosen",
    [
        {"cut": "height", "height": 3.0},
        *further({"preset": "strict"}, {"cut": "size"}, {"method": "average", "metric": "cosine"}, {"precluster": 20}),
    ],
    ids=lambda chosen: "_".join(map(str, chosen.values())),
)
def test_repeats_cluster_as_the_one_draw_does(run, chosen):
    analysis = one(run, clusters=ClusterOptions(repeats=1, max_per_concept=12, **chosen))
    found = study_clusters(analysis).metrics  # the first draw has the study's seed
    assert found["repeated"]["purity_mean"] == found["purity"]
    assert found["repeated"]["clusters_mean"] == found["clusters"]
    views = {layer: load_embeddings(run, [layer]) for layer in run.layers}
    options = Clustering(max_per_concept=12, **chosen)
    compared = study_compare(views, options, repeats=1).metrics["views"]["late"]
    assert (compared["purity"], compared["clusters"]) == (found["purity"], found["clusters"])


def test_layers_without_a_row_in_common_lose_only_what_compares_them(run, tmp_path):
    early, late = (load_embeddings(run, [layer]) for layer in run.layers)
    apart = early.take(np.arange(40)), late.take(np.arange(40, N))
    nothing = np.zeros(0, int)
    analysis = [LayerAnalysis(run, embeddings, Photos(run, None), common_rows=nothing) for embeddings in apart]
    found = json.loads(analyze(analysis, tmp_path, steps=("clusters", "label_errors", "compare")).read_text())
    for layer in run.layers:
        assert "no row is good at all of them" in found["steps"][layer]["clusters"]["not done"]
        assert "label_errors" in found["steps"][layer]["label_errors"]
    assert "no pair is in all of early, late" in found["compare"]["not done"]


def test_the_cut_by_size_counts_members_of_merged_leaves():
    rng = np.random.default_rng(0)
    vectors, labels = rng.normal(size=(60, 3)), np.arange(60) % 2
    recipe = ClusteringOptions(share=0.25, cut="size", precluster=20)
    found = cluster(vectors, labels, recipe)
    assert found.labels.shape == (60,) and len(found.tree) == found.leaves.max() <= 19
    counts = np.bincount(found.labels)
    several = [len(set(found.leaves[found.labels == each].tolist())) > 1 for each in range(len(counts))]
    assert (counts[several] <= max_cluster_size(0.25, 60)).all() and any(several)
    exact = cluster(vectors, labels, ClusteringOptions(share=0.25, cut="size"))
    np.testing.assert_array_equal(
        cluster(vectors, labels, ClusteringOptions(share=0.25, cut="size", precluster=60)).labels, exact.labels
    )


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"cut": "none"}, "unknown cut"),
        ({"cut": "height", "height": 0.0}, "above 0"),
        ({"cut": "height", "method": "complete", "metric": "cosine"}, "`height` must be above 0 and below 2"),
        ({"precluster": 1}, "at least 2"),
    ],
)
def test_recipes_that_cannot_be_are_refused(wrong, expected):
    with pytest.raises(InputError, match=expected):
        ClusteringOptions(**wrong)


def test_what_lies_in_each_cluster_is_in_files(run, tmp_path):
    analysis = one(run)
    places, clusters = analysis.clusters
    write_result(study_clusters(analysis), tmp_path)
    members = table_of(tmp_path / "cluster_members.csv")
    assert [int(line["row"]) for line in members] == analysis.embeddings.rows[places].tolist()
    assert [int(line["cluster"]) - 1 for line in members] == clusters.labels.tolist()
    labels, vectors = analysis.embeddings.labels[places], analysis.embeddings.vectors[places].astype(float)
    with np.load(tmp_path / "cluster_centroids.npz", allow_pickle=False) as centroids:
        shares = table_of(tmp_path / "cluster_probabilities.csv")
        table = table_of(tmp_path / "clusters.csv")
        for i, number in enumerate(centroids["cluster"]):
            mine = clusters.labels == number - 1
            np.testing.assert_allclose(centroids["raw"][i], vectors[mine].mean(axis=0))
            units = vectors[mine] / np.sqrt((vectors[mine] ** 2).sum(axis=1, keepdims=True))
            np.testing.assert_allclose(centroids["normalized"][i], units.mean(axis=0))
            for concept in NAMES:
                assert float(shares[i][concept]) == pytest.approx(np.mean(labels[mine] == concept))
            strongest = sorted(range(6), key=lambda channel: -centroids["raw"][i][channel])[:3]
            assert table[i]["strongest channels"] == " ".join(map(str, strongest))


def test_dense_regions_have_a_least_size_of_their_own(tmp_path):
    vectors = 40 * np.eye(3, 6)[np.arange(N) % 3] + np.random.default_rng(0).normal(size=(N, 6))
    dense = write_run(tmp_path, vectors=vectors)
    found = study_clusters(one(dense, clusters=ClusterOptions(repeats=1))).metrics["dense_regions"]
    assert found["clusters"] == 3 and found["purity"] == 1
    none = study_clusters(one(dense, clusters=ClusterOptions(repeats=1, dense_size=50))).metrics["dense_regions"]
    assert none["clusters"] == 0 and none["noise"] == 1


def test_the_map_and_its_mixtures_are_in_files(run, tmp_path):
    analysis = one(run)
    found = study_map(analysis)
    write_result(found, tmp_path)
    lines = table_of(tmp_path / "map.csv")
    assert [int(line["row"]) for line in lines] == analysis.embeddings.rows.tolist()
    points = [[float(line["x"]), float(line["y"])] for line in lines]
    np.testing.assert_allclose(points, analysis.map.points, rtol=1e-6)  # coordinates are float32
    unlabeled = likeliest_component(analysis.unlabeled_mixture.full, analysis.map.points)
    assert [int(line["component without labels"]) - 1 for line in lines] == unlabeled.tolist()
    numbers = found.metrics["without_labels"]
    assert sum(numbers["populations"]) == pytest.approx(1) and len(numbers["bic"]) == 6
    assert len(numbers["means"]) == numbers["components"] == np.argmin(numbers["bic"]) + 1
    for line in lines:
        mixture = found.metrics["concepts"][line["concept"]]
        assert (int(line["component"]) in mixture["kept"]) == (line["kept"] == "yes")


def test_the_papers_weights_can_be_asked_for(tmp_path, monkeypatch):
    points = np.random.default_rng(0).normal(size=(90, 2))
    points[83:] += 60  # a thirteenth of the concept lies apart
    far = write_run(tmp_path, labels=["cat"] * 90)
    monkeypatch.setattr(map_module, "embed_2d", lambda *_, **__: Embedding2D(points, "umap"))
    ours, paper = (study_map(one(far, map=MapOptions(paper=flag))).metrics["concepts"]["cat"] for flag in (False, True))
    assert len(ours["kept"]) < ours["components"]
    assert sum(ours["kept_weights"]) == pytest.approx(1) and sum(paper["kept_weights"]) < 0.99


def test_maps_of_other_options_are_kept_side_by_side(run, monkeypatch):
    embeddings = load_embeddings(run, ["early"])

    def look_at(neighbors):
        return LayerAnalysis(run, embeddings, Photos(run, None), options=StudyOptions(map=MapOptions(neighbors)))

    first, second = look_at(5).map, look_at(20).map
    assert np.abs(first.points - second.points).max() > 0.1
    monkeypatch.setattr(map_module, "embed_2d", lambda *_, **__: pytest.fail("computed again"))
    np.testing.assert_array_equal(look_at(5).map.points, first.points)
    np.testing.assert_array_equal(look_at(20).map.points, second.points)


@pytest.mark.slow
def test_a_compared_layer_need_be_in_one_run_only(run, tmp_path):
    other = write_run(tmp_path / "other", ("shallow", "tail.late"))
    runs = {"one": run, "two": other}
    assert find_layers_of_all(runs, ["early", "shallow"]) == {"one": ("early",), "two": ("shallow",)}
    assert find_layers_of_all(runs, ["late"]) == {"one": ("late",), "two": ("tail.late",)}
    assert find_layers_of_all(runs, ["early"]) == {"one": ("early",), "two": ()}
    assert find_layers_of_all(runs, []) == {"one": run.layers, "two": other.layers}
    with pytest.raises(InputError, match="one: early, late; two: shallow, tail.late"):
        find_layers_of_all(runs, ["early", "middle"])
    flags = ["--layers", "early", "shallow", "--repeats", "1", "--out", str(tmp_path / "out")]
    assert main(["compare", str(run.path), str(other.path), *flags]) == 0
    found = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert list(found["views"]) == [f"{run.path}: early", f"{other.path}: shallow"]
    assert [each["run"] for each in found["made_with"]["runs"]] == [str(run.path), str(other.path)]


def test_views_are_compared_concept_by_concept_and_pair_by_pair(gaps):
    views = {layer: load_embeddings(gaps, [layer]) for layer in gaps.layers}
    found = study_compare(views, Clustering(), repeats=1)
    common = np.intersect1d(views["early"].rows, views["late"].rows)
    iou = [gaps.column("iou", layer)[common] for layer in gaps.layers]
    agreement = found.metrics["agreement"]["IoU rank (Kendall)"]["matrix"]
    assert agreement[0][1] == rank_agreement(*iou).kendall
    pairs = found.data["iou_by_pair"]
    np.testing.assert_array_equal([row[2:] for row in pairs.rows], np.transpose(iou))
    assert [row[0] for row in pairs.rows] == gaps.table["image"][common].tolist()
    for row in found.tables["concepts_iou"].rows:
        mine = gaps.table["concept"][common] == row[0]
        assert row[1:] == (mine.sum(), *(pytest.approx(values[mine].mean()) for values in iou))
    assert {"concepts_precision_1", "concepts_precision_10", "concepts_separation"} <= set(found.tables)


def test_quality_says_distances_within_and_how_it_was_measured(run):
    found, embeddings = study_quality(one(run)).metrics["vectors"], one(run).embeddings
    quality = describe_quality(embeddings.vectors, embeddings.labels)
    assert found["within (pairs)"] == quality.pairs.within.mean()
    assert found["within"]["cat"]["centroids"] == quality.centroids.within[0]
    assert (found["clusterer"], found["sampled"]) == (f"mixture, {quality.clusterer} covariances", "no")


def printed(capsys, *arguments):
    assert main([*map(str, arguments)]) == 0
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("command", "begins"),
    [
        ("stats", ["best_layer: mean_iou "]),
        ("clusters", ["purity: ", "repeated: seeds 1,", "dense_regions: clusters ", "predictions: centroids "]),
        ("map", ["method: umap", "without_labels: components "]),
        ("confusion", ["neighbors: error ", "components: error "]),
        ("label-errors", ["label_errors: ", "expected_by_chance: "]),
        ("separation", ["trimmed: 5 %", "mean separation: "]),
    ],
)
def test_commands_print_what_the_metrics_say(command, begins, run, capsys):
    flags = ["--layers", "late", *(["--repeats", "1"] if command == "clusters" else [])]
    lines = printed(capsys, command, run.path, *flags)
    for beginning in begins:
        assert [line for line in lines if line.startswith(beginning)], (beginning, lines)


def test_numbers_say_what_they_were_made_with(run, tmp_path):
    flags = ["--layers", "late", "--min-iou", "0.2", "--seed", "3", "--clusters.preset", "strict"]
    assert main(["confusion", str(run.path), *flags, "--k", "4", "--out", str(tmp_path)]) == 0
    made_with = json.loads((tmp_path / "late" / "confusion.json").read_text())["made_with"]
    described = {"run": str(run.storage), "plan": plan_digest(run.plan), "model": "planted", "recipe": "paper"}
    assert made_with["runs"] == [described]
    assert made_with["selection"] == {"layers": ["late"], "joined": None, "concepts": [], "min_iou": 0.2, "seed": 3}
    assert made_with["options"]["clusters"]["preset"] == "strict" and made_with["options"]["confusion"]["k"] == 4
    assert set(made_with["versions"]) == {"loce_jax", "numpy", "scipy", "scikit-learn", "umap-learn"}


@pytest.mark.slow  # it compares with components on the map of UMAP itself
def test_what_one_step_is_told_the_others_hear(run):
    chosen = {"clusters": ClusterOptions(preset="strict", repeats=1), "map": MapOptions(neighbors=4)}
    told, untold = one(run, **chosen), one(run)
    size = max_cluster_size(STRICT.share, N)
    assert (
        study_clusters(told).metrics["max_cluster_size"] == size != study_clusters(untold).metrics["max_cluster_size"]
    )
    differs = {
        kind: not np.array_equal(found["matrix"], study_confusion(untold).metrics[kind]["matrix"])
        for kind, found in study_confusion(told).metrics.items()
    }
    assert differs == {"neighbors": False, "centroids": False, "clusters": True, "components": True}
    spaces = study_quality(told).metrics, study_quality(untold).metrics
    assert spaces[0]["vectors"] == spaces[1]["vectors"] and spaces[0]["map"] != spaces[1]["map"]


@pytest.mark.slow
def test_stats_are_of_the_layers_and_concepts_asked_for(run, tmp_path):
    found = study_stats(run, ["late"], ["cat"]).metrics
    assert list(found["layers"]) == ["late"] and list(found["layers"]["late"]["concepts"]) == ["cat"]
    assert found["layers"]["late"]["overall"] == found["layers"]["late"]["concepts"]["cat"]
    with pytest.raises(InputError, match="unknown concept 'cats'"):
        study_stats(run, ["late"], ["cats"])
    flags = ["--layers", "early", "--concepts", "cat", "dog", "--clusters.repeats", "1"]
    assert main(["analyze", str(run.path), "--out", str(tmp_path), *flags]) == 0
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert list(written["layers"]) == ["early"] and list(written["layers"]["early"]["concepts"]) == ["cat", "dog"]
    assert written["loces"] == {"early": {"analyzed": 60, "below_min_iou": 0}}
    assert written["options"]["clusters"]["repeats"] == 1 and written["selection"]["concepts"] == ["cat", "dog"]


def test_lone_loces_are_counted_where_the_tables_differ_by_them(tmp_path):
    lone = write_run(tmp_path, labels=[*(["cat", "dog"] * 20), "emu"])
    found = study_retrieval(one(lone))
    assert found.metrics["only_of_their_concept"] == 1
    assert "(1 without another of their concept count 0, as in the paper)" in found.tables["precision"].title
    assert "(1 without another of their concept are left out)" in found.tables["average_precision"].title
    assert "without" not in study_retrieval(one(lone, concepts=("cat", "dog"))).tables["precision"].title


def test_a_robust_separation_that_is_left_out_says_so(run, monkeypatch):
    assert study_separation(one(run, separation=SeparationOptions(percentile=10.0))).metrics["trimmed"] == "10 %"
    monkeypatch.setattr("loce_jax.study.steps.separation._MAX_SORTED", N - 1)
    found = study_separation(one(run))
    assert "90 LoCEs are more than 89" in found.metrics["trimmed"]
    assert "90 LoCEs are more than 89" in found.tables["separation"].title


def test_predictions_have_the_group_size_of_all(run, monkeypatch):
    sizes = []
    plain = max_cluster_size

    def note(share, n_total):
        sizes.append(plain(share, n_total))
        return sizes[-1]

    monkeypatch.setattr("loce_jax.analysis.clustering.cut.max_cluster_size", note)
    predicted = study_clusters(one(run, clusters=ClusterOptions(repeats=1))).metrics["predictions"]
    assert set(sizes) == {plain(0.05, N)} and len(sizes) == 3 and predicted["centroids"] > 0.5


def test_the_message_for_too_many_names_options_that_are_flags(run, monkeypatch, capsys):
    monkeypatch.setattr("loce_jax.analysis.clustering.linkage.memory_limit", lambda: 16 * 40 * 39 // 2)
    assert main(["clusters", str(run.path), "--layers", "late", "--repeats", "1"]) == 2
    message = capsys.readouterr().err
    for flag in ("--max-per-concept", "--precluster"):
        assert f"`{flag}" in message
        assert main(["clusters", str(run.path), "--layers", "late", "--repeats", "1", flag, "10"]) == 0


def test_merged_first_clusters_still_find_planted_concepts(tmp_path):
    vectors = 40 * np.eye(3, 6)[np.arange(N) % 3] + np.random.default_rng(0).normal(size=(N, 6))
    apart = write_run(tmp_path, vectors=vectors)
    analysis = one(apart, clusters=ClusterOptions(repeats=1, precluster=20))
    places, found = analysis.clusters
    assert len(found.tree) < 20 and len(found.labels) == N
    assert cluster_purity(found.labels, analysis.embeddings.labels[places]) == 1
    assert clustering_options(analysis.options.clusters).precluster == 20


def test_pairs_and_matrices_of_many_concepts_are_bounded(monkeypatch):
    names, rng = [f"c{number}" for number in range(6)], np.random.default_rng(0)
    matrix = rng.random((6, 6))
    matrix += matrix.T
    everything = separation_module._pairs(names, {"separation": matrix})
    values = [row[2] for row in everything.rows]
    assert len(values) == 15 and values == sorted(values) and everything.title == "Pairs of concepts"
    monkeypatch.setattr(separation_module, "_MAX_PAIRS", 4)
    few = separation_module._pairs(names, {"separation": matrix})
    assert few.rows == everything.rows[:4] and few.title == "Pairs of concepts (the 4 least separated of 15)"
    small, large = np.eye(200), np.eye(201)
    metrics, arrays = listed({"a": small, "b": large}, "separation")
    assert metrics["a"] is small and metrics["b"] == "in separation.npz" and arrays["separation"]["b"] is large
