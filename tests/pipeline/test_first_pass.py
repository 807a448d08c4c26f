"""The ridge recipe's first pass: statistics true to a slow twin, and the same bytes whoever computes which part."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from loce_jax import InputError, PaperRecipe, RidgeRecipe, Statistics, open_run, resize_mask, solve
from loce_jax.activations import make_extractor
from loce_jax.batch_sizes import MAX_PARTS
from loce_jax.pipeline import memory
from loce_jax.pipeline.distributed.shards import Shard
from loce_jax.pipeline.measure_chunk import measure_chunk, refuse_faults
from loce_jax.pipeline.plan import make_plan
from loce_jax.pipeline.reading import SampleReader
from loce_jax.pipeline.run import RunOptions, run_plan
from loce_jax.pipeline.solve_chunk import solve_chunk
from loce_jax.pipeline.sources import coco_source
from loce_jax.pipeline.statistics import parts_of
from loce_jax.resampling import antialias_matrix, resize_bilinear
from loce_jax.store import LayerRows, RidgeRows
from tests.support.small_coco import CHUNKS, contents, draw
from tests.support.tiny import tiny_network

LAYERS = ("shallow", "deep")
RIDGE = RidgeRecipe()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five chunks of images; of two the mask is empty, one is missing, and two have a dark half on top."""
    folder = tmp_path_factory.mktemp("coco")
    draw(folder)
    coco = json.loads((folder / "coco.json").read_text())
    for number in (3, 40):
        coco["annotations"][number]["segmentation"] = {"size": [48, 64], "counts": [48 * 64]}
    (folder / "coco.json").write_text(json.dumps(coco))
    (folder / "images" / "041.png").unlink()
    for number in (5, 50):
        path = folder / "images" / f"{number:03d}.png"
        photo = np.array(Image.open(path))
        photo[:24] = 0
        Image.fromarray(photo).save(path)
    return folder


def make(folder, **options):
    source = coco_source(str(folder / "coco.json"), str(folder / "images"))
    return make_plan(tiny_network(**options), LAYERS, source, RIDGE)


@pytest.fixture(scope="module")
def plan(folder):
    return make(folder)


@pytest.fixture(scope="module")
def run(plan, folder):
    return run_plan(plan, folder / "whole")


def test_statistics_are_those_of_every_pixel_of_the_usable_images(plan, run):
    """A slow twin in float64, over all photos at once."""
    used = [item for item in plan.dataset.items if item.image_id not in (3, 40, 41)]
    photos = np.stack([plan.network.preprocess.resize(plan.dataset.read(item).photo) for item in used])
    maps = make_extractor(plan.network, LAYERS)(photos)
    for layer in LAYERS:
        pixels = np.asarray(maps[layer], np.float64).reshape(-1, maps[layer].shape[-1])
        found = run.statistics(layer)
        assert found.count == len(pixels) == len(used) * 6 * 8
        np.testing.assert_allclose(found.mean, pixels.mean(axis=0), rtol=1e-12)  # both are sums in float64
        covariance = np.cov(pixels.T, bias=True)
        np.testing.assert_allclose(found.scatter / found.count, covariance, atol=1e-12 * covariance.max())


@pytest.mark.slow
def test_images_that_a_layer_cannot_take_are_left_out_of_its_statistics_only(folder, tmp_path):
    run = run_plan(make(folder, broken_layer="deep"), tmp_path / "run")
    assert np.count_nonzero(run.column("status", "deep") == "nonfinite:deep") == 2
    shallow, deep = (run.statistics(layer).count for layer in LAYERS)
    assert shallow == deep + 2 * 6 * 8


def test_a_layer_without_a_finite_pixel_fails_row_by_row(folder, tmp_path):
    plan = make(folder)

    def broken(params, images, layers):
        maps = plan.network.forward(params, images, layers)
        return {"shallow": maps["shallow"], "deep": np.nan * maps["deep"]}

    with pytest.raises(InputError, match="must hold a usable pair .* nonfinite:deep"):
        run_plan(replace(plan, network=replace(plan.network, forward=broken)), tmp_path / "run")
    run = open_run(tmp_path / "run")
    assert run.complete and run.statistics("deep").count == 0
    assert (run.column("status", "shallow") == "ok").sum() == 132
    assert np.isfinite(run.vectors("shallow")[run.column("status", "shallow") == "ok"]).all()


