"""Signals end a run after the work in hand, and the same command ends with the bytes of a run that was not stopped."""

import signal

import pytest

from loce_jax.cli import _explain
from loce_jax.cli.runs import Fit, Show
from loce_jax.cli.stopping import SIGNALS, Stopped, stopping
from loce_jax.pipeline.run import run_plan
from loce_jax.store import open_run, open_storage
from loce_jax.store.statistics import missing_parts
from tests.pipeline.resuming.small import fit, make, patch
from tests.support.small_coco import contents, draw


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: signal.Signals(number).name)
@pytest.mark.parametrize("recipe", ["paper", "ridge"])
def test_row_20_a_signal_ends_a_run_after_the_chunk_in_hand(request, tmp_path, monkeypatch, capsys, number, recipe):
    patch(monkeypatch)
    draw(tmp_path, images=6)
    usual = signal.signal(number, signal.SIG_DFL)  # `nohup` has tests ignore one, and what ignores it is let run
    request.addfinalizer(lambda: signal.signal(number, usual))
    before = signal.getsignal(number)

    def progress(done, total):
        if done == total - 4:  # one chunk of the last pass is stored
            signal.raise_signal(number)

    with stopping() as watched, pytest.raises(Stopped) as stopped:
        run_plan(make(tmp_path, recipe), tmp_path / "run", progress=watched(progress))
    assert signal.getsignal(number) == before
    assert "a second signal stops at once" in capsys.readouterr().err
    assert _explain(stopped.value, Fit("run", ("-1",))) == (
        128 + number,
        "stopped after the work in hand; what is finished is kept, and the same command continues.",
    )
    assert open_run(tmp_path / "run").finished == ("00000", "00001"), "the one that was in hand too"
    fit(tmp_path, tmp_path / "run", recipe)
    fit(tmp_path, tmp_path / "whole", recipe)
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_a_signal_in_the_first_pass_ends_it_after_the_part_in_hand(tmp_path, monkeypatch):
    """Part 00 has the chunks 0 and 2; the signal comes after chunk 0."""
    patch(monkeypatch)
    monkeypatch.setattr("loce_jax.pipeline.statistics.MAX_PARTS", 2)
    draw(tmp_path, images=6)
    seen = []

    def progress(done, total):
        seen.append(done)
        if done == 2:
            signal.raise_signal(signal.SIGTERM)

    with stopping() as watched, pytest.raises(Stopped) as stopped:
        run_plan(make(tmp_path, "ridge"), tmp_path / "run", progress=watched(progress))
    assert _explain(stopped.value, Fit("run", ("-1",)))[0] == 143 and seen == [0, 2]
    storage = open_storage(tmp_path / "run")
    assert missing_parts(storage, ["00", "01"]) == ["01"] and not storage.names("chunks")
    fit(tmp_path, tmp_path / "run", "ridge")
    fit(tmp_path, tmp_path / "whole", "ridge")
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_a_second_signal_has_the_systems_own_effect():
    with stopping():
        signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_an_ignored_signal_stays_ignored():
    """As under `nohup`."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopping():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError(), OSError(28, "No space left on device")])
def test_only_a_command_that_continues_says_so(error):
    for command, continues in ((Fit("run", ("-1",)), True), (Show("run"), False), (None, False)):
        assert ("the same command continues" in _explain(error, command)[1]) == continues
    assert ("`--out run`: " in _explain(error, Fit("run", ("-1",)))[1]) == isinstance(error, OSError)
    assert "`--memory`" not in _explain(error, Show("run"))[1]
