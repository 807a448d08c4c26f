"""Data sets of label maps: labels with a class table, CamVid, Cityscapes, VOC, panoptic; every mask is the map's."""

import json
import pickle
import re
import shutil
import struct
import unicodedata
import zlib

import numpy as np
import pytest
from PIL import Image

from loce_jax.checks import InputError
from loce_jax.data import open_camvid, open_cityscapes, open_labels, open_panoptic, open_voc
from loce_jax.data.checking import check_data
from loce_jax.data.samples import Fault, check_dataset, check_reading
from loce_jax.data.selection import DataOptions, SelectedDataset, select
from tests.support.trees import (
    COLORS,
    NAMES,
    camvid_frames,
    made_up_frames,
    relabel,
    save,
    write_camvid,
    write_cityscapes,
    write_labels,
    write_panoptic,
    write_voc,
)

VOC_NUMBERS = {0: 1, 1: 6, 2: 7}  # sky is called aeroplane and road bus
CITY_NUMBERS = {0: 23, 1: 7, 2: 26, 3: 4}
EXPECTED = {
    "labels": {0: "sky", 1: "road", 2: "car"},
    "camvid": {0: "Sky", 1: "Building", 2: "Pole", 3: "Road"},
    "cityscapes": {0: "sky", 1: "road", 2: "car"},
    "panoptic": {0: "sky", 1: "road", 2: "car"},
}


def open_any(kind, root, frames):
    if kind == "labels":
        return open_labels(write_labels(root, frames))
    if kind == "camvid":
        return open_camvid(write_camvid(root, frames))
    if kind == "cityscapes":
        return open_cityscapes(write_cityscapes(root, frames, CITY_NUMBERS))
    return open_panoptic(write_panoptic(root, frames), root / "images")


@pytest.mark.parametrize("kind", EXPECTED)
def test_every_mask_is_where_the_map_has_the_class(kind, tmp_path):
    frames = made_up_frames()
    data = open_any(kind, tmp_path, frames)
    check_dataset(data)
    assert len(data.items) == len(frames) and set(data.concepts) == set(EXPECTED[kind].values())
    for item, (photo, labels) in zip(data.items, frames.values(), strict=True):
        reading = check_reading(item, data.read(item))
        assert reading.photo.shape == photo.shape and item.size == labels.shape
        masks = dict(zip((pair.concept for pair in item.pairs), reading.masks, strict=True))
        assert set(masks) == {name for code, name in EXPECTED[kind].items() if (labels == code).any()}
        for code, name in EXPECTED[kind].items():
            np.testing.assert_array_equal(masks[name], labels == code)


@pytest.mark.parametrize("kind", EXPECTED)
def test_a_copy_in_another_process_reads_the_same_and_the_fingerprint_follows_the_labels(kind, tmp_path):
    frames = made_up_frames()
    data = open_any(kind, tmp_path / "a", frames)
    copy = pickle.loads(pickle.dumps(data))
    np.testing.assert_array_equal(copy.masks(copy.items[1])[0], data.masks(data.items[1])[0])
    assert open_any(kind, tmp_path / "b", frames).fingerprint == data.fingerprint
    (name, (photo, labels)) = next(iter(frames.items()))
    changed = labels.copy()
    changed[labels == 2] = 1  # the car is gone
    assert open_any(kind, tmp_path / "c", frames | {name: (photo, changed)}).fingerprint != data.fingerprint


@pytest.mark.parametrize("coding", ["gray", "palette", "color"])
@pytest.mark.parametrize("suffix", ["", "_L"])
def test_label_maps_in_any_coding_and_naming(coding, suffix, tmp_path):
    frames = made_up_frames(2)
    data = open_labels(write_labels(tmp_path, frames, coding, suffix))
    assert data.concepts == ("sky", "road", "car") and data.problems == ()
    for item, (_, labels) in zip(data.items, frames.values(), strict=True):
        for mask, code in zip(data.masks(item), (0, 1, 2), strict=True):
            np.testing.assert_array_equal(mask, labels == code)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16"])
