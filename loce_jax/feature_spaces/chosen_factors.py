"""Unsupervised concepts with names: for each named concept the factor whose maps fit its masks best.

Shapes: n images, k concepts, f factors, gh x gw grid cells of the layer, c channels, H x W pixels of the masks.
"""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from loce_jax.concepts.factors.dictionary import Dictionary
from loce_jax.concepts.factors.fit import fit
from loce_jax.concepts.factors.nmf import NMFOptions
from loce_jax.feature_spaces.gathering import ImageBlocks
from loce_jax.solver.solution import Status

ICE = NMFOptions(negative="clip", max_cells=10_000)  # ten factors need no more cells


@dataclass(frozen=True, eq=False)
class ChosenFactors:
    """A factor a concept, in the form of `loce_jax.concepts.vectors.ConceptVectors`.

    Attributes:
        names: of the concepts.
        dictionary: of f factors.
        chosen: of each concept, its factor; two concepts may have the same.
        status: ``MASK_EMPTY`` where no image shows the concept, ``DEGENERATE`` where no factor meets it.
        method: that found the factors.
    """

    names: tuple[str, ...]
    dictionary: Dictionary
    chosen: Int[np.ndarray, " k"]
    status: Int[np.ndarray, " k"]
    method: str

    @property
    def vectors(self) -> Float[np.ndarray, "k c"]:
        """What each factor adds to a cell; NaN where `status` is not ``Status.OK``."""
        return np.where((self.status == Status.OK)[:, None], self.dictionary.atoms[self.chosen], np.nan)

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """What is written of them, by name."""
        return {"names": np.array(self.names), "vectors": self.vectors, "status": self.status}

    def maps(self, activations: Any, size: tuple[int, int]) -> Float[Array, "n k H W"]:
        """The factors' maps; NaN where `status` is not ``Status.OK``."""
        maps = self.dictionary.maps(activations, size)[:, self.chosen]
        return jnp.where((self.status == Status.OK)[:, None, None], maps, jnp.nan)


def choose_factors(names: tuple[str, ...], blocks: ImageBlocks, options: NMFOptions = ICE) -> ChosenFactors:
    """ICE's factors (NMF; negative activations count as 0), and for each concept that of the highest set IoU.

    The set IoU is that of the images that show the concept; of equal factors the first is taken.
    """
    dictionary = fit(blocks, options)
    counts = [_count(dictionary, block) for block in blocks]
    both, either = (sum(parts) for parts in zip(*counts, strict=True))
    iou = both / np.maximum(either, 1)
    status = np.where(iou.max(axis=1) > 0, Status.OK, Status.DEGENERATE)
    shown = np.any([block.masks.any(axis=(0, 2, 3)) for block in blocks], axis=0)
    return ChosenFactors(
        names, dictionary, iou.argmax(axis=1), np.where(shown, status, Status.MASK_EMPTY), dictionary.coder.method
    )


def _count(dictionary, block):
    """Pixels of intersections and of unions ``[k f]``, over the images that show the concept."""
    found = (np.asarray(dictionary.maps(block.activations, block.masks.shape[2:])) > 0.5).reshape(
        len(block.masks), -1, block.masks[0, 0].size
    )
    masks = block.masks.reshape(*block.masks.shape[:2], -1)
    shown = masks.any(axis=2)
    both = np.einsum("nkp,nfp->nkf", masks.astype(np.float32), found.astype(np.float32))
    either = masks.sum(axis=2)[:, :, None] + found.sum(axis=2)[:, None] - both
    return (both * shown[..., None]).sum(axis=0), (either * shown[..., None]).sum(axis=0)
