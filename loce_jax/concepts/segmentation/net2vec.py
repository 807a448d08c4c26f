"""Net2Vec: for each concept, the weights of channels that segment it best in all images that show it.

Two forms: "raw", our default, weighs the activations; "paper" weighs whether they exceed thresholds, as published.
Both minimize the same loss (`pair_loss.py`), averaged over the images that show the concept.

"raw" makes one AdamW step per pass over all images.  So it needs neither minibatches nor a seed, the order of images
changes rounding only, and data that do not fit in memory are read once per pass.  `published_net2vec.py` makes the
published steps.
Shapes: n images, k concepts, gh x gw grid cells of the layer, c channels, H x W pixels of the masks, p pairs of an
image and a concept that it shows.
"""

import functools as ft
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float

from loce_jax.checks import InputError
from loce_jax.concepts.blocks import Block, as_blocks
from loce_jax.concepts.segmentation.net2vec_options import RAW, Net2VecOptions
from loce_jax.concepts.segmentation.occurrences import Occurrences, Shown, find_occurrences, shown
from loce_jax.concepts.segmentation.pair_loss import foreground_weights, pair_derivatives
from loce_jax.concepts.segmentation.passes import Passes
from loce_jax.concepts.segmentation.published_net2vec import fit_published
from loce_jax.concepts.vectors import ConceptVectors
from loce_jax.solver.solution import Status

WEIGHT_DECAY = 0.01  # decoupled, as the paper's recipe of LoCEs has it


def fit_net2vec(
    activations: Any,
    masks: Any = None,
    *,
    names: Sequence[str] | None = None,
    options: Net2VecOptions = RAW,
) -> ConceptVectors:
    """Fit all concepts of a layer at once, each on the images that show it; no bias, so the offsets are 0.

    Concepts whose masks are full in all their images are taken for labels of whole images (both weights of the loss
    are 1).  Images with activations that are not finite are left out.

    Args:
        activations: an array ``[n gh gw c]``, or blocks of data that do not fit in memory.  "paper" keeps a bit per
            activation and a bit per pixel of the masks of all pairs in memory, whatever comes: ``n gh gw c / 8 +
            p H W / 8`` bytes.
        masks: of an array of activations, ``[n k H W]``, see `as_blocks`; their size is the one of the loss.
        names: of the concepts; their numbers if left out.
        options: `Net2VecOptions`.

    Returns:
        Vectors; the status says where there is none: no image shows the concept, the layer is constant there, or its
        activations are so large that float32 overflows.

    Source: Fong & Vedaldi, "Net2Vec: Quantifying and Explaining how Concepts are Encoded by Filters in Deep Neural
    Networks", CVPR 2018, section 3.1.

    >>> activations = np.random.default_rng(0).normal(size=(4, 6, 6, 3)).astype("f4")
    >>> found = fit_net2vec(activations, activations[..., 1] > 0, names=["positive"])
    >>> found.names, int(found.vectors[0].argmax()), found.offsets.tolist()
    (('positive',), 1, [0.0])
    """
    blocks = as_blocks(activations, masks)
    occurrences = find_occurrences(blocks, names)
    return _fit(blocks, occurrences, options, np.ones((len(occurrences.names), occurrences.channels), bool))


def net2vec_f(
    activations: Any,
    masks: Any = None,
    *,
    filters: int = 16,
    names: Sequence[str] | None = None,
    options: Net2VecOptions = RAW,
) -> ConceptVectors:
    """Net2Vec with a few filters a concept: those of the largest ``|weight|`` are fitted again, without the others.

    Args:
        activations: see `fit_net2vec`.
        masks: see `fit_net2vec`.
        filters: how many, at least 1; all others weigh 0.
        names: of the concepts.
        options: of both fits.

    Source: Fong & Vedaldi, "Net2Vec", CVPR 2018, section 3.1, the subsets of F filters.

    >>> activations = np.random.default_rng(0).normal(size=(4, 6, 6, 3)).astype("f4")
    >>> (net2vec_f(activations, activations[..., 1] > 0, filters=1).vectors != 0).tolist()
    [[False, True, False]]
    """
    blocks = as_blocks(activations, masks)
    occurrences = find_occurrences(blocks, names)
    if not 1 <= filters <= occurrences.channels:
        raise InputError(
            f"`filters` must be from 1 to the layer's {occurrences.channels} channels, but got {filters}. Try 16."
        )
    free = np.ones((len(occurrences.names), occurrences.channels), bool)
    first = _fit(blocks, occurrences, options, free)
    kept = np.argsort(-np.abs(np.nan_to_num(first.vectors)), axis=1, kind="stable")[:, :filters]
    occurrences = replace(occurrences, status=first.status)  # without a vector of all filters, none of a few
    free[:] = False
    np.put_along_axis(free, kept, values=True, axis=1)
    return _fit(blocks, occurrences, options, free, f"net2vec {filters}")


def _fit(blocks, occurrences, options, free, method="net2vec"):
    if options.form == "paper":
        return fit_published(blocks, occurrences, options, free, f"{method} paper")
    return occurrences.result(_fit_raw(blocks, occurrences, options, free), np.zeros(len(free)), method)


def _fit_raw(
    blocks: Iterable[Block], occurrences: Occurrences, options: Net2VecOptions, free: Bool[np.ndarray, "k c"]
) -> Float[Array, "k c"]:
    """One AdamW step per pass."""
    alphas = foreground_weights(occurrences.shares)
    weights = (1 / np.maximum(occurrences.images, 1)).astype(np.float32)
    vectors = jnp.zeros(free.shape, jnp.float32)
    state = _optimizer(options).init(vectors)
    overflown = jnp.zeros(len(free), bool)
    parts = Passes(lambda: (part.padded() for part in shown(blocks, occurrences)))
    for _ in range(options.passes if (occurrences.status == Status.OK).any() else 0):
        gradient = jnp.zeros_like(vectors)
        for part in parts:
            gradient += _gradient(vectors, part, weights, alphas)
        gradient = jnp.where(free, gradient, 0)
        overflown |= ~jnp.isfinite(gradient**2).all(axis=1)  # AdamW would leave such a weight where it is
        vectors, state = _step(vectors, state, gradient, options)
    return jnp.where(overflown[:, None], jnp.nan, vectors)


def _optimizer(options):
    return optax.adamw(optax.cosine_decay_schedule(options.rate, options.passes), weight_decay=WEIGHT_DECAY)


@ft.partial(jax.jit, static_argnames="options")
def _step(vectors, state, gradient, options):
    updates, state = _optimizer(options).update(gradient, state, vectors)
    return optax.apply_updates(vectors, updates), state


@jax.jit
def _gradient(
    vectors: Float[Array, "k c"], part: Shown, weights: Float[Array, " k"], alphas: Float[Array, " k"]
) -> Float[Array, "k c"]:
    """The gradient of a block's weighted losses: an image's activations are multiplied with all vectors at once."""
    n, *grid, _ = part.activations.shape
    pairs, exact = (part.images, part.concepts), jax.lax.Precision.HIGHEST
    responses = jnp.einsum("nyxc,kc->nkyx", part.activations, vectors, precision=exact)
    derivatives = pair_derivatives(responses[pairs], jnp.asarray(part.masks), alphas[part.concepts])
    scaled = jnp.where(part.real, weights[part.concepts], 0)[:, None, None] * derivatives
    spread = jnp.zeros((n, len(vectors), *grid)).at[pairs].add(scaled)
    return jnp.einsum("nkyx,nyxc->kc", spread, part.activations, precision=exact)
