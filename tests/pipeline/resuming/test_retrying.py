"""Rows that could not be read are tried again, too many of them are an error, and want of memory is no row's fault."""

import os
import re

import pytest

from loce_jax import InputError
from loce_jax.data.missing import why_missing
from loce_jax.pipeline.resuming.retrying import TooManyFailures
from loce_jax.pipeline.run import run_plan
from loce_jax.store import RunWriter, open_run
from tests.pipeline.resuming.small import fit, make
from tests.support.small_coco import contents


def hide(folder, *names):
    (folder / "away").mkdir(exist_ok=True)
    for name in names:
        os.rename(folder / "images" / name, folder / "away" / name)


def bring_back(folder):
    for path in (folder / "away").iterdir():
        os.rename(path, folder / "images" / path.name)


@pytest.mark.parametrize("recipe", ["paper", "ridge"])
def test_photos_that_come_back_are_solved_by_the_same_command_as_if_never_away(folder, recipe):
    fit(folder, folder / "whole", recipe)
    hide(folder, "002.png", "005.png")
    with pytest.raises(TooManyFailures, match=r"2 of 6 rows could not be read \(2 image_missing\), more than 0.05"):
        fit(folder, folder / "run", recipe, max_failures=0.05)
    run = open_run(folder / "run")
    assert run.complete and (run.table["status"] == "image_missing").sum() == 2
    kept = contents(folder / "run")
    with pytest.raises(TooManyFailures, match=r"'002.png': there is no file '.*images/002.png'"):
        fit(folder, folder / "run", recipe, max_failures=0.05)
    assert contents(folder / "run") == kept
    bring_back(folder)
    fit(folder, folder / "run", recipe, retry_failed=False)
    assert contents(folder / "run") == kept
    assert set(fit(folder, folder / "run", recipe, max_failures=0).table["status"]) == {"ok"}
    assert contents(folder / "run") == contents(folder / "whole")


def test_only_chunks_whose_photos_came_back_are_solved_again(folder, monkeypatch):
    hide(folder, "002.png", "005.png")
    fit(folder, folder / "run")
    os.rename(folder / "away" / "005.png", folder / "images" / "005.png")
    written, write = [], RunWriter.write

    def spy(self, chunk, *rest, **more):
        written.append(chunk)
        write(self, chunk, *rest, **more)

    monkeypatch.setattr(RunWriter, "write", spy)
    fit(folder, folder / "run")
    assert written == ["00002"]


@pytest.mark.slow
def test_a_photo_that_comes_back_between_the_passes_is_not_solved_with_statistics_that_lack_it(folder, monkeypatch):
    fit(folder, folder / "whole", "ridge")
    hide(folder, "002.png")
    plan = make(folder, "ridge")

    def progress(done, total):
        if done == 6 and not (folder / "images" / "002.png").exists():  # the first pass has ended
            bring_back(folder)

    run = run_plan(plan, folder / "run", progress=progress)
    (row,) = run.select(image="002.png")
    assert run.table["status"][row] == "image_missing" and "in the first pass" in run.table["reason"][row]
    fit(folder, folder / "run", "ridge")
    assert contents(folder / "run") == contents(folder / "whole")


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_that_is_none_is_refused_before_anything_is_made(folder, share):
    with pytest.raises(InputError, match="`max_failures` must be a share of the rows from 0 to 1"):
        fit(folder, folder / "run", max_failures=share)
    assert not (folder / "run").exists()


def test_want_of_memory_is_no_rows_fault(folder, monkeypatch):
    def exhausted(*_, **__):
        raise MemoryError

    monkeypatch.setattr("loce_jax.data.images.Image.open", exhausted)
    with pytest.raises(MemoryError):
        fit(folder, folder / "run")
    assert not open_run(folder / "run").finished


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("sub\\1.png", "backslashes, and with slashes there is one"),
        ("http://example.org/1.png", "a URL, and nothing is downloaded"),
        ("sub/1.PNG", "there is '1.png', in another case"),
        ("cafe\u0301.png", "with accents encoded otherwise"),
        ("1.png", "its name lacks a folder"),
        ("nowhere/2.png", "it lies in .*a folder too many"),
        ("nowhere/1.png", "is not there; is the disk mounted?"),
        ("3.png", "^$"),
    ],
)
def test_a_missing_photo_says_the_commonest_reasons(tmp_path, name, reason):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "1.png").touch()
    (tmp_path / "2.png").touch()
    (tmp_path / "caf\u00e9.png").touch()
    found = why_missing(tmp_path / name)
    assert re.search(reason, found), found
