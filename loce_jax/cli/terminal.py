"""Lines of text on standard output and standard error, which need neither UTF-8 nor a person's trust in names."""

import io
import os
import sys
from pathlib import Path
from typing import Any

from loce_jax.foreign_text import for_json, for_terminal


def say(text: object = "") -> None:
    """Print one line on standard output."""
    print(for_terminal(text, sys.stdout.encoding), flush=True)


def say_json(tree: Any) -> None:
    """Print `tree` as JSON of ASCII characters on standard output."""
    print(for_json(tree, ascii_only=True).decode(), end="", flush=True)


def complain(text: object) -> None:
    """Print one line on standard error, after the name of the command."""
    print(for_terminal(f"loce: {text}", sys.stderr.encoding), file=sys.stderr, flush=True)


def keep_printing() -> None:
    """Let no character that an output stream cannot encode end the command, nor a stream that is closed (``>&-``).

    Such characters are written as escapes; what would go to a closed stream is not written.
    """
    sys.stdout = sys.stdout or Path(os.devnull).open("w", encoding="utf-8")
    sys.stderr = sys.stderr or Path(os.devnull).open("w", encoding="utf-8")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
