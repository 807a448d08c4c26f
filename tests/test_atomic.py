"""Files and folders that appear whole or not at all: whatever fails, and whenever the process dies."""

import errno
import os

import pytest

from loce_jax.atomic import create_durably, new_folder, replaced_file, write_durably, write_file
from tests.support.deadly import DURABLE_CALLS, Killed, counted_calls, killed_at


def files(folder):
    """Every file below `folder` and its bytes; temporary ones aside."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in found
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


def write_all(root):
    """Every function once, on a file or folder of its own; "old" is replaced."""
    write_file(root / "a" / "old", b"new")
    with replaced_file(root / "b") as draft:
        draft.write_bytes(b"new")
    with new_folder(root / "c") as draft:
        (draft / "inside").write_bytes(b"new")
    write_durably(root / "d" / "old", b"new", root / ".tmp" / "1")
    create_durably(root / "e", b"new", root / ".tmp" / "2")


def prepare(root):
    for name in ("a", "d"):
        (root / name).mkdir(parents=True)
        (root / name / "old").write_bytes(b"old")
    return root


def test_dying_at_any_call_leaves_the_old_or_the_new(tmp_path):
    with counted_calls() as calls:
        write_all(prepare(tmp_path / "whole"))
    assert calls == [*["replace"] * 3, "fsync", "replace", "fsync", "fsync", "link", "fsync"]
    whole = files(tmp_path / "whole")
    assert set(whole.values()) == {b"new"} and whole.keys() == {"a/old", "b", "c/inside", "d/old", "e"}
    for call in range(1, len(calls) + 1):
        root = prepare(tmp_path / str(call))
        with killed_at(call), pytest.raises(Killed):
            write_all(root)
        for name, content in files(root).items():
            assert content == b"new" or (name in ("a/old", "d/old") and content == b"old"), (call, name)


def fill(root):
    with new_folder(root / "c") as draft:
        (draft / "inside").write_bytes(b"new")


@pytest.mark.parametrize(
    "write",
    [
        lambda root: write_file(root / "a" / "old", b"new"),
        lambda root: write_durably(root / "d" / "old", b"new", root / ".tmp" / "1"),
        lambda root: create_durably(root / "e", b"new", root / ".tmp" / "2"),
        fill,
    ],
    ids=["write_file", "write_durably", "create_durably", "new_folder"],
)
def test_what_fails_leaves_nothing_behind(tmp_path, monkeypatch, write):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = files(prepare(tmp_path))
    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        for name in DURABLE_CALLS:
            patch.setattr(os, name, full)
        write(tmp_path)
    assert files(tmp_path) == before
    assert not [path for path in tmp_path.rglob("*") if path.name != ".tmp" and path.name.startswith(".")]
    assert not list((tmp_path / ".tmp").iterdir() if (tmp_path / ".tmp").exists() else [])
    write(tmp_path)
    assert files(tmp_path) != before


def test_a_folder_that_another_process_made_is_kept_if_that_is_wanted(tmp_path):
    fill(tmp_path)
    with new_folder(tmp_path / "c", unless_there=True) as draft:
        (draft / "inside").write_bytes(b"newer")
    assert files(tmp_path) == {"c/inside": b"new"}
    with pytest.raises(OSError, match="not empty"):
        fill(tmp_path)
    assert files(tmp_path) == {"c/inside": b"new"} and len(list(tmp_path.iterdir())) == 1


def test_an_existing_file_is_not_created_again(tmp_path):
    assert create_durably(tmp_path / "a", b"first", tmp_path / ".tmp" / "1")
    assert not create_durably(tmp_path / "a", b"second", tmp_path / ".tmp" / "2")
    assert files(tmp_path) == {"a": b"first"}
