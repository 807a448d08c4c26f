"""Photos that change while a run is made are found; that they were copied or touched changes nothing."""

import os
import shutil

import numpy as np
import pytest

from loce_jax import InputError
from loce_jax.data import DataOptions, select
from loce_jax.data.samples import Reading
from loce_jax.pipeline.plan import make_plan
from loce_jax.pipeline.resuming.photo_digests import photo_entry
from loce_jax.pipeline.run import RunOptions, run_plan
from tests.pipeline.resuming.small import NETWORK, RECIPES, fit, invert
from tests.support.small_coco import contents
from tests.support.tiny import Boxes


@pytest.mark.parametrize("recipe", ["paper", "ridge"])
def test_pixels_that_change_between_start_and_resume_are_found(folder, recipe):
    fit(folder, folder / "run", recipe)
    (folder / "run" / "chunks" / "00002.json").unlink()
    invert(folder / "images" / "001.png")
    with pytest.raises(InputError, match="1 have changed since: '001.png'. Bring the former photos back"):
        fit(folder, folder / "run", recipe)


def test_pixels_that_change_between_the_two_passes_are_found(folder):
    fit(folder, folder / "run", "ridge")
    (folder / "run" / "chunks" / "00002.json").unlink()
    invert(folder / "images" / "004.png")  # of no chunk that is there
    with pytest.raises(InputError, match="1 have changed since: '004.png'"):
        fit(folder, folder / "run", "ridge")


def test_a_photo_that_became_a_named_pipe_is_found_and_not_waited_for(folder):
    fit(folder, folder / "run")
    (folder / "run" / "chunks" / "00002.json").unlink()
    (folder / "images" / "001.png").unlink()
    os.mkfifo(folder / "images" / "001.png")
    with pytest.raises(InputError, match="1 have changed since: '001.png'"):
        fit(folder, folder / "run")


def test_copied_and_touched_photos_are_the_same_photos(folder):
    fit(folder, folder / "run")
    whole = contents(folder / "run")
    (folder / "run" / "chunks" / "00002.json").unlink()
    for path in (folder / "images").iterdir():
        times = path.stat()
        shutil.copyfile(path, f"{path}.copy")
        os.replace(f"{path}.copy", path)
        os.utime(path, ns=(0, 1))
        if path.name in ("004.png", "005.png"):  # of the chunk that is missing: its record has the time of change
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    fit(folder, folder / "run")
    assert contents(folder / "run") == whole


@pytest.mark.parametrize("recipe", ["paper", "ridge"])
@pytest.mark.parametrize("wrap", [lambda boxes: boxes, lambda boxes: select(boxes, DataOptions(max_images=6))])
def test_pixels_that_change_without_files_are_found_by_who_goes_on(folder, recipe, wrap):
    def go_on(boxes):
        plan = make_plan(NETWORK, ("shallow",), wrap(boxes), RECIPES[recipe])
        return run_plan(plan, folder / "boxes", RunOptions(retry_failed=False))

    run = go_on(Boxes(7))
    whole = contents(run.path)
    image = run.table["image"][0]
    others = Inverted(7, image)
    assert go_on(others).complete, "nothing is left to do, so that nothing is mixed"
    (run.path / "chunks" / "00001.json").unlink()
    with pytest.raises(InputError, match=f"1 have changed since: '{image}'. Bring the former photos back"):
        go_on(others)
    go_on(Boxes(7))
    assert contents(run.path) == whole


class Inverted(Boxes):
    """Other pixels in one image, under the same fingerprint."""

    def __init__(self, count, image):
        super().__init__(count)
        self.image = image

    def read(self, item):
        reading = super().read(item)
        return Reading(255 - reading.photo, reading.masks) if item.image == self.image else reading


def test_a_data_set_without_files_has_its_pixels_and_masks_digested():
    boxes = Boxes(2)
    readings = [boxes.read(item) for item in boxes.items]
    digests = {photo_entry(boxes, item, reading)[0] for item, reading in zip(boxes.items, readings, strict=True)}
    assert len(digests) == 2
    mask = readings[0].masks[0]
    assert isinstance(mask, np.ndarray)
    mask[0, 0] = True
    assert photo_entry(boxes, boxes.items[0], readings[0])[0] not in digests
