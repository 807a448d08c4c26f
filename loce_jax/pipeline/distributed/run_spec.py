"""A run as plain values: what flags say, and what travels to another process that makes the same plan."""

from dataclasses import dataclass
from typing import Literal

from loce_jax.models.loading import LoadOptions
from loce_jax.pipeline.plan import Plan, make_plan
from loce_jax.pipeline.sources import Source
from loce_jax.recipes import PaperRecipe, Projection, Recipe


@dataclass(frozen=True)
class RunSpec:
    """What another process needs to make the same plan, as plain values.

    Attributes:
        model, loading: the network's name, and how it is loaded.
        layers: names of layers, as `Network.resolve` takes them.
        source: where the images come from.
        recipe: the solver's recipe.
        target, iou: as `make_plan` takes them.
    """

    model: str
    layers: tuple[str, ...]
    source: Source
    loading: LoadOptions = LoadOptions()
    recipe: Recipe = PaperRecipe()
    target: tuple[int, int] = (100, 100)
    iou: Literal["recipe"] | Projection = "recipe"

    def plan(self) -> Plan:
        """Load the network, open the data set and make the plan."""
        network = self.loading.load(self.model)
        return make_plan(network, self.layers, self.source, self.recipe, target=self.target, iou=self.iou)
