"""Rows that failed for a reason that may pass, such as a share that was not mounted, and a limit on their number."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from loce_jax.checks import InputError
from loce_jax.data.samples import Item
from loce_jax.pipeline.reading import PASSING, SampleReader
from loce_jax.store import Run

UNREAD = (*PASSING, "size_mismatch")
MAX_FAILURES = 0.05  # of the rows of `fit`
MISSING = (
    "Commonest reasons: `images` names another folder than the one that file names start from; backslashes, another "
    "case or a URL in a file name; a disk that is not mounted."
)


class TooManyFailures(InputError):
    """More rows than allowed could not be read.  The run is kept."""


def failed_images(record: Mapping[str, Any]) -> set[str]:
    """Images of a chunk's record with a row that could not be read, for a reason that may pass."""
    words = next(iter(record["status"].values()))
    return {image for image, word in zip(record["columns"]["image"], words, strict=True) if word in PASSING}


def came_back(reader: SampleReader, items: Iterable[Item], failed: Iterable[str]) -> set[str]:
    """Those of the `failed` images that have fewer rows now that cannot be read; each is tried once more."""
    failed = set(failed)
    tried = [item for item in items if item.image in failed]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        read = pool.map(lambda item: _unread(reader, item), tried)
    return {item.image for item, still in zip(tried, read, strict=True) if not still}


def _unread(reader, item):
    return any(sample.fault and sample.fault.status in PASSING for sample in reader(item).samples)


def check_failures(run: Run, max_failures: float) -> None:
    """Raise `TooManyFailures` if more than a share of the rows could not be read.

    Raises:
        InputError: `max_failures` is no share.
        TooManyFailures: it names the first row, with the path that was looked for.
    """
    check_share(max_failures)
    if not run.finished:
        return
    words = run.column("status", run.layers[0])
    unread = [row for row, word in enumerate(words) if word in UNREAD]
    if len(unread) <= max_failures * len(words):
        return
    counts = ", ".join(f"{n} {word}" for word, n in Counter(words[unread].tolist()).most_common())
    image, reason = (str(run.table[name][unread[0]]) for name in ("image", "reason"))
    why = (
        MISSING if (words[unread] == "image_missing").any() else "`loce data check` lists what is wrong with the data. "
    )
    raise TooManyFailures(
        f"{len(unread)} of {len(words)} rows could not be read ({counts}), more than {max_failures:.3g} of them; the "
        f"first is {image!r}: {reason} The run is kept. {why} "
        "The same command tries those rows again; `max_failures` allows more."
    )


def check_share(max_failures: float) -> None:
    """Raise `InputError` unless `max_failures` is a share."""
    if not 0 <= max_failures <= 1:
        raise InputError(f"`max_failures` must be a share of the rows from 0 to 1, but got {max_failures}. Try 0.05.")
