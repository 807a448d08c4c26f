"""Converted weights on disk: the first start converts, later ones read an Orbax checkpoint.

One folder an entry, ``weights/{name}-v{conversion}-{fingerprint}``, below ``$LOCE_CACHE``, else
``$XDG_CACHE_HOME/loce_jax``, else ``~/.cache/loce_jax``, else, for a user without a home, a temporary folder.
An entry is written beside its place and moved there in one
step, so readers never see half of one; its checksum is compared before Orbax reads it, since Orbax notices neither
a flipped bit in the numbers nor a stray file.  A cache never stops a start: what fails is logged and converted again.
"""

import hashlib
import os
import shutil
import stat
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from loce_jax.atomic import new_folder
from loce_jax.checks import InputError
from loce_jax.foreign_text import logger
from loce_jax.models.checkpoints.weights import AbstractModule, Weights

CONVERSION = 2  # raise it when converted weights change for the same file
log = logger(__name__)
orbax_lock = threading.Lock()  # Orbax mixes up checkpoints that are saved or loaded by several threads at once


def cached_weights(
    name: str, fingerprint: str, abstract_module: AbstractModule, convert: Callable[[], Weights]
) -> Weights:
    """The weights called `name` from the cache; or from `convert()`, which then fill the cache.

    `fingerprint` is the digest of architecture and source file, so that another file is another entry.
    """
    entry = cache_folder() / "weights" / f"{name}-v{CONVERSION}-{fingerprint[:24]}"
    with orbax_lock:
        return _read_or_convert(entry, abstract_module, convert)


def cache_folder() -> Path:
    """Where this package keeps what it can make again; ``$LOCE_CACHE`` moves it."""
    if own := os.environ.get("LOCE_CACHE"):
        return Path(own).expanduser().absolute()
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().absolute() / "loce_jax"
    except RuntimeError:  # no HOME, and a user whom the system does not know
        return _folder_without_home()


def _folder_without_home() -> Path:
    """A folder of this user's alone below the system's temporary one; compiled code is kept in it."""
    folder = Path(tempfile.gettempdir()).absolute() / f"loce_jax-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise InputError(
            f"`LOCE_CACHE` must name a folder for caches where there is no home folder, because others can write "
            f"{str(folder)!r}. Set it."
        )
    return folder


def _read_or_convert(entry: Path, abstract_module: AbstractModule, convert: Callable[[], Weights]) -> Weights:
    try:
        if (weights := _read(entry, abstract_module)) is not None:
            return weights
    except Exception as error:  # noqa: BLE001 - whatever Orbax makes of a damaged checkpoint
        log.warning("the cached weights in %s are damaged (%s); converting them again", entry, error)
        shutil.rmtree(entry, ignore_errors=True)
    weights = convert()
    try:
        _write(entry, weights)
    except Exception as error:  # noqa: BLE001 - a full or read-only disk, in Orbax's or the system's words
        log.warning("cannot keep converted weights in %s (%s); the next start converts again", entry, error)
    return weights


def _read(entry: Path, abstract_module: AbstractModule) -> Weights | None:
    if not entry.exists():
        return None
    if (entry / "sha256").read_text() != _checksum(entry / "checkpoint"):
        raise ValueError("its checksum is wrong")
    from orbax.checkpoint import v1 as ocp  # noqa: PLC0415 - slow to import

    weights = ocp.load(str(entry / "checkpoint"))
    if not abstract_module.fits(weights):
        raise ValueError("its arrays are not this network's")
    return weights


def _write(entry: Path, weights: Weights) -> None:
    from orbax.checkpoint import v1 as ocp  # noqa: PLC0415 - slow to import

    with new_folder(entry, unless_there=True) as draft:  # where another process was faster, with the same weights
        ocp.save(str(draft / "checkpoint"), weights)
        (draft / "sha256").write_text(_checksum(draft / "checkpoint"))


def _checksum(folder: Path) -> str:
    """SHA-256 over the names and contents of every file below `folder`."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
