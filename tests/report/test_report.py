"""The page, opened in a browser: true numbers, no request, hostile names harmless, everything moves when asked."""

import html
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.special import expit

from loce_jax.data.samples import Fault, Item, Pair, Reading
from loce_jax.plots.examples import OPACITY
from loce_jax.report import content
from loce_jax.report.images import illustrate
from loce_jax.report.page import compose, write_report
from loce_jax.study.selection.photos import surroundings
from tests.support.tiny import NoPhotos

HOSTILE = "<script>window.hacked=1</script>\"'&<img src=x onerror=window.hacked=1>"
CONCEPTS = ("cat", HOSTILE, "dog")
LAYERS = ("early.0", "late.<b>1</b>")
PLAN = {
    "model": {"name": "net<b>", "fingerprint": "abc", "size": [224, 224]},
    "layers": dict.fromkeys(LAYERS, {}),
    "data": {"kind": "made up", "name": HOSTILE, "fingerprint": "def"},
    "recipe": {"name": "paper", "num_steps": 50},
    "images": 14,
}


@dataclass
class FakeRun:
    plan: dict[str, Any]
    layers: tuple[str, ...]
    concepts: tuple[str, ...]
    table: dict[str, np.ndarray]
    by_layer: dict[tuple[str, str], np.ndarray]
    storage: None = None

    def column(self, name: str, layer: str):
        return self.by_layer[name, layer]

    def vectors(self, layer: str):
        return self.by_layer["vectors", layer]

    def responses(self, layer: str):
        return self.by_layer["responses", layer]


class Photos:
    """Fourteen images, each with two or three concepts; the last cannot be read, one mask of the first neither."""

    def __init__(self, count=14):
        self.items = tuple(
            Item(f"{HOSTILE}/{i}\udcff.jpg", i, (60, 80), tuple(Pair(c) for c in CONCEPTS[: 2 + i % 2]))
            for i in range(count)
        )
        self.opened = []

    def read(self, item):
        self.opened.append(item.image)
        if item.image_id == 13:
            raise Fault("image_unreadable", "truncated file")
        photo = np.full((60, 80, 3), 40 + 10 * item.image_id, np.uint8)
        masks = [np.zeros((60, 80), bool) for _ in item.pairs]
        for place, mask in enumerate(masks):
            mask[10:30, 20 * place + 5 : 20 * place + 20] = True
        return Reading(photo, (masks[0], *(Fault("mask_empty", "") if item.image_id == 0 else m for m in masks[1:])))


def make_run(photos, channels=6):
    """A run on `photos`: planted clusters, seeded IoUs, and every seventh row skipped."""
    rng = np.random.default_rng(0)
    rows = [(item.image, pair.concept) for item in photos.items for pair in item.pairs]
    n, concepts = len(rows), np.array([concept for _, concept in rows])
    ok = np.arange(n) % 7 != 6
    centers = 5 * rng.normal(size=(len(CONCEPTS), channels))
    index = np.array([CONCEPTS.index(concept) for concept in concepts], int)
    columns = {}
    for layer in LAYERS:
        iou = np.where(rng.random(n) < 0.2, 0.0, rng.random(n))
        columns["iou", layer] = np.where(ok, iou, np.nan)
        columns["status", layer] = np.where(ok, "ok", "mask_empty")
        found = (centers[index] + rng.normal(size=(n, channels))).astype("float32")
        found[~ok] = np.nan
        columns["vectors", layer] = found
        columns["responses", layer] = (3 * rng.normal(size=(n, 4, 5))).astype("float16")
    table = {
        "image": np.array([image for image, _ in rows]),
        "image_id": np.arange(n),
        "concept": concepts,
        "annotations": np.full(n, ""),
        "area": np.where(ok, rng.random(n), np.nan),
        "reason": np.where(ok, "", "why <i>not</i>"),
        "light": rng.choice(["day", "night"], n),
        "blur": rng.random(n),
        "status": np.where(ok, "ok", "mask_empty"),
        "iou": np.mean([columns["iou", layer] for layer in LAYERS], axis=0),
    }
    return FakeRun(PLAN, LAYERS, CONCEPTS, table, columns)


def data_of(page):
    return json.loads(re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[0])


@pytest.fixture(scope="module")
def run():
    return make_run(Photos())


@pytest.fixture(scope="module")
def page_file(run, tmp_path_factory):
    return write_report(run, Photos(), tmp_path_factory.mktemp("report") / "new folder" / "report.html")


@pytest.fixture
def tab(open_page, page_file):
    with open_page(page_file) as tab:
        yield tab
        assert tab.evaluate("window.hacked") is None


