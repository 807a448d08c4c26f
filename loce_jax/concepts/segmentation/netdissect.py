"""Network Dissection: the one filter that segments a concept best.

Shapes: n images, k concepts, gh x gw grid cells of the layer, c channels, H x W pixels of the masks, p pairs of an
image and a concept that it shows, m masks of an image.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from loce_jax.concepts.blocks import as_blocks
from loce_jax.concepts.segmentation.occurrences import find_occurrences, padded_length, shown
from loce_jax.concepts.segmentation.quantiles import SHARE, channel_thresholds
from loce_jax.concepts.vectors import ConceptVectors
from loce_jax.solver.precision import matmul
from loce_jax.solver.project import upsample
from loce_jax.solver.solution import Status


def netdissect(
    activations: Any, masks: Any = None, *, share: float = SHARE, names: Sequence[str] | None = None
) -> ConceptVectors:
    """For each concept the filter k of the highest set IoU, as a vector with one 1 and the offset ``-T_k``.

    A pixel is segmented where ``upsample(A_k) > T_k``; the set IoU is that of all images that show the concept
    together, as Net2Vec compares with it.  All filters and concepts are counted in one pass, after one for the
    thresholds; of equal filters the first is taken.

    Args:
        activations: an array ``[n gh gw c]``, or blocks (`loce_jax.concepts.blocks`).
        masks: of an array of activations, ``[n k H W]``.
        share: of a filter's cells that exceed its threshold.
        names: of the concepts; their numbers if left out.

    Returns:
        Vectors; ``DEGENERATE`` where no filter segments a pixel of the concept.

    Source: Bau et al., "Network Dissection", CVPR 2017, section 2; Fong & Vedaldi, "Net2Vec", CVPR 2018, section 3.1.

    >>> activations = np.random.default_rng(0).normal(size=(4, 6, 6, 3)).astype("f4")
    >>> netdissect(activations, activations[..., 1] > 2, share=0.02).vectors.tolist()
    [[0.0, 1.0, 0.0]]
    """
    blocks = as_blocks(activations, masks)
    occurrences = find_occurrences(blocks, names)
    k, c = len(occurrences.names), occurrences.channels
    if not (occurrences.status == Status.OK).any():
        return occurrences.result(np.zeros((k, c)), np.zeros(k), "netdissect")
    thresholds = channel_thresholds(blocks, share=share, cells=occurrences.cells)
    both, either = np.zeros((k, c)), np.zeros((k, c))
    for part in shown(blocks, occurrences):
        activations, dense, place = _by_image(part)
        inside, segmented = (np.asarray(counts) for counts in _count(activations, dense, thresholds))
        inside, areas = inside[part.images, place], part.masks.sum(axis=(1, 2))
        np.add.at(both, part.concepts, inside)
        np.add.at(either, part.concepts, segmented[part.images] + areas[:, None] - inside)
    iou = both / np.maximum(either, 1)
    best = iou.argmax(axis=1)
    found = iou.max(axis=1) > 0
    status = np.where((occurrences.status == Status.OK) & ~found, Status.DEGENERATE, occurrences.status)
    return occurrences.result(np.eye(c)[best], -thresholds[best], "netdissect", status=status)


def _by_image(part):
    """Activations and the masks of each image, both lengthened, and at which place of its image each pair is."""
    place = np.arange(len(part.images)) - np.searchsorted(part.images, part.images)
    activations = part.padded().activations
    dense = np.zeros((len(activations), padded_length(int(place.max()) + 1), *part.masks.shape[1:]), bool)
    dense[part.images, place] = part.masks
    return activations, dense, place


@jax.jit
def _count(
    activations: Float[Array, "n gh gw c"], masks: Bool[Array, "n m H W"], thresholds: Float[Array, " c"]
) -> tuple[Float[Array, "n m c"], Float[Array, "n c"]]:
    """Pixels that each filter segments inside each mask, and in the whole image; float32 counts them exactly."""

    def image(sample):
        cells, masks = sample
        segmented = upsample(jnp.moveaxis(cells, -1, 0), masks.shape[1:]) > thresholds[:, None, None]
        segmented = segmented.reshape(len(segmented), -1).astype(jnp.float32)
        return matmul(masks.reshape(len(masks), -1).astype(jnp.float32), segmented.T), segmented.sum(axis=1)

    return jax.lax.map(image, (activations, masks))
