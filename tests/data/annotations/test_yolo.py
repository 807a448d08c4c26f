"""YOLO's text files: outlines are pixels, boxes are counted, bad lines are problems of their own."""

import numpy as np
import pytest
from PIL import Image

from loce_jax.checks import InputError
from loce_jax.data import DataOptions, open_yolo, select
from loce_jax.data.checking import check_data
from tests.support.trees import made_up_frames, write_yolo


@pytest.mark.parametrize("layout", ["images/train", "train/images", "images"])
@pytest.mark.parametrize("names", ["list", "numbers"])
def test_outlines_become_masks(layout, names, tmp_path):
    frames = made_up_frames(2)
    write_yolo(tmp_path, frames, layout, names)
    data = open_yolo(tmp_path, split=None if layout == "images" else "train")
    assert data.concepts == ("sky", "road", "car") and data.problems == () and len(data.items) == 2
    for item, (photo, labels) in zip(data.items, frames.values(), strict=True):
        reading = data.read(item)
        assert reading.photo.shape == photo.shape
        np.testing.assert_array_equal(reading.masks[2], labels == 2)  # a box of whole pixels
    assert open_yolo(tmp_path / "data.yaml").items == open_yolo(tmp_path).items


def test_bad_lines_are_problems_and_the_others_are_read(tmp_path):
    write_yolo(tmp_path, made_up_frames(1))
    file = next((tmp_path / "labels" / "train").glob("*.txt"))
    good = file.read_text()
    bad = ["7 0 0 1 0 1 1", "car 0 0 1 0 1 1", "1 0 0 1 0 1", "1 0 0 nan 0 1 1", "1 0 0 x 0 1 1", "2"]
    file.write_text(good + "\n" + "\n".join(bad))
    data = open_yolo(tmp_path)
    assert [problem.status for problem in data.problems] == ["mask_unreadable"] * 6
    assert data.problems[0].annotation.startswith("labels/train/seq0_000.txt, line ")
    assert "7" in data.problems[0].reason and "'nan'" in data.problems[3].reason
    assert all(isinstance(mask, np.ndarray) for mask in data.masks(data.items[0]))


def test_a_file_with_a_byte_order_mark_loses_no_line(tmp_path):
    write_yolo(tmp_path, made_up_frames(1))
    file = next((tmp_path / "labels" / "train").glob("*.txt"))
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    data = open_yolo(tmp_path)
    assert data.problems == () and len(data.items[0].pairs) == 3


def test_where_all_lines_are_bad_the_message_names_the_first(tmp_path):
    write_yolo(tmp_path, made_up_frames(1))
    next((tmp_path / "labels" / "train").glob("*.txt")).write_text("7 0 0 1 0 1 1\n8 0 0 1 0 1 1\n")
    with pytest.raises(
        InputError, match="2 problems met, first labels/train/seq0_000.txt, line 1: its class '7'"
    ) as error:
        open_yolo(tmp_path)
    assert "COCO" not in str(error.value)


def test_an_outline_without_a_pixel_is_told_by_its_line(tmp_path):
    write_yolo(tmp_path, made_up_frames(1))
    next((tmp_path / "labels" / "train").glob("*.txt")).write_text("2 0.501 0.501 0.502 0.501 0.502 0.502\n")
    (problem,) = check_data(open_yolo(tmp_path)).problems
    assert (problem.annotation, problem.status) == ("labels/train/seq0_000.txt, line 1", "mask_empty")


def test_boxes_are_counted_and_are_masks_when_asked_for(tmp_path):
    write_yolo(tmp_path, made_up_frames(1))
    next((tmp_path / "labels" / "train").glob("*.txt")).write_text("2 0.5 0.5 0.25 0.5\n")
    data = open_yolo(tmp_path)
    assert [problem.status for problem in data.problems] == ["no_area"]
    boxes = select(data, DataOptions(masks="rectangle"))
    mask = boxes.read(boxes.items[0]).masks[0]
    assert mask.sum() == 16 * 24 and mask[12:36, 24:40].all()


def test_names_may_come_from_a_class_table_or_a_text_file(tmp_path):
    write_yolo(tmp_path, made_up_frames(1))
    (tmp_path / "data.yaml").unlink()
    with pytest.raises(InputError, match="must hold a data.yaml with `names`"):
        open_yolo(tmp_path)
    (tmp_path / "classes.txt").write_text("sky\nroad\ncar")
    assert open_yolo(tmp_path).concepts == ("sky", "road", "car")


@pytest.mark.parametrize(
    "text",
    [
        "names: 3",
        "names: {a: b}",
        "names: [[1]]",
        "{",
        "names: !!python/object/apply:os.system [ls]",
        "\x00",
        "[" * 3000,
    ],
    ids=["number", "words", "nested", "broken", "object", "nul", "deep"],
)
def test_what_is_no_yaml_with_names_is_refused(text, tmp_path):
    write_yolo(tmp_path, made_up_frames(1))
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(InputError, match="`path` must hold a data.yaml"):
        open_yolo(tmp_path)


def test_a_photo_with_an_orientation_has_the_size_that_is_seen(tmp_path):
    write_yolo(tmp_path, made_up_frames(1))
    file = next((tmp_path / "images" / "train").glob("*"))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(file).save(file.with_suffix(".jpg"), exif=exif)
    file.unlink()
    data = open_yolo(tmp_path)
    assert data.items[0].size == (64, 48) and data.read(data.items[0]).photo.shape == (64, 48, 3)


@pytest.mark.parametrize(
    ("names", "named"),
    [
        ("{0: sky, 1: road, 1: car}", "'1' stands twice, in line 2"),
        ("{0: sky, 1: road, '1': car}", "'1' stands twice"),
        ("{0: sky, 1: road, '01': car}", "gives number 1 two"),
        ("[sky, road]\nnames: [car]", "'names' stands twice, in line 3"),
    ],
)
def test_a_number_with_two_names_is_refused(names, named, tmp_path):
    write_yolo(tmp_path, made_up_frames(1))
    (tmp_path / "data.yaml").write_text(f"path: here\nnames: {names}\n")
    with pytest.raises(InputError, match=f"data.yaml.*{named}"):
        open_yolo(tmp_path)


@pytest.mark.parametrize(
    "line", ["2 10 10 200 10 200 200", "2 0.5 0.5 0.2 0.2 0.1 0.1 2 0.3 0.3 2"], ids=["pixels", "pose"]
)
def test_numbers_that_are_no_shares_are_problems(line, tmp_path):
    write_yolo(tmp_path, made_up_frames(2))
    sorted((tmp_path / "labels" / "train").glob("*.txt"))[0].write_text(line)
    (problem,) = open_yolo(tmp_path).problems
    assert "not a share of the image's side" in problem.reason and problem.annotation.endswith("line 1")


def test_a_data_set_of_poses_is_refused(tmp_path):
    write_yolo(tmp_path, made_up_frames(1))
    (tmp_path / "data.yaml").write_text("names: [sky, road, car]\nkpt_shape: [17, 3]\n")
    with pytest.raises(InputError, match="`kpt_shape`: its lines are boxes and keypoints"):
        open_yolo(tmp_path)


def test_two_classes_of_one_name_are_a_problem_where_such_are_left_out(tmp_path):
    write_yolo(tmp_path, made_up_frames(1))
    (tmp_path / "data.yaml").write_text("names: [sky, car, car]")
    with pytest.raises(InputError, match="`path` must hold annotations that can be used.*both called 'car'"):
        open_yolo(tmp_path)
    (problem,) = open_yolo(tmp_path, faulty="leave out").problems
    assert "is called 'car', as is category 1" in problem.reason
