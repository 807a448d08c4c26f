"""Where a run's data are: noted when it is continued, found again when it is looked at, and compared.

A path is noted as it is in the file system, and relative to the run, so that a folder with a run and its data can be
moved.  A note is signed with a key of the user: paths outside of the run that another user's note names are not opened
unless that is asked for, since a run from elsewhere could name any folder.
"""

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loce_jax.checks import InputError
from loce_jax.data import KINDS
from loce_jax.data.samples import Dataset, Fault, Item, Reading
from loce_jax.data.selection import DataOptions
from loce_jax.pipeline.resuming.photo_digests import photo_entry
from loce_jax.pipeline.sources import source_from
from loce_jax.store import Run
from loce_jax.store.files import SOURCE
from loce_jax.store.local_storage import LocalStorage
from loce_jax.store.sealed import unseal
from loce_jax.store.storage import Storage

PATHS = ("path", "annotations", "images", "labels", "classes")  # entries of a source that may be paths
NOTHING = {"source": None, "paths": {}, "signature": ""}  # a note that says nothing
CURE = "Give the data: `--coco FILE --images FOLDER`, or the flags that the run was made with."


def location_record(dataset: Dataset, storage: Storage) -> dict[str, Any]:
    """What is noted of a data set's ``source``: None if it has none."""
    source = getattr(dataset, "source", None)
    root = storage.root.absolute() if isinstance(storage, LocalStorage) else None
    paths = {}
    for name, value in (source or {}).items():
        if name in PATHS and isinstance(value, str) and os.path.exists(value):
            absolute = os.path.realpath(value)
            paths[name] = [absolute, os.path.relpath(absolute, os.path.realpath(root)) if root else None]
    record = {"source": source, "paths": paths}
    return {**record, "signature": _signature(record)}


def reopen(
    run: Run,
    given: Mapping[str, str] | None = None,
    *,
    kind: str = "",
    options: DataOptions = DataOptions(),  # noqa: B008 - frozen
) -> Dataset:
    """The data set of a run, where the run says that it is, or where somebody else says so.

    Args:
        run: the run.
        given: parts of the data set that lie elsewhere now, such as ``{"path": ..., "images": ...}``, or its split.
        kind: of the data set, where the run does not say it.
        options: which images and masks were used, where the run does not say it.

    Raises:
        InputError: there is no such data set any more, it is another one, or it lies where only its owner may look.
    """
    given = given or {}
    record = _read(run, needed=not given and not kind)
    if kind and (record["source"] or {}).get("kind") != kind:
        record = NOTHING
    named = {"kind": kind, **(record["source"] or {}), **_chosen(options)}
    if not named["kind"]:
        source_from(None)
    problems = []
    for source in _sources(named, record, run, given):
        try:
            dataset = source_from(source).open()
        except (OSError, ValueError, TypeError, AttributeError) as error:  # the note may hold anything
            problems.append(str(error))
            continue
        if dataset.fingerprint == run.plan["data"].get("fingerprint"):
            return CheckedDataset(dataset, run.photo_digests())
        problems.append(
            f"those at {_places(source)} are others: images, concepts, annotations or options differ from the run's."
        )
    other = named["kind"] if str(named["kind"]) in KINDS and named["kind"] != "coco" else ""
    cure = f"Give the data: `--data {other} PATH`, and the flags that the run was made with." if other else CURE
    raise InputError(f"the data of the run {str(run.storage)!r} cannot be opened: {problems[0]} {cure}")


@dataclass(frozen=True)
class CheckedDataset:
    """A data set whose photos must be those that a run was made from.

    Attributes:
        base: the data set.
        digests: by image, the digest of its photo.
    """

    base: Dataset
    digests: Mapping[str, str]

    @property
    def items(self) -> Sequence[Item]:
        """The data set's."""
        return self.base.items

    @property
    def concepts(self) -> Sequence[str]:
        """The data set's."""
        return self.base.concepts

    @property
    def fingerprint(self) -> str:
        """The data set's."""
        return self.base.fingerprint

    def read(self, item: Item) -> Reading:
        """Open one item; raises `Fault` where its photo is another one than the run's."""
        reading = self.base.read(item)
        digest, _ = photo_entry(self.base, item, reading)
        if self.digests.get(item.image, digest) != digest:
            raise Fault("image_unreadable", f"{item.image} is another photo than the run was made from.")
        return reading


