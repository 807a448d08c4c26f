"""Signals that ask a run to stop: it ends after the work in hand, and the same command continues it.

The work in hand is a chunk, or a part of the first pass of a recipe that has one.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from loce_jax.cli.terminal import complain

SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class Stopped(Exception):
    """A run ended early because a signal asked it to.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number


Progress = Callable[[int, int], None]


@contextmanager
def stopping() -> Iterator[Callable[[Progress], Progress]]:
    """While inside, a signal lets a progress callback end the run; a second one ends the process at once.

    What is given turns a callback into one that raises `Stopped` when a signal came, after the work in hand.
    """
    asked: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        asked.append(number)
        signal.signal(number, signal.SIG_DFL)
        complain(f"{signal.Signals(number).name}: ending after the work in hand; a second signal stops at once.")

    def watched(progress: Progress) -> Progress:
        def report(done: int, total: int) -> None:
            progress(done, total)
            if asked:
                raise Stopped(asked[0])

        return report

    if threading.current_thread() is not threading.main_thread():  # which alone may have handlers
        yield watched
        return
    before = {number: signal.signal(number, note) for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN}
    try:
        yield watched
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
