"""Faults 1 to 12 of the list of faults that the product must withstand: images, masks and annotations.

Each test is named after its row; the tests of the package look at each fault from more sides.
"""

import json
import os
from typing import Any

import numpy as np
import pytest
from PIL import Image

from loce_jax import InputError, open_run
from loce_jax.data import open_coco
from loce_jax.data.annotations.masks import union_mask
from loce_jax.data.images import read_photo
from loce_jax.data.samples import Fault
from loce_jax.pipeline.resuming.retrying import TooManyFailures
from tests.pipeline.resuming.small import fit, patch
from tests.support.small_coco import draw

SIZE, TURNED = (48, 64), (64, 48)
SQUARE = [[8, 8, 40, 8, 40, 40, 8, 40]]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    patch(monkeypatch)
    draw(tmp_path, images=4)
    return tmp_path


def change(folder, **lists):
    """`coco.json` after changing entries: ``images={0: {...}}`` updates the first image."""
    document = json.loads((folder / "coco.json").read_text())
    for part, changes in lists.items():
        for index, values in changes.items():
            document[part][index].update(values)
    (folder / "coco.json").write_text(json.dumps(document))


def opened(folder, **options):
    return open_coco(folder / "coco.json", folder / "images", **options)


def masks(folder):
    return [dataset.read(item).masks[0] for dataset in [opened(folder)] for item in dataset.items]


def test_row_01_a_truncated_image_is_a_row_with_a_status_and_too_many_are_an_error(folder):
    path = folder / "images" / "002.png"
    path.write_bytes(path.read_bytes()[:200])
    run = fit(folder, folder / "run")
    assert run.table["status"].tolist() == ["ok", "ok", "image_unreadable", "ok"]
    with pytest.raises(TooManyFailures, match="1 of 4 rows could not be read"):
        fit(folder, folder / "run", max_failures=0.05)
    with pytest.raises(InputError, match="`strict` refuses '002.png'.*image_unreadable"):
        fit(folder, folder / "strict", strict=True)


def test_row_02_modes_and_orientations_are_the_right_pixels(tmp_path):
    sixteen = np.full(SIZE, 100 * 257, np.uint16)
    Image.fromarray(sixteen).save(tmp_path / "16.png")
    assert (read_photo(tmp_path / "16.png", SIZE) == 100).all()
    for mode in ("CMYK", "P", "1", "L", "RGBA"):
        Image.new("RGB", TURNED, "white").convert(mode).save(tmp_path / "mode.tiff")
        assert (read_photo(tmp_path / "mode.tiff", SIZE) == 255).all()
    turned = Image.new("RGB", TURNED)
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.png", exif=exif)
    assert read_photo(tmp_path / "turned.png", SIZE).shape == (*SIZE, 3), "as the annotated size says"
    assert read_photo(tmp_path / "turned.png", TURNED).shape == (*TURNED, 3)


def test_row_03_empty_and_full_masks_are_rows_with_a_status(folder):
    pixels = SIZE[0] * SIZE[1]
    shapes = {"size": list(SIZE), "counts": [pixels]}, {"size": list(SIZE), "counts": [0, pixels]}
    change(folder, annotations={index: {"segmentation": shape} for index, shape in enumerate(shapes)})
    change(folder, annotations={2: {"segmentation": [[8, 8, 8.3, 8, 8.3, 8.3, 8, 8.3]]}})
    assert fit(folder, folder / "run").table["status"].tolist() == ["mask_empty", "mask_full", "mask_empty", "ok"]


def test_row_04_a_mask_of_another_size_than_the_image_is_an_error_with_both_sizes(folder):
    change(folder, images={1: {"height": 50}}, annotations={2: {"segmentation": {"size": [9, 9], "counts": [81]}}})
    table = fit(folder, folder / "run").table
    assert table["status"].tolist() == ["ok", "size_mismatch", "mask_unreadable", "ok"]
    assert "48 x 64" in table["reason"][1] and "50 x 64" in table["reason"][1]
    assert "9" in table["reason"][2] and "48" in table["reason"][2]