def test_numbers_are_read_from_any_gray_image(mode, tmp_path):
    frames = made_up_frames(1)
    write_labels(tmp_path, frames)
    labels = frames["seq0_000"][1]
    image = Image.fromarray(labels.astype(np.uint16)) if mode == "I;16" else Image.fromarray(labels).convert(mode)
    image.save(tmp_path / "labels" / "seq0_000.png")
    data = open_labels(tmp_path)
    np.testing.assert_array_equal(data.masks(data.items[0])[2], labels == 2)


def test_palette_maps_are_read_by_color_where_the_table_has_colors(tmp_path):
    frames = made_up_frames(1)
    write_labels(tmp_path, frames, "color")
    table = tmp_path / "colors.txt"
    (tmp_path / "classes.txt").rename(table)
    write_labels(tmp_path, frames, "palette")
    data = open_labels(tmp_path, classes=table)
    np.testing.assert_array_equal(data.masks(data.items[0])[2], next(iter(frames.values()))[1] == 2)


def test_unlabeled_classes_are_left_out_unless_named(tmp_path):
    write_labels(tmp_path, made_up_frames(1))
    assert "void" not in open_labels(tmp_path).concepts
    assert open_labels(tmp_path, concepts=["void", "car"]).concepts == ("car", "void")
    with pytest.raises(InputError, match="unknown concept 'cars'. Did you mean 'car'"):
        open_labels(tmp_path, concepts=["cars"])


@pytest.mark.parametrize("layout", ["images/val", "val/images"])
def test_splits_are_found_below_or_above_the_folders(layout, tmp_path):
    write_labels(tmp_path / "all", made_up_frames(2))
    for name in ("images", "labels"):
        to = tmp_path / "data" / layout.replace("images", name)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(tmp_path / "all" / name, to)
    data = open_labels(tmp_path / "data", split="val", classes=tmp_path / "all" / "classes.txt")
    assert len(data.items) == 2
    with pytest.raises(InputError, match="there is no images .* with 'test'"):
        open_labels(tmp_path / "data", split="test", classes=tmp_path / "all" / "classes.txt")


def test_bdd100k_has_the_numbers_of_cityscapes_for_training(tmp_path):
    for name, (photo, labels) in made_up_frames(2).items():
        save(tmp_path / "images" / "10k" / "val" / f"{name}.jpg", photo)
        numbers = np.array([10, 0, 13, 255], np.uint8)[labels]
        save(tmp_path / "labels" / "sem_seg" / "masks" / "val" / f"{name}.png", numbers)
    given = {"images": "images/10k/val", "labels": "labels/sem_seg/masks/val", "classes": "cityscapes19"}
    data = open_labels(tmp_path, **given)
    assert data.concepts == ("road", "sky", "car") and len(data.items) == 2
    np.testing.assert_array_equal(data.masks(data.items[0])[2], made_up_frames(1)["seq0_000"][1] == 2)


def test_mapillary_vistas_is_read_by_its_colors(tmp_path):
    config = {"labels": [{"name": f"x--{NAMES[code]}", "color": list(COLORS[code])} for code in NAMES]}
    (tmp_path / "config_v1.2.json").write_text(json.dumps(config))
    for name, (photo, labels) in made_up_frames(2).items():
        save(tmp_path / "validation" / "images" / f"{name}.jpg", photo)
        save(tmp_path / "validation" / "v1.2" / "labels" / f"{name}.png", labels, COLORS)
    data = open_labels(tmp_path, split="validation", labels="v1.2/labels")
    assert data.concepts == ("x--sky", "x--road", "x--car", "x--void")
    np.testing.assert_array_equal(data.masks(data.items[0])[2], made_up_frames(1)["seq0_000"][1] == 2)


def test_files_without_a_partner_and_maps_that_cannot_be_read_are_problems(tmp_path):
    write_labels(tmp_path, made_up_frames(4))
    (tmp_path / "labels" / "seq0_000.png").unlink()
    (tmp_path / "images" / "seq0_001.png").unlink()
    (tmp_path / "labels" / "seq1_002.png").write_bytes(b"nothing")
    data = open_labels(tmp_path)
    assert [item.image for item in data.items] == ["seq1_003.png"]
    found = {problem.file: problem.status for problem in data.problems}
    assert found == {"seq0_000.png": "no_label", "seq0_001.png": "image_missing", "seq1_002.png": "mask_unreadable"}


