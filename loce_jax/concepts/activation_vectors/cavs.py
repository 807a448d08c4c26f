"""Concept activation vectors (CAVs): the direction from activations without a concept to those with it.

After Kim et al., "Interpretability Beyond Feature Attribution: Quantitative Testing with Concept Activation Vectors
(TCAV)", ICML 2018, section 3.2.
Shapes: n images, k concepts, gh x gw grid cells of the layer, c channels, H x W pixels of the masks.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from loce_jax.checks import CheckedOptions, InputError
from loce_jax.concepts.activation_vectors.classifiers import LabeledSamples, fit_classifier
from loce_jax.concepts.activation_vectors.label_moments import LabelMoments
from loce_jax.concepts.activation_vectors.samples import HOW, Samples, iterate_samples, split_items
from loce_jax.concepts.blocks import as_blocks
from loce_jax.concepts.vectors import ConceptVectors
from loce_jax.resampling import resize_mask
from loce_jax.solver.solution import Status


@dataclass(frozen=True)
class CavOptions(CheckedOptions):
    """How CAVs are found.

    Attributes:
        method: ``"mean_difference"``, the mean with the concept minus the mean without it.  ``"pattern"``, the
            covariance of activations and labels by the labels' variance (Pahde et al., "Navigating Neural Space",
            2022), which for labels of 0 and 1 IS the mean difference; in `cell_cav` a label is the share of a cell
            that the mask covers, and the two differ.  ``"linear_svm"`` and ``"logistic"``, classifiers of
            scikit-learn, both classes weighted alike, on activations that are centered and divided by one number, so
            that neither unit nor rotation matter.
        C: inverse strength of the classifiers' regularization, as in scikit-learn.
    """

    method: Literal["mean_difference", "pattern", "linear_svm", "logistic"] = "mean_difference"
    C: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        if not 0 < self.C < np.inf:
            raise InputError(f"`C` must be a finite number above 0, to regularize, but got {self.C}. Try 1.0.")

    @property
    def streams(self) -> bool:
        """Whether samples are seen once and not kept."""
        return self.method in ("mean_difference", "pattern")


def cav(
    positives: Samples | Mapping[str, Samples], negatives: Samples, options: CavOptions = CavOptions()
) -> ConceptVectors:
    """CAVs of one or several concepts against common negatives.

    A vector is not normalized.  Its offset puts 0 where the classifier decides: for the mean difference and the
    pattern, in the middle between the two means' responses.  These two see samples once, some items at a time; the
    classifiers hold all of them.  An item with a number that is not finite is left out, as a whole.

    Args:
        positives: samples of the concept, or of several by name: an array ``[n c]`` of pooled activations; an array
            ``[n gh gw c]``, every cell a sample; or arrays ``[t c]``, one an item (an image, a text) of any length,
            every row a sample: a list, or a generator where they do not fit in memory.
        negatives: samples without the concepts, in the same way.
        options: the method.

    Returns:
        A row a concept; one without a name is "concept".  Its status is ``MASK_EMPTY`` without a positive sample,
        ``MASK_FULL`` without a negative one, ``DEGENERATE`` where nothing tells them apart.

    Raises:
        InputError: a shape does not fit.

    >>> found = cav({"large": np.array([[3.0, 1.0], [5.0, 1.0]])}, np.array([[0.0, 1.0]]))
    >>> found.vectors.tolist(), found.offsets.tolist(), found.method
    ([[4.0, 0.0]], [-8.0], 'cav:mean_difference')
    """
    negative, rows = _gathered("negatives", negatives, 0, options), []
    for name, samples in _named(positives).items():
        positive = _gathered(f"positives of {name}", samples, 1, options)
        rows.append(_fit(_merged("negatives", [part for part in (positive, negative) if part]), options))
    return _concepts(tuple(_named(positives)), rows, options)


def cell_cav(
    activations: Any, masks: Any = None, *, names: Sequence[str], options: CavOptions = CavOptions()
) -> ConceptVectors:
    """CAVs of cells: those inside a concept's masks against all others.

    A mask is resized to the grid as the solver's target is (`loce_jax.resampling.resize_mask`); a cell is a positive
    sample where the result exceeds one half, and under ``"pattern"`` the result itself is its label.

    Args:
        activations: an array ``[n gh gw c]``, or blocks, see `loce_jax.concepts.blocks.as_blocks`.
        masks: ``[n k H W]``, or ``[n H W]`` of one concept; left out with blocks.
        names: of the concepts.
        options: the method; the classifiers hold all cells in memory, the others a block.

    Returns:
        As `cav`.  An image with a number that is not finite is left out; ``NONFINITE`` where no other image is.

    Raises:
        InputError: shapes do not fit, or there is no image.

    >>> images = np.array([[[[0.0, 7.0], [2.0, 7.0]]]])
    >>> cell_cav(images, np.array([[[0, 0, 1, 1]]]), names=["right"]).vectors.tolist()
    [[2.0, 0.0]]
    """
    if isinstance(names, str) or not names:
        raise InputError(
            f"`names` must be a name for each of the k concepts of the masks, but got {names!r}. Give them."
        )
    kind, soft = LabelMoments if options.streams else LabeledSamples, options.method == "pattern"
    cells = (_cells_of(block, len(names), soft) for block in as_blocks(activations, masks))
    found, channels = None, 0
    for samples, labels in cells:
        channels = samples.shape[1]
        if len(samples):
            part = kind.of(samples, labels)
            found = _merged("activations", [found, part] if found else [part])
    if not found and channels:
        vectors = np.full((len(names), channels), np.nan)
        return _concepts(tuple(names), [(vectors, vectors[:, 0], np.full(len(names), Status.NONFINITE))], options)
    return _concepts(tuple(names), [_fit(found or _merged("activations", []), options)], options)


def cav_accuracy(
    positives: Samples | Mapping[str, Samples],
    negatives: Samples,
    options: CavOptions = CavOptions(),
    *,
    held_out: float = 0.3,
    seed: int = 0,
) -> Float[np.ndarray, " k"]:
    """How well CAVs of some items tell the others' samples apart.

    Args:
        positives: as for `cav`, but lists or arrays, of at least two items.
        negatives: in the same way.
        options: the method.
        held_out: share of the items, drawn at random, that the vector is tested on and not fitted to; between 0 and 1.
        seed: of the draw.

    Returns:
        A concept's share of held-out positive samples at or above its threshold and share of negative ones below it,
        averaged: 0.5 is chance whatever their numbers, 1 is best.  NaN without a vector, or without a finite sample.

    Raises:
        InputError: a shape does not fit, or there are fewer than two items.

    >>> cav_accuracy(np.full((4, 1), 3.0), np.zeros((9, 1)), held_out=0.5).tolist()
    [1.0]
    """
    if not 0 < held_out < 1:
        raise InputError(f"`held_out` must be between 0 and 1, a share of the items, but got {held_out}. Try 0.3.")
    fitted, tested = {}, {}
    for name, samples in _named(positives).items():
        fitted[name], tested[name] = split_items(f"positives of {name}", samples, held_out, seed)
    others, outside = split_items("negatives", negatives, held_out, seed)
    found, outside = cav(fitted, others, options), list(iterate_samples("negatives", outside))
    inside = [list(iterate_samples(f"positives of {name}", samples)) for name, samples in tested.items()]
    accuracies = [
        (_share_above(mine, vector, offset) + 1 - _share_above(outside, vector, offset)) / 2
        for mine, vector, offset in zip(inside, found.vectors, found.offsets, strict=True)
    ]
    return np.where(found.ok, accuracies, np.nan)


def _named(positives):
    if isinstance(positives, str):
        raise InputError(f"`positives` must be samples of a concept, but got the text {positives!r}. {HOW}")
    named = positives if isinstance(positives, Mapping) else {"concept": positives}
    if not named:
        raise InputError("`positives` must hold at least one concept, but got none. Give its samples by its name.")
    return named


def _gathered(name, samples, label, options):
    """Moments, or samples with labels; None without a finite sample."""
    kind = LabelMoments if options.streams else LabeledSamples
    parts = (kind.of(rows, np.full((len(rows), 1), label)) for rows in iterate_samples(name, samples))
    first = next(parts, None)
    return first and _merged(name, itertools.chain([first], parts))


def _merged(name, parts):
    found = None
    for part in parts:
        if found and found.channels != part.channels:
            raise InputError(
                f"`{name}` must be samples of one layer, but have {part.channels} channels and {found.channels}. Read "
                "all of them from the same layer, channels last."
            )
        found = found.merge(part) if found else part
    if not found:
        raise InputError(
            f"`{name}` must hold a finite sample, but there is none. Look at what the network makes of it."
        )
    return found


def _cells_of(block, concepts, soft):
    """Cells of finite images, and their labels."""
    n, k = block.masks.shape[:2]
    if k != concepts:
        raise InputError(f"`names` must be a name for each of the {k} concepts of the masks, but got {concepts}.")
    grid = block.activations.shape[1:3]
    labels = np.zeros((n, k, *grid), np.float32)
    for place in zip(*np.nonzero(block.masks.any(axis=(2, 3))), strict=True):
        labels[place] = resize_mask(block.masks[place], grid)
    finite = np.isfinite(block.activations).all(axis=(1, 2, 3))
    labels = np.moveaxis(labels if soft else labels > 0.5, 1, -1)[finite].reshape(-1, k)
    return block.activations[finite].reshape(-1, block.activations.shape[-1]), labels


def _fit(found, options):
    """Vectors, offsets and statuses of all concepts that labels are of."""
    if isinstance(found, LabelMoments):
        vectors, offsets = found.slopes, -found.thresholds
    else:
        samples, labels = found.arrays
        fits = [fit_classifier(samples, one > 0.5, options.method, options.C) for one in labels.T]
        vectors, offsets = np.stack([vector for vector, _ in fits]), np.array([offset for _, offset in fits])
    shares = found.label_mean
    status = np.where(np.isfinite(vectors).all(axis=1) & vectors.any(axis=1), Status.OK, Status.DEGENERATE)
    return vectors, offsets, np.where(shares == 0, Status.MASK_EMPTY, np.where(shares == 1, Status.MASK_FULL, status))


def _concepts(names, rows, options):
    vectors, offsets, status = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    with np.errstate(over="ignore"):
        vectors, offsets = vectors.astype(np.float32), offsets.astype(np.float32)
    usable = np.isfinite(vectors).all(axis=1) & np.isfinite(offsets) & vectors.any(axis=1)
    status = np.where((status == Status.OK) & ~usable, Status.DEGENERATE, status)
    bad = status != Status.OK
    vectors[bad], offsets[bad] = np.nan, np.nan
    return ConceptVectors(names, vectors, offsets, status, f"cav:{options.method}")


def _share_above(parts, vector, offset):
    """Share of samples at or above the threshold; NaN without any."""
    above = [rows.astype(np.float64) @ vector + offset >= 0 for rows in parts]
    return np.concatenate(above).mean() if above else np.nan
