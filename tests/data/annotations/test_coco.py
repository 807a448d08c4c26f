"""`open_coco`: good files are read, bad files are refused with one clear sentence, bad images stay alone."""

import copy
import inspect
import json
import os
from typing import Any

import numpy as np
import pytest
from PIL import Image

from loce_jax.checks import InputError
from loce_jax.data import open_coco
from loce_jax.data.annotations.masks import union_mask
from loce_jax.data.checking import check_data
from loce_jax.data.samples import Fault
from loce_jax.data.selection import DataOptions, select
from tests.support.selection import further


def square():
    return [[2, 2, 10, 2, 10, 10, 2, 10]]


WHOLE = {"size": [20, 30], "counts": [0, 600]}
NOTHING = {"size": [20, 30], "counts": [600]}


def small_coco() -> dict[str, Any]:
    """Two images, two concepts, three pairs, four annotations."""
    return {
        "categories": [{"id": 5, "name": "cat"}, {"id": 2, "name": "dog"}, {"id": 9, "name": "cow"}],
        "images": [
            {"id": 1, "file_name": "sub/b.png", "height": 20, "width": 30},
            {"id": 7, "file_name": "a.png", "height": 20, "width": 30},
            {"id": 8, "file_name": "unused.png", "height": 20, "width": 30},
        ],
        "annotations": [
            {
                "id": 12,
                "image_id": 1,
                "category_id": 5,
                "segmentation": square(),
                "iscrowd": 0,
            },
            {"id": 11, "image_id": 1, "category_id": 5, "segmentation": [[15, 2, 28, 2, 28, 9]], "iscrowd": 0},
            {
                "id": 13,
                "image_id": 1,
                "category_id": 2,
                "segmentation": square(),
                "iscrowd": 0,
            },
            {
                "id": 14,
                "image_id": 7,
                "category_id": 5,
                "segmentation": {"size": [20, 30], "counts": [100, 50, 450]},
                "iscrowd": 1,
            },
        ],
    }


def write(folder, content):
    """Write images and annotations; `content` may be the text itself."""
    (folder / "images" / "sub").mkdir(parents=True, exist_ok=True)
    for name in ("a.png", "sub/b.png"):
        Image.new("RGB", (30, 20), "teal").save(folder / "images" / name)
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "small.json").write_text(text)
    return folder / "small.json", folder / "images"


def refused(folder, content, match, **options):
    with pytest.raises(InputError, match=match):
        open_coco(*write(folder, content), **options)


def test_items_are_ordered_and_carry_their_facts(tmp_path):
    data = open_coco(*write(tmp_path, small_coco()))
    assert data.name == "small" and data.concepts == ("dog", "cat")
    assert [(item.image, item.image_id, item.size) for item in data.items] == [
        ("a.png", 7, (20, 30)),
        ("sub/b.png", 1, (20, 30)),
    ]
    (crowd,), (dog, cat) = (item.pairs for item in data.items)
    assert (dog.concept, cat.concept) == ("dog", "cat") and cat.annotation_ids == (11, 12)
    assert dict(cat.attributes) == {"instances": 2, "crowd": 0}
    assert dict(crowd.attributes) == {"instances": 1, "crowd": 1}


def test_masks_are_unions_and_crowds_count(tmp_path):
    data = open_coco(*write(tmp_path, small_coco()))
    crowd, both = (data.read(item) for item in data.items)
    dog, cat = both.masks
    assert isinstance(crowd.masks[0], np.ndarray) and crowd.masks[0].sum() == 50
    assert isinstance(dog, np.ndarray) and isinstance(cat, np.ndarray)
    assert dog.sum() == 64 and cat[2:10, 2:10].all() and cat[3, 27] and not cat[15, 15]
    assert both.photo.shape == (20, 30, 3)


def test_opening_decodes_no_mask_and_reading_only_its_own(tmp_path, monkeypatch):
    from loce_jax.data.annotations import dataset

    decoded = []

    def watched(annotations, size):
        annotations = list(annotations)
        decoded.extend(annotation["id"] for annotation in annotations)
        return union_mask(annotations, size)

    monkeypatch.setattr(dataset, "union_mask", watched)
    data = open_coco(*write(tmp_path, small_coco()))
    assert decoded == []
    data.read(data.items[0])
    assert decoded == [14]