def test_table_shows_the_runs_numbers(tab, run):
    rows = tab.locator("#quality tbody tr")
    for row, concept in enumerate((*CONCEPTS, None)):
        cells = [text.strip() for text in rows.nth(row).locator("th, td").all_inner_texts()]
        mine = np.ones(len(run.table["iou"]), bool) if concept is None else run.table["concept"] == concept
        ok = mine & (run.table["status"] == "ok")
        expected = [concept or "all concepts", str(ok.sum()), str(mine.sum() - ok.sum())]
        for layer in LAYERS:
            iou = run.column("iou", layer)[ok]
            expected += [f"{iou.mean():.3f}", f"{np.median(iou):.3f}", f"{100 * (iou == 0).mean():.1f} %"]
        assert cells == expected


def test_skipped_rows_are_listed_with_their_reason(tab, run):
    rows = tab.locator("#skipped tbody tr")
    assert rows.count() == (run.table["status"] != "ok").sum()
    assert rows.first.locator("td").nth(3).inner_text() == "why <i>not</i>"


def test_a_recipe_that_whitens_is_named_and_its_coordinates_too(run):
    def texts(plan):
        return html.unescape(compose(replace(run, plan=plan), Photos()))

    ridge = {"name": "ridge", "l2": 2.0, "whitening": 0.25, "class_weight_power": 1.0}
    page = texts(PLAN | {"recipe": ridge})
    assert "The recipe is ridge, l2 2, whitening 0.25, class weight power 1." in page
    for section in ("map", "separation"):
        said = re.findall(rf'<section id="{section}".*?</p>', page, re.S)[0]
        assert "in the recipe's coordinates" in said
    page = texts(PLAN)
    assert "The recipe is" not in page and "recipe's coordinates" not in page, "the paper's needs no word"


def test_pointing_at_a_point_shows_its_thumbnail(tab):
    tab.locator("#map-canvas").scroll_into_view_if_needed()
    tab.wait_for_timeout(200)  # scrolling hides the tooltip
    tab.locator("#map-canvas").focus()
    tab.keyboard.press("ArrowRight")
    tip = tab.locator("#tip")
    tip.wait_for(state="visible")
    tab.keyboard.press("Escape")
    assert tip.is_hidden()
    spot = tab.evaluate(
        """() => { const box = document.getElementById("map-canvas").getBoundingClientRect();
        const y = layer.y.reduce((most, one) => Math.max(most, Math.abs(one)), 0);
        const x = layer.x.reduce((most, one) => Math.max(most, Math.abs(one)), 0);
        const unit = Math.min((box.width / 2 - 20) / x, (box.height / 2 - 20) / y);
        return [box.x + box.width / 2 + layer.x[2] * unit, box.y + box.height / 2 - layer.y[2] * unit]; }"""
    )
    tab.mouse.move(*spot)
    tip.wait_for(state="visible")
    assert tip.locator("img").evaluate("image => image.naturalWidth") == 96
    data, words = tab.evaluate("page"), tip.inner_text()
    assert f"{data['layers'][data['first']]['iou'][2]:.3f}" in words
    assert data["concepts"][data["points"]["concept"][2]] in words and data["points"]["image"][2] in words


def test_another_layer_redraws_map_matrix_and_examples(tab, run):
    def seen():
        tab.wait_for_timeout(100)
        return (
            tab.evaluate("document.getElementById('map-canvas').toDataURL()"),
            tab.locator("#matrix").inner_text(),
            tab.locator("#strips figcaption").first.inner_text(),
            tab.evaluate("document.querySelector('#strips canvas').toDataURL()"),
        )

    before = seen()
    other = 1 - tab.evaluate("page.first")
    tab.locator("#layers label").nth(other).click()
    after = seen()
    assert all(a != b for a, b in zip(before, after, strict=True))
    assert tab.locator("#layers label").nth(other).inner_text() == LAYERS[other]
    assert tab.locator("#separation h2 small").inner_text() == f"at {LAYERS[other]}"
    row = content.choose_rows(run).best["cat"][0]
    assert after[2].startswith(f"IoU {run.column('iou', LAYERS[other])[row]:.2f}")


def test_legend_hides_concepts_and_colors_change(tab):
    def pixels():
        return tab.evaluate("document.getElementById('map-canvas').toDataURL()")

    full = pixels()
    button = tab.locator("#map-legend button").first
    button.click()
    assert button.get_attribute("aria-pressed") == "false" and pixels() != full
    button.click()
    assert pixels() == full
    offered = tab.locator("#map-column option").all_inner_texts()
    assert offered == ["concept", "IoU", "mask area", "light", "blur"]
    for name in offered[1:]:
        tab.select_option("#map-column", label=name)
        assert pixels() != full
    tab.click("#zoom-in")
    assert pixels() != full