def test_a_map_of_another_size_is_a_fault_of_the_image(tmp_path):
    write_labels(tmp_path, made_up_frames(1))
    data = open_labels(tmp_path)
    save(tmp_path / "images" / "seq0_000.png", np.zeros((10, 12, 3), np.uint8))
    with pytest.raises(Fault, match="size_mismatch"):
        data.read(data.items[0])
    save(tmp_path / "labels" / "seq0_000.png", np.zeros((10, 12), np.uint8))
    assert all("now, not" in mask.reason for mask in data.masks(data.items[0]))


def test_colored_maps_with_a_table_of_numbers_say_so(tmp_path):
    write_labels(tmp_path, made_up_frames(1))
    save(tmp_path / "labels" / "seq0_000.png", np.zeros((4, 4, 3), np.uint8) + np.arange(3, dtype=np.uint8))
    with pytest.raises(InputError, match="has none in 1 label map: seq0_000.png: .* is in colors .*class table"):
        open_labels(tmp_path)


def test_a_jpeg_is_no_label_map(tmp_path):
    write_labels(tmp_path, made_up_frames(1))
    path = tmp_path / "labels" / "seq0_000.png"
    Image.open(path).save(path.with_suffix(".jpg"))
    path.unlink()
    with pytest.raises(
        InputError, match="none of 1 images .* is called as one of 0 label files .* 1 more, such as seq0_000.jpg"
    ):
        open_labels(tmp_path)


def test_a_jpeg_among_label_maps_is_a_problem_and_photos_below_the_label_maps_are_none(tmp_path):
    write_labels(tmp_path, made_up_frames(2), suffix="_L")
    path = tmp_path / "labels" / "seq0_000_L.png"
    Image.open(path).save(path.with_name("seq0_000.jpg"))
    path.unlink()
    (problem,) = open_labels(tmp_path).problems
    assert (problem.file, problem.status) == ("seq0_000.jpg", "mask_unreadable")
    photos = tmp_path / "labels" / "photos"
    photos.mkdir()
    Image.open(tmp_path / "images" / "seq0_001.png").save(photos / "other.jpg")
    Image.open(tmp_path / "images" / "seq0_001.png").save(photos / "seq0_001.jpg")
    (tmp_path / "labels" / "seq0_000.jpg").unlink()
    (problem,) = open_labels(tmp_path, images=photos).problems
    assert (problem.file, problem.status) == ("other.jpg", "no_label")


def test_two_kinds_of_label_files_beside_each_other_are_refused(tmp_path):
    write_labels(tmp_path, made_up_frames(2), suffix="_labelIds")
    for path in list((tmp_path / "labels").glob("*.png")):
        Image.open(path).save(path.with_name(path.name.replace("labelIds", "color")))
    with pytest.raises(InputError, match="'seq0_000.png' has 'seq0_000_labelIds.png' and 'seq0_000_color.png'"):
        open_labels(tmp_path)


def test_a_label_map_without_its_image_is_no_second_one_of_another(tmp_path):
    write_labels(tmp_path, made_up_frames(2), suffix="_L")
    for name in ("seq0_00", "seq0_0001"):
        shutil.copy(tmp_path / "labels" / "seq0_000_L.png", tmp_path / "labels" / f"{name}_L.png")
    assert {problem.status for problem in open_labels(tmp_path).problems} == {"image_missing"}


