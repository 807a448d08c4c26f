"""Several runs of one network as one: the LoCEs of several data sets side by side, on one map.

Shapes: n rows of all runs together, c channels, h x w cells of a layer's grid.
"""

import functools as ft
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

from loce_jax.checks import InputError
from loce_jax.foreign_text import text_array
from loce_jax.recipes import PaperRecipe
from loce_jax.store import Run
from loce_jax.store.storage import Storage
from loce_jax.study.selection.poolable import check_poolable

_SHARED = ("image_id", "area", "reason", "status", "iou", "loss")


@dataclass(frozen=True, eq=False)
class PooledRun:
    """Runs of one network and recipe as one run: the rows of the first, then of the second, and so on.

    Its images are called ``RUN: IMAGE``, so that photographs of two data sets stay two, whatever their names.  Layers
    are those that all runs have.  Vectors of the paper's recipe are as they are; those of the ridge recipe, each of
    which weighs activations whitened by its own run's statistics, are converted to the coordinates that the images of
    all runs together define, in which they respond to activations as before, but for a constant.

    Attributes:
        runs: by label; `label_by_end` makes labels of paths.
        apart: concepts of the same name in two runs are two concepts, ``NAME (RUN)``; else they are one.

    Raises:
        InputError: network, weights, preprocessing, recipe or grid of the masks differ, no layer is common, or a run
            is there twice.
    """

    runs: Mapping[str, Run]
    apart: bool = False

    def __post_init__(self):
        check_poolable(self.runs)

    @property
    def storage(self) -> Storage | None:
        """The first run's: maps of the pool are kept there."""
        return self._first.storage

    @property
    def plan(self) -> Mapping[str, Any]:
        """The first run's, but for the data."""
        return {**self._first.plan, "data": {"concepts": list(self.concepts)}}

    @property
    def layers(self) -> tuple[str, ...]:
        """Layers that all runs have, in the first one's order."""
        every = [set(run.layers) for run in self.runs.values()]
        return tuple(layer for layer in self._first.layers if all(layer in layers for layers in every))

    def resolve(self, names: Sequence[str] = ()) -> tuple[str, ...]:
        """Canonical names of the layers that `names` mean in every run; all that the runs have in common if empty.

        Raises:
            InputError: a name that means no layer of a run.
        """
        if not names:
            return self.layers
        found = [run.resolve(names) for run in self.runs.values()]
        layers = tuple(layer for layer in found[0] if all(layer in others for others in found))
        if not layers:
            raise InputError(
                f"`layers` must mean a layer that all runs have, but got {', '.join(names)}. They have in common: "
                f"{', '.join(self.layers)}."
            )
        return layers

    def match(self, name: str) -> tuple[str, ...]:
        """The layers that one name means and all runs have; none, instead of an error, if there is none."""
        found = [run.match(name) for run in self.runs.values()]
        return tuple(layer for layer in found[0] if all(layer in others for others in found))

    @property
    def concepts(self) -> tuple[str, ...]:
        """Concepts of all runs, each once, in their order."""
        named = (self._name(concept, label) for label, run in self.runs.items() for concept in run.concepts)
        return tuple(dict.fromkeys(named))

    @property
    def table(self) -> Mapping[str, np.ndarray]:
        """Columns that all data sets have, of all rows; with the label of each row's ``run``, and its ``row`` there."""
        return self._table

    @ft.cached_property
    def _table(self):
        tables = {label: run.table for label, run in self.runs.items()}
        columns = {name: np.concatenate([table[name] for table in tables.values()]) for name in _common(tables)}
        images = [f"{label}: {image}" for label, table in tables.items() for image in table["image"].tolist()]
        concepts = [self._name(name, label) for label, table in tables.items() for name in table["concept"].tolist()]
        labels = [label for label, table in tables.items() for _ in table["concept"]]
        own = {"image": text_array(images), "concept": text_array(concepts), "run": text_array(labels)}
        own["row"] = np.concatenate([np.arange(len(table["concept"])) for table in tables.values()])
        return {**columns, **own}

    def column(self, name: str, layer: str) -> Shaped[np.ndarray, " n"]:
        """A column of one layer, such as "iou" or "status"."""
        return np.concatenate([run.column(name, layer) for run in self.runs.values()])

    def responses(self, layer: str) -> Float[np.ndarray, "n h w"]:
        """Response maps of one layer, as the runs have them."""
        return np.concatenate([run.responses(layer) for run in self.runs.values()])

    def vectors(self, layer: str) -> Float[np.ndarray, "n c"]:
        """The vectors of one layer, in the coordinates that all have in common."""
        found = {label: run.vectors(layer) for label, run in self.runs.items()}
        widths = {label: vectors.shape[1] for label, vectors in found.items()}
        if len(set(widths.values())) > 1:
            each = ", ".join(f"{width} in {label!r}" for label, width in widths.items())
            raise InputError(f"`runs` must have vectors of equal length at layer {layer!r}, but got {each}.")
        recipe = self._first.recipe
        if len(self.runs) > 1 and not isinstance(recipe, PaperRecipe):
            statistics = [run.statistics(layer) for run in self.runs.values()]
            common = ft.reduce(lambda one, other: one.merge(other), statistics).whitening(recipe.whitening)
            filters = {label: run.raw_filters(layer)[0] for label, run in self.runs.items()}
            found = {label: common.vectors_of(raw) for label, raw in filters.items()}
        return np.concatenate([*found.values()])

    @property
    def _first(self):
        return next(iter(self.runs.values()))

    def _name(self, concept, label):
        return f"{concept} ({label})" if self.apart and concept in self._twice else concept

    @ft.cached_property
    def _twice(self):
        """Names of concepts that two runs have."""
        every = [concept for run in self.runs.values() for concept in dict.fromkeys(run.concepts)]
        return {concept for concept in every if every.count(concept) > 1}


def _common(tables):
    return [name for name in _SHARED if all(name in table for table in tables.values())]


def label_by_end(paths: Sequence[str]) -> dict[str, str]:
    """For each path of a run its last part, if these differ, or else the path.

    >>> label_by_end(["runs/coco", "runs/capybara/"])
    {'runs/coco': 'coco', 'runs/capybara/': 'capybara'}
    >>> label_by_end(["a/run", "b/run"])
    {'a/run': 'a/run', 'b/run': 'b/run'}
    """
    ends = {path: path.rstrip("/").rpartition("/")[2] or path for path in paths}
    return ends if len(set(ends.values())) == len(set(paths)) else {path: path for path in paths}
