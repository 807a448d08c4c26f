"""How well concepts segment held-out images: IoU of their masks and average precision of their soft maps.

Shapes: k concepts, n images, gh x gw grid cells of the layer, c channels, H x W pixels of the masks, b resamples,
g groups of images.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from loce_jax.analysis.bootstrap import BOOTSTRAP, BootstrapOptions, Estimate, as_groups, estimate, resample
from loce_jax.checks import InputError, check_shape
from loce_jax.concepts.blocks import Block
from loce_jax.concepts.evaluation.pixel_scores import PixelScores


@runtime_checkable
class Concepts(Protocol):
    """What is evaluated: `ConceptVectors`, or anything else that has soft maps."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the k concepts."""
        ...

    def maps(self, activations: Any, size: tuple[int, int]) -> Any:
        """Soft masks ``[n k H W]`` in [0, 1] of activations ``[n gh gw c]``."""
        ...


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What `evaluate` found; all of a concept is NaN that has no vector, or that no image shows.

    Attributes:
        names: of the concepts.
        images: how many images show each.
        set_iou: the sum of the intersections over the sum of the unions, of the images that show the concept (Fong &
            Vedaldi, "Net2Vec", CVPR 2018, section 3.1); 0 to 1, higher is better.
        set_iou_all: the same of all images, so that what is found where nothing is lowers it.
        image_iou: the mean of the IoUs of the images that show the concept; 0 to 1, higher is better.
        average_precision: of all pixels of all images, see `loce_jax.concepts.evaluation.average_precision`; 0 to 1.
        average_precision_error: how far `average_precision` can be from what all scores in memory would give; 0 where
            they were in memory.
    """

    names: tuple[str, ...]
    images: Int[np.ndarray, " k"]
    set_iou: Estimate
    set_iou_all: Estimate
    image_iou: Estimate
    average_precision: Estimate
    average_precision_error: Float[np.ndarray, " k"]


def evaluate(
    concepts: Concepts,
    blocks: Iterable[Block],
    groups: Sequence | np.ndarray | None = None,
    options: BootstrapOptions = BOOTSTRAP,
) -> Evaluation:
    """Compare the concepts' maps with masks, pixel by pixel at the masks' size, block by block.

    A pixel belongs to a concept where its map exceeds 0.5.  Intervals are over images or, where given, over groups:
    images of one sequence are no independent examples.  A concept that a single image or group shows has none (NaN).
    Those of the average precision resample histograms of 737 bins, of groups or, of more than 512 groups, of every
    512th together; they are moved to the finer value.

    Args:
        concepts: k of them.
        blocks: see `loce_jax.concepts.blocks.as_blocks`, with masks of the same k concepts.  Read once.
        groups: one value per image, in order.
        options: of the intervals.

    >>> from loce_jax.concepts.blocks import as_blocks
    >>> from loce_jax.concepts.vectors import ConceptVectors
    >>> cells = np.array([1.0, -1, 1, -1] * 2, "float32").reshape(2, 2, 2, 1)
    >>> found = ConceptVectors(("positive",), np.ones((1, 1), "float32"), np.zeros(1), np.zeros(1, int), "mean")
    >>> table = evaluate(found, as_blocks(cells, cells[..., 0] > 0))
    >>> table.set_iou.value.tolist(), table.average_precision.value.tolist()
    ([1.0], [1.0])
    """
    counts, scores, seen = [], PixelScores(len(concepts.names)), 0
    numbers = None if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1].ravel()
    for block in blocks:
        maps = _soft_maps(concepts, block)
        counts.append(_count(maps, block.masks))
        rows = np.arange(seen, seen + len(maps)) if numbers is None else numbers[seen : seen + len(maps)]
        scores.add(maps, block.masks, as_groups(rows, len(maps)))
        seen += len(maps)
    if not counts:
        raise InputError("`blocks` must hold an image, but is empty. Give the held-out images.")
    both, either, truth = np.concatenate(counts, axis=1)
    units, shown = as_groups(groups, seen), truth > 0
    weights, images = resample(units, options), shown.sum(axis=0)
    precision, error, draws = scores.precisions(options)
    undefined = np.where(np.isnan(both).any(axis=0) | (images == 0), np.nan, 0)
    unsure = np.array([np.nan if len(np.unique(units[row])) < 2 else 0.0 for row in shown.T])
    with np.errstate(invalid="ignore", divide="ignore"):
        iou = np.where(shown, both / either, 0)
        return Evaluation(
            tuple(concepts.names),
            images,
            _ratio(both * shown, either * shown, weights, undefined, unsure, options),
            _ratio(both, either, weights, undefined, unsure, options),
            _ratio(iou, shown, weights, undefined, unsure, options),
            estimate(precision + undefined, draws + undefined + unsure, options),
            error + undefined,
        )


def _soft_maps(concepts, block):
    shape = (len(block.activations), len(concepts.names), *block.masks.shape[2:])
    fix = "Give masks and concepts in one order."
    check_shape("masks", block.masks, shape, meaning="a mask of each concept in each image", fix=fix)
    return np.asarray(concepts.maps(block.activations, shape[2:]), np.float32)


def _count(maps, masks):
    """Pixels of intersections, of unions and of masks [3 n k]; NaN where a map is undefined."""
    found = maps > 0.5
    undefined = np.where(np.isnan(maps).any(axis=(2, 3)), np.nan, 0.0)
    both, either = (found & masks).sum(axis=(2, 3)), (found | masks).sum(axis=(2, 3))
    return np.stack([both + undefined, either + undefined, masks.sum(axis=(2, 3))])


def _ratio(above, below, weights, undefined, unsure, options):
    """The ratio of two sums over images [n k], with its interval."""
    value = above.sum(axis=0) / below.sum(axis=0) + undefined
    return estimate(value, (weights @ above) / (weights @ below) + undefined + unsure, options)
