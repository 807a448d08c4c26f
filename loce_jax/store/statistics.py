"""Statistics of a run's layers, which a recipe that whitens needs: of parts of the images, and of all of them.

Like a chunk, a part is one immutable file; the whole is complete when the file of its checksums is there.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from safetensors.numpy import save

from loce_jax.checks import InputError
from loce_jax.foreign_text import for_json
from loce_jax.statistics import Statistics
from loce_jax.store.files import PARTS, WHOLE, part_file, statistics_file
from loce_jax.store.mapped import view_tensors
from loce_jax.store.storage import Storage

FIELDS = "count", "mean", "scatter"


def write_part(storage: Storage, part: str, layers: Sequence[Statistics]) -> None:
    """Store the statistics of one part of the images, every layer's."""
    tensors = {f"{index} {name}": array for index, sums in enumerate(layers) for name, array in _arrays(sums).items()}
    storage.write(part_file(part), save(tensors))


def missing_parts(storage: Storage, parts: Iterable[str]) -> list[str]:
    """Those of `parts` that are not there."""
    there = storage.names(PARTS)
    return [part for part in parts if f"{part}.safetensors" not in there]


def read_part(storage: Storage, part: str, count: int) -> list[Statistics]:
    """The statistics of one part, of `count` layers.

    Raises:
        InputError: the file cannot be read.
    """
    tensors = _open(storage, part_file(part), [f"{index} {name}" for index in range(count) for name in FIELDS])
    return [_sums([tensors[f"{index} {name}"] for name in FIELDS]) for index in range(count)]


def write_whole(storage: Storage, layers: Mapping[str, Statistics]) -> None:
    """Store the statistics of all images, layer by layer in the plan's order."""
    digests = {}
    for index, (layer, sums) in enumerate(layers.items()):
        content = save(_arrays(sums))
        storage.write(statistics_file(layer, index), content)
        digests[layer] = hashlib.sha256(content).hexdigest()
    storage.write(WHOLE, for_json(digests))


def has_whole(storage: Storage) -> bool:
    """Whether the statistics of all images are there."""
    folder, _, name = WHOLE.rpartition("/")
    return name in storage.names(folder)


def read_whole(storage: Storage, layer: str, index: int) -> Statistics:
    """The statistics of all images at the `index`-th layer.

    Raises:
        InputError: the file cannot be read.
    """
    return _sums(list(_open(storage, statistics_file(layer, index), FIELDS).values()))


def damaged_statistics(storage: Storage, layers: Iterable[str]) -> list[str]:
    """Files of the whole that are missing or do not hold what was written."""
    if not has_whole(storage):
        return []
    try:
        digests = dict(json.loads(storage.read(WHOLE)))
    except (ValueError, TypeError):
        return [WHOLE]
    found = []
    for index, layer in enumerate(layers):
        name = statistics_file(layer, index)
        try:
            digest = hashlib.sha256(storage.read(name)).hexdigest()
        except FileNotFoundError:
            digest = None
        if digest != digests.get(layer, ""):
            found.append(name)
    return found


def _arrays(sums):
    dtypes = dict.fromkeys(FIELDS, np.float64) | {"count": np.int64}
    return {name: np.array(getattr(sums, name), dtype, order="C") for name, dtype in dtypes.items()}


def _sums(tensors):
    count, mean, scatter = tensors
    return Statistics(int(count), mean, scatter)


def _open(storage, name, wanted):
    try:
        tensors = view_tensors(storage.map(name))
        return {key: tensors[key] for key in wanted}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"`run` must be whole, but {f'{storage}/{name}'!r} cannot be read: {error}. Delete it and {WHOLE}, and run "
            "the same `loce fit` again: it computes those statistics again."
        ) from error