def _chosen(options: DataOptions) -> dict[str, Any]:
    """What a source says of options that are not the defaults."""
    crowd = {"crowd": options.crowd} if options.crowd != DataOptions.crowd else {}
    return crowd | ({"options": options.record()} if options.record() else {})


def _sources(
    named: Mapping[str, Any], record: Mapping[str, Any], run: Run, given: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """What may be the source; where the run does not note one, also with the concepts that its plan has."""
    for found in _candidates(record, run, given):
        yield {**named, **found}
        if record["source"] is None:
            yield {**named, **found, "concepts": list(run.plan["data"]["concepts"])}


def _read(run: Run, *, needed: bool) -> dict[str, Any]:
    """What was noted; nothing, unless that is `needed`, where there is no note or a damaged one."""
    why = f"it has no {SOURCE}"
    if SOURCE in run.storage.names():
        try:
            record = unseal(run.storage.read(SOURCE))
            source, paths = record["source"], record["paths"]
            fits = (source is None or isinstance(source, dict)) and isinstance(record["signature"], str)
            if fits and all(isinstance(one, list) and len(one) == 2 and _are_paths(one) for one in paths.values()):
                return record
            why = f"its {SOURCE} has another form"
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            why = f"its {SOURCE} is damaged: {error}"
    if needed:
        raise InputError(f"`run` must say where its data are, but {str(run.storage)!r} does not: {why}. {CURE}")
    return NOTHING


def _are_paths(pair):
    return isinstance(pair[0], str) and isinstance(pair[1], str | None)


def _candidates(record: Mapping[str, Any], run: Run, given: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Paths of the source as they were, and as they are if the run has moved with its data; those `given` are certain.

    Raises:
        InputError: a path that was not given leads out of the run, and the note is not this user's.
    """
    noted = {name: pair for name, pair in record["paths"].items() if name not in given}
    signature = _signature({"source": record["source"], "paths": record["paths"]})
    trusted = bool(signature) and hmac.compare_digest(record["signature"], signature)
    root = run.storage.root.resolve() if isinstance(run.storage, LocalStorage) else None
    ways = [{name: absolute for name, (absolute, _) in noted.items()}]
    if root and noted and all(relative is not None for _, relative in noted.values()):
        ways.append({name: os.path.normpath(root / relative) for name, (_, relative) in noted.items()})
    spelled = {name: value for name, value in (record["source"] or {}).items() if name in PATHS and name not in given}
    for way in ways:
        used = {**spelled, **way}
        outside = [value for value in used.values() if _leads_out(value, root)]
        if outside and not trusted:
            raise InputError(
                f"the run {str(run.storage)!r} was not made by this user, and says that its data lie outside of it, at "
                f"{', '.join(map(repr, outside))}. They are opened if you name them yourself. {CURE}"
            )
        yield {**way, **given}


def _leads_out(value, root):
    if not isinstance(value, str) or not (os.sep in value or os.path.exists(value)):
        return False  # no path, but a name that is known
    return root is None or not Path(value).resolve().is_relative_to(root)


def _places(source):
    return ", ".join(repr(source[name]) for name in PATHS if name in source)


def _signature(record: Mapping[str, Any]) -> str:
    """HMAC of a note with the user's key; empty where no key can be kept."""
    key = _key()
    text = json.dumps(record, sort_keys=True).encode()
    return hmac.new(key, text, hashlib.sha256).hexdigest() if key else ""


def _key() -> bytes:
    """The user's key, made when it is first needed."""
    from loce_jax.models.checkpoints.cache import cache_folder  # noqa: PLC0415 - importing the package is light

    path = cache_folder() / "signing_key"
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_name(f".{secrets.token_hex(8)}.tmp")
            draft.touch(mode=0o600)
            draft.write_bytes(secrets.token_bytes(32))
            try:
                os.link(draft, path)  # the first of several that start together wins
            except FileExistsError:
                pass
            except OSError:
                os.replace(draft, path)
            draft.unlink(missing_ok=True)
        return path.read_bytes()
    except (OSError, RuntimeError):
        return b""
