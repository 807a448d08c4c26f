"""A run in a local folder, or one of a shared file system: files appear whole or not at all, writers are counted.

Temporary files lie in `TMP` under names of their own, so that two writers of the same file do not meet: the last one to
finish wins, and both write the same bytes.  A single process has the folder for itself; workers share it, and the last
one to leave removes what killed ones left behind.
"""

import errno
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import numpy as np
from jaxtyping import UInt8

from loce_jax import atomic
from loce_jax.checks import InputError, check_regular

LOCK, TMP = ".lock", ".tmp"
SECONDS_TO_WAIT = 1.0  # for a lock; a worker that clears up is done sooner
NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)


class LocalStorage:
    """A run folder."""

    def __init__(self, root: Path):
        self.root = root

    def __str__(self):
        return str(self.root)

    def read(self, name: str) -> bytes:
        """The content of one file; `FileNotFoundError` if it is not there."""
        check_regular(self.root / name)
        return (self.root / name).read_bytes()

    def map(self, name: str) -> UInt8[np.ndarray, " bytes"]:
        """The content as a memory-mapped, read-only array."""
        check_regular(self.root / name)
        return np.memmap(self.root / name, np.uint8, "r")

    def write(self, name: str, content: bytes) -> None:
        """Write a file so that nobody ever sees a part of it, even if the power fails."""
        atomic.write_durably(self.root / name, content, self._temporary())

    def create_exclusive(self, name: str, content: bytes) -> bool:
        """The same, unless the file is there already, even if two try at once; whether it was written."""
        return atomic.create_durably(self.root / name, content, self._temporary())

    def size(self, name: str) -> int:
        """Length of one file in bytes; `FileNotFoundError` if it is not there."""
        return (self.root / name).stat().st_size

    def delete(self, name: str) -> None:
        """Delete one file, if it is there."""
        (self.root / name).unlink(missing_ok=True)

    def names(self, folder: str = "") -> set[str]:
        """Names of the files and folders in a folder of the run; none if it does not exist."""
        path = self.root / folder
        return set(os.listdir(path)) - {LOCK, TMP} if path.is_dir() else set()

    def lock(self, *, shared: bool) -> Callable[[], None]:
        """Begin to write, alone or beside others that share; what is returned ends it.

        Raises:
            InputError: the folder cannot be written, or is being written by others.
        """
        if self.root.exists() and not self.root.is_dir():
            raise InputError(f"`out` must be a folder, but {str(self)!r} is a file. Choose another name.")
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            check_regular(self.root / LOCK)
            lock = os.open(self.root / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise InputError(
                f"`out` must be a folder that can be written, but {str(self)!r} is not: {error.strerror}. "
                "Choose another one."
            ) from error
        return FolderLock(self.root, lock, shared=shared).leave

    def _temporary(self):
        return self.root / TMP / uuid4().hex


class FolderLock:
    """A lock on a run folder, which the system frees when the process ends, however it ends.

    Where the file system has no locks, nobody is kept out and nothing is cleared away: chunks are idempotent.
    """

    def __init__(self, root: Path, lock: int, *, shared: bool):
        self._root, self._lock, self._has_locks = root, lock, True
        deadline = time.monotonic() + SECONDS_TO_WAIT
        while not self._try(shared=shared):
            if time.monotonic() > deadline:
                os.close(lock)
                whose = "a single process" if shared else "another process"
                raise InputError(
                    f"`out` must be a folder that nobody else writes, but {whose} is writing {str(root)!r}"
                    f"{_writers(root / LOCK)}. Wait for it, choose another folder, or give each process a shard of the "
                    "run."
                )
            time.sleep(0.05)
        with suppress(OSError):
            if not shared:
                os.ftruncate(lock, 0)
            os.lseek(lock, 0, os.SEEK_END)
            os.write(lock, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        if not shared:
            self._clear()

    def leave(self) -> None:
        """Let others write; the last one removes temporary files."""
        try:
            if self._try(shared=False):
                self._clear()
                with suppress(OSError):
                    os.ftruncate(self._lock, 0)
        finally:
            os.close(self._lock)

    def _try(self, *, shared):
        import fcntl  # noqa: PLC0415 - POSIX only; reading a run needs no lock

        try:
            fcntl.flock(self._lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            self._has_locks = False
        return True

    def _clear(self):
        folder = self._root / TMP
        if self._has_locks and folder.is_dir():
            for temporary in folder.iterdir():
                temporary.unlink(missing_ok=True)


def _writers(lock: Path) -> str:
    """Which processes wrote their names into the lock last."""
    try:
        names = lock.read_text("utf-8", "replace").splitlines()[-3:]
    except OSError:
        return ""
    return f" ({', '.join(names)})" if names else ""
