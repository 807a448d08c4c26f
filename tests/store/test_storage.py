"""Runs in folders that many processes write, and in object stores: the same files, and no half ones."""

import errno
import fcntl
import os
import threading
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from loce_jax import InputError, open_run
from loce_jax.cli import main
from loce_jax.store import RunWriter, open_storage
from loce_jax.store.local_storage import TMP
from tests.store.test_store import LAYERS, PLAN, columns_of, contents, rows_of, write
from tests.support.small_coco import arguments, draw

RUN_FILES = "plan.json", "source.json", "manifest.json", "chunks", "layers", "derived"


@pytest.fixture
def url(request):
    """A storage in fsspec's memory that is empty, and forgotten afterwards."""
    url = f"memory://bucket/{request.node.name}"
    yield url
    fsspec.filesystem("memory").store.clear()
    fsspec.filesystem("memory").pseudo_dirs[:] = [""]


def objects(url):
    """Every object below `url` and its bytes, read without the library."""
    files, root = fsspec.url_to_fs(url)
    return {path.removeprefix(f"{root}/"): files.cat_file(path) for path in files.find(root)}


def test_a_remote_run_is_that_of_a_folder_byte_by_byte(url, tmp_path):
    write(url, ["00001"])
    assert open_run(url).finished == ("00001",)
    with RunWriter(open_storage(url), PLAN) as writer:
        assert writer.done == {"00001"}
    write(f"{url}/", ["00000"])
    write(tmp_path)
    assert objects(url) == contents(tmp_path)
    here, there = open_run(tmp_path), open_run(url)
    assert there.complete and there.damaged() == []
    assert there.table.keys() == here.table.keys() and there.table["status"].tolist() == here.table["status"].tolist()
    for layer in LAYERS:
        for one, other in ((here.vectors, there.vectors), (here.responses, there.responses)):
            assert one(layer).tobytes() == other(layer).tobytes()


def test_damage_in_a_remote_run_is_found(url):
    write(url)
    store = fsspec.filesystem("memory")
    first, second = (f"{url}/layers/00-early/0000{number}.safetensors" for number in range(2))
    store.pipe_file(first, objects(url)["layers/00-early/00000.safetensors"][:-1] + b"?")
    store.rm(second)
    run = open_run(url)
    assert run.damaged() == ["layers/00-early/00000.safetensors", "layers/00-early/00001.safetensors"]
    with pytest.raises(InputError, match=r"00000.safetensors' is damaged"):
        run.vectors("early")


