"""Several layers' embeddings of the same pairs as one vector each.

Shapes: n embeddings, c channels of all layers together.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from loce_jax.analysis.vectors import check_vectors, unit_rows
from loce_jax.checks import InputError, check_shape


@dataclass(frozen=True)
class Concatenation:
    """What `concatenate` made.

    Attributes:
        layers: the layers' names, in the order of their channels.
        widths: channels of each layer; the layers' blocks stand one after the other in `vectors`.
        vectors: float64.
    """

    layers: tuple[str, ...]
    widths: tuple[int, ...]
    vectors: Float[np.ndarray, "n c"]


def concatenate(layers: Mapping[str, Float[np.ndarray, "n _"]], *, normalized: bool = False) -> Concatenation:
    """One long vector per pair from its vectors at several layers.

    Distances between raw concatenations depend most on the layers with the longest vectors; `normalized` divides each
    layer's vectors by their L2 norms first, so that every layer counts alike: squared Euclidean distances are then
    the sum over the layers of ``2 (1 - cos)``.  A vector of zeros stays zero.

    Source: Mikriukov et al., "Local Concept Embeddings", IJCV 2025, multi-layer LoCEs (raw).

    Args:
        layers: the vectors by layer; row i belongs to the same (image, concept) pair in each, finite.
        normalized: whether every layer's vectors get length 1.

    >>> layers = {"early": np.array([[3.0, 4.0]]), "late": np.array([[0.5]])}
    >>> concatenate(layers).vectors.tolist(), concatenate(layers, normalized=True).vectors.tolist()
    ([[3.0, 4.0, 0.5]], [[0.6, 0.8, 1.0]])
    """
    if not layers:
        raise InputError("`layers` must hold the vectors of at least one layer, but got none. Name the layers to join.")
    n = len(next(iter(layers.values())))
    blocks = []
    for layer, vectors in layers.items():
        check_shape(
            f"layers[{layer!r}]",
            vectors,
            (n, vectors.shape[1]),
            meaning="as many rows as the first layer",
            fix="Keep the pairs that have a vector at every layer.",
        )
        check_vectors(vectors, name=f"layers[{layer!r}]")
        blocks.append(unit_rows(vectors) if normalized else vectors.astype(np.float64))
    return Concatenation(tuple(layers), tuple(block.shape[1] for block in blocks), np.concatenate(blocks, axis=1))