def test_only_requested_concepts_and_their_images(tmp_path):
    data = open_coco(*write(tmp_path, small_coco()), concepts=["dog"])
    assert data.concepts == ("dog",) and [item.image for item in data.items] == ["sub/b.png"]
    assert [pair.concept for pair in data.items[0].pairs] == ["dog"]


def test_a_requested_concept_without_annotations_is_reported(tmp_path, caplog):
    data = open_coco(*write(tmp_path, small_coco()), concepts=["dog", "cow"])
    assert data.concepts == ("dog",) and "cow" in caplog.text


def test_fingerprint_follows_what_is_used_and_nothing_else(tmp_path):
    def digest(content, **options):
        return open_coco(*write(tmp_path, content), **options).fingerprint

    base = small_coco()
    same = copy.deepcopy(base)
    same["info"] = "new"
    same["annotations"].reverse()
    same["images"][0]["license"] = 3
    assert digest(base) == digest(same)
    changed = copy.deepcopy(base)
    changed["annotations"][3]["segmentation"]["counts"] = [101, 49, 450]
    renamed = copy.deepcopy(base)
    renamed["categories"][0]["name"] = "kitten"
    assert len({digest(base), digest(changed), digest(renamed), digest(base, concepts=["cat"])}) == 4
    assert digest(base, concepts=["dog"]) == digest(changed, concepts=["dog"])


def test_one_bad_mask_spoils_only_its_pair(tmp_path):
    content = small_coco()
    content["annotations"][0]["segmentation"] = [[1, 1, 1e9, 1, 1e9, 1e9]]
    data = open_coco(*write(tmp_path, content))
    dog, cat = data.read(data.items[1]).masks
    assert isinstance(dog, np.ndarray) and isinstance(cat, Fault)
    assert cat.status == "mask_unreadable" and "annotation 12" in cat.reason


@pytest.mark.parametrize(("segmentation", "status"), [(WHOLE, "mask_full"), (NOTHING, "mask_empty")])
def test_masks_that_hold_nothing_to_find(tmp_path, segmentation, status):
    content = small_coco()
    content["annotations"][3]["segmentation"] = segmentation
    data = open_coco(*write(tmp_path, content))
    (mask,) = data.read(data.items[0]).masks
    assert isinstance(mask, Fault) and mask.status == status and "cat" in mask.reason and "a.png" in mask.reason


@pytest.mark.parametrize("status", ["image_missing", "image_unreadable", "size_mismatch"])
def test_images_that_cannot_be_used_raise_their_fault(tmp_path, status):
    annotations, images = write(tmp_path, small_coco())
    data = open_coco(annotations, images)
    if status == "image_missing":
        (images / "a.png").unlink()
    elif status == "image_unreadable":
        (images / "a.png").write_bytes(b"nothing")
    else:
        Image.new("RGB", (31, 20)).save(images / "a.png")
    with pytest.raises(Fault) as caught:
        data.read(data.items[0])
    assert caught.value.status == status
    assert len(data.read(data.items[1]).masks) == 2


BAD_TEXTS = {
    "": "no JSON",
    "{": "no JSON",
    "[1, 2]": "no object with the lists",
    "null": "no object with the lists",
    '{"images": [], "annotations": []}': "no object with the lists",
    '{"images": {}, "annotations": [], "categories": []}': "no object with the lists",
    "[" * 200_000: "nested too deeply",
    '{"a":' * 200_000: "nested too deeply",
    '{"images": [], "images": [], "annotations": [], "categories": []}': "'images' stands twice",
    '{"images": [{"id": ' + "9" * 5000 + '}], "annotations": [], "categories": []}': "no JSON",
}


@pytest.mark.parametrize("text", BAD_TEXTS, ids=lambda text: text[:20])
def test_texts_that_are_no_coco_file(tmp_path, text):
    refused(tmp_path, text, BAD_TEXTS[text])


def test_bytes_that_are_no_text(tmp_path):
    annotations, images = write(tmp_path, small_coco())
    annotations.write_bytes(b"\xff\xfe\x00\xd8{")
    with pytest.raises(InputError, match="no JSON"):
        open_coco(annotations, images)


def test_paths_that_do_not_exist(tmp_path):
    annotations, images = write(tmp_path, small_coco())
    with pytest.raises(InputError, match="`path` must be an existing file"):
        open_coco(tmp_path / "no.json", images)
    with pytest.raises(InputError, match="`images` must be an existing folder"):
        open_coco(annotations, annotations)


def change(part, place, **values):
    def apply(content):
        content[part][place].update(values)

    return apply