@pytest.mark.parametrize("coding", ["gray", "color"])
def test_values_without_a_class_are_noted_and_images_of_none_but_these_are_problems(coding, tmp_path):
    write_labels(tmp_path, made_up_frames(3), coding)
    table = (tmp_path / "classes.txt").read_text().splitlines()
    (tmp_path / "classes.txt").write_text("\n".join(table[1:]))  # without the sky
    path = tmp_path / "labels" / "seq0_000.png"
    labels = np.asarray(Image.open(path)).copy()
    labels[:3] = 77
    save(path, labels)
    save(tmp_path / "labels" / "seq1_002.png", np.full_like(labels, 9))
    data = open_labels(tmp_path)
    sky, other, strange = {"gray": ("0", "77", "9"), "color": ("70 130 180", "77 77 77", "9 9 9")}[coding]
    listed = sorted([(other, int(other[:2])), (strange, 9)], key=lambda value: value[1])
    images = ", ".join(f"{value} (1 image)" for value, _ in listed)
    assert data.notes == (f"values without a class: {sky} (2 images), {images}",)
    assert [(one.file, one.status) for one in data.problems] == [("seq1_002.png", "no_class")]
    assert f"its values are {strange}. Add them to the class table" in data.problems[0].reason
    assert open_labels(tmp_path, concepts=["car"]).notes == data.notes, "other classes are classes"
    part = select(data, DataOptions(max_images=1))
    assert isinstance(part, SelectedDataset) and part.notes == data.notes, "they are of all files"


def test_an_image_of_background_alone_is_no_problem(tmp_path):
    write_labels(tmp_path, made_up_frames(2), "gray")
    (tmp_path / "classes.txt").write_text("\n".join((tmp_path / "classes.txt").read_text().splitlines()[1:]))
    save(tmp_path / "labels" / "seq0_001.png", np.zeros((48, 64), np.uint8))
    data = open_labels(tmp_path)
    assert data.problems == () and [item.image for item in data.items] == ["seq0_000.png"]


def test_the_first_values_without_a_class_are_listed(tmp_path):
    write_labels(tmp_path, made_up_frames(1))
    save(tmp_path / "labels" / "seq0_000.png", np.arange(256, dtype=np.uint8).reshape(16, 16))
    (note,) = open_labels(tmp_path).notes
    assert note.count("(1 image)") == 8 and note.endswith("11 (1 image), ...")


@pytest.mark.parametrize("kind", EXPECTED)
def test_public_data_sets_have_known_values_without_a_class(kind, tmp_path):
    assert open_any(kind, tmp_path, made_up_frames(1)).notes == ()


def test_links_that_lead_out_are_left_out(tmp_path):
    write_labels(tmp_path / "other", made_up_frames(2))
    write_labels(tmp_path / "mine", made_up_frames(1))
    for name in ("images", "labels"):
        (tmp_path / "mine" / name / "link.png").symlink_to(tmp_path / "other" / name / "seq0_001.png")
    assert [item.image for item in open_labels(tmp_path / "mine").items] == ["seq0_000.png"]


def test_camvid_has_groups_and_its_splits(tmp_path):
    write_camvid(tmp_path, made_up_frames(4))
    data = open_camvid(tmp_path)
    groups = [dict(pair.attributes)["group"] for item in data.items for pair in item.pairs[:1]]
    assert groups == ["seq0", "seq0", "seq1", "seq1"] and data.items[0].image == "train/seq0_000.png"
    with pytest.raises(InputError, match="unknown split 'val'"):
        open_camvid(tmp_path, split="val")
    with pytest.raises(InputError, match="CamVid's folders"):
        open_camvid(tmp_path / "train")


@pytest.mark.slow
def test_camvid_itself(shared):
    """All 101 frames of a split: classes, groups and counts of the real thing."""
    data = open_camvid(shared("data", "camvid"), split="val")
    assert len(data.items) == 101 and len(data.concepts) == 11
    assert {dict(pair.attributes)["group"] for item in data.items for pair in item.pairs} == {"0016E5"}
    frames = sum(any(pair.concept == "Fence" for pair in item.pairs) for item in data.items)
    labels = [np.asarray(Image.open(file)) for file in shared("data", "camvid", "valannot").glob("*.png")]
    assert frames == sum((one == 7).any() for one in labels)


@pytest.mark.parametrize(
    ("classes", "names"), [("19", ["road", "sky", "car"]), ("30", ["static", "road", "sky", "car"])]
)
def test_cityscapes_has_19_or_30_classes_and_its_cities_are_groups(classes, names, tmp_path):
    write_cityscapes(tmp_path, made_up_frames(), CITY_NUMBERS)
    data = open_cityscapes(tmp_path, classes=classes, split="val")
    assert list(data.concepts) == names
    assert data.items[0].image == "val/seq0/seq0_000000_000_leftImg8bit.png"
    assert dict(data.items[-1].pairs[0].attributes) == {"group": "seq1"}


