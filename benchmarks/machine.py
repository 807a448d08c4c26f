"""The machine of a measurement: its processor and the versions of packages."""

import importlib.metadata
import importlib.util
import os
import platform
import re
from pathlib import Path


def machine() -> dict:
    """Processor, number of cores, and versions of Python and packages."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", info.read_text()) if info.exists() else None
    packages = [name for name in ("jax", "torch", "numpy") if importlib.util.find_spec(name)]
    versions = {name: importlib.metadata.version(name) for name in packages}
    cpu = found[1] if found else platform.processor()
    return {"cpu": cpu, "cores": os.cpu_count(), "python": platform.python_version(), **versions}
