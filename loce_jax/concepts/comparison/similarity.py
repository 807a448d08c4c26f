"""How alike two layers' concepts are in what they say on the same test images, image by image and cell by cell.

Layers and networks have different channels, so that their vectors cannot be compared, but their maps can.  After the
abstract of "Revealing Similar Semantics Inside CNNs" (arXiv 2305.07663); the measures are ours, the paper's unknown.
Shapes: n images, k and m concepts, h x w cells of maps at one common size, p pairs of concepts, b resamples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from loce_jax.analysis.bootstrap import BOOTSTRAP, BootstrapOptions, Estimate, as_groups, estimate, resample
from loce_jax.checks import InputError, check_arguments
from loce_jax.concepts.comparison.matching import match

Measure = Literal["set_iou", "image_iou", "pearson"]
MEASURES: tuple[Measure, ...] = ("set_iou", "image_iou", "pearson")
_ROUNDING = 1e-12  # of a variance, relative to the mean square, up to which a map is constant


@dataclass(frozen=True, eq=False)
class ConceptSimilarity:
    """What `concept_similarity` found.

    Attributes:
        set_iou: of maps above 0.5: the sum over images of the intersections over that of the unions; 0 to 1, 1 for
            the same; NaN where neither map exceeds 0.5 anywhere.
        image_iou: the mean over images of the IoU; images where neither map exceeds 0.5 are left out.
        pearson: correlation of the soft maps over all cells of all images, -1 to 1; NaN where one is constant.
        pairs: which concepts were matched, rows of the first and of the second.
        of_pairs: of each pair, by measure, with intervals ``[p]``.
        mean: over the pairs where the measure is defined, by measure, with an interval; what a layer x layer matrix
            holds.
    """

    set_iou: Float[np.ndarray, "k m"]
    image_iou: Float[np.ndarray, "k m"]
    pearson: Float[np.ndarray, "k m"]
    pairs: Int[np.ndarray, "p 2"]
    of_pairs: Mapping[Measure, Estimate]
    mean: Mapping[Measure, Estimate]


@check_arguments
def concept_similarity(
    first: Float[np.ndarray, "n k h w"],
    second: Float[np.ndarray, "n m h w"],
    *,
    match_by: Measure | None = None,
    groups: Sequence | np.ndarray | None = None,
    options: BootstrapOptions = BOOTSTRAP,
) -> ConceptSimilarity:
    """Compare every concept of one layer with every concept of another, and pair them.

    Supervised concepts are paired by their places: give both in one order.  Unsupervised ones have no names: the
    pairs are those of the largest sum of `match_by` (Kuhn, "The Hungarian method", 1955), which makes even unrelated
    concepts look alike, so compare with `loce_jax.concepts.comparison.references.shuffled_similarity`.  Intervals keep
    the pairs.  Two maps that are bad alike are similar, and two bad ones may differ for no reason: report the IoU of
    both with the truth beside it (`loce_jax.concepts.evaluation.evaluate.evaluate`).

    Args:
        first: soft maps in [0, 1], such as ``concepts.maps(activations, size)``; NaN where there is no vector.
        second: of the same images in the same order, at the same size.
        match_by: None for pairs of the same place; else the measure that is matched.
        groups: one value per image; intervals then resample groups.
        options: of the intervals.

    >>> maps = np.random.default_rng(0).random((5, 2, 4, 4))
    >>> found = concept_similarity(maps, maps[:, ::-1], match_by="pearson")
    >>> found.pairs.tolist(), round(float(found.mean["set_iou"].value), 6)
    ([[0, 1], [1, 0]], 1.0)
    """
    first, second = check_maps(first, second, by_place=match_by is None)
    groups = as_groups(groups, len(first))
    whole = similarity_matrices(first, second)
    pairs = pair_up(whole, match_by)
    of_pairs = np.stack([sums[:, pairs[:, 0], pairs[:, 1]] for sums in _sums_by_image(first, second)], axis=1)
    value, draws = whole[:, pairs[:, 0], pairs[:, 1]], _measure(resample(groups, options) @ of_pairs)
    return ConceptSimilarity(
        *whole,
        pairs=pairs,
        of_pairs={name: estimate(value[i], draws[i], options) for i, name in enumerate(MEASURES)},
        mean={
            name: estimate(mean_of_pairs(value[i]), mean_of_pairs(draws[i]), options) for i, name in enumerate(MEASURES)
        },
    )


def similarity_matrices(
    first: Float[np.ndarray, "n k h w"], second: Float[np.ndarray, "n m h w"]
) -> Float[np.ndarray, "3 k m"]:
    """The three measures of `concept_similarity` without pairs and intervals, in the order of `MEASURES`.

    >>> maps = np.random.default_rng(0).random((5, 2, 4, 4))
    >>> similarity_matrices(maps, maps).diagonal(axis1=1, axis2=2).round(6).tolist()
    [[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]
    """
    return _measure(sum(_sums_by_image(first, second)))


def pair_up(matrices: Float[np.ndarray, "3 k m"], match_by: Measure | None) -> Int[np.ndarray, "p 2"]:
    """Pairs of the same place, or the best by one of the measures."""
    if match_by is None:
        return np.stack([np.arange(matrices.shape[1])] * 2, axis=1)
    return match(matrices[MEASURES.index(match_by)])


def mean_of_pairs(values: Float[np.ndarray, "... p"]) -> Float[np.ndarray, "..."]:
    """The mean of what is not NaN."""
    there = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(there, values, 0).sum(axis=-1) / there.sum(axis=-1))


def check_maps(first: Any, second: Any, *, by_place: bool) -> tuple[np.ndarray, np.ndarray]:
    """Two sets of maps as NumPy arrays; `InputError` unless they are in [0, 1], of the same images at one size."""
    first, second = np.asarray(first), np.asarray(second)
    for name, maps in (("first", first), ("second", second)):
        if maps.ndim != 4 or not maps.size:
            raise InputError(
                f"`{name}` must be maps [n k h w] (images, concepts, height, width), but has shape {maps.shape}. Make "
                "them with `concepts.maps(activations, size)`."
            )
        if (maps < 0).any() or (maps > 1).any():
            raise InputError(
                f"`{name}` must be soft maps in [0, 1], of which those above 0.5 show the concept, but holds numbers "
                f"from {np.nanmin(maps):g} to {np.nanmax(maps):g}. Take the sigmoid of logits: `concepts.maps` does."
            )
    if (len(first), *first.shape[2:]) != (len(second), *second.shape[2:]):
        raise InputError(
            f"`second` must be maps of the {len(first)} images of `first` at its size {first.shape[2:]}, but has shape "
            f"{second.shape}. Make both with `concepts.maps(activations, size)` at one size."
        )
    if by_place and first.shape[1] != second.shape[1]:
        raise InputError(
            f"`second` must have the {first.shape[1]} concepts of `first` in its order, to be paired by their places, "
            f"but has {second.shape[1]}. Select those of both, or give `match_by`."
        )
    return first, second


def _sums_by_image(first, second):
    """For every image the sums [10 k m] that the measures are made of."""
    centers = [_center(maps)[:, None] for maps in (first, second)]
    for pair in zip(first, second, strict=True):
        a, b = (maps.reshape(len(maps), -1).astype(np.float64) for maps in pair)
        undefined = np.isnan(a).any(axis=1)[:, None] | np.isnan(b).any(axis=1)
        hot = [(maps > 0.5).astype(np.float64) for maps in (a, b)]
        both = np.where(undefined, np.nan, hot[0] @ hot[1].T)
        either = hot[0].sum(axis=1)[:, None] + hot[1].sum(axis=1) - both
        with np.errstate(invalid="ignore"):
            iou = np.where(either == 0, 0, both / either)
        x, y = a - centers[0], b - centers[1]
        squares = (x**2).sum(axis=1, keepdims=True), (y**2).sum(axis=1)
        parts = (
            both,
            either,
            iou,
            either != 0,
            a.shape[1],
            x.sum(axis=1, keepdims=True),
            y.sum(axis=1),
            *squares,
            x @ y.T,
        )
        yield np.stack([np.broadcast_to(part, both.shape) for part in parts]).astype(np.float64)


def _center(maps):
    """The mean of each concept's maps, exactly their value where they are constant."""
    lowest, highest = maps.min(axis=(0, 2, 3)), maps.max(axis=(0, 2, 3))
    return np.where(lowest == highest, lowest, maps.mean(axis=(0, 2, 3), dtype=np.float64))


def _measure(sums):
    """The measures [3 ...] of sums [10 ...] over images."""
    both, either, iou, images, cells, x, y, xx, yy, xy = sums
    with np.errstate(invalid="ignore", divide="ignore"):
        spreads = [
            np.where(sq - s**2 / cells > _ROUNDING * sq, sq - s**2 / cells, np.nan) for s, sq in ((x, xx), (y, yy))
        ]
        pearson = np.clip((xy - x * y / cells) / np.sqrt(spreads[0] * spreads[1]), -1, 1)
        return np.stack([both / either, iou / images, pearson])
