"""Files that are no files, users without a home, and folders that cannot be written."""

import errno
import json
import os
import pwd
import socket
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from loce_jax import open_run
from loce_jax.atomic import check_writable, new_folder, replaced_file, write_file
from loce_jax.checks import InputError, check_exists, check_regular
from loce_jax.cli import expand_homes, main
from loce_jax.data.images import read_photo
from loce_jax.data.samples import Fault
from loce_jax.models.checkpoints import cache
from loce_jax.models.converter import folder as converter
from loce_jax.report.page import write_report
from loce_jax.store import open_storage
from loce_jax.store.local_storage import LOCK
from loce_jax.study.analyze import analyze
from tests.support.small_coco import GRAPH

KINDS = {"FIFO": "a named pipe", "socket": "a socket", "device": "a device"}


def special(kind, path):
    """A file of that kind at `path`; a link to a device, which only root can make."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "FIFO":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        here = os.getcwd()
        os.chdir(path.parent)  # a socket's path has at most 107 bytes
        try:
            with socket.socket(socket.AF_UNIX) as one:
                one.bind(path.name)
        finally:
            os.chdir(here)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_readers_refuse_what_is_no_file(kind, tmp_path):
    path = special(kind, tmp_path / "x.json")
    with pytest.raises(InputError, match=f"must be a regular file, but is {KINDS[kind]}"):
        check_regular(path)
    with pytest.raises(InputError, match=f"must be an existing file, but got .* that is {KINDS[kind]}"):
        check_exists("annotations", path, kind="file", fix="")
    with pytest.raises(Fault, match=f"image_unreadable: .* is {KINDS[kind]}"):
        read_photo(path, (4, 4))
    storage = open_storage(tmp_path)
    for read in (storage.read, storage.map):
        with pytest.raises(InputError, match=KINDS[kind]):
            read("x.json")
    for name in ("plan.json", LOCK):
        special(kind, tmp_path / name / name)
        with pytest.raises(InputError, match=KINDS[kind]):
            open_storage(tmp_path / name).lock(shared=False) if name == LOCK else open_run(tmp_path / name)


@pytest.mark.parametrize("kind", KINDS)
def test_commands_refuse_what_is_no_file(kind, tmp_path, capsys):
    special(kind, tmp_path / "x.json")
    (tmp_path / "network").mkdir()
    special(kind, tmp_path / "network" / "config.json")
    coco = ["--coco", str(tmp_path / "x.json"), "--images", str(tmp_path)]
    for command in (
        ["fit", "--layers", "blocks.4", "--out", str(tmp_path / "run"), *coco],
        ["layers", str(tmp_path / "network")],
    ):
        assert main(command) == 2
        said = capsys.readouterr().err
        assert KINDS[kind] in said and said.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_files_that_are_missing_and_folders_are_left_to_who_opens_them(tmp_path):
    check_regular(tmp_path)
    check_regular(tmp_path / "nothing")


@pytest.fixture
def no_home(monkeypatch, tmp_path):
    """No HOME, and a user that the system does not know; the temporary folder is a new one."""

    def unknown(uid):
        raise KeyError(uid)

    for name in ("HOME", "XDG_CACHE_HOME", "LOCE_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_without_a_home_the_cache_is_a_temporary_folder_of_the_user(no_home, tmp_path):
    folder = cache.cache_folder()
    assert folder == tmp_path / f"loce_jax-{os.getuid()}" == cache.cache_folder()
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    with pytest.raises(InputError, match="`LOCE_CACHE` must name a folder"):
        cache.cache_folder()
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(InputError, match="others can write"):
        cache.cache_folder()


def test_homes_are_expanded_in_flags_and_concepts_are_not(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    given = ["fit", "--out=~/run", "~/a b", "~", "--images=~", "--concepts", "~cat", "a~/b", "--concepts=~cat", "x=~/y"]
    expected = ["--out=/home/me/run", "/home/me/a b", "/home/me", "--images=/home/me", "--concepts", "~cat"]
    assert expand_homes(given) == ["fit", *expected, "a~/b", "--concepts=~cat", "x=~/y"]


@pytest.mark.parametrize("given", [["--out=~nobody-at-all/run"], ["--out", "~nobody-at-all"], ["~nobody-at-all/run"]])
def test_the_home_of_an_unknown_user_is_one_line(given, capsys):
    with pytest.raises(InputError, match="of the user 'nobody-at-all', who is unknown. Give the whole path"):
        expand_homes(["fit", *given])
    assert main(["stats", *given]) == 2
    assert "who is unknown" in capsys.readouterr().err


def test_a_named_pipe_is_never_replaced_by_what_is_written(tmp_path):
    pipe = tmp_path / "page.html"
    os.mkfifo(pipe)
    for write in (
        lambda: write_file(pipe, b""),
        lambda: check_writable(pipe),
        lambda: check_writable(pipe, is_folder=True),
    ):
        with pytest.raises(InputError, match=r"`out` must be .* is a named pipe \(FIFO\). Name another."):
            write()
    assert pipe.is_fifo() and [*tmp_path.iterdir()] == [pipe]


@pytest.mark.parametrize(
    "command",
    [["data", "check", "scenes"], *(["stats", "run"], ["clusters", "run"], ["analyze", "run"], ["compare", "run"])]
    + [["concepts", "run"], ["spaces", "run"]],
    ids=lambda command: command[0],
)
def test_a_folder_for_results_that_is_a_file_is_told_before_the_work(command, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main([*command, "--out", str(tmp_path / "file")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("loce: `--out` must be where files can be written") and error.count("\n") == 1


def test_a_home_in_a_flag_is_the_folder_that_is_read(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main(["show", "~/run"]) == 2
    assert str(tmp_path / "run") in capsys.readouterr().err


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_converted_weights_follow_the_umask(mask, tmp_path):
    before = os.umask(mask)
    try:
        converter.write(tmp_path / "network", GRAPH, {"early.weight": np.zeros(3, "float32")})
    finally:
        os.umask(before)
    files = list((tmp_path / "network").iterdir())
    assert len(files) == 2 and {file.stat().st_mode & 0o777 for file in files} == {0o666 & ~mask}


@pytest.fixture(params=[errno.EACCES, errno.EROFS, errno.EPERM], ids=lambda number: errno.errorcode[number])
def unwritable(request, monkeypatch, tmp_path):
    """A folder in which nothing can be made, also by root."""
    folder, number = tmp_path / "read only", request.param
    folder.mkdir()
    originals = {name: getattr(os, name) for name in ("mkdir", "open", "access")}

    def refusing(name):
        def call(path, *args, **kwargs):
            inside = Path(os.fspath(path)) != folder if name != "access" else True
            if not isinstance(path, int) and Path(os.fspath(path)).is_relative_to(folder) and inside:
                if name == "access":
                    return False
                raise OSError(number, os.strerror(number), os.fspath(path))
            return originals[name](path, *args, **kwargs)

        return call

    for name in originals:
        monkeypatch.setattr(os, name, refusing(name))
    return folder


@pytest.mark.wrong_types
def test_a_folder_that_cannot_be_written_is_said_before_the_work(unwritable):
    page = unwritable / "report.html"
    with pytest.raises(InputError, match=r"can be written, but .*report.html.* Name another"):
        check_writable(page)
    with pytest.raises(InputError, match=r"`out` must be where files can be written"):
        write_report(None, None, page)  # pyright: ignore[reportArgumentType] - it looks at the run no more
    with pytest.raises(InputError, match=r"`out` must be where files can be written"):
        analyze([], unwritable / "new" / "analysis")
    with pytest.raises(InputError, match=r"`out` must be"), new_folder(unwritable / "network"):
        pass


def test_files_in_the_way_are_said(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "page.html", tmp_path):
        with pytest.raises(InputError, match="`out` must be where files can be written"):
            check_writable(path)
        with pytest.raises(InputError, match="`out` must be where files can be written"):
            write_file(path, b"")
    check_writable(tmp_path / "new" / "deep" / "page.html")
    assert not (tmp_path / "new").exists()


def test_a_full_disk_is_no_reason_to_name_another_folder(tmp_path):
    with pytest.raises(OSError, match="No space left"), replaced_file(tmp_path / "a"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert not list(tmp_path.iterdir())


@pytest.mark.wrong_types
def test_the_page_of_a_run_that_cannot_be_written_goes_elsewhere(monkeypatch, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "plan.json").write_text(json.dumps({"format": -1}))
    assert main(["report", "memory://bucket/run"]) == 2
    assert "Add `--out page.html`" in capsys.readouterr().err
    with pytest.raises(InputError, match="Name another"):
        monkeypatch.setattr(os, "access", lambda *_: False)
        page = tmp_path / "run" / "report.html"
        write_report(SimpleNamespace(), None, page)  # pyright: ignore[reportArgumentType] - nor here
