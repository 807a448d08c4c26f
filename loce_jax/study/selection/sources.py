"""What a study and the page read from a run and from a data set; any object with these attributes is accepted.

Shapes: n rows, one per (image, concept) pair; c channels; h x w cells of a layer's grid.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from loce_jax.data.samples import Item, Reading
from loce_jax.store.storage import Storage


@runtime_checkable
class RunLike(Protocol):
    """A finished run, such as `loce_jax.store.open_run` gives."""

    @property
    def storage(self) -> Storage | None:
        """Where maps are kept; None if they are not kept."""
        ...

    @property
    def plan(self) -> Mapping[str, Any]:
        """Settings: "model", "layers", "data", "solver", "images"."""
        ...

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers."""
        ...

    @property
    def concepts(self) -> tuple[str, ...]:
        """Names of the concepts, in the data set's order."""
        ...

    @property
    def table(self) -> Mapping[str, np.ndarray]:
        """Columns of n rows: image, concept, status, reason, iou, area, and the data set's attributes."""
        ...

    def column(self, name: str, layer: str) -> np.ndarray:
        """Column "iou" or "status" of one layer, n rows."""
        ...

    def vectors(self, layer: str) -> Float[np.ndarray, "n c"]:
        """The embeddings of one layer; NaN rows where there is none."""
        ...

    def responses(self, layer: str) -> Float[np.ndarray, "n h w"]:
        """The embeddings' responses on the grid of one layer, before the sigmoid."""
        ...


@runtime_checkable
class PhotoSource(Protocol):
    """The part of `loce_jax.data.samples.Dataset` that pictures need."""

    @property
    def items(self) -> Sequence[Item]:
        """Every image with its concepts."""
        ...

    def read(self, item: Item) -> Reading:
        """Photo and masks of one item; may raise `Fault`."""
        ...
