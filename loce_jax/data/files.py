"""The one way in which files of a data set are opened: regular files only.

Reading a named pipe, a device or a socket could wait without end.
"""

from pathlib import Path
from typing import BinaryIO

from loce_jax.checks import check_regular


def open_file(path: str | Path) -> BinaryIO:
    """The regular file at `path`, open for reading its bytes.

    Raises:
        InputError: it is a named pipe, a device or a socket.
        OSError: there is none, or it cannot be opened.

    >>> open_file("/dev/zero")
    Traceback (most recent call last):
    ...
    loce_jax.checks.InputError: '/dev/zero' must be a regular file, but is a device. Copy what it holds into a file.
    """
    check_regular(path)
    return Path(path).open("rb")


def read_bytes(path: str | Path) -> bytes:
    """All bytes of the regular file at `path`; errors as of `open_file`."""
    with open_file(path) as file:
        return file.read()
