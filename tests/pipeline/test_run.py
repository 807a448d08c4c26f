"""Runs from images to chunks: the same numbers as by hand, the same bytes again, and faults as rows."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open

from loce_jax import InputError, PaperRecipe, mask_iou, quantize, resize_mask, solve
from loce_jax.activations import make_extractor
from loce_jax.pipeline.plan import make_plan
from loce_jax.pipeline.run import RunOptions, run_plan
from loce_jax.pipeline.sources import coco_source, scenes_source
from loce_jax.resampling import resize_bilinear
from tests.support.small_coco import contents
from tests.support.tiny import tiny_network

LAYERS = ("shallow", "deep")


@pytest.fixture(scope="module")
def plan():
    return make_plan(tiny_network(), LAYERS, scenes_source(count=40), PaperRecipe())


@pytest.fixture(scope="module")
def run(plan, tmp_path_factory):
    return run_plan(plan, tmp_path_factory.mktemp("scenes") / "run")


def test_rows_are_the_plans_pairs_in_order(plan, run):
    pairs = [(item.image, pair.concept) for item in plan.dataset.items for pair in item.pairs]
    assert list(zip(run.table["image"], run.table["concept"], strict=True)) == pairs
    assert set(run.table["status"]) == {"ok"} and run.complete
    assert set(run.table["scale"]) == {"near", "far"} and set(run.table["light"]) == {"day", "dusk"}
    for layer, channels in zip(LAYERS, (6, 9), strict=True):
        assert run.vectors(layer).shape == (len(pairs), channels)
        assert run.responses(layer).shape == (len(pairs), 6, 8)


def test_a_row_is_what_one_gets_by_hand(plan, run):
    network, item = plan.network, plan.dataset.items[33]
    reading = plan.dataset.read(item)
    maps = make_extractor(network, LAYERS)(network.preprocess.resize(reading.photo)[None])
    rows = run.select(image=item.image)
    assert len(rows) == len(item.pairs)
    for row, mask in zip(rows, reading.masks, strict=True):
        assert run.table["area"][row] == pytest.approx(mask.mean())
        for layer in LAYERS:
            solution = solve(np.asarray(maps[layer]), resize_mask(mask, (100, 100))[None])
            np.testing.assert_allclose(run.vectors(layer)[row], solution.vectors[0], rtol=1e-4, atol=1e-4)
            logits = resize_bilinear(np.asarray(solution.responses[0]), (100, 100))
            # one gray level of the 8-bit projection may round the other way and turn a few pixels
            assert run.column("iou", layer)[row] == pytest.approx(mask_iou(quantize(logits), mask), abs=5e-3)


def test_two_runs_have_the_same_bytes(plan, run, tmp_path):
    run_plan(plan, tmp_path / "run")
    assert contents(run.path) == contents(tmp_path / "run")


@pytest.mark.slow
def test_progress_counts_images(plan, tmp_path):
    seen = []
    run_plan(plan, tmp_path / "run", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 40), (32, 40), (40, 40)]
    seen.clear()
    run_plan(plan, tmp_path / "run", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(40, 40)]


def test_the_papers_plan_and_files_are_what_they_were_before_there_was_another_recipe(plan, run):
    """Whoever reads `plan.json` finds the recipe's options under their own names."""
    assert plan.record()["recipe"] == {
        "name": "paper",
        "objective": "bce",
        "init": "zeros",
        "seed": 0,
        "num_steps": 50,
        "learning_rate": 0.1,
        "weight_decay": 0.01,
        "epsilon": 1e-08,
        "penalty": "batch",
    }
    assert (plan.record()["target"], plan.record()["iou"]) == ([100, 100], "uint8")
    names = {name.rsplit("/", 1)[0] for name in contents(run.path)}
    assert names == {"plan.json", "manifest.json", "chunks", "layers/00-shallow", "layers/01-deep"}
    with safe_open(run.path / "layers" / "00-shallow" / "00000.safetensors", "numpy") as file:
        assert set(file.keys()) == {"rows", "vectors", "responses", "iou", "loss"}


