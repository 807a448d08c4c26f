"""Statistics of a run's layers, which a recipe that whitens needs: of parts of the images, and of all of them.

Like a chunk, a part is complete when its record is there, and so is the whole; records hold what the files' content is.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from safetensors.numpy import save

from loce_jax.checks import InputError
from loce_jax.image_energies import ImageEnergies
from loce_jax.statistics import Statistics
from loce_jax.store.files import PARTS, WHOLE, part_file, part_record_file, statistics_file
from loce_jax.store.manifest import UNREADABLE
from loce_jax.store.mapped import view_tensors
from loce_jax.store.records import REPAIR, check_part, check_whole, plan_digest
from loce_jax.store.sealed import check_content, entry_of, write_completed
from loce_jax.store.storage import Storage

FIELDS = "count", "mean", "scatter"


@dataclass(frozen=True)
class PartImages:
    """What is noted of the images of a part.

    Attributes:
        energies: how large their activations are at each layer, in the plan's order.
        photos: by image, the digest of each photo that was counted.
        failed: by image, the status of each photo that could not be read.
    """

    energies: tuple[ImageEnergies, ...] = ()
    photos: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)


def write_part(
    storage: Storage,
    plan: Mapping[str, Any],
    part: str,
    layers: Sequence[Statistics],
    images: PartImages,
) -> None:
    """Store the statistics of one part of the images, every layer's.

    Args:
        storage: where the run is.
        plan: the run's plan.
        part: name of the part.
        layers: the statistics, in the plan's order.
        images: what is noted of them.
    """
    tensors = {f"{index} {name}": array for index, sums in enumerate(layers) for name, array in _arrays(sums).items()}
    content = save(tensors)
    record = {
        "plan": plan_digest(plan),
        "part": part,
        "energies": [asdict(one) for one in images.energies],
        "photos": dict(images.photos),
        "failed": dict(images.failed),
        "files": {part_file(part): entry_of(content)},
    }
    write_completed(storage, part_record_file(part), record, {part_file(part): content})


def missing_parts(storage: Storage, parts: Iterable[str]) -> list[str]:
    """Those of `parts` that are not there."""
    there = storage.names(PARTS)
    return [part for part in parts if f"{part}.json" not in there]


def read_part(storage: Storage, plan: Mapping[str, Any], part: str) -> list[Statistics]:
    """The statistics of one part, every layer's.

    Raises:
        InputError: they are damaged.
    """
    count, record = len(plan["layers"]), _part_record(storage, plan, part)
    wanted = [f"{index} {name}" for index in range(count) for name in FIELDS]
    tensors = _open(storage, part_file(part), record["files"], wanted)
    return [_sums([tensors[f"{index} {name}"] for name in FIELDS]) for index in range(count)]


def read_part_images(storage: Storage, plan: Mapping[str, Any], part: str) -> PartImages:
    """What `write_part` noted of the images.

    Raises:
        InputError: the record is damaged.
    """
    record = _part_record(storage, plan, part)
    energies = (ImageEnergies(tuple(one["energies"]), one["image"], one["channel"]) for one in record["energies"])
    return PartImages(tuple(energies), record["photos"], record["failed"])


def write_whole(storage: Storage, plan: Mapping[str, Any], layers: Mapping[str, Statistics]) -> None:
    """Store the statistics of all images, layer by layer in the plan's order."""
    contents = {
        statistics_file(layer, index): save(_arrays(sums)) for index, (layer, sums) in enumerate(layers.items())
    }
    record = {"plan": plan_digest(plan), "files": {name: entry_of(content) for name, content in contents.items()}}
    write_completed(storage, WHOLE, record, contents)


def whole_digest(storage: Storage, plan: Mapping[str, Any]) -> str:
    """The SHA-256 by which chunks name the statistics that they were solved with.

    Raises:
        InputError: there are none, or their record is damaged.
    """
    return _whole_record(storage, plan)["sha256"]


def read_whole(storage: Storage, plan: Mapping[str, Any], layer: str, index: int) -> Statistics:
    """The statistics of all images at the `index`-th layer.

    Raises:
        InputError: they are damaged.
    """
    files = _whole_record(storage, plan)["files"]
    return _sums(list(_open(storage, statistics_file(layer, index), files, FIELDS).values()))


def _whole_record(storage, plan):
    names = [statistics_file(layer, index) for index, layer in enumerate(plan["layers"])]
    try:
        return check_whole(storage.read(WHOLE), names, plan_digest(plan))
    except UNREADABLE as error:
        raise _damaged(storage, WHOLE, error) from error


def _part_record(storage, plan, part):
    try:
        return check_part(storage.read(part_record_file(part)), part, plan_digest(plan))
    except UNREADABLE as error:
        raise _damaged(storage, part_record_file(part), error) from error


def _arrays(sums):
    dtypes = dict.fromkeys(FIELDS, np.float64) | {"count": np.int64}
    return {name: np.array(getattr(sums, name), dtype, order="C") for name, dtype in dtypes.items()}


def _sums(tensors):
    count, mean, scatter = tensors
    return Statistics(int(count), mean, scatter)


def _open(storage, name, files, wanted):
    try:
        content = storage.map(name)
        check_content(content, files[name])
        tensors = view_tensors(content)
        found = {key: tensors[key] for key in wanted}
        for key, tensor in found.items():
            axes = FIELDS.index(key.rpartition(" ")[2])  # a count, a vector, a square matrix
            if tensor.ndim != axes or len(set(tensor.shape)) > 1:
                raise ValueError(f"tensor {key!r} has the shape {tensor.shape}")
    except UNREADABLE as error:
        raise _damaged(storage, name, error) from error
    return found


def _damaged(storage, name, error):
    return InputError(f"`run` must be whole, but {f'{storage}/{name}'!r} is damaged: {error}. {REPAIR}.")
