"""What the machine, or the container that we are given of it, can hold."""

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_CGROUPS = Path("/sys/fs/cgroup")
_OURS = Path("/proc/self/cgroup")


def memory() -> float:
    """Bytes of main memory that this process may use; infinite where the system does not tell.

    The least of what the machine has and what a limit on us, or on a group that we belong to, allows: a container's, a
    batch system's.  Not the free ones: the system's file cache gives way when asked.

    >>> memory() > 1e6
    True
    """
    known = hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if known else math.inf
    return float(min([physical, *_limits()]))


def _limits() -> Iterator[int]:
    """The limits of our control groups, of the second version ("max" where there is none) or of the first."""
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
