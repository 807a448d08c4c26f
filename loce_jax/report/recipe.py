"""What a run's plan says of the recipe that made its vectors, in words."""

from collections.abc import Mapping
from typing import Any


def name_recipe(plan: Mapping[str, Any]) -> str:
    """The recipe, and what decides how its vectors lie; a plan that tells no options, or none of this, is the paper's.

    >>> name_recipe({"solver": {"recipe": "ridge", "strength": 0.5, "whitening": 1.0, "balance": 0.5}})
    'ridge, strength 0.5, whitening 1, balance 0.5'
    >>> name_recipe({"solver": {"num_steps": 50}})
    'paper'
    """
    solver = plan.get("solver", {})
    if solver.get("recipe", "paper") == "paper":
        return "paper"
    told = [f"{name} {_short(solver[name])}" for name in ("strength", "whitening", "balance") if name in solver]
    return ", ".join([solver["recipe"], *told])


def _short(value):
    """A number without needless zeros; anything else, from a plan that somebody wrote, as it is."""
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def tell_apart(plans: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Names of runs, with their recipes where these differ, in one word if that is enough; by name of the run.

    >>> ridge = {"recipe": "ridge", "strength": 0.5, "whitening": 0.5}
    >>> tell_apart({"a": {"solver": {}}, "b": {"solver": ridge}})
    {'a': 'a (paper)', 'b': 'b (ridge)'}
    """
    recipes = {name: name_recipe(plan) for name, plan in plans.items()}
    kinds = {name: recipe.partition(",")[0] for name, recipe in recipes.items()}
    if len(set(recipes.values())) == 1:
        return {name: name for name in plans}
    said = kinds if len(set(kinds.values())) == len(set(recipes.values())) else recipes
    return {name: f"{name} ({said[name]})" for name in plans}


def describe_coordinates(plan: Mapping[str, Any]) -> str:
    """A sentence on what the vectors weigh, where that is not the layer's channels as they are; else nothing.

    >>> describe_coordinates({"solver": {"recipe": "ridge", "strength": 0.5, "whitening": 0.0}})
    "Vectors are compared in the recipe's coordinates: the layer's activations, centered and scaled."
    """
    if name_recipe(plan) == "paper":
        return ""
    given = "Vectors are compared in the recipe's coordinates: the layer's activations, centered and "
    whitening = plan["solver"].get("whitening")
    if whitening == 0:
        return f"{given}scaled."
    part = "" if whitening == 1 else "partly "
    return f"{given}{part}whitened, so that directions in which all pixels vary much count less."