def test_row_05_crowds_as_lists_and_strings_are_read_counted_and_left_out_on_request(folder):
    from pycocotools import mask as coco_masks

    array = np.zeros(SIZE, bool)
    array[8:40, 8:40] = True
    starts = 1 + np.flatnonzero(np.diff(array.T.ravel().astype(int)))
    counts = np.diff(starts, prepend=0, append=array.size).tolist()
    packed: Any = coco_masks.encode(np.asfortranarray(array.astype(np.uint8)))
    for index, runs in enumerate((counts, packed["counts"].decode())):
        change(folder, annotations={index: {"segmentation": {"size": list(SIZE), "counts": runs}, "iscrowd": 1}})
    for mask in masks(folder)[:2]:
        np.testing.assert_array_equal(mask, array)
    assert [dict(item.pairs[0].attributes)["crowd"] for item in opened(folder).items] == [1, 1, 0, 0]
    assert len(opened(folder, crowd="exclude").items) == 2
    assert opened(folder, crowd="own").concepts == ("box", "box (crowd)")


@pytest.mark.parametrize(
    "segmentation",
    [
        {"size": [48, 64], "counts": [10, 5]},
        {"size": [48, 64], "counts": []},
        {"size": [48, 64], "counts": [48 * 64 + 1]},
        {"size": [48, 64], "counts": "~~~"},
        {"size": [48, 64], "counts": [-1, 48 * 64 + 1]},
        {"size": [48, 64], "counts": [0.5, 48 * 64]},
        {"size": [10**5, 10**5], "counts": [10**10]},
        [[float("nan")] * 8],
        [[1.0, 2.0, 3.0]],
        "a text",
    ],
    ids=str,
)
def test_row_06_a_bad_rle_or_polygon_is_an_error_of_its_item(segmentation):
    with pytest.raises(Fault, match=r"mask_\w+: "):
        union_mask([{"id": 3, "segmentation": segmentation}], SIZE)


def test_row_07_huge_polygons_are_clipped_or_refused():
    with pytest.raises(Fault, match="mask_unreadable"):
        union_mask([{"id": 3, "segmentation": [[float("inf"), 0, 1, 1, 2, 2]]}], SIZE)
    for segmentation in ([[0, 0, 1e9, 0, 1e9, 1e9, 0, 1e9]], [[0.0, 0.0, 9.0, 9.0] * 50_000]):
        try:
            assert union_mask([{"id": 3, "segmentation": segmentation}], SIZE).shape == SIZE
        except Fault as fault:
            assert fault.status == "mask_unreadable"


def test_row_08_categories_that_are_missing_are_listed_and_names_suggested(folder):
    with pytest.raises(InputError, match="unknown concept 'bocks'.*Known: box"):
        opened(folder, concepts=["bocks"])
    change(folder, annotations={1: {"category_id": 7}, 3: {"category_id": 9}})
    with pytest.raises(InputError, match=r"annotation 1 has a category_id .*the first of 2\)"):
        opened(folder)
    document = json.loads((folder / "coco.json").read_text())
    document.pop("categories")
    (folder / "coco.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match="categories"):
        opened(folder)


def test_row_09_repeated_ids_and_keys_and_hostile_json_are_refused(folder):
    whole = (folder / "coco.json").read_text()
    for text in (whole.replace('"id": 1,', '"id": 0,'), whole.replace('"id": 0,', '"id": 0, "id": 0,', 1), "[" * 10**5):
        (folder / "coco.json").write_text(text)
        with pytest.raises(InputError, match="coco.json"):
            opened(folder)


def test_row_10_the_same_name_in_two_folders_is_two_images(folder):
    for index, name in enumerate(("a", "b")):
        (folder / "images" / name).mkdir()
        os.rename(folder / "images" / f"00{index}.png", folder / "images" / name / "x.y.png")
        change(folder, images={index: {"file_name": f"{name}/x.y.png"}})
    table = fit(folder, folder / "run").table
    assert table["image"].tolist() == ["002.png", "003.png", "a/x.y.png", "b/x.y.png"]
    assert set(table["status"]) == {"ok"}


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "C:\\x.png", "..\\x.png", "link/secret.png"])
def test_row_11_names_that_lead_out_of_the_folder_are_refused(folder, name):
    (folder / "secret.png").touch()
    (folder / "images" / "link").symlink_to(folder)
    change(folder, images={0: {"file_name": name}})
    with pytest.raises(InputError, match="leads out of the folder of images"):
        opened(folder)


def test_row_12_archives_are_not_read(folder):
    (folder / "images" / "000.png").write_bytes(b"PK\x03\x04" + bytes(100))
    assert fit(folder, folder / "run").table["status"][0] == "image_unreadable"
    (folder / "coco.json").write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(InputError, match="coco.json"):
        opened(folder)
    assert open_run(folder / "run").complete
