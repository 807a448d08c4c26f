"""The JSON files of a run as they are read: sealed, of the run's own plan, and with the form that they are to have.

Shapes: m rows of a chunk.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from loce_jax.checks import InputError, short_repr
from loce_jax.layer_names import LayerRecord
from loce_jax.recipes import recipe_from
from loce_jax.store.files import FORMAT, PLAN, layer_file, part_file
from loce_jax.store.sealed import DIGITS, is_entry, unseal
from loce_jax.store.storage import Storage

REPAIR = "The same `loce fit` with `--repair` makes what is damaged anew"
MAX_NUMBER = 1e300
NAMES = {"data": ("name", "source"), "model": ("name",)}  # spellings, which a plan's digest leaves out


def work_of(plan: Mapping[str, Any]) -> dict[str, Any]:
    """What a plan is compared by: data and network by their fingerprints, whatever they are called."""
    work = {**plan, "layers": list(plan["layers"])}  # aliases may be added to layers
    for part, left_out in NAMES.items():
        if "fingerprint" in work.get(part, ()):
            work[part] = {name: value for name, value in work[part].items() if name not in left_out}
    work.pop("sha256", None)
    return work


def plan_digest(plan: Mapping[str, Any]) -> str:
    """SHA-256 of a plan's work, which every file of the run repeats."""
    return hashlib.sha256(json.dumps(work_of(plan), sort_keys=True).encode()).hexdigest()


def read_plan(storage: Storage) -> dict[str, Any]:
    """The plan of a run.

    Raises:
        InputError: it is of another format, damaged, or has not the form of a plan.
    """
    content = storage.read(PLAN)
    if (there := _format_of(content)) != FORMAT:
        raise InputError(
            f"`run` must be of format {FORMAT}, this version's, but {str(storage)!r} is of format {short_repr(there)}. "
            "Make it anew, in another folder."
        )
    try:
        plan = unseal(content)
        _check_plan(plan)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(
            f"`run` must hold a readable plan, but {f'{storage}/{PLAN}'!r} is not: {str(error).rstrip('.')}. {REPAIR}."
        ) from error
    return plan


def _format_of(content):
    """The format that a plan says, whether or not it is whole; this version's where it says none."""
    try:
        found = json.loads(content)
        return found.get("format", FORMAT)
    except (ValueError, AttributeError, RecursionError):
        return FORMAT


def _check_plan(plan: Any) -> None:
    _expect(type(plan.get("format")) is int, "has no format")
    layers, data, chunks = plan.get("layers"), plan.get("data"), plan.get("chunks")
    _expect(isinstance(layers, dict) and layers and all(isinstance(one, dict) for one in layers.values()), "no layers")
    for name, record in layers.items():
        _check_layer(LayerRecord(name, **record))
    _expect(isinstance(data, dict) and _are_texts(data.get("concepts")), "no concepts")
    _expect(_are_texts(chunks) and len(set(chunks)) == len(chunks), "no list of chunks")
    _expect(all(name.isascii() and name.isdigit() for name in chunks), "a chunk whose name is no number")
    for part in ("model", "recipe"):
        _expect(isinstance(plan.get(part, {}), dict), f"a {part} that is no object")
    for count in ("images", "pairs"):
        _expect(type(plan.get(count, 0)) is int and plan.get(count, 0) >= 0, f"a number of {count} that is none")
    recipe_from(plan.get("recipe", {}))


def _check_layer(layer: LayerRecord) -> None:
    numbers = [one for one in (layer.index, layer.channels, *layer.grid) if one is not None]
    fits = isinstance(layer.grid, list | tuple) and all(type(one) is int for one in numbers)
    fits = fits and type(layer.stride) in (int, float, type(None)) and isinstance(layer.kind, str)
    _expect(fits and _are_texts(list(layer.aliases)), f"describes layer {short_repr(layer.name)} in another form")


