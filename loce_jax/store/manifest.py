"""Which files a run consists of, and which of them are not what was written.

Records say what their files hold, and the manifest of a complete run repeats all of it, the records included.
"""

import functools as ft
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from loce_jax.checks import InputError
from loce_jax.store.files import (
    CHUNKS,
    DERIVED,
    MANIFEST,
    PARTS,
    PLAN,
    SOURCE,
    WHOLE,
    part_record_file,
    rows_file,
    statistics_file,
)
from loce_jax.store.records import REPAIR, check_chunk, check_part, check_whole, plan_digest
from loce_jax.store.sealed import Entry, check_content, entry_of, seal, unseal
from loce_jax.store.storage import Storage

UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


@dataclass
class Survey:
    """What is there of a run, and what of it is damaged.

    Attributes:
        chunks: records of the chunks that are whole, by name.
        parts: records of the parts of statistics that are whole, by name.
        whole: the record of the statistics of all images; None if there is none, or a damaged one.
        files: entries of every file that the records name, and of the records.
        damaged: files that are missing or are not what was written.
    """

    chunks: dict[str, dict[str, Any]] = field(default_factory=dict)
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)
    whole: dict[str, Any] | None = None
    files: dict[str, Entry] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)


def survey(storage: Storage, plan: Mapping[str, Any], *, thorough: bool, chunks: Sequence[str] | None = None) -> Survey:
    """Read the records of a run, and compare the files that they name in length, if `thorough` also in content.

    Args:
        storage: where the run is.
        plan: its plan.
        thorough: whether to read all content.
        chunks: names of the chunks to look at; all if left out.
    """
    found, digest = Survey(), plan_digest(plan)
    there = storage.names(CHUNKS)
    for chunk in plan["chunks"] if chunks is None else chunks:
        if f"{chunk}.json" in there:
            check = ft.partial(check_chunk, chunk=chunk, plan=plan, digest=digest)
            if record := _whole_record(storage, rows_file(chunk), found, check, thorough):
                found.chunks[chunk] = record
    for name in sorted(storage.names(PARTS)):
        part, dot, kind = name.rpartition(".")
        if dot and kind == "json":
            check = ft.partial(check_part, part=part, digest=digest)
            if record := _whole_record(storage, part_record_file(part), found, check, thorough):
                found.parts[part] = record
    if has_whole(storage):
        names = [statistics_file(layer, index) for index, layer in enumerate(plan["layers"])]
        check = ft.partial(check_whole, names=names, digest=digest)
        found.whole = _whole_record(storage, WHOLE, found, check, thorough)
    return found


def is_manifest_whole(storage: Storage) -> bool:
    """Whether the manifest, if there is one, has the content of its SHA-256; a run not yet complete has none."""
    try:
        unseal(storage.read(MANIFEST))
    except FileNotFoundError:
        return True
    except UNREADABLE:
        return False
    return True


def _whole_record(
    storage: Storage, name: str, found: Survey, check: Callable[[bytes], dict[str, Any]], thorough: bool
) -> dict[str, Any] | None:
    """The record if it and its files are whole, else None; both are noted in `found`."""
    try:
        content = storage.read(name)
        record = check(content)
    except UNREADABLE:
        found.damaged.append(name)
        return None
    found.files[name] = entry_of(content)
    found.files |= record["files"]
    damaged = [file for file, entry in record["files"].items() if not _is_whole(storage, file, entry, thorough)]
    found.damaged += damaged
    return None if damaged else record


def _is_whole(storage, name, entry, thorough):
    try:
        if thorough:
            check_content(storage.read(name), entry)
        elif storage.size(name) != entry[0]:
            return False
    except (OSError, ValueError):
        return False
    return True


def damaged_files(storage: Storage, plan: Mapping[str, Any]) -> list[str]:
    """Every file of the run, in whatever state it is, that is missing or is not what was written."""
    found = survey(storage, plan, thorough=True)
    damaged = found.damaged
    there = storage.names()
    if MANIFEST in there:
        try:
            listed = unseal(storage.read(MANIFEST))["files"]
            lost = [name for name in listed if name not in found.files and name != PLAN]
            damaged += [name for name in lost if name not in damaged]
            agrees = listed == _listed(storage, found)
        except UNREADABLE:
            agrees = False
        if not agrees:
            damaged.append(MANIFEST)
    if SOURCE in there:
        try:
            unseal(storage.read(SOURCE))
        except UNREADABLE:
            damaged.append(SOURCE)
    return damaged + list(damaged_derived(storage))


def manifest_fault(storage: Storage, records: Mapping[str, Entry]) -> str:
    """What is wrong with the manifest of a complete run, in words; empty if nothing is.

    Args:
        storage: where the run is.
        records: entries of the records of its chunks.
    """
    try:
        listed = unseal(storage.read(MANIFEST))["files"]
        agrees = all(listed.get(name) == entry for name, entry in records.items())
        agrees = agrees and listed.get(PLAN) == entry_of(storage.read(PLAN))
    except FileNotFoundError:
        return "missing"
    except UNREADABLE:
        return "damaged"
    return "" if agrees else "one of other files"


def refuse_damaged(storage: Storage, names: Sequence[str]) -> None:
    """Raise `InputError` if there are `names` of damaged files."""
    if names:
        more = f" and {len(names) - 8} more" if len(names) > 8 else ""
        raise InputError(
            f"`run` must hold what was written, but these files of {str(storage)!r} are missing or damaged: "
            f"{', '.join(names[:8])}{more}. {REPAIR}."
        )


def damaged_derived(storage: Storage) -> Iterator[str]:
    """Files of what analyses keep that are not what was written."""
    for name in sorted(storage.names(DERIVED)):
        stem, _, kind = name.rpartition(".")
        if kind != "json":
            continue
        try:
            files = unseal(storage.read(f"{DERIVED}/{name}"))["files"]
            for file, entry in files.items():
                check_content(storage.read(file), entry)
        except UNREADABLE:
            yield f"{DERIVED}/{stem}.{kind}"


def write_manifest(storage: Storage, plan: Mapping[str, Any]) -> None:
    """Write the manifest of a run that is complete; of another one there is none.

    Whoever ends the run last writes it, and all that write it write the same bytes.
    """
    there = storage.names(CHUNKS)
    if not all(f"{chunk}.json" in there for chunk in plan["chunks"]):
        return
    found = survey(storage, plan, thorough=False)
    refuse_damaged(storage, found.damaged)
    content = seal({"plan": plan_digest(plan), "files": _listed(storage, found)})
    if MANIFEST not in storage.names() or storage.read(MANIFEST) != content:
        storage.write(MANIFEST, content)


def _listed(storage, found):
    return dict(sorted({PLAN: entry_of(storage.read(PLAN)), **found.files}.items()))


def has_whole(storage: Storage) -> bool:
    """Whether the statistics of all images are there."""
    folder, _, name = WHOLE.rpartition("/")
    return name in storage.names(folder)