def test_voc_leaves_void_out_and_reads_a_split(tmp_path):
    write_voc(tmp_path, made_up_frames(), VOC_NUMBERS)
    data = open_voc(tmp_path, split="val")
    assert data.concepts == ("aeroplane", "bus", "car") and data.problems == () and len(data.items) == 4
    assert data.notes == ()
    classes = np.asarray(Image.open(tmp_path / "SegmentationClass" / "seq0_000.png"))
    masks = data.read(data.items[0]).masks
    for mask, code in zip(masks, (1, 6, 7), strict=True):
        np.testing.assert_array_equal(mask, classes == code)
    assert not np.any(masks, axis=0)[classes == 255].any() and (classes == 255).any()
    with pytest.raises(InputError, match="unknown split 'test'"):
        open_voc(tmp_path, split="test")


def test_a_voc_split_written_on_windows_is_read_whole(tmp_path):
    write_voc(tmp_path, made_up_frames(2), VOC_NUMBERS)
    (tmp_path / "ImageSets" / "Segmentation" / "val.txt").write_bytes(b"\xef\xbb\xbfseq0_000\r\nseq0_001  \r\n\r\n")
    data = open_voc(tmp_path, split="val")
    assert len(data.items) == 2 and data.problems == ()


def test_a_voc_list_of_a_class_is_read_by_its_second_column(tmp_path):
    frames = made_up_frames(4)
    write_voc(tmp_path, frames, VOC_NUMBERS)
    first, second, third, last = frames
    text = f"{first}  1\n{second} -1\n{third}  0\r\ngone -1\nmissing\t1\n"
    (tmp_path / "ImageSets" / "Segmentation" / "car_val.txt").write_text(text)
    data = open_voc(tmp_path, split="car_val")
    assert [item.image for item in data.items] == [f"{first}.jpg", f"{third}.jpg"]
    assert [problem.file for problem in data.problems] == ["missing"], "not one that does not show the class"
    photo, labels = frames[last]
    save(tmp_path / "JPEGImages" / "car -1.jpg", photo)
    save(tmp_path / "SegmentationClass" / "car -1.png", relabel(labels, VOC_NUMBERS, 0))
    (tmp_path / "ImageSets" / "Segmentation" / "odd.txt").write_text("car -1\n")
    assert [item.image for item in open_voc(tmp_path, split="odd").items] == ["car -1.jpg"], "a name with a space"


def test_a_voc_list_of_images_with_boxes_is_cut_to_those_with_a_class_map(tmp_path):
    frames = made_up_frames(2)
    write_voc(tmp_path, frames, VOC_NUMBERS)
    folder = tmp_path / "ImageSets" / "Main"
    folder.mkdir()
    first, second = frames
    (folder / "car_train.txt").write_text(f"{first} 1\n{second} -1\nboxes_only 1\n")
    (folder / "val.txt").write_text("boxes_only\n")
    (folder / "bird_train.txt").write_text(f"{first} -1\n{second} -1\n")
    data = open_voc(tmp_path, split="car_train")
    assert [item.image for item in data.items] == [f"{first}.jpg"] and not data.problems
    assert len(open_voc(tmp_path, split="val").items) == 2, "the list of the segmentation part, of two of one name"
    with pytest.raises(InputError, match="`split` must name some images, but .*bird_train.txt' has -1 in every line"):
        open_voc(tmp_path, split="bird_train")


def test_voc_objects_are_items_of_their_own(tmp_path):
    write_voc(tmp_path, made_up_frames(2), VOC_NUMBERS)
    data = open_voc(tmp_path, labels="SegmentationObject", concepts=["car"])
    assert [item.image for item in data.items] == ["seq0_000.jpg#3", "seq0_001.jpg#3"]
    reading = data.read(data.items[0])
    objects = np.asarray(Image.open(tmp_path / "SegmentationObject" / "seq0_000.png"))
    np.testing.assert_array_equal(reading.masks[0], objects == 3)


