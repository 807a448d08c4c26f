"""Net2Vec in its published form: weights of whether activations exceed thresholds, SGD on minibatches.

Whether an activation exceeds its threshold is one bit.  So data that do not fit in memory do as bits, and minibatches
are drawn among all images of a concept, whether the data came as arrays or in blocks.
Shapes: n images, k concepts, gh x gw grid cells of the layer, c channels, H x W pixels of the masks, p pairs of an
image and a concept that it shows, s steps, w pairs per step at most.
"""

import functools as ft
from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, UInt8

from loce_jax.concepts.blocks import Block
from loce_jax.concepts.segmentation.minibatches import minibatches
from loce_jax.concepts.segmentation.net2vec_options import Net2VecOptions
from loce_jax.concepts.segmentation.occurrences import Occurrences, shown
from loce_jax.concepts.segmentation.pair_loss import foreground_weights, pair_derivatives
from loce_jax.concepts.segmentation.quantiles import channel_thresholds
from loce_jax.concepts.vectors import ConceptVectors
from loce_jax.solver.solution import Status

MOMENTUM = 0.9


class Bits(NamedTuple):
    """All images that show a concept, and the masks of all pairs, eight numbers in a byte along the last axis.

    Attributes:
        cells: whether activations exceed the thresholds.
        images: of each pair, a row of `cells`.
        concepts: of each pair.
        masks: of each pair.
        alphas: of each pair's concept, see `foreground_weights`.
    """

    cells: UInt8[np.ndarray, "n gh gw c8"]
    images: Int[np.ndarray, " p"]
    concepts: Int[np.ndarray, " p"]
    masks: UInt8[np.ndarray, "p H W8"]
    alphas: Float[np.ndarray, " p"]


def fit_published(
    blocks: Iterable[Block],
    occurrences: Occurrences,
    options: Net2VecOptions,
    free: Bool[np.ndarray, "k c"],
    method: str,
) -> ConceptVectors:
    """Fit the weights of the channels that are `free`; the others are 0."""
    k, c = free.shape
    if not (occurrences.status == Status.OK).any():
        return occurrences.result(np.zeros((k, c)), np.zeros(k), method)
    thresholds = channel_thresholds(blocks, cells=occurrences.cells)
    bits, active = _collect(blocks, occurrences, thresholds)
    vectors = jnp.asarray(initial_weights(k, c, options.seed) * free)
    steps = minibatches(bits.concepts, batch_size=options.batch_size, epochs=options.passes, seed=options.seed)
    bits, steps, width = jax.device_put(bits), np.concatenate(list(steps)), occurrences.size[1]
    vectors = _descend(bits, vectors, steps, free, options.rate, width=width)
    status = np.where((occurrences.status == Status.OK) & ~active, Status.DEGENERATE, occurrences.status)
    return occurrences.result(vectors, np.zeros(k), method, thresholds=thresholds, status=status)


def initial_weights(k: int, c: int, seed: int) -> Float[np.ndarray, "k c"]:
    """Uniform weights in ``[-1/sqrt(c), 1/sqrt(c))``, those of PyTorch's convolution of one pixel."""
    return (np.random.default_rng(seed).uniform(-1, 1, (k, c)) / np.sqrt(c)).astype(np.float32)


def _collect(blocks, occurrences, thresholds):
    """All bits, and for which concepts a cell of any image exceeds a threshold."""
    parts, count, active = [], 0, np.zeros(len(occurrences.names), bool)
    alphas = foreground_weights(occurrences.shares)
    for part in shown(blocks, occurrences):
        cells = part.activations > thresholds
        active[part.concepts[cells.any(axis=(1, 2, 3))[part.images]]] = True
        bits, masks = np.packbits(cells, axis=-1), np.packbits(part.masks, axis=-1)
        parts.append(Bits(bits, part.images + count, part.concepts, masks, alphas[part.concepts]))
        count += len(cells)
    return Bits(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True))), active


@ft.partial(jax.jit, static_argnames="width")
def _descend(
    bits: Bits,
    vectors: Float[Array, "k c"],
    steps: Int[Array, "s w"],
    free: Bool[Array, "k c"],
    rate: Float[Array, ""] | float,
    *,
    width: int,
) -> Float[Array, "k c"]:
    """Make all steps; the momentum of a concept waits until its next minibatch."""
    optimizer = optax.sgd(rate, momentum=MOMENTUM)

    def step(carry, pairs):
        gradient, has_batch = _gradient(bits, carry[0], pairs, width)
        updates, state = optimizer.update(jnp.where(free, gradient, 0), carry[1])
        new = optax.apply_updates(carry[0], updates), state
        return jax.tree.map(lambda old, now: jnp.where(has_batch[:, None], now, old), carry, new), None

    (vectors, _), _ = jax.lax.scan(step, (vectors, optimizer.init(vectors)), steps)
    return vectors


def _gradient(bits, vectors, pairs, width):
    """Gradients of the mean losses of the minibatches of one step, and which concepts have one."""
    (k, c), exact = vectors.shape, jax.lax.Precision.HIGHEST
    real, concepts = pairs >= 0, bits.concepts[pairs]
    cells = jnp.unpackbits(bits.cells[bits.images[pairs]], axis=-1, count=c).astype(jnp.float32)
    masks = jnp.unpackbits(bits.masks[pairs], axis=-1, count=width) > 0
    responses = jnp.einsum("pyxc,pc->pyx", cells, vectors[concepts], precision=exact)
    derivatives = pair_derivatives(responses, masks, bits.alphas[pairs])
    gradients = jnp.einsum("pyx,pyxc->pc", derivatives, cells, precision=exact)
    counts = jnp.zeros(k).at[concepts].add(real)
    sums = jnp.zeros_like(vectors).at[concepts].add(jnp.where(real[:, None], gradients, 0))
    return sums / jnp.maximum(counts, 1)[:, None], counts > 0
