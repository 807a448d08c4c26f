"""Where the numbers of a study come from: runs, LoCEs looked at, what was chosen, versions."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from loce_jax.report.recipe import name_recipe
from loce_jax.store import Run
from loce_jax.study.options import Selection

_PACKAGES = ("loce_jax", "numpy", "scipy", "scikit-learn", "umap-learn")


def describe_origin(runs: Sequence[Run], selection: Selection, options: Mapping[str, Any]) -> dict[str, Any]:
    """All that these numbers depend on, as plain values.

    Args:
        runs: the runs.
        selection: which of their LoCEs, and the seed.
        options: dataclasses, by name.
    """
    return {
        "runs": [
            {"run": str(run.storage), "model": run.plan["model"]["name"], "recipe": name_recipe(run.plan)}
            for run in runs
        ],
        "selection": asdict(selection),
        "options": {name: asdict(chosen) for name, chosen in options.items()},
        "versions": {package: _version(package) for package in _PACKAGES},
    }


def _version(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return None
