"""Files and folders that appear under their names whole or not at all, whatever interrupts their writing.

Each is written under a temporary name on the same file system and then moved, which the system does in one step.  A
temporary file that fails is removed; one whose process is killed stays behind, as a hidden file.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from loce_jax.checks import InputError, check_regular, kind_of_file

UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST)
NO_LINKS = (errno.ENOSYS, errno.ENOTSUP, errno.EPERM, errno.EMLINK)


@contextmanager
def replaced_file(path: Path) -> Iterator[Path]:
    """A temporary path to write a file to, which is moved to `path` at the end; what was there is replaced.

    Raises:
        InputError: nothing can be written there.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replaced_file(Path(folder) / "new" / "a.txt") as draft:
    ...         _ = draft.write_text("whole")
    ...     (Path(folder) / "new" / "a.txt").read_text()
    'whole'
    """
    _check_replaceable(path)
    draft = _beside(path)
    with _refusing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield draft
            os.replace(draft, path)
        finally:
            if path.parent.is_dir():
                draft.unlink(missing_ok=True)


def write_file(path: Path, content: bytes) -> Path:
    """Write a whole file, and return its path."""
    with replaced_file(path) as draft:
        draft.write_bytes(content)
    return path


@contextmanager
def new_folder(path: Path, *, unless_there: bool = False) -> Iterator[Path]:
    """A temporary folder to fill, which is moved to `path` at the end.

    Args:
        path: a folder that does not exist, or an empty one.
        unless_there: keep, without an error, a folder that another process made in the meantime.

    Raises:
        InputError: nothing can be written there.
    """
    draft = _beside(path)
    with _refusing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.mkdir()
    try:
        yield draft
        try:
            os.replace(draft, path)
        except OSError:
            if not (unless_there and path.is_dir()):
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def check_writable(path: Path, *, is_folder: bool = False) -> None:
    """Raise `InputError` if no file called `path` can be written, before the work whose result it is to hold.

    Where `path` `is_folder`, no file in it.
    """
    _check_replaceable(path)
    with _refusing(path):
        folders = [*([path.absolute()] if is_folder else []), *path.absolute().parents]
        folder = next((folder for folder in folders if folder.exists()), None)
        if path.is_dir() and not is_folder:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if folder is not None and not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if folder is not None and not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _check_replaceable(path):
    """Refuse a device, a named pipe or a socket, which a file that is moved there would take the place of."""
    try:
        check_regular(path)
    except InputError as error:
        raise InputError(
            f"`out` must be where files can be written, but {str(path)!r} is {kind_of_file(path)}. Name another."
        ) from error


@contextmanager
def _refusing(path):
    """Turn errors that only another path can cure into an `InputError`."""
    try:
        yield
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        raise InputError(
            f"`out` must be where files can be written, but {str(path)!r} cannot be: {error.strerror}. Name another."
        ) from error


def write_durably(path: Path, content: bytes, temporary: Path) -> None:
    """Write a whole file that survives a power failure as soon as this returns.

    `temporary` is a new path on the same file system, in a folder that may be cleared when no process writes.
    """
    with _durable(path, content, temporary):
        os.replace(temporary, path)


def create_durably(path: Path, content: bytes, temporary: Path) -> bool:
    """The same, unless the file is there already, even if two try at once; whether it was written.

    Where the file system has no hard links, the second of two that try at once replaces the file.
    """
    if path.exists():
        return False
    try:
        with _durable(path, content, temporary):
            try:
                os.link(temporary, path)
            except FileExistsError:
                raise
            except OSError as error:
                if error.errno not in NO_LINKS:
                    raise
                os.replace(temporary, path)
    except FileExistsError:
        return False
    return True


@contextmanager
def _durable(path, content, temporary):
    """Around the move: before it the content is on disk, after it the name."""
    for folder in (temporary.parent, path.parent):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder):
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _beside(path):
    return path.with_name(f".{uuid4().hex}.tmp")
