"""A named pipe in place of any file of a data set, of every kind, is refused or is a fault; nothing waits for it."""

import os
import signal
from typing import Any

import pytest

from loce_jax import data
from loce_jax.checks import InputError
from loce_jax.data.opening import guess_kind, open_data
from loce_jax.data.samples import Fault
from tests.support.every_kind import CASES, DATA
from tests.support.trees import made_up_frames

GENERATED = {"scenes"}


@pytest.fixture
def not_waiting():
    """``not_waiting(pipe)``: who waits for that pipe is let go after two seconds, and the test fails."""
    waited = []

    def start(pipe):
        def let_go(*_):
            waited.append(pipe)
            os.close(os.open(pipe, os.O_RDWR | os.O_NONBLOCK))

        signal.signal(signal.SIGALRM, let_go)
        signal.setitimer(signal.ITIMER_REAL, 2)

    yield start
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    assert not waited


def messages(kind, given):
    """All that is said of a data set while it is opened and read."""
    try:
        found: Any = open_data(kind, given)
    except InputError as error:
        return [str(error)]
    said = [problem.reason for problem in found.problems]
    for item in found.items:
        try:
            said += [str(mask) for mask in found.read(item).masks if isinstance(mask, Fault)]
        except Fault as fault:
            said.append(str(fault))
    return said


def test_every_kind_is_here():
    assert DATA.keys() | GENERATED == data.KINDS.keys()


@pytest.mark.parametrize("kind", CASES)
def test_no_reader_waits_for_a_named_pipe(kind, tmp_path, not_waiting):
    given = DATA[kind](tmp_path, made_up_frames(2))
    whole, refused = messages(kind, given), 0
    for file in sorted(path for path in tmp_path.rglob("*") if path.is_file()):
        content = file.read_bytes()
        file.unlink()
        os.mkfifo(file)
        not_waiting(file)
        said = messages(kind, given)
        if said != whole:  # the file is one of those that are read
            refused += 1
            assert any("named pipe" in text for text in said), said
            assert all("\n" not in text for text in said)
        file.unlink()
        file.write_bytes(content)
    assert refused >= 1 + (len(os.listdir(tmp_path)) > 1)


def test_the_kind_of_a_named_pipe_is_not_guessed(tmp_path, not_waiting):
    os.mkfifo(tmp_path / "a.json")
    not_waiting(tmp_path / "a.json")
    with pytest.raises(InputError, match="does not show its kind"):
        guess_kind(str(tmp_path / "a.json"))
