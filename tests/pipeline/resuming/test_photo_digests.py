"""Photos that change while a run is made are found; that they were copied or touched changes nothing."""

import os
import shutil

import numpy as np
import pytest

from loce_jax import InputError
from loce_jax.pipeline.resuming.photo_digests import photo_entry
from tests.pipeline.resuming.small import fit, invert
from tests.support.small_coco import contents
from tests.support.tiny import Boxes


@pytest.mark.parametrize("recipe", ["paper", "ridge"])
def test_pixels_that_change_between_start_and_resume_are_found(folder, recipe):
    fit(folder, folder / "run", recipe)
    (folder / "run" / "chunks" / "00002.json").unlink()
    invert(folder / "images" / "001.png")
    with pytest.raises(InputError, match="1 have changed since: '001.png'. Bring the former files back"):
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


def test_a_data_set_without_files_has_its_pixels_and_masks_digested():
    boxes = Boxes(2)
    readings = [boxes.read(item) for item in boxes.items]
    digests = {photo_entry(boxes, item, reading)[0] for item, reading in zip(boxes.items, readings, strict=True)}
    assert len(digests) == 2
    mask = readings[0].masks[0]
    assert isinstance(mask, np.ndarray)
    mask[0, 0] = True
    assert photo_entry(boxes, boxes.items[0], readings[0])[0] not in digests