def drop(part, place, key):
    return lambda content: content[part][place].pop(key)


def add(part, **values):
    return lambda content: content[part].append(content[part][0] | values)


BAD_CONTENTS = {
    "image id repeated": (add("images", file_name="c.png"), "two different entries of images have the id 1"),
    "annotation id repeated": (add("annotations", category_id=2), "different entries of annotations have the id 12"),
    "category id repeated": (add("categories", name="lion"), "different entries of categories have the id 5"),
    "category name repeated": (change("categories", 1, name="cat"), "5 and 2 are both called 'cat'"),
    "same file twice": (add("images", id=2), "image 1 and image 2 are both the file 'sub/b.png'"),
    "same file, spelt otherwise": (add("images", id=2, file_name="./sub//b.png"), "are both the file"),
    "truth value as id": (change("images", 0, id=True), "entry 0 of images"),
    "text as id": (change("annotations", 1, id="11a"), "entry 1 of annotations"),
    "half a number as id": (change("annotations", 1, id=11.5), "entry 1 of annotations"),
    "two spellings of an id": (
        change("annotations", 1, id="12"),
        "two different entries of annotations have the id 12",
    ),
    "no id": (drop("annotations", 2, "id"), "entry 2 of annotations"),
    "entry is no object": (lambda content: content["images"].append(3), "entry 3 of images"),
    "no width": (drop("images", 1, "width"), "image 7 has no height and width"),
    "width is NaN": (change("images", 1, width=float("nan")), "image 7 has no height and width"),
    "width is 1e999": (change("images", 1, width=float("inf")), "image 7 has no height and width"),
    "height is 0": (change("images", 1, height=0), "image 7 has no height and width"),
    "height is true": (change("images", 1, height=True), "image 7 has no height and width"),
    "file_name is a number": (change("images", 1, file_name=5), "image 7 has no file_name in letters, but 5"),
    "file_name is empty": (change("images", 1, file_name=""), "image 7 has no file_name"),
    "name is a number": (change("categories", 1, name=3), "category 2 has no name in letters, but 3"),
    "category unknown": (
        change("annotations", 1, category_id=77),
        "annotation 11 has a category_id that is not in cat",
    ),
    "two categories unknown": (
        lambda content: [content["annotations"][place].update(category_id=77) for place in (1, 2)],
        r"annotation 11 has a category_id that is not in categories \(the first of 2\)",
    ),
    "category missing": (drop("annotations", 1, "category_id"), "category_id that is not in categories"),
    "category is a list": (change("annotations", 1, category_id=[5]), "category_id that is not in categories"),
    "no annotations": (lambda content: content["annotations"].clear(), "no image has an annotation of dog, cat, cow"),
    "no images": (lambda content: content["images"].clear(), "none of the 4 annotations belongs to a listed image"),
}


@pytest.mark.parametrize("case", BAD_CONTENTS)
def test_contents_that_contradict_themselves(tmp_path, case):
    spoil, message = BAD_CONTENTS[case]
    content = small_coco()
    spoil(content)
    tail = r"\. Repair the file\.( `loce data check` lists all such entries\.)?$"
    refused(tmp_path, content, rf"`path` must hold annotations that can be used, .*{message}.*{tail}")


LISTED = {  # cases of BAD_CONTENTS: the entry, and words of the reason
    "image id repeated": ("image 1", "has the id of another entry"),
    "annotation id repeated": ("annotation 12", "has the id of another entry"),
    "category id repeated": ("category 5", "has the id of another entry"),
    "category name repeated": ("category 2", "is called 'cat', as is category 5"),
    "same file twice": ("image 2", "as is image 1"),
    "truth value as id": ("entry 0 of images", "whole number as its id"),
    "no width": ("image 7", "has no height and width"),
    "file_name is a number": ("image 7", "has no file_name in letters, but 5"),
    "name is a number": ("category 2", "has no name in letters, but 3"),
    "category unknown": ("annotation 11", "has a category_id that is not in categories"),
    "category is a list": ("annotation 11", "has a category_id that is not in categories"),
    "no images": ("annotations", "none of the 4 annotations"),
}


