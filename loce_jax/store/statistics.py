"""Statistics of a run's layers, which a recipe that whitens needs: of parts of the images, and of all of them.

Like a chunk, a part is one immutable file; the whole is complete when the file of its checksums is there.
Letters: c channels.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from safetensors.numpy import save

from loce_jax.checks import InputError
from loce_jax.store.files import PARTS, WHOLE, part_file, statistics_file
from loce_jax.store.mapped import view_tensors
from loce_jax.store.storage import Place


@dataclass(frozen=True, eq=False)
class Sums:
    """A layer's statistics: how many pixels, their mean, and the sum of their outer products about it, float64."""

    count: int
    mean: Float[np.ndarray, " c"]
    scatter: Float[np.ndarray, "c c"]


FIELDS = "count", "mean", "scatter"


def write_part(place: Place, part: str, layers: Sequence[Sums]) -> None:
    """Store the statistics of one part of the images, every layer's."""
    tensors = {f"{index} {name}": array for index, sums in enumerate(layers) for name, array in _arrays(sums).items()}
    place.write(part_file(part), save(tensors))


def missing_parts(place: Place, parts: Iterable[str]) -> list[str]:
    """Those of `parts` that are not there."""
    there = place.names(PARTS)
    return [part for part in parts if f"{part}.safetensors" not in there]


def read_part(place: Place, part: str, count: int) -> list[Sums]:
    """The statistics of one part, of `count` layers.

    Raises:
        InputError: the file cannot be read.
    """
    tensors = _open(place, part_file(part), [f"{index} {name}" for index in range(count) for name in FIELDS])
    return [_sums([tensors[f"{index} {name}"] for name in FIELDS]) for index in range(count)]


def write_whole(place: Place, layers: Mapping[str, Sums]) -> None:
    """Store the statistics of all images, layer by layer in the plan's order."""
    digests = {}
    for index, (layer, sums) in enumerate(layers.items()):
        content = save(_arrays(sums))
        place.write(statistics_file(layer, index), content)
        digests[layer] = hashlib.sha256(content).hexdigest()
    place.write(WHOLE, (json.dumps(digests, indent=1, ensure_ascii=False) + "\n").encode())


def has_whole(place: Place) -> bool:
    """Whether the statistics of all images are there."""
    folder, _, name = WHOLE.rpartition("/")
    return name in place.names(folder)


def read_whole(place: Place, layer: str, index: int) -> Sums:
    """The statistics of all images at the `index`-th layer.

    Raises:
        InputError: the file cannot be read.
    """
    return _sums(list(_open(place, statistics_file(layer, index), FIELDS).values()))


def damaged_statistics(place: Place, layers: Iterable[str]) -> list[str]:
    """Files of the whole that are missing or do not hold what was written."""
    if not has_whole(place):
        return []
    try:
        digests = dict(json.loads(place.read(WHOLE)))
    except (ValueError, TypeError):
        return [WHOLE]
    found = []
    for index, layer in enumerate(layers):
        name = statistics_file(layer, index)
        try:
            digest = hashlib.sha256(place.read(name)).hexdigest()
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
    return Sums(int(count), mean, scatter)


def _open(place, name, wanted):
    try:
        tensors = view_tensors(place.map(name))
        return {key: tensors[key] for key in wanted}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"`run` must be whole, but {f'{place}/{name}'!r} cannot be read: {error}. Delete it and {WHOLE}, and run "
            "the same `loce fit` again: it gathers those statistics anew."
        ) from error
