"""Numbers computed from a run and kept beside it, so that the next look at it need not compute them again.

Shapes: n rows.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from safetensors.numpy import save

from loce_jax.store.files import DERIVED, derived_files
from loce_jax.store.mapped import view_tensors
from loce_jax.store.sealed import check_content, entry_of, seal, unseal
from loce_jax.store.storage import Storage


def keep_derived(storage: Storage, name: str, record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bool:
    """Store `arrays` of a run under `name`, with what they were made from; False where the run cannot be written."""
    tensors, about = derived_files(name)
    content = save({key: np.ascontiguousarray(array) for key, array in arrays.items()})
    try:
        storage.write(tensors, content)
        storage.write(about, seal({"made_from": record, "files": {tensors: entry_of(content)}}))
    except Exception:  # noqa: BLE001 - of a store's own type: no permission, no room
        return False
    return True


def find_derived(storage: Storage, name: str, record: Mapping[str, Any]) -> dict[str, np.ndarray] | None:
    """The arrays kept under `name` if they are whole and were made from exactly `record`, else None."""
    tensors, about = derived_files(name)
    if about.rpartition("/")[2] not in storage.names(DERIVED):
        return None
    try:
        kept = unseal(storage.read(about))
        if seal({"made_from": kept["made_from"]}) != seal({"made_from": record}):
            return None
        content = storage.map(tensors)
        check_content(content, kept["files"][tensors])
        return view_tensors(content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return None
