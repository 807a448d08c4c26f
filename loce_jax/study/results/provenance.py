"""The record of a study: its runs, the selected LoCEs, the options, the versions of the packages."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from loce_jax.recipes import Recipe, recipe_from
from loce_jax.store.records import plan_digest
from loce_jax.study.options import Selection
from loce_jax.study.selection.sources import RunLike

_PACKAGES = ("loce_jax", "numpy", "scipy", "scikit-learn", "umap-learn")


def describe_origin(runs: Sequence[RunLike], selection: Selection, options: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that the numbers of a study depend on, as plain values.

    Args:
        runs: the runs.
        selection: which of their LoCEs, and the seed.
        options: dataclasses, by name.
    """
    return {
        "runs": [
            {
                "run": str(run.storage),
                "plan": plan_digest(run.plan),
                "model": run.plan["model"]["name"],
                "recipe": recipe_from(run.plan.get("recipe", {})).describe(),
            }
            for run in runs
        ],
        "selection": asdict(selection),
        "options": {name: asdict(chosen) for name, chosen in options.items()},
        "versions": {package: _version(package) for package in _PACKAGES},
    }


def label_runs(recipes: Mapping[str, Recipe]) -> dict[str, str]:
    """Labels of runs by their names: the name, with the recipe where recipes differ, in one word if that is enough.

    >>> from loce_jax.recipes import PaperRecipe, RidgeRecipe
    >>> label_runs({"a": PaperRecipe(), "b": RidgeRecipe()})
    {'a': 'a (paper)', 'b': 'b (ridge)'}
    >>> label_runs({"a": PaperRecipe(), "b": PaperRecipe()})
    {'a': 'a', 'b': 'b'}
    """
    descriptions = {name: recipe.describe() for name, recipe in recipes.items()}
    kinds = {name: recipe.name for name, recipe in recipes.items()}
    if len(set(descriptions.values())) == 1:
        return {name: name for name in recipes}
    words = kinds if len(set(kinds.values())) == len(set(descriptions.values())) else descriptions
    return {name: f"{name} ({words[name]})" for name in recipes}


def _version(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return None