def test_browser_draws_the_projection_that_python_computes(tab, run):
    row = content.choose_rows(run).best["cat"][0]
    layer = LAYERS[tab.evaluate("page.first")]
    size, alpha = tab.evaluate(
        """() => { const canvas = document.querySelector("#strips canvas"), pen = canvas.getContext("2d");
        const all = pen.getImageData(0, 0, canvas.width, canvas.height).data;
        return [[canvas.height, canvas.width], [...all].filter((_, i) => i % 4 === 3)]; }"""
    )
    alpha = np.array(alpha).reshape(size)
    grid = Image.fromarray(run.responses(layer)[row].astype("float32"))
    expected = 255 * OPACITY * expit(np.asarray(grid.resize(size[::-1], Image.Resampling.BILINEAR)))
    tint = alpha < 255  # the line at one half is opaque
    assert tint.mean() > 0.9
    np.testing.assert_allclose(alpha[tint], expected[tint], atol=0.008 * 255 * OPACITY + 1)  # bytes hold 1/16 steps


def test_matrix_cells_have_numbers_and_tooltips(tab):
    values = tab.evaluate("layer.separation")
    cell = tab.locator("#matrix tbody tr").nth(0).locator("td").nth(2)
    assert cell.inner_text() == f"{values[0][2]:.2f}"
    assert cell.get_attribute("title") == f"cat – dog: {values[0][2]:.3f}"


@pytest.mark.parametrize("width", [400, 1200])
def test_nothing_sticks_out_sideways(tab, width):
    tab.set_viewport_size({"width": width, "height": 800})
    tab.wait_for_timeout(100)
    assert tab.evaluate("document.documentElement.scrollWidth") == width


def test_each_image_is_opened_once_and_a_lost_one_is_a_placeholder(run, caplog):
    photos = Photos()
    data = data_of(compose(run, photos))
    assert len(photos.opened) == len(set(photos.opened))
    lost = [i for i, image in enumerate(data["points"]["image"]) if "/13" in image]
    assert lost and all(data["points"]["thumb"][i] is None for i in lost)
    assert sum(thumb is None for thumb in data["points"]["thumb"]) == len(lost)
    assert re.search(r"\d+ of \d+ photographs are not shown; the first is '.*/13.*': ", caplog.text)


def test_many_points_share_out_the_thumbnails(run, monkeypatch):
    monkeypatch.setattr(content, "_MAX_THUMBS", 5)
    chosen = content.choose_rows(run)
    assert len(chosen.thumbs) == 5 and set(chosen.thumbs) <= set(chosen.points)
    data = data_of(compose(run, Photos()))
    assert (
        4 <= sum(thumb is not None for thumb in data["points"]["thumb"]) <= 5
    )  # the unreadable image may be among them


def test_examples_are_ranked_and_never_at_both_ends(run):
    chosen = content.choose_rows(run)
    for concept in CONCEPTS:
        best, worst = chosen.best[concept], chosen.worst[concept]
        iou = run.table["iou"]
        assert not set(best) & set(worst) and (np.diff(iou[best]) <= 0).all() and (np.diff(iou[worst]) >= 0).all()
        assert not worst or iou[worst].max() <= iou[best].min()


def make_many(concepts, each=9):
    """A run of one layer with `each` rows of every concept but the first, which has one more."""
    names = tuple(f"concept {number:04d}" for number in range(concepts))
    labels = np.array([*names * each, names[0]])
    n, rng = len(labels), np.random.default_rng(0)
    table = {
        "image": np.array([f"{row}.jpg" for row in range(n)]),
        "concept": labels,
        "iou": rng.permutation(n) / n,
        "status": np.full(n, "ok"),
        "area": np.full(n, 0.1),
        "reason": np.full(n, ""),
    }
    columns = {
        ("iou", "late"): table["iou"],
        ("status", "late"): table["status"],
        ("vectors", "late"): rng.normal(size=(n, 3)).astype("float32"),
        ("responses", "late"): np.zeros((n, 2, 2), "float16"),
    }
    return FakeRun({**PLAN, "layers": {"late": {}}}, ("late",), names, table, columns)