def check_chunk(content: bytes, chunk: str, plan: Mapping[str, Any], digest: str) -> dict[str, Any]:
    """The record of a finished chunk.

    Args:
        content: of its file.
        chunk: name of the chunk.
        plan: the run's plan.
        digest: `plan_digest` of it.

    Raises:
        ValueError: it is damaged, of another run, or its counts do not agree.
    """
    record: Any = unseal(content)
    _expect(record.get("plan") == digest and record.get("chunk") == chunk, "is of another run or chunk")
    m, columns, status = record.get("rows"), record.get("columns"), record.get("status")
    _expect(type(m) is int and m >= 0, "has no number of rows")
    _expect(isinstance(columns, dict) and {"image", "concept", "reason"} <= columns.keys(), "lacks columns")
    for name, values in columns.items():
        _expect(isinstance(values, list) and len(values) == m, f"column {short_repr(name)} is not of {m} rows")
        _expect(
            _are_texts(values) or _are_numbers(values), f"column {short_repr(name)} is neither of texts nor of numbers"
        )
    for name in ("image", "concept", "reason"):
        _expect(_are_texts(columns[name]), f"column {name!r} is not of texts")
    unknown = set(columns["concept"]) - set(plan["data"]["concepts"])
    _expect(not unknown, f"has concepts that the plan does not have: {short_repr(sorted(unknown))}")
    _expect(isinstance(status, dict) and list(status) == list(plan["layers"]), "has not a status for every layer")
    for layer, words in status.items():
        _expect(_are_texts(words) and len(words) == m, f"the status of {short_repr(layer)} is not of {m} rows")
    names = [layer_file(layer, index, chunk) for index, layer in enumerate(plan["layers"])]
    _check_files(record, names)
    photos = record.get("photos")
    _expect(isinstance(photos, dict) and all(_is_photo(photo) for photo in photos.values()), "has no digests of photos")
    _expect(isinstance(record.get("statistics"), str), "says no statistics")
    return record


def check_part(content: bytes, part: str, digest: str) -> dict[str, Any]:
    """The record of a finished part of the statistics; raises as `check_chunk`."""
    record = unseal(content)
    _expect(record.get("plan") == digest and record.get("part") == part, "is of another run or part")
    _check_files(record, [part_file(part)])
    for name in ("photos", "failed"):
        images = record.get(name)
        _expect(isinstance(images, dict) and _are_texts(list(images.values())), f"has no list of {name}")
    energies = record.get("energies")
    _expect(isinstance(energies, list) and all(map(_is_energies, energies)), "has no energies of images")
    return record


def check_whole(content: bytes, names: Sequence[str], digest: str) -> dict[str, Any]:
    """The record of the statistics of all images, which are in the files `names`; raises as `check_chunk`."""
    record = unseal(content)
    _expect(record.get("plan") == digest, "is of another run")
    _check_files(record, names)
    return record


def _check_files(record, names):
    files = record.get("files")
    _expect(isinstance(files, dict) and set(files) == set(names), "lists other files than it has")
    _expect(all(is_entry(entry) for entry in files.values()), "has no length and SHA-256 of its files")


def _is_energies(one):
    return (
        isinstance(one, dict)
        and set(one) == {"energies", "image", "channel"}
        and isinstance(one["energies"], list)
        and all(type(value) is float and 0 < value < MAX_NUMBER for value in one["energies"])
        and isinstance(one["image"], str)
        and type(one["channel"]) is int
    )


def _is_photo(photo):
    return (
        isinstance(photo, list)
        and len(photo) == 2
        and isinstance(photo[0], str)
        and len(photo[0]) == DIGITS
        and isinstance(photo[1], list)
    )


def _are_texts(values):
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


def _are_numbers(values):
    """Whether all can be float64; None stands for a number that is missing."""
    return all(isinstance(value, int | float | None) and abs(value or 0) < MAX_NUMBER for value in values)


def _expect(condition, problem):
    if not condition:
        raise ValueError(f"it {problem}")
