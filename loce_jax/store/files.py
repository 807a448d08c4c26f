"""Where a run's files lie, and how one is written: whole or not at all.

A run folder::

    plan.json                       what work there is and with which options; written first, never changed
    chunks/00003.json               rows of one chunk; written last, it says that the chunk is complete
    layers/00-blocks.4/00003.safetensors    numbers of the chunk's good rows at one layer
"""

import hashlib
import os
from pathlib import Path
from urllib.parse import quote

from filelock import FileLock, Timeout

from loce_jax.checks import InputError

PLAN, CHUNKS, LAYERS, LOCK, HALF = "plan.json", "chunks", "layers", ".lock", ".part"


def rows_file(root: Path, chunk: str) -> Path:
    """The JSON file with one chunk's rows."""
    return root / CHUNKS / f"{chunk}.json"


def layer_file(root: Path, layer: str, index: int, chunk: str) -> Path:
    """The safetensors file of one chunk at the `index`-th layer; any layer name is safe in it.

    >>> layer_file(Path("run"), "../up", 2, "00000").as_posix()
    'run/layers/02-..%2Fup/00000.safetensors'
    """
    return root / LAYERS / f"{index:02d}-{quote(layer, safe='')}" / f"{chunk}.safetensors"


def write_whole(path: Path, content: bytes) -> str:
    """Write `content` so that `path` never holds a part of it, even if the power fails; return its SHA-256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(path.name + HALF)
    with open(half, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(half, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return hashlib.sha256(content).hexdigest()


def remove_halves(root: Path) -> None:
    """Delete what a killed writer left behind."""
    for half in root.rglob(f"*{HALF}"):
        half.unlink(missing_ok=True)


def writing(root: Path) -> FileLock:
    """A lock that admits one writer a run folder; the system frees it when the process ends, however it ends."""
    lock = FileLock(root / LOCK)
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise InputError(
            f"`out` must be a folder that nobody else writes, but another process is writing {str(root)!r}. "
            "Wait for it, or choose another folder."
        ) from error
    except OSError as error:
        raise InputError(
            f"`out` must be a folder that can be written, but {str(root)!r} is not: {error.strerror}. "
            "Choose another one."
        ) from error
    return lock