def test_voc_names_of_a_split_without_files_are_problems(tmp_path):
    write_voc(tmp_path, made_up_frames(2), VOC_NUMBERS)
    (tmp_path / "JPEGImages" / "seq0_001.jpg").unlink()
    data = open_voc(tmp_path, split="val")
    assert [(problem.file, problem.status) for problem in data.problems] == [("seq0_001", "image_missing")]


def test_a_voc_tree_of_camvid_frames(shared, tmp_path):
    frames = camvid_frames(shared("data", "camvid"), count=3)
    write_voc(tmp_path, frames, {8: 7, 9: 15, 10: 2})
    data = open_voc(tmp_path)
    assert set(data.concepts) <= {"car", "person", "bicycle"}
    assert all(isinstance(mask, np.ndarray) for item in data.items for mask in data.read(item).masks)


@pytest.mark.parametrize(("crowd", "names"), [("include", {"sky", "road", "car"}), ("exclude", {"sky", "road"})])
def test_panoptic_crowds(crowd, names, tmp_path):
    file = write_panoptic(tmp_path, made_up_frames(2), crowd=("car",))
    assert set(open_panoptic(file, tmp_path / "images", crowd=crowd).concepts) == names
    own = open_panoptic(file, tmp_path / "images", crowd="own")
    assert set(own.concepts) == {"sky", "road", "car (crowd)"}
    assert open_panoptic(file, tmp_path / "images", crowd="own", concepts=["car (crowd)"]).concepts == ("car (crowd)",)


BAD_PANOPTIC = {
    "a map outside": (lambda one: one.update(file_name="../x.png"), "leads out of the folder of maps"),
    "no segments": (lambda one: one.pop("segments_info"), "lacks image_id, file_name or segments_info"),
    "an image id in words": (lambda one: one.update(image_id="first"), "lacks image_id"),
    "a segment without id": (lambda one: one["segments_info"][0].pop("id"), "a segment without a whole number"),
    "a huge segment id": (lambda one: one["segments_info"][0].update(id=2**24), "a segment without a whole number"),
    "an id that is void": (lambda one: one["segments_info"][0].update(id=0), "a segment without a whole number from 1"),
    "an id twice": (lambda one: one["segments_info"][1].update(id=1), "two segments of the id 1"),
    "no category": (lambda one: one["segments_info"][0].pop("category_id"), "category_id that is not in categories"),
}


@pytest.mark.parametrize("case", BAD_PANOPTIC)
def test_bad_panoptic_files_are_refused(case, tmp_path):
    spoil, message = BAD_PANOPTIC[case]
    file = write_panoptic(tmp_path, made_up_frames(1))
    content = json.loads(file.read_text())
    spoil(content["annotations"][0])
    file.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        open_panoptic(file, tmp_path / "images")


@pytest.mark.parametrize("case", BAD_PANOPTIC)
def test_bad_panoptic_entries_are_problems_where_they_are_left_out(case, tmp_path):
    spoil, message = BAD_PANOPTIC[case]
    file = write_panoptic(tmp_path, made_up_frames(2))
    content = json.loads(file.read_text())
    spoil(content["annotations"][0])
    file.write_text(json.dumps(content))
    data = open_panoptic(file, tmp_path / "images", faulty="leave out")
    (problem,) = data.problems
    assert problem.annotation == "entry 0 of annotations" and re.search(message, problem.reason)
    assert data.items[-1].image == "seq0_001.jpg" and len(data.items[-1].pairs) == 3


def test_segments_that_are_not_listed_and_annotations_of_no_image_are_problems(tmp_path):
    file = write_panoptic(tmp_path, made_up_frames(3))
    content = json.loads(file.read_text())
    content["annotations"][0]["segments_info"].pop()
    content["annotations"][1]["image_id"] = 77
    file.write_text(json.dumps(content))
    found = check_data(open_panoptic(file, tmp_path / "images")).problems
    assert [(one.file, one.annotation, one.status) for one in found] == [
        (str(file), "entry 1 of annotations", "image_not_listed"),
        ("seq0_000.jpg", "label map", "entry_unusable"),
    ]
    assert "1 segment of its map" in found[1].reason and "140001" in found[1].reason


