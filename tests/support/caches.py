"""A pytest plugin: one folder of compiled functions for all tests, their child processes and the next run.

Compiling is most of what the tests cost.  What JAX and Numba compile is kept in ``.cache/compiled`` of the repository,
which Git ignores; both name an entry by a digest of the program and write it in one step, so parallel workers may share
the folder.  Bytecode is kept beside its sources as Python does by default, even where the environment says otherwise:
without it every process, of which tests start many, compiles all sources and rewrites all assertions.  Converted
weights are made anew in every run of pytest: a stale one would hide a fault of the conversion.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

COMPILED = Path(__file__).parents[2] / ".cache" / "compiled"
_OWN = "LOCE_TESTS_OWN_CACHE"  # tells the workers of pytest-xdist which folder the first process made


def pytest_configure(config):
    """Set the variables before JAX or Numba is imported: both read them once."""
    os.environ.setdefault("NUMBA_CACHE_DIR", str(COMPILED))
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(COMPILED))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    if _OWN not in os.environ:
        folder = tempfile.mkdtemp(prefix="loce-tests-")
        os.environ[_OWN] = os.environ["LOCE_CACHE"] = folder
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
