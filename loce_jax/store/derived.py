"""Numbers computed from a run and kept beside it, so that the next look at it need not compute them again.

Letters: n rows.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from safetensors.numpy import save

from loce_jax.foreign_text import percent_encoded
from loce_jax.store.files import DERIVED
from loce_jax.store.mapped import view_tensors
from loce_jax.store.storage import Storage

RECORD = "record"


def keep_derived(storage: Storage, name: str, record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bool:
    """Store `arrays` of a run under `name`, with what they were made from; False where the run cannot be written."""
    text = np.frombuffer(json.dumps(record, sort_keys=True).encode(), np.uint8).astype(np.int32)
    content = {key: np.ascontiguousarray(array) for key, array in arrays.items()} | {RECORD: text}
    try:
        storage.write(_file(name), save(content))
    except Exception:  # noqa: BLE001 - of a store's own type: no permission, no room
        return False
    return True


def find_derived(storage: Storage, name: str, record: Mapping[str, Any]) -> dict[str, np.ndarray] | None:
    """The arrays kept under `name` if they were made from exactly `record`, else None."""
    if _file(name).rsplit("/", 1)[-1] not in storage.names(DERIVED):
        return None
    try:
        found = view_tensors(storage.map(_file(name)))
        same = bytes(found.pop(RECORD).astype(np.uint8)) == json.dumps(record, sort_keys=True).encode()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if same else None


def _file(name):
    return f"{DERIVED}/{percent_encoded(name)}.safetensors"
