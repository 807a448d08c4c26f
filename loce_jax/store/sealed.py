"""JSON files that hold the SHA-256 of their own content, and entries for other files: how long they are, and theirs.

A changed byte anywhere in a sealed file is found when the file is read; what an entry says of another file is checked
with `check_content`.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import UInt8

from loce_jax.foreign_text import for_json
from loce_jax.store.storage import Storage

HEAD, DIGITS = b'{\n "sha256": "', 64
Entry = list[Any]
"""Length in bytes and SHA-256 of a file, as JSON holds a pair."""


def seal(tree: Mapping[str, Any]) -> bytes:
    """The object as JSON text in ASCII, its first key ``sha256``: that of the text without it.

    >>> unseal(seal({"a": 1}))["a"]
    1
    """
    body = for_json(dict(tree), ascii_only=True)
    return HEAD + hashlib.sha256(body).hexdigest().encode() + b'",' + body[1:]


def unseal(content: bytes) -> dict[str, Any]:
    """The object that `seal` was given, with its ``sha256``.

    Raises:
        ValueError: the text is not what was written.

    >>> unseal(seal({"a": 1}).replace(b"1", b"2", 1))
    Traceback (most recent call last):
    ...
    ValueError: its content is not that of its SHA-256
    """
    start = len(HEAD) + DIGITS
    digest, body = content[len(HEAD) : start], b"{" + content[start + 2 :]
    if content[: len(HEAD)] != HEAD or hashlib.sha256(body).hexdigest().encode() != digest:
        raise ValueError("its content is not that of its SHA-256")
    try:
        return {"sha256": digest.decode(), **json.loads(body)}
    except (RecursionError, TypeError) as error:
        raise ValueError(f"it is no JSON object: {error}") from error


def entry_of(content: bytes | UInt8[np.ndarray, " bytes"]) -> Entry:
    """What a sealed file says of another one.

    >>> entry_of(b"abc")[0]
    3
    """
    return [len(content), hashlib.sha256(memoryview(content)).hexdigest()]  # pyright: ignore[reportArgumentType]


def check_content(content: bytes | UInt8[np.ndarray, " bytes"], entry: Entry) -> None:
    """Raise `ValueError` unless `content` is what `entry` was made of."""
    if len(content) != entry[0]:
        raise ValueError(f"it has {len(content)} bytes instead of {entry[0]}")
    if entry_of(content) != entry:
        raise ValueError("its content is not that of its SHA-256")


def is_entry(value: Any) -> bool:
    """Whether a JSON value has the form of an entry."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and type(value[0]) is int
        and isinstance(value[1], str)
        and len(value[1]) == DIGITS
    )


def write_completed(storage: Storage, name: str, record: Mapping[str, Any], contents: Mapping[str, bytes]) -> None:
    """Write files, and last the record that completes them; a record of other files is deleted first.

    Several that write the same at once do no harm: what is there stays whole.
    """
    sealed = seal(record)
    if differs(storage, name, sealed):
        storage.delete(name)
    for file, content in contents.items():
        storage.write(file, content)
    storage.write(name, sealed)


def differs(storage: Storage, name: str, content: bytes) -> bool:
    """Whether there is a file of that name with other content."""
    try:
        return storage.read(name) != content
    except FileNotFoundError:
        return False