def test_images_that_leave_nothing_of_the_others_are_named_whoever_counted_them(folder, tmp_path):
    """Both lie in the fifth chunk or the first; no part alone shows how many they are."""
    plan = make(folder)

    def loud(params, images, layers):
        dark = jnp.ptp(jnp.asarray(images, jnp.float32)[:, :20], axis=(1, 2, 3)) == 0  # half of each is one color
        maps = plan.network.forward(params, images, layers)
        return {"shallow": maps["shallow"], "deep": jnp.where(dark, 1000, 1)[:, None, None, None] * maps["deep"]}

    changed = replace(plan, network=replace(plan.network, forward=loud))
    for _ in range(2):  # its parts are there when it is asked again
        with pytest.raises(InputError, match="those of '0(05|50).png' at layer 'deep' are .* times those of"):
            run_plan(changed, tmp_path / "run")
    assert not open_run(tmp_path / "run").complete


def test_a_row_is_what_one_gets_by_hand(plan, run):
    item = plan.dataset.items[70]
    reading = plan.dataset.read(item)
    maps = make_extractor(plan.network, LAYERS)(plan.network.preprocess.resize(reading.photo)[None])
    (row,) = run.select(image=item.image)
    for layer in LAYERS:
        target, statistics = resize_mask(reading.masks[0], (100, 100))[None], run.statistics(layer)
        solution = solve(np.asarray(maps[layer]), target, RIDGE, statistics=statistics)
        assert solution.bias is not None and solution.convergence is not None
        np.testing.assert_allclose(run.vectors(layer)[row], solution.vectors[0], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(run.biases(layer)[row], solution.bias[0], rtol=1e-4, atol=1e-4)
        assert run.column("converged", layer)[row] == solution.convergence.converged[0] == 1
        assert run.column("steps", layer)[row] > 0
        assert run.frame(layer)["bias"][row] == run.biases(layer)[row]
        whitened = run.statistics(layer).whitening(RIDGE.whitening)(maps[layer])
        response = np.asarray(whitened[0] @ solution.vectors[0] + solution.bias[0])
        np.testing.assert_allclose(run.responses(layer)[row], response, atol=1e-2)  # kept in half precision
        filters, offsets = run.raw_filters(layer)
        raw = np.asarray(maps[layer][0], float) @ filters[row] + offsets[row]
        np.testing.assert_allclose(raw, response, rtol=1e-3, atol=1e-4)  # float32 vectors and maps
        rows, columns = (antialias_matrix(100, length) for length in reading.masks[0].shape)
        drawn, mask = rows @ resize_bilinear(response, (100, 100)) @ columns.T > 0, reading.masks[0]
        # a response of nearly 0 may turn out on the other side: a pixel or two of 500
        assert run.column("iou", layer)[row] == pytest.approx((drawn & mask).sum() / (drawn | mask).sum(), abs=5e-3)


def test_the_mask_is_where_the_response_is_positive_however_little(plan):
    """The paper's 8 bits would lose this one: they round a projection of 0.50001 down to 127 of 255."""
    opened = [SampleReader.for_plan(plan)(plan.dataset.items[0])]
    widths = {layer.name: layer.channels for layer in plan.network.layers()}
    statistics = {layer: Statistics(1, np.zeros(c), np.eye(c)) for layer, c in widths.items()}
    solved, _ = solve_chunk(plan, opened, make_extractor(plan.network, LAYERS), 32, statistics)
    everywhere = {layer: replace(one, responses=np.full_like(one.responses, 1e-5)) for layer, one in solved.items()}

    for recipe, expected in ((RIDGE, opened[0].samples[0].mask.mean()), (PaperRecipe(), 0)):
        with ThreadPoolExecutor(1) as pool:
            _, layers = measure_chunk(replace(plan, recipe=recipe, iou=recipe.projection), opened, everywhere, pool)
        assert layers["deep"].iou[0] == expected


def test_parts_are_at_most_32_and_hold_every_chunk_once(plan):
    assert list(parts_of(plan).values()) == [[f"{number:05d}"] for number in range(CHUNKS)]
    many = replace(plan, dataset=replace(plan.dataset, items=plan.dataset.items * 17))
    parts = parts_of(many)
    assert len(parts) == MAX_PARTS and sorted(sum(parts.values(), [])) == list(many.chunks)
    assert parts["05"] == ["00005", "00037", "00069"]


@pytest.mark.slow
def test_progress_counts_both_passes(plan, tmp_path):
    seen = []
    run_plan(plan, tmp_path / "run", progress=lambda done, total: seen.append((done, total)))
    once = [(0, 270), (32, 270), (64, 270), (96, 270), (128, 270), (135, 270)]
    assert seen == [*once, *((135 + done, total) for done, total in once)]
    seen.clear()
    run_plan(plan, tmp_path / "run", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(270, 270)]


@pytest.mark.slow
def test_shards_compute_their_parts_first_and_then_whatever_is_missing(plan, run, tmp_path):
    out = tmp_path / "run"
    first = run_plan(plan, out, shard=Shard(1, 3))
    assert first.finished == ("00001", "00004")
    assert len(list((out / "statistics" / "parts").glob("*.json"))) == CHUNKS, "nobody else did them"
    kept = contents(out)
    for index in (0, 2):
        run_plan(plan, out, shard=Shard(index, 3))
    assert contents(out) == contents(run.path)
    assert {name: kept[name] for name in kept if name.startswith("statistics")}.items() <= contents(out).items()


def test_how_many_images_go_together_changes_no_byte(plan, run, tmp_path, monkeypatch):
    monkeypatch.setattr("loce_jax.pipeline.run.images_per_batch", lambda plan, memory: 8)
    found = contents(run_plan(plan, tmp_path / "run").path)
    expected = contents(run.path)
    assert {name: content for name, content in found.items() if name.startswith("statistics")} == {
        name: content for name, content in expected.items() if name.startswith("statistics")
    }


@pytest.mark.slow
def test_lost_and_damaged_statistics_are_computed_again(plan, run, tmp_path):
    out = tmp_path / "run"
    run_plan(plan, out)
    (out / "statistics" / "parts" / "02.safetensors").write_bytes(b"")
    (out / "statistics" / "whole.json").unlink()
    (out / "chunks" / "00000.json").unlink()
    with pytest.raises(InputError, match=r"02.safetensors. The same `loce fit` with `--repair`"):
        run_plan(plan, out)
    run_plan(plan, out, RunOptions(repair=True))
    assert contents(out) == contents(run.path)


def test_strict_stops_before_the_second_pass(plan, tmp_path):
    with pytest.raises(InputError, match=r"`strict` refuses '003.png', concept 'box': mask_empty .*Mend the data"):
        run_plan(plan, tmp_path / "run", RunOptions(strict=True))
    assert not open_run(tmp_path / "run").finished


def test_a_run_of_one_recipe_is_not_continued_with_the_other(plan, run):
    differs = r"recipe.class_weight_power: 0.5 there, none now; .*recipe.l2: 0.1 there, none now"
    with pytest.raises(InputError, match=differs):
        run_plan(replace(plan, recipe=PaperRecipe()), run.path)
    with pytest.raises(InputError, match=r"recipe.l2: 0\.\d+ there, 3.0 now"):
        run_plan(replace(plan, recipe=RidgeRecipe(l2=3.0)), run.path)


def test_memory_counts_the_statistics(plan, monkeypatch):
    monkeypatch.setattr(memory, "_resident", lambda: 0)
    wide = replace(plan.network, all_layers=tuple(replace(layer, channels=9000) for layer in plan.network.layers()))
    paper = replace(plan, network=wide, recipe=PaperRecipe())
    assert memory.images_per_batch(paper, 4.0) == 32
    with pytest.raises(InputError, match="`memory` must hold"):  # a square of 9000 float64 is 0.65 gigabytes
        memory.images_per_batch(replace(paper, recipe=RIDGE), 4.0)


def test_strict_refuses_rows_that_did_not_converge():
    ridge = RidgeRows(np.zeros(2), np.array([True, False]), np.zeros(2, int), np.zeros(2))
    vectors, responses = np.zeros((2, 4)), np.zeros((2, 2, 2))
    rows = LayerRows(np.array([0, 2]), vectors, responses, np.zeros(2), np.zeros(2), status=["ok"] * 3, ridge=ridge)
    columns = {"image": ["a", "b", "c"], "concept": ["cat"] * 3, "reason": [""] * 3}
    with pytest.raises(InputError, match=r"`strict` refuses 'c', concept 'cat', layer 'late': it did not converge"):
        refuse_faults(columns, {"late": rows})
    refuse_faults(columns, {"late": replace(rows, ridge=None)})