def test_a_remote_run_refuses_other_options_and_foreign_places(url):
    write(url)
    with pytest.raises(InputError, match="recipe.learning_rate: 0.1 there, 0.2 now"):
        RunWriter(open_storage(url), PLAN | {"recipe": PLAN["recipe"] | {"learning_rate": 0.2}})
    with pytest.raises(InputError, match=r"holds other files"):
        RunWriter(open_storage(f"{url}/layers"), PLAN)
    with pytest.raises(InputError, match=r"must hold a plan.json, but 'memory://nowhere/run' does not"):
        open_run("memory://nowhere/run")
    with pytest.raises(InputError, match="must be a local folder to have a path"):
        open_run(url).path  # noqa: B018


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("file:///etc/run", "'file' .* is none that is supported"),
        ("local:///etc/run", "'local' .* is none that is supported"),
        ("https://example.org/run", "'https' .* is none that is supported"),
        ("reference://run", "'reference' .* is none"),
        ("s4://bucket/run", "Did you mean"),
        ("simplecache::s3://bucket/run", "Chains of URLs"),
        ("memory://bucket/run::file:///etc", "Chains of URLs"),
        ("s3://", "a bucket and a path"),
        (Path("s3://bucket/run"), "Give a URL as text"),
        ("gs:/bucket/run", "a URL with '://'"),
    ],
    ids=str,
)
def test_other_urls_are_refused(path, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        open_storage(path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("url", "package"), [("s3://b/run", "s3fs"), ("gs://b/run", "gcsfs")], ids=str)
def test_a_missing_package_is_named(url, package, monkeypatch):
    def missing(_):
        raise ImportError("no")

    monkeypatch.setattr("fsspec.url_to_fs", missing)
    with pytest.raises(InputError, match=f"needs the package '{package}'. `pip install {package}`"):
        open_storage(url)


def test_a_place_that_cannot_be_listed_is_one_clear_error(url, monkeypatch):
    def no_credentials(*_, **__):
        raise RuntimeError("no\ncredentials")

    monkeypatch.setattr(MemoryFileSystem, "ls", no_credentials)
    for call in (lambda: open_run(url), lambda: RunWriter(open_storage(url), PLAN)):
        with pytest.raises(InputError, match=f"listed, but '{url}' is not: RuntimeError: no credentials Check"):
            call()


@pytest.mark.slow
def test_the_command_line_fits_shows_and_reports_a_remote_run(url, tmp_path, capsys):
    draw(tmp_path)
    assert main([*arguments(tmp_path, url), "--worker", "4", "--num-workers", "5"]) == 0
    assert "1 of 5 chunks of the run are done" in capsys.readouterr().out
    assert main(["show", url, "--verify"]) == 0
    assert "mean IoU" in capsys.readouterr().out
    assert main(["report", url]) == 2
    assert "Add `--out page.html`" in capsys.readouterr().err
    assert main(["report", url, "--out", str(tmp_path / "page.html")]) == 0
    assert "box" in (tmp_path / "page.html").read_text()
    assert all(name.split("/")[0] in RUN_FILES for name in objects(url))


@pytest.mark.slow
def test_those_that_share_a_folder_keep_single_ones_out_and_the_other_way_round(tmp_path):
    storage = open_storage(tmp_path / "run")
    with RunWriter(storage, PLAN, shared=True), RunWriter(storage, PLAN, shared=True):
        with pytest.raises(InputError, match="another process is writing"):
            RunWriter(storage, PLAN)
    with RunWriter(storage, PLAN), pytest.raises(InputError, match="a single process is writing"):
        RunWriter(storage, PLAN, shared=True)
    RunWriter(storage, PLAN).close()


def test_half_written_files_go_with_the_last_writer_and_not_before(tmp_path):
    storage = open_storage(tmp_path / "run")
    with RunWriter(storage, PLAN, shared=True):
        half = tmp_path / "run" / TMP / "of a live writer"
        half.write_text("half")
        RunWriter(storage, PLAN, shared=True).close()
        assert half.exists()
    assert not half.exists()


def test_two_writers_of_one_chunk_do_no_harm(tmp_path):
    """They write all the time; a reader never sees a damaged file."""
    write(tmp_path / "run")
    whole = contents(tmp_path / "run")
    stop = threading.Event()

    def rewrite():
        with RunWriter(open_storage(tmp_path / "run"), PLAN, shared=True) as writer:
            while not stop.is_set():
                layers = {layer: rows_of("00000", [0, 2], seed) for seed, layer in enumerate(LAYERS)}
                writer.write("00000", columns_of("00000"), layers)

    writers = [threading.Thread(target=rewrite) for _ in range(2)]
    for thread in writers:
        thread.start()
    damaged = [open_run(tmp_path / "run").damaged() for _ in range(50)]
    stop.set()
    for thread in writers:
        thread.join()
    assert damaged == [[]] * 50
    assert contents(tmp_path / "run") == whole


def test_the_first_plan_wins(tmp_path):
    for attempt in range(20):
        storage, barrier = open_storage(tmp_path / str(attempt)), threading.Barrier(4)
        won = []

        def claim(number, storage=storage, barrier=barrier, won=won):
            barrier.wait()
            if storage.create_exclusive("plan.json", f"plan {number}".encode() * 1000):
                won.append(number)

        threads = [threading.Thread(target=claim, args=[number]) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (winner,) = won
        assert storage.read("plan.json") == f"plan {winner}".encode() * 1000
        assert not list((tmp_path / str(attempt) / TMP).iterdir())


def test_a_file_system_without_links_or_locks_still_holds_runs(tmp_path, monkeypatch):
    write(tmp_path / "whole")

    def refuse(number):
        def call(*_):
            raise OSError(number, os.strerror(number))

        return call

    monkeypatch.setattr(os, "link", refuse(errno.EPERM))
    monkeypatch.setattr(fcntl, "flock", refuse(errno.ENOSYS))
    with RunWriter(open_storage(tmp_path / "run"), PLAN):
        half = tmp_path / "run" / TMP / "of another writer"
        half.write_text("half")
        write(tmp_path / "run")
    assert half.exists(), "who knows whether its writer lives?"
    half.unlink()
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")