@pytest.mark.parametrize(
    ("concepts", "shown", "end"), [(10, 10, 4), (60, 60, 4), (80, 80, 3), (240, 240, 1), (1200, 240, 1)]
)
def test_examples_are_bounded_whatever_the_number_of_concepts(concepts, shown, end):
    choice = content.choose_rows(make_many(concepts))
    assert list(choice.best) == list(choice.worst) == [f"concept {number:04d}" for number in range(shown)]
    assert {len(rows) for rows in (*choice.best.values(), *choice.worst.values())} == {end}
    assert len(choice.examples) == len(set(choice.examples)) <= 480


def test_the_matrix_of_many_concepts_is_of_the_most_common_and_the_closest_pairs_are_of_all(monkeypatch):
    monkeypatch.setattr(content, "_MAX_SEPARATED", 3)
    monkeypatch.setattr(content, "_MAX_EXAMPLES", 8)
    run = make_many(6, each=4)
    run.by_layer["vectors", "late"][[4, 11]] = 7  # a row of concept 4 and one of concept 5
    page = compose(run, NoPhotos())
    data = data_of(page)
    (layer,) = data["layers"]
    assert layer["separated"] == [0, 1, 2] and np.shape(layer["separation"]) == (3, 3)
    assert layer["closest"][0] == [0.0, 4, 5] and len(layer["closest"]) == 8
    assert [value for value, *_ in layer["closest"]] == sorted(value for value, *_ in layer["closest"])
    assert "Shown are the 3 of 6 concepts with the most LoCEs." in page
    assert "Shown are the 4 of 6 concepts with the most LoCEs." in page and len(data["examples"]) == 4
    assert "Shown are the" not in compose(make_many(3, each=4), NoPhotos())


def test_reading_photographs_is_reported(run):
    seen = []
    compose(run, Photos(), report_progress=lambda done, of: seen.append((done, of)))
    assert seen == [(done, 14) for done in range(15)]


def test_a_run_without_a_single_loce(run):
    photos = Photos()
    empty = make_run(photos)
    empty.table["status"] = np.full(len(empty.table["iou"]), "image_missing")
    empty.table["iou"] = np.full(len(empty.table["iou"]), np.nan)
    for layer in LAYERS:
        empty.by_layer["iou", layer], empty.by_layer["status", layer] = empty.table["iou"], empty.table["status"]
    data = data_of(compose(empty, photos))
    assert data["points"]["image"] == [] and data["examples"] == [] and photos.opened == []


def test_a_run_without_rows_or_concepts():
    bare = make_run(Photos(count=0))
    bare.concepts = ()
    assert data_of(compose(bare, Photos(count=0)))["columns"] == []


def test_one_layer_may_fail_alone(run):
    photos = Photos()
    partial = make_run(photos)
    iou, status = partial.column("iou", LAYERS[0]), partial.column("status", LAYERS[0])
    iou[0], status[0] = np.nan, "nonfinite"
    partial.vectors(LAYERS[0])[0] = np.nan
    data = data_of(compose(partial, photos))
    assert data["layers"][0]["x"][0] is None and data["layers"][1]["x"][0] is not None


def test_writing_is_all_or_nothing(run, tmp_path, monkeypatch):
    out = tmp_path / "report.html"
    out.write_text("the old page")

    def fail(source, target):
        raise OSError("disk full")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="disk full"):
        patch.setattr("os.replace", fail)
        write_report(run, Photos(), out)
    assert out.read_text() == "the old page" and list(tmp_path.iterdir()) == [out]
    assert write_report(run, Photos(), out).read_text("utf-8").startswith("<!doctype html>")


def test_surroundings_stay_inside_the_photo():
    rng = np.random.default_rng(0)
    for _ in range(50):
        height, width = rng.integers(1, 60, 2)
        mask = np.zeros((height, width), bool)
        mask[rng.integers(height) :, rng.integers(width) :] = True
        top, left, side = surroundings(mask)
        assert side >= 1 and 0 <= top <= height - side and 0 <= left <= width - side


def test_the_smallest_photo_and_a_mask_of_one_pixel():
    class Pixel:
        items = (Item("tiny", 0, (1, 1), (Pair("a"),)),)

        def read(self, item):
            return Reading(np.zeros((1, 1, 3), np.uint8), (np.ones((1, 1), bool),))

    pictures = illustrate(Pixel(), thumbs={("tiny", "a")}, examples={("tiny", "a")})
    assert pictures.thumbs.keys() == pictures.examples.keys() == {("tiny", "a")}


def test_page_names_no_foreign_address():
    static = Path(content.__file__).parent / "static"
    for file in static.iterdir():
        addresses = set(re.findall(r"https?://[^\s\"'`]+", file.read_text("utf-8")))
        assert addresses <= {"http://www.w3.org/2000/svg"}  # a name of a vocabulary, never fetched
