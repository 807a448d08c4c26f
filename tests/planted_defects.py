"""Ten planted defects, each of which the fast tests must catch: python tests/planted_defects.py

Every defect is one replacement in a copy of the package; the tests concerned run on that copy and must fail.  The
same tests must pass on a copy without a defect.  Exit code 1 if a defect is not caught, or if its text is gone from
the package: then say it here in the words of the new code.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPIED = "loce_jax", "tests", "benchmarks", "conftest.py", "pyproject.toml", "README.md"
FAILED = 1  # pytest's exit code when tests ran and some failed; others mean that no test was run


@dataclass(frozen=True)
class Defect:
    """One replacement, and which tests must notice it.

    Attributes:
        name: what is wrong.
        file: of the package.
        good: text that stands exactly once in it.
        bad: what takes its place.
        tests: files below ``tests``, or tests in them.
    """

    name: str
    file: str
    good: str
    bad: str
    tests: tuple[str, ...]


DEFECTS = (
    Defect(
        "solver step: no bias correction of the first moment",
        "solver/paper/adamw.py",
        "recipe.learning_rate / correction[0] * step",
        "recipe.learning_rate * step",
        ("solver/test_adamw.py",),
    ),
    Defect(
        "IoU threshold: 0.45 instead of 0.5",
        "solver/iou.py",
        "threshold: float = 0.5,",
        "threshold: float = 0.45,",
        ("solver/test_iou.py",),
    ),
    Defect(
        "resize: corners instead of pixel centers",
        "resampling.py",
        "(np.arange(n_out) + 0.5) * n_in / n_out - 0.5",
        "np.arange(n_out) * n_in / n_out",
        ("test_resampling.py",),
    ),
    Defect(
        "store resume: a chunk counts as finished when a later one is",
        "store/read.py",
        'f"{chunk}.json" in there',
        'f"{chunk}.json" <= max(there, default="")',
        ("store/test_store.py",),
    ),
    Defect(
        "layer lookup: an end of a name need not begin at a dot",
        "layer_names.py",
        'known.endswith(f".{name}")',
        "known.endswith(name)",
        ("test_layer_names.py::test_an_end_of_a_name_counts_at_a_dot_only",),
    ),
    Defect(
        "purity: the largest cluster of a label instead of the most common label of a cluster",
        "analysis/metrics/purity.py",
        "table.max(axis=1)",
        "table.max(axis=0)",
        ("analysis/clustering/test_clustering.py",),
    ),
    Defect(
        "separation: the size of one concept alone",
        "analysis/metrics/separation.py",
        "np.maximum(reach, reach[:, None])",
        "reach",
        ("analysis/metrics/test_separation.py",),
    ),
    Defect(
        "retrieval tie: the later of two equal neighbors comes first",
        "analysis/metrics/retrieval.py",
        'np.argsort(distances, kind="stable")',
        'np.argsort(-distances, kind="stable")[::-1]',
        ("analysis/metrics/test_retrieval.py",),
    ),
    Defect(
        "converter operation: the padding never counts in a mean",
        "models/converter/ops/pooling.py",
        "margin = self.padding if counts_padding else 0",
        "margin = 0",
        ("converter/test_ops_numpy.py",),
    ),
    Defect(
        "page escape: names of the data end the page's script",
        "foreign_text.py",
        '.replace("<", "\\\\u003c")',
        "",
        ("report/test_report.py",),
    ),
)


def run(folder: Path, tests) -> tuple[int, str]:
    """The exit code and what pytest says of the fast selection of `tests` in the copy at `folder`."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n0", "-p", "no:cacheprovider", "-p", "no:randomly"]
    compiled = os.environ.get("NUMBA_CACHE_DIR") or str(ROOT / ".cache" / "compiled")
    environment = os.environ | {"PYTHONPATH": str(folder), "NUMBA_CACHE_DIR": compiled}
    environment.setdefault("JAX_COMPILATION_CACHE_DIR", compiled)
    environment.setdefault("LOCE_SHARED", str(ROOT.parent / "shared"))
    files = [f"tests/{test}" for test in tests]
    done = subprocess.run([*command, *files], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines() or [done.stderr.strip()]
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    return done.returncode, "; ".join([*failed, lines[-1]])


def copy(folder: Path) -> None:
    """The package and its tests at `folder`."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)


def try_defect(defect: Defect) -> tuple[bool, str]:
    """Whether the tests catch it, and one line that says how."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy(folder)
        path = folder / "loce_jax" / defect.file
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        if text.count(defect.good) != 1:
            return False, f"STALE   {defect.name}: its text stands {text.count(defect.good)} times in {defect.file}"
        path.write_text(text.replace(defect.good, defect.bad), encoding="utf-8")
        code, last = run(folder, defect.tests)
    word = "caught" if code == FAILED else "MISSED"
    return code == FAILED, f"{word}  {defect.name} ({time.perf_counter() - start:.0f} s): {last}"


def main() -> int:
    """Print a line for each defect; 0 if all are caught and all tests pass without them."""
    with tempfile.TemporaryDirectory() as name:
        copy(Path(name))
        code, last = run(Path(name), sorted({test for defect in DEFECTS for test in defect.tests}))
    print(f"{'passes' if code == 0 else 'FAILS '}  no defect: {last}", flush=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = []
        for caught, line in pool.map(try_defect, DEFECTS):
            results.append(caught)
            print(line, flush=True)
    return 0 if code == 0 and all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
