"""Lines of text on standard output and standard error, which need neither UTF-8 nor a person's trust in names."""

import io
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from loce_jax.foreign_text import for_json, for_terminal


class OutputLost(Exception):
    """Standard output cannot be written.

    Attributes:
        has_no_reader: whether whoever read it has ended, as `head` does.
        reason: in words.
    """

    def __init__(self, error: OSError):
        super().__init__(error)
        self.has_no_reader, self.reason = isinstance(error, BrokenPipeError), error.strerror or str(error)


def put(text: str) -> None:
    """Write text on standard output as it is; raises `OutputLost` where it cannot be written."""
    try:
        print(text, end="", flush=True)
    except OSError as error:
        raise OutputLost(error) from error


def say(text: object = "") -> None:
    """Print one line on standard output."""
    put(for_terminal(text, sys.stdout.encoding) + "\n")


def say_json(tree: Any) -> None:
    """Print `tree` as JSON of ASCII characters on standard output."""
    put(for_json(tree, ascii_only=True).decode())


def complain(text: object) -> None:
    """Print one line on standard error, after the name of the command."""
    note(f"loce: {text}")


def note(text: object) -> None:
    """Print one line on standard error; where that cannot be written, the line is lost and the work goes on."""
    with suppress(OSError):
        print(for_terminal(text, sys.stderr.encoding), file=sys.stderr, flush=True)


def discard_output() -> None:
    """Let nobody write to standard output any more, not even the interpreter, which empties its buffer at its end."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def keep_printing() -> None:
    """Let no character that an output stream cannot encode end the command, nor a stream that is closed (``>&-``).

    Such characters are written as escapes; what would go to a closed stream is not written.
    """
    sys.stdout = sys.stdout or Path(os.devnull).open("w", encoding="utf-8")
    sys.stderr = sys.stderr or Path(os.devnull).open("w", encoding="utf-8")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
