"""Dying in the middle of writing: as an exception in this process, and by a real signal in a child process."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

DURABLE_CALLS = "fsync", "link", "replace"  # they make files durable or give them their names


class Killed(BaseException):
    """This process died; what runs after it, in ``finally`` and ``except``, can change no file any more."""


@contextmanager
def killed_at(call: int) -> Iterator[None]:
    """Raise `Killed` instead of the `call`-th durable call, from 1, of any thread, and instead of every later one."""
    left = call

    def deadly(function, *, counts):
        def wrapped(*args, **kwargs):
            nonlocal left
            left -= counts and left > 0
            if left <= 0:
                raise Killed
            return function(*args, **kwargs)

        return wrapped

    with pytest.MonkeyPatch.context() as patch:
        for name in DURABLE_CALLS:
            patch.setattr(os, name, deadly(getattr(os, name), counts=True))
        for name in ("unlink", "rename", "rmdir"):
            patch.setattr(os, name, deadly(getattr(os, name), counts=False))
        yield


@contextmanager
def counted_calls() -> Iterator[list[str]]:
    """The names of the durable calls made inside, in their order."""
    calls: list[str] = []

    def counted(name, function):
        def wrapped(*args, **kwargs):
            calls.append(name)
            return function(*args, **kwargs)

        return wrapped

    with pytest.MonkeyPatch.context() as patch:
        for name in DURABLE_CALLS:
            patch.setattr(os, name, counted(name, getattr(os, name)))
        yield calls


def die_at(call: int) -> None:
    """Let this process kill itself, with SIGKILL, instead of the `call`-th durable call."""
    left = call

    def deadly(function):
        def wrapped(*args, **kwargs):
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return wrapped

    for name in DURABLE_CALLS:
        setattr(os, name, deadly(getattr(os, name)))