@pytest.mark.parametrize("case", LISTED)
def test_faulty_entries_are_left_out_and_listed_where_asked(tmp_path, case):
    content = small_coco()
    BAD_CONTENTS[case][0](content)
    annotations, images = write(tmp_path, content)
    data = open_coco(annotations, images, faulty="leave out")
    (problem,) = [one for one in data.problems if one.status == "entry_unusable"]
    assert (problem.file, problem.annotation) == (str(annotations), LISTED[case][0])
    assert LISTED[case][1] in problem.reason and problem.reason.startswith("it ")
    check_reading_of(data)


def test_all_faulty_entries_are_listed_and_the_others_are_read(tmp_path):
    content = small_coco()
    for case in ("annotation id repeated", "category unknown", "no width"):
        BAD_CONTENTS[case][0](content)
    data = open_coco(*write(tmp_path, content), faulty="leave out")
    assert [one.annotation for one in data.problems] == ["image 7", "annotation 12", "annotation 11"]
    expected = open_coco(*write(tmp_path, small_coco()))
    kept = {number for item in data.items for pair in item.pairs for number in pair.annotation_ids}
    every = {pair.annotation_ids for item in expected.items if item.image_id != 7 for pair in item.pairs}
    assert kept == {number for numbers in every for number in numbers} - {11}


def check_reading_of(data):
    for item in data.items:
        assert len(data.masks(item)) == len(item.pairs)


def test_unknown_concepts_get_a_suggestion(tmp_path):
    refused(tmp_path, small_coco(), r"unknown concept 'dgo'. Did you mean 'dog'\?", concepts=["dgo"])
    refused(tmp_path, small_coco(), "no image has an annotation of cow", concepts=["cow"])


def test_long_names_do_not_make_long_messages(tmp_path):
    content = small_coco()
    content["categories"][0]["name"] = "a" * 10_000
    refused(tmp_path, content, "^.{,500}$", concepts=["a"])
    content["annotations"].clear()
    refused(tmp_path, content, "^.{,500}$")


def test_exact_repetitions_and_lost_annotations_are_dropped_aloud(tmp_path, caplog):
    content = small_coco()
    expected = open_coco(*write(tmp_path, content))
    content["annotations"] += [content["annotations"][0], content["annotations"][1] | {"id": 99, "image_id": 12345}]
    content["images"].append(content["images"][0])
    data = open_coco(*write(tmp_path, content))
    assert data.items == expected.items and data.fingerprint == expected.fingerprint
    assert "left out 1 exact repetition in the list images" in caplog.text
    assert "left out 1 annotation of images that are not listed" in caplog.text


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../secret.png",
        "sub/../../secret.png",
        "sub/../a.png",
        "..",
        ".",
        "C:\\secret.png",
        "C:secret.png",
        "\\\\host\\share\\a.png",
        "sub\\..\\..\\secret.png",
        "a\0.png",
        "link/secret.png",
        "link.png",
        "loop.png",
        "\ud800.png",
    ],
)
def test_names_that_lead_out_of_the_folder_are_refused(tmp_path, name):
    annotations, images = write(tmp_path, small_coco())
    (tmp_path / "outside").mkdir()
    Image.new("RGB", (30, 20)).save(tmp_path / "outside" / "secret.png")
    (images / "link").symlink_to(tmp_path / "outside")
    (images / "link.png").symlink_to(tmp_path / "outside" / "secret.png")
    (images / "loop.png").symlink_to("../images/../../" + tmp_path.name + "/outside")
    content = small_coco()
    content["images"][1]["file_name"] = name
    with pytest.raises(InputError, match="of image 7 leads out of the folder of images"):
        open_coco(*write(tmp_path, content))


def test_links_that_stay_inside_are_followed(tmp_path):
    _, images = write(tmp_path, small_coco())
    os.symlink("a.png", images / "inside.png")
    os.symlink(images, tmp_path / "other")
    content = small_coco()
    content["images"][1]["file_name"] = "inside.png"
    data = open_coco(write(tmp_path, content)[0], tmp_path / "other")
    assert data.read(data.items[0]).photo.shape == (20, 30, 3)


VALUES = (
    None,
    True,
    -1,
    0,
    1e308,
    float("nan"),
    float("inf"),
    10**30,
    "",
    "x",
    "../x",
    [],
    {},
    [[]],
    [[1, 2]],
    {"a": 1},
)


