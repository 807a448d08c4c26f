"""CVAT's XML: polygons, masks and boxes; a document type is refused; whatever is wrong stays with its shape."""

import numpy as np
import pytest
from PIL import Image

from loce_jax.checks import InputError
from loce_jax.data import DataOptions, open_cvat, select
from loce_jax.data.annotations.cvat import BoxRuns
from loce_jax.data.samples import Fault

HEAD = '<?xml version="1.0" encoding="utf-8"?>\n'
POLYGON = '<polygon label="car" points="2.0,3.0;10.0,3.0;10.0,9.0;2.0,9.0"/>'
BOX = '<box label="truck" xtl="4" ytl="5" xbr="14" ybr="9"/>'
MASK = '<mask label="tree" rle="2, 3, 5, 2" left="20" top="4" width="4" height="3"/>'


def write(folder, shapes, name="a.png", head=HEAD):
    (folder / "images").mkdir(exist_ok=True)
    Image.new("RGB", (30, 20)).save(folder / "images" / "a.png")
    image = f'<image id="0" name="{name}" width="30" height="20">{shapes}</image>'
    (folder / "annotations.xml").write_text(f"{head}<annotations><version>1.1</version>{image}</annotations>")
    return folder


def test_polygons_and_masks_are_read(tmp_path):
    data = open_cvat(write(tmp_path, POLYGON + MASK))
    assert data.concepts == ("car", "tree") and data.problems == ()
    car, tree = data.read(data.items[0]).masks
    assert car.sum() == 48 and car[3:9, 2:10].all()
    rows = np.array([[0, 0, 1, 1], [1, 0, 0, 0], [0, 0, 1, 1]], bool)
    np.testing.assert_array_equal(tree[4:7, 20:24], rows)
    assert tree.sum() == rows.sum()


def test_boxes_are_masks_when_asked_for(tmp_path):
    data = open_cvat(write(tmp_path, BOX))
    assert [problem.status for problem in data.problems] == ["no_area"]
    boxes = select(data, DataOptions(masks="rectangle"))
    assert boxes.read(boxes.items[0]).masks[0].sum() == 40


BAD_SHAPES = {
    "no points": ('<polygon label="car"/>', "it lacks 'points'"),
    "half a point": ('<polygon label="car" points="1,2;3"/>', "its points are not"),
    "words": ('<polygon label="car" points="a,b;c,d;e,f"/>', "could not convert"),
    "a point": ('<points label="car" points="1,2"/>', "its kind 'points' is not read"),
    "outside": ('<polygon label="car" outside="1" points="2,3;10,3;10,9"/>', "marked as outside"),
    "rotated": ('<box label="car" rotation="30" xtl="4" ytl="5" xbr="14" ybr="9"/>', "is rotated"),
    "runs in words": ('<mask label="car" rle="x" left="2" top="4" width="4" height="3"/>', "not whole numbers"),
}


@pytest.mark.parametrize("case", BAD_SHAPES)
def test_shapes_that_cannot_be_read_are_problems(case, tmp_path):
    shape, message = BAD_SHAPES[case]
    data = open_cvat(write(tmp_path, shape + MASK))
    (problem,) = data.problems
    assert message in problem.reason and problem.file == "a.png" and problem.concept == "car"
    assert data.concepts == ("tree",)


@pytest.mark.parametrize(
    "runs",
    [BoxRuns(20, 4, 40, 3, (120,)), BoxRuns(-1, 4, 4, 3, (12,)), BoxRuns(2, 4, 4, 3, (11,)), BoxRuns(2, 4, 0, 3, ())],
)
def test_runs_that_do_not_fit_are_refused(runs):
    with pytest.raises(ValueError, match="its box leaves|do not fill"):
        runs.decode((20, 30))


def test_a_mask_that_does_not_fit_is_a_fault_of_its_pair(tmp_path):
    shape = '<mask label="car" rle="12" left="28" top="4" width="4" height="3"/>'
    data = open_cvat(write(tmp_path, shape + MASK))
    fault, tree = data.masks(data.items[0])
    assert isinstance(fault, Fault) and "shape 1 of the file, a mask: its box leaves" in fault.reason and tree.any()


BOMB = HEAD + '<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx"><!ENTITY y "&x;&x;&x;&x;">]>'
BAD_FILES = {
    "entities": (dict(shapes=POLYGON, head=BOMB), "has a document type"),
    "an outer entity": (dict(shapes="", head=HEAD + '<!DOCTYPE a SYSTEM "file:///etc/passwd">'), "a document type"),
    "a name outside": (dict(shapes=POLYGON, name="../a.png"), "leads out of the folder"),
    "no shapes": (dict(shapes=""), "no image has an annotation"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_files_are_refused(case, tmp_path):
    given, message = BAD_FILES[case]
    with pytest.raises(InputError, match=message):
        open_cvat(write(tmp_path, **given))


@pytest.mark.parametrize("text", ["", "{}", "<a>", "<a/>", "<annotations><track label='car'/></annotations>"], ids=str)
def test_what_is_no_export_is_refused(text, tmp_path):
    write(tmp_path, POLYGON)
    (tmp_path / "annotations.xml").write_text(text)
    with pytest.raises(InputError, match="`path` must be an export of CVAT"):
        open_cvat(tmp_path)


def test_a_shape_without_a_label_is_a_problem_of_its_own(tmp_path):
    bare = POLYGON.replace(' label="car"', "")
    (problem,) = open_cvat(write(tmp_path, bare + MASK)).problems
    assert (problem.annotation, problem.reason) == ("shape 1 of the file, a polygon", "it has no label.")


def test_two_images_of_one_name_are_a_problem_where_such_are_left_out(tmp_path):
    image = '<image id="1" name="a.png" width="30" height="20"/>'
    write(tmp_path, POLYGON + f"</image>{image}<image>")
    file = tmp_path / "annotations.xml"
    file.write_text(file.read_text().replace("<image></image>", ""))
    with pytest.raises(InputError, match="both the file 'a.png'"):
        open_cvat(tmp_path)
    (problem,) = open_cvat(tmp_path, faulty="leave out").problems
    assert (problem.annotation, problem.status) == ("image 1", "entry_unusable"), "CVAT's own number"
