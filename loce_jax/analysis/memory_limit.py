"""The main memory that this process may use: the machine's, or less in a container or a batch job."""

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_CGROUPS = Path("/sys/fs/cgroup")
_OURS = Path("/proc/self/cgroup")


def memory_limit() -> float:
    """Bytes of main memory that this process may use; infinite where the system does not report it.

    The least of what the machine has and the limits of the process's control groups: a container's, a batch
    system's.  Not the free memory: the system gives up its file cache when needed.

    >>> memory_limit() > 1e6
    True
    """
    known = hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if known else math.inf
    return float(min([physical, *_limits()]))


def _limits() -> Iterator[int]:
    """The limits of the process's control groups, of the second version ("max" where there is none) or of the first."""
    try:
        lines = _OURS.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        own = PurePosixPath(path.lstrip("/"))
        if not controllers:
            files = (_CGROUPS / group / "memory.max" for group in (own, *own.parents))
        elif "memory" in controllers.split(","):
            files = (_CGROUPS / "memory" / group / "memory.limit_in_bytes" for group in (own, *own.parents))
        else:
            continue
        yield from filter(None, map(_number, files))


def _number(file):
    """What a file holds, if it is there and holds a number."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None
