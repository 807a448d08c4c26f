"""Who may import whom, and what importing may not cost."""

import ast
import functools as ft
import re
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "loce_jax"

# A room may import itself, `checks`, `foreign_text`, `layer_names`, `resampling`, `statistics`, and what stands here.
ALLOWED = {
    "checks": set(),
    "foreign_text": set(),
    "arrays": set(),
    "atomic": set(),
    "batch_sizes": set(),
    "framing": set(),
    "image_energies": set(),
    "layer_names": set(),
    "recipes": set(),
    "resampling": set(),
    "data": set(),
    "models": set(),
    "mesh": set(),
    "statistics": set(),
    "activations": {"models", "data", "mesh"},
    "solver": {"mesh"},
    "store": set(),
    "analysis": set(),
    "plots": {"analysis"},
    "study": {"data", "store", "analysis", "plots"},
    "report": {"data", "store", "analysis", "plots", "study"},
    "attribution": {"models", "solver"},
    "concepts": {"activations", "analysis", "attribution", "models", "solver", "store"},
    "pipeline": {"data", "models", "activations", "solver", "store"},
    "feature_spaces": {
        "activations",
        "analysis",
        "attribution",
        "concepts",
        "data",
        "models",
        "pipeline",
        "plots",
        "solver",
        "store",
        "study",
    },
    "cli": {"analysis", "data", "feature_spaces", "models", "pipeline", "report", "solver", "store", "study"},
}
EVERYONES = {
    "arrays",
    "atomic",
    "batch_sizes",
    "checks",
    "foreign_text",
    "framing",
    "image_energies",
    "layer_names",
    "recipes",
    "resampling",
    "statistics",
}
WITHOUT_JAX = (
    *sorted(EVERYONES),
    "data",
    "store",
    "analysis",
    "plots",
    "report",
    "study",
)
WITH_JAX = "analysis/neighbors/blocked.py"  # exact distances among millions of vectors


@ft.cache
def nodes(path):
    """Every node of a file's syntax tree."""
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def imports(path):
    """Every module that a file imports, at its top or inside a function."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def room(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def name_in_package(path):
    return path.relative_to(PACKAGE).as_posix()


def test_arrows_point_one_way():
    used = {
        (path, module.split(".")[1]) for path in FILES for module in imports(path) if module.startswith("loce_jax.")
    }
    allowed = {mine: {mine} | others | EVERYONES for mine, others in ALLOWED.items()}
    assert not [
        f"{name_in_package(path)} must not import {other}" for path, other in used if other not in allowed[room(path)]
    ]


def test_numpy_rooms_do_not_know_jax():
    files = [path for path in FILES if room(path) in WITHOUT_JAX and name_in_package(path) != WITH_JAX]
    heavy = {"jax", "flax", "optax"}
    assert not [name_in_package(path) for path in files if heavy & {module.split(".")[0] for module in imports(path)}]


def test_nobody_unpickles_but_the_restricted_reader():
    users = {path.name for path in FILES if "pickle" in set(imports(path))}
    assert users <= {"legacy_pth.py"}


def test_files_of_data_sets_are_opened_in_one_way():
    opening = re.compile(r"\.read_(text|bytes)\(|\.open\([\"']|(?<![\w.])open\(|Image\.open\((?!stream)")
    own = {"files.py", "cutouts.py"}  # the way itself, and photographs that come inside of libraries
    readers = [path for path in FILES if room(path) == "data" and path.name not in own]
    assert not [path.name for path in readers if opening.search(path.read_text(encoding="utf-8"))]


def test_importing_the_package_is_light():
    heavy = ["matplotlib", "umap", "transformers", "torch", "sklearn", "skimage", "flax", "orbax", "numba"]
    code = f"import sys, loce_jax; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "[]"
