"""One layer of one network, and what its concept vectors say: what is compared with other layers.

Shapes: n held-out images, k concepts, h x w cells of maps, gh x gw grid cells of the layer, c channels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from loce_jax.concepts.comparison.similarity import mean_of_pairs

Maps = Float[np.ndarray, "n k h w"]


@dataclass(frozen=True, eq=False)
class Space:
    """One layer of one network, and what its concept vectors say on the held-out images.

    Attributes:
        network: what the network is called.
        layer: what the layer is called.
        depth: relative, from 0 for the network's first layer to 1 for its last.
        maps: soft masks of the concepts, which cover the photos, without padding.
        halves: makes the same of vectors that are found on either half of the images.
        reseeded: makes the same of vectors that are found on the same images with another seed; None where the method
            has no seed.
        truth: each concept's set IoU with the masks.
        activations: of the held-out images, on the photos, too.
        shares: of the pixels that each concept covers.
    """

    network: str
    layer: str
    depth: float
    maps: Maps
    halves: Callable[[], tuple[Maps, Maps]]
    reseeded: Callable[[], Maps] | None
    truth: Float[np.ndarray, " k"]
    activations: Float[np.ndarray, "n gh gw c"]
    shares: Float[np.ndarray, " k"]

    @property
    def name(self) -> str:
        """Network and layer."""
        return f"{self.network}: {self.layer}"


def networks_of(spaces: Sequence[Space]) -> dict[str, list[int]]:
    """For each network the rows of its layers, in order."""
    names = dict.fromkeys(space.network for space in spaces)
    return {name: [i for i, space in enumerate(spaces) if space.network == name] for name in names}


def best_row(spaces: Sequence[Space], rows: Sequence[int]) -> int:
    """The row of `rows` whose vectors have the highest set IoU with the truth."""
    return max(rows, key=lambda i: np.nan_to_num(mean_of_pairs(spaces[i].truth), nan=-1.0))
