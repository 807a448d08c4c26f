"""What holds a run's files: a local folder, or an object store that fsspec reaches by a URL.

A storage reads, writes and lists files by their names in `loce_jax.store.files`, and knows nothing of what they hold.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePath

import numpy as np
from jaxtyping import UInt8

from loce_jax.checks import InputError, one_line, suggest
from loce_jax.store.local_storage import LocalStorage

# Stores that publish an object whole or not at all.  Others of fsspec's protocols write in parts, reach local files, or
# are made of further URLs.
PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "memory": "fsspec",
}


def is_url(path: str | Path) -> bool:
    """Whether `path` is the URL of a remote run."""
    return isinstance(path, str) and "://" in path


def open_storage(path: str | Path) -> "Storage":
    """The storage called `path`: a URL if it is a string with ``://``, else a local folder.  Nothing is read yet.

    Raises:
        InputError: a protocol that is not supported, one whose package is not installed, or a chain of URLs.

    >>> str(open_storage("memory://bucket/run"))
    'memory://bucket/run'
    """
    if is_url(path):
        return RemoteStorage(str(path))
    if PurePath(path).parts[:1] in {(f"{protocol}:",) for protocol in PACKAGES}:  # a Path swallows a slash
        raise InputError(f"`out` must be a folder or a URL with '://', but got {str(path)!r}. Give a URL as text.")
    return LocalStorage(Path(path))


class RemoteStorage:
    """A run in an object store.  Credentials and endpoints are fsspec's, from its own files and variables.

    There is no lock: two that write the same run do its work twice, with the same result.
    """

    def __init__(self, url: str):
        protocol, _, path = url.partition("://")
        if "::" in url or not path.strip("/"):
            raise InputError(
                f"`out` must be one URL with a bucket and a path, like 's3://bucket/run', but got {url!r}. "
                "Chains of URLs ('::') are not followed."
            )
        if protocol not in PACKAGES:
            raise InputError(
                f"`out` must lie in an object store, but {protocol!r} of {url!r} is none that is supported. "
                f"{suggest(protocol, list(PACKAGES))} Other file systems can be mounted and named by their path."
            )
        import fsspec  # noqa: PLC0415 - local runs do without

        try:
            self._files, self._root = fsspec.url_to_fs(url.rstrip("/"))
        except ImportError as error:
            package = PACKAGES[protocol]
            raise InputError(
                f"`out` must be an object store that can be reached, but {protocol}:// needs the package {package!r}. "
                f"`pip install {package}` brings it."
            ) from error
        except ValueError as error:  # settings that are missing
            raise InputError(
                f"`out` must be an object store that can be reached, but {url!r} is not: {error}"
            ) from error
        self.url = url.rstrip("/")

    def __str__(self):
        return self.url

    def read(self, name: str) -> bytes:
        """The content of one object; `FileNotFoundError` if it is not there."""
        return self._files.cat_file(f"{self._root}/{name}")

    def map(self, name: str) -> UInt8[np.ndarray, " bytes"]:
        """The content as a read-only array in memory."""
        return np.frombuffer(self.read(name), np.uint8)

    def write(self, name: str, content: bytes) -> None:
        """Put one whole object."""
        self._files.pipe_file(f"{self._root}/{name}", content)

    def create_exclusive(self, name: str, content: bytes) -> bool:
        """The same, unless the object is there already; whether it was written."""
        try:
            self._files.pipe_file(f"{self._root}/{name}", content, mode="create")
        except FileExistsError:
            return False
        return True

    def size(self, name: str) -> int:
        """Length of one object in bytes; `FileNotFoundError` if it is not there."""
        return self._files.size(f"{self._root}/{name}")

    def delete(self, name: str) -> None:
        """Delete one object, if it is there."""
        with suppress(FileNotFoundError):
            self._files.rm_file(f"{self._root}/{name}")

    def names(self, folder: str = "") -> set[str]:
        """Names of the files and folders in a folder of the run; none if there is nothing."""
        self._files.invalidate_cache()  # others write too
        try:
            found = self._files.ls(f"{self._root}/{folder}".rstrip("/"), detail=False)
        except FileNotFoundError:
            return set()
        except Exception as error:  # of many packages' own types: no credentials, no permission, no route
            raise InputError(
                f"`out` must be an object store that can be listed, but {self.url!r} is not: {type(error).__name__}: "
                f"{one_line(error)} Check its name, and the credentials that fsspec finds."
            ) from error
        return {path.rstrip("/").rsplit("/", 1)[-1] for path in found}

    def lock(self, *, shared: bool) -> Callable[[], None]:  # noqa: ARG002 - like a local folder's
        """Nothing to do: there is no lock."""
        return lambda: None


Storage = LocalStorage | RemoteStorage