def test_other_options_are_refused(plan, run):
    other = replace(plan, recipe=PaperRecipe(num_steps=10), layers=("shallow",))
    with pytest.raises(InputError, match=r"layers: .*; recipe.num_steps: 50 there, 10 now"):
        run_plan(other, run.path)


@pytest.fixture
def faulty_coco(tmp_path):
    """Seven images, each with its own trouble but the first and the last."""
    names = ["good", "missing", "truncated", "resized", "empty", "full", "dark"]
    rng = np.random.default_rng(0)
    photos = {name: rng.integers(60, 256, (48, 64, 3), dtype=np.uint8) for name in names}
    photos["dark"][:24] = 0
    (tmp_path / "images").mkdir()
    for name, photo in photos.items():
        Image.fromarray(photo[:40] if name == "resized" else photo).save(tmp_path / "images" / f"{name}.png")
    (tmp_path / "images" / "missing.png").unlink()
    path = tmp_path / "images" / "truncated.png"
    path.write_bytes(path.read_bytes()[:200])
    square = [[8, 8, 40, 8, 40, 40, 8, 40]]
    shapes = {"empty": {"size": [48, 64], "counts": [48 * 64]}, "full": {"size": [48, 64], "counts": [0, 48 * 64]}}
    coco = {
        "images": [{"id": i, "file_name": f"{n}.png", "height": 48, "width": 64} for i, n in enumerate(names)],
        "categories": [{"id": 1, "name": "square"}],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1, "segmentation": shapes.get(n, square), "iscrowd": 0}
            for i, n in enumerate(names)
        ],
    }
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    return coco_source(str(tmp_path / "coco.json"), str(tmp_path / "images"))


def test_every_fault_is_a_status_in_its_row(faulty_coco, tmp_path):
    plan = make_plan(tiny_network(broken_layer="deep"), LAYERS, faulty_coco, PaperRecipe())
    run = run_plan(plan, tmp_path / "run")
    status = dict(zip(run.table["image"].tolist(), run.table["status"].tolist(), strict=True))
    assert status == {
        "good.png": "ok",
        "missing.png": "image_missing",
        "truncated.png": "image_unreadable",
        "resized.png": "size_mismatch",
        "empty.png": "mask_empty",
        "full.png": "mask_full",
        "dark.png": "nonfinite:deep",
    }
    failed = run.table["status"] != "ok"
    assert np.isnan(run.vectors("deep")[failed]).all() and np.isnan(run.table["iou"][failed]).all()
    assert all(run.table["reason"][failed] != "")
    dark = run.select(image="dark.png")[0]
    assert "layer deep" in run.table["reason"][dark]
    assert run.column("status", "shallow")[dark] == "ok" and np.isfinite(run.vectors("shallow")[dark]).all()


def test_strict_stops_at_the_first_fault(faulty_coco, tmp_path):
    plan = make_plan(tiny_network(), LAYERS, faulty_coco, PaperRecipe())
    with pytest.raises(InputError, match=r"`strict` refuses 'empty.png', concept 'square'.*mask_empty"):
        run_plan(plan, tmp_path / "run", RunOptions(strict=True))


def test_not_one_usable_pair_is_an_error(faulty_coco, tmp_path):
    for path in Path(faulty_coco.given["images"]).iterdir():
        path.unlink()
    plan = make_plan(tiny_network(), LAYERS, faulty_coco, PaperRecipe())
    with pytest.raises(InputError, match="usable pair of image and concept, but none is: 7 image_missing"):
        run_plan(plan, tmp_path / "run")


def test_coupled_penalties_are_refused_before_the_run():
    with pytest.raises(InputError, match="`penalty` of the recipe must be 'sample' in a run"):
        make_plan(tiny_network(), LAYERS, scenes_source(count=40), PaperRecipe(objective="mse"))
