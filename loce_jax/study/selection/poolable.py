"""Which runs may be pooled: those whose vectors are of the same network and weigh the same channels."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loce_jax.checks import InputError, short_repr
from loce_jax.store import Run
from loce_jax.store.storage import is_url


def check_poolable(runs: Mapping[str, Run]) -> None:
    """Raise `InputError` where the LoCEs of several runs do not lie in one space, or have no layer in common.

    Args:
        runs: by label.
    """
    if not runs:
        raise InputError("`runs` must be at least one run, but got none. Name its folder.")
    places = [_place(str(run.storage)) for run in runs.values()]
    if twice := [place for place in places if places.count(place) > 1]:
        raise InputError(f"`runs` must be different runs, but {twice[0]!r} is there twice. Name it once.")
    (first, one), *others = runs.items()
    for label, other in others:
        for name, mine in space_of(one).items():
            theirs = space_of(other)[name]
            if mine != theirs:
                ours, others_own = _describe(name, one, theirs), _describe(name, other, mine)
                raise InputError(
                    f"`runs` must have the same {name} to be pooled, since vectors of two spaces cannot be compared, "
                    f"but {first!r} has {ours}, and {label!r} {others_own}. `loce compare` takes such runs."
                )
    if not set.intersection(*(set(run.layers) for run in runs.values())):
        theirs = "; ".join(f"{label}: {', '.join(run.layers)}" for label, run in runs.items())
        raise InputError(
            f"`runs` must have a layer in common to be pooled, but got {theirs}. Fit them at the same one."
        )


def _place(path):
    return path if is_url(path) else str(Path(path).resolve())


def space_of(run: Run) -> dict[str, Any]:
    """What runs that are pooled have in common; the name of a network may be a path, its fingerprint counts."""
    model = run.plan["model"]
    preprocess = {name: value for name, value in model.get("preprocess", {}).items() if name != "source"}
    return {
        "network and weights": model.get("fingerprint") or model["name"],
        "preprocessing": preprocess,
        "recipe": {"name": run.recipe.name, **vars(run.recipe)},
        "grid of masks": {"target": run.plan.get("target")},
    }


def _describe(name, run, other):
    """What one run has, in words: of options only those that differ from another's."""
    mine, model = space_of(run)[name], run.plan["model"]
    if not isinstance(mine, dict):
        return f"{model['name']!r} with the fingerprint {str(model.get('fingerprint'))[:12]}"
    names = [each for each in {**mine, **other} if mine.get(each) != other.get(each)]
    names = ["name"] if "name" in names else names  # options of two recipes have nothing in common
    return ", ".join(f"{each} {short_repr(mine.get(each))}" for each in names)
