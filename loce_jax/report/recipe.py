"""What a run's plan says of the recipe that made its vectors, in words."""

from collections.abc import Mapping
from typing import Any


def name_recipe(plan: Mapping[str, Any]) -> str:
    """The recipe, and what decides how its vectors lie.

    >>> name_recipe({"solver": {"recipe": "ridge", "strength": 0.5, "whitening": 1.0}})
    'ridge, strength 0.5, whitening 1'
    >>> name_recipe({"solver": {"num_steps": 50}})
    'paper'
    """
    solver = plan["solver"]
    if solver.get("recipe", "paper") == "paper":
        return "paper"
    return f"{solver['recipe']}, " + ", ".join(f"{name} {solver[name]:g}" for name in ("strength", "whitening"))


def describe_coordinates(plan: Mapping[str, Any]) -> str:
    """A sentence on what the vectors weigh, where that is not the layer's channels as they are; else nothing."""
    if name_recipe(plan) == "paper":
        return ""
    return (
        "Vectors are compared in the recipe's coordinates: the layer's activations, centred and partly whitened, so "
        "that directions in which all pixels vary much count less."
    )