def test_a_missing_map_is_a_fault_of_each_mask(tmp_path):
    file = write_panoptic(tmp_path, made_up_frames(1))
    (tmp_path / "panoptic_val" / "seq0_000.png").unlink()
    data = open_panoptic(file, tmp_path / "images")
    assert [mask.status for mask in data.masks(data.items[0])] == ["mask_unreadable"] * 3


@pytest.mark.parametrize(("kind", "cure"), [("voc", "open the folders as `labels`"), ("cityscapes", "original PNGs")])
def test_kinds_without_a_class_table_do_not_advise_one_for_maps_in_colors(kind, cure, tmp_path):
    (write_voc if kind == "voc" else write_cityscapes)(tmp_path, made_up_frames(1), {0: 7})
    folder, end = ("SegmentationClass", "") if kind == "voc" else ("gtFine", "_labelIds")
    for file in (tmp_path / folder).rglob(f"*{end}.png"):
        save(file, np.arange(48 * 64 * 3).reshape(48, 64, 3).astype(np.uint8))
    with pytest.raises(InputError, match=f"is in colors .*{cure}") as error:
        (open_voc if kind == "voc" else open_cityscapes)(tmp_path)
    assert "Give a table" not in str(error.value)


def test_cityscapes_without_its_ids_says_what_the_maps_are_called(tmp_path):
    write_cityscapes(tmp_path, made_up_frames(1), {0: 7})
    for file in (tmp_path / "gtFine").rglob("*_labelIds.png"):
        file.rename(file.with_name(file.name.replace("labelIds", "labelTrainIds")))
    with pytest.raises(InputError, match=r"Expected are \*_leftImg8bit.\* and \*_gtFine_labelIds.\*"):
        open_cityscapes(tmp_path)


def test_camvid_with_a_table_of_colors_is_read_by_color(tmp_path):
    write_camvid(tmp_path, frames := made_up_frames(1))
    ((name, (_, labels)),) = frames.items()
    save(tmp_path / "trainannot" / f"{name}.png", np.take(np.array([*COLORS.values()], np.uint8), labels, axis=0))
    (tmp_path / "colors.txt").write_text("0 0 142 car\n")
    data = open_camvid(tmp_path, classes=tmp_path / "colors.txt")
    np.testing.assert_array_equal(data.masks(data.items[0])[0], labels == 2)


def png_of_gray(pixels, bits):
    """The bytes of a PNG of gray with 2 or 4 bits per pixel, which Pillow does not write."""
    height, width = pixels.shape
    shifts = np.arange(8 - bits, -1, -bits)
    rows = (pixels.reshape(height, -1, 8 // bits) << shifts).sum(axis=2).astype(np.uint8)
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))),
        (b"IEND", b""),
    ]
    chunks = [struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("bits", [2, 4])
def test_numbers_that_pillow_stretches_are_refused(bits, tmp_path):
    write_labels(tmp_path, frames := made_up_frames(1))
    ((name, (_, labels)),) = frames.items()
    file = tmp_path / "labels" / f"{name}.png"
    file.write_bytes(png_of_gray(labels, bits))
    assert np.asarray(Image.open(file)).max() == 3 * (85 if bits == 2 else 17), "what makes class 1 another one"
    with pytest.raises(InputError, match="2 or 4 bits per pixel"):
        open_labels(tmp_path)


def test_numbers_of_16_bits_are_no_colors(tmp_path):
    write_labels(tmp_path, made_up_frames(1), "color")
    for file in (tmp_path / "labels").iterdir():  # 300 would be cut to 255, and 255 255 255 is a class
        save(file, np.full((48, 64), 300, np.uint16))
    (tmp_path / "classes.txt").write_text("255 255 255 marking\n")
    with pytest.raises(InputError, match="more than 8 bits, not colors"):
        open_labels(tmp_path)


def test_names_with_accents_are_paired_however_they_are_encoded(tmp_path):
    (photo, labels) = made_up_frames(1).popitem()[1]
    save(tmp_path / "images" / f"{unicodedata.normalize('NFC', 'é')}.png", photo)
    save(tmp_path / "labels" / f"{unicodedata.normalize('NFD', 'é')}.png", labels)
    (tmp_path / "classes.txt").write_text("2 car\n")
    assert open_labels(tmp_path).problems == ()