def places(value, found):
    """Every (container, key) inside `value`."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        found.append((value, key))
        if isinstance(value[key], (dict, list)):
            places(value[key], found)
    return found


@pytest.mark.parametrize("seed", [0, 1, 2, *further(*range(3, 20))])
def test_nothing_but_input_errors_and_faults_escapes(tmp_path, seed):
    rng = np.random.default_rng(seed)
    for _ in range(25):
        content = small_coco()
        for _ in range(rng.integers(1, 4)):
            spots = places(content, [])
            container, key = spots[rng.integers(len(spots))]
            if rng.random() < 0.2:
                del container[key]
            else:
                container[key] = copy.deepcopy(VALUES[rng.integers(len(VALUES))])
        try:
            data = open_coco(*write(tmp_path, content))
        except InputError:
            continue
        for item in data.items:
            try:
                reading = data.read(item)
            except Fault:
                continue
            assert len(reading.masks) == len(item.pairs)
            assert all(isinstance(mask, Fault) or 0 < mask.sum() < mask.size for mask in reading.masks)


SPELLINGS = {"text": str, "fraction": float, "text with a fraction": lambda number: f"{number}.0"}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("every", [1, 2])
def test_whole_numbers_are_read_in_any_spelling_and_mixed(tmp_path, spelling, every):
    expected = open_coco(*write(tmp_path, small_coco()))
    content = small_coco()
    spell = SPELLINGS[spelling]
    for part, keys in {
        "images": ("id", "height", "width"),
        "annotations": ("id", "image_id", "category_id", "iscrowd"),
        "categories": ("id",),
    }.items():
        for entry in content[part][::every]:
            entry.update({key: spell(entry[key]) for key in keys})
    runs = content["annotations"][3]["segmentation"]
    runs.update(size=[spell(side) for side in runs["size"]], counts=[float(run) for run in runs["counts"]])
    data = open_coco(*write(tmp_path, content))
    assert data.items == expected.items and data.problems == ()
    for item in data.items:
        for mask, other in zip(data.masks(item), expected.masks(item), strict=True):
            np.testing.assert_array_equal(mask, other)


WITHOUT_AREA = {
    "a stray point": [[80.0, 60.0]],
    "a line": [[1, 1, 5, 5]],
    "nothing": [],
    "an empty polygon": [[]],
    "an empty object": {},
    "null": None,
}


@pytest.mark.parametrize("case", WITHOUT_AREA)
def test_parts_without_an_area_are_skipped_and_counted(tmp_path, case, caplog):
    content = small_coco()
    content["annotations"].append(content["annotations"][0] | {"id": 99, "segmentation": WITHOUT_AREA[case]})
    expected = open_coco(*write(tmp_path, small_coco()))
    data = open_coco(*write(tmp_path, content))
    assert data.items == expected.items
    (problem,) = data.problems
    assert (problem.file, problem.annotation, problem.status) == ("sub/b.png", "annotation 99", "no_area")
    assert "left out 1 part of annotations without an area" in caplog.text


def test_a_stray_point_beside_an_outline_is_skipped(tmp_path):
    content = small_coco()
    content["annotations"][0]["segmentation"].append([80.0, 60.0])
    expected, data = open_coco(*write(tmp_path, small_coco())), open_coco(*write(tmp_path, content))
    assert data.items == expected.items and len(data.problems) == 1
    np.testing.assert_array_equal(data.masks(data.items[1])[1], expected.masks(expected.items[1])[1])


def test_objects_with_boxes_only_are_masks_when_boxes_are_asked_for(tmp_path):
    content = small_coco()
    for annotation in content["annotations"]:
        annotation.update(segmentation=[], bbox=[2, 3, 10, 8])
    data = open_coco(*write(tmp_path, content))
    faults = [mask for item in data.items for mask in data.masks(item)]
    assert [fault.status for fault in faults] == ["mask_empty"] * 3
    assert "only boxes in a.png; the masks 'rectangle'" in faults[0].reason
    boxes = select(data, DataOptions(masks="rectangle"))
    mask = boxes.read(boxes.items[0]).masks[0]
    assert isinstance(mask, np.ndarray) and mask.sum() == 80 and mask[3:11, 2:12].all()


def test_polygons_of_two_points_are_not_called_boxes_and_are_one_problem(tmp_path):
    content = small_coco()
    for annotation in content["annotations"]:
        annotation.update(segmentation=[[1, 1, 9, 9]], bbox=[1, 1, 8, 8])
    data = open_coco(*write(tmp_path, content))
    (fault,) = data.masks(data.items[0])
    assert "cat has no polygon of 3 or more points in a.png" in fault.reason
    report = check_data(data)
    assert [problem.status for problem in report.problems] == ["no_area"] * 4
    assert {problem.reason for problem in report.problems} == {"it has a polygon of 2 points."}
    assert sum(one.problems for one in report.concepts) == 4


def test_an_unused_category_may_share_a_name(tmp_path):
    content = small_coco()
    content["categories"].insert(0, {"id": 0, "name": "cat", "supercategory": "none"})
    data = open_coco(*write(tmp_path, content))
    assert data.concepts == ("dog", "cat") and data.items == open_coco(*write(tmp_path, small_coco())).items


def test_names_from_windows_are_read_as_such_unless_a_file_has_that_very_name(tmp_path):
    content = small_coco()
    content["images"][0]["file_name"] = "sub\\b.png"
    annotations, images = write(tmp_path, content)
    assert [item.image for item in open_coco(annotations, images).items] == ["a.png", "sub/b.png"]
    (images / "sub\\b.png").write_bytes((images / "a.png").read_bytes())
    assert [item.image for item in open_coco(annotations, images).items] == ["a.png", "sub\\b.png"]


@pytest.mark.parametrize("folder", [".", "sub"])
def test_images_of_lvis_are_found_by_the_end_of_their_url(tmp_path, folder):
    content = small_coco()
    for image in content["images"]:
        name = image.pop("file_name").rpartition("/")[2]
        image["coco_url"] = f"http://images.cocodataset.org/sub/{name}"
    annotations, images = write(tmp_path, content)
    (images / "a.png").rename(images / "sub" / "a.png")
    data = open_coco(annotations, images / folder)
    assert [len(data.read(item).masks) for item in data.items] == [1, 2]
    assert {item.image for item in data.items} == ({"sub/a.png", "sub/b.png"} if folder == "." else {"a.png", "b.png"})


@pytest.mark.parametrize(("crowd", "instances"), [("include", {"cat": 3, "dog": 1}), ("exclude", {"cat": 2, "dog": 1})])
def test_crowds_are_included_or_left_out(tmp_path, crowd, instances):
    data = open_coco(*write(tmp_path, small_coco()), crowd=crowd)
    found = {}
    for item in data.items:
        for pair in item.pairs:
            found[pair.concept] = found.get(pair.concept, 0) + dict(pair.attributes)["instances"]
    assert found == instances


@pytest.mark.parametrize(("spelled", "crowd"), [(True, 1), ("1", 1), (1.0, 1), (False, 0), (None, 0), ("no", 0)])
def test_crowds_in_any_spelling(spelled, crowd, tmp_path):
    content = small_coco()
    content["annotations"][3]["iscrowd"] = spelled
    data = open_coco(*write(tmp_path, content))
    assert dict(data.items[0].pairs[0].attributes)["crowd"] == crowd


def test_crowds_may_be_a_concept_of_their_own(tmp_path):
    data = open_coco(*write(tmp_path, small_coco()), crowd="own")
    assert data.concepts == ("dog", "cat", "cat (crowd)")
    assert [pair.concept for pair in data.items[0].pairs] == ["cat (crowd)"]
    with pytest.raises(InputError, match="unknown crowd policy 'ignore'"):
        inspect.unwrap(open_coco)(*write(tmp_path, small_coco()), crowd="ignore")


def test_coco_open_is_read_whole(shared):
    folder = shared("data", "coco_open")
    data = open_coco(folder / "instances.json", folder / "images")
    assert len(data.items) == 208, "211 images, of which 3 have no annotation"
    assert sum(len(item.pairs) for item in data.items) == 710
    assert len(data.concepts) == 77 and data.concepts[0] == "person"
    readings = [data.read(item) for item in data.items[::7]]
    assert all(isinstance(mask, np.ndarray) for reading in readings for mask in reading.masks)


def test_coco_open_people(shared):
    folder = shared("data", "coco_open")
    data = open_coco(folder / "instances.json", folder / "images", concepts=["person"])
    assert len(data.items) == 105 and data.concepts == ("person",)


def test_capybara_is_read_whole(shared):
    folder = shared("data", "capybara")
    data = open_coco(folder / "instances.json", folder / "images")
    assert len(data.items) == 165 and data.concepts == ("capybara",)
    assert sum(len(item.pairs[0].annotation_ids) for item in data.items) == 275
    cover = [mask.mean() for item in data.items[::5] for mask in data.read(item).masks if isinstance(mask, np.ndarray)]
    assert len(cover) == 33 and 0.1 < np.median(cover) < 0.3
