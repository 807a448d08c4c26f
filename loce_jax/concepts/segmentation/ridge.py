"""The ridge recipe for a whole data set: one vector and bias per concept that fit all images that show it together.

With the objective of `loce_jax.solver.ridge.objective` of each of the concept's n images::

    L(v, b) = 1/n * sum over images of sum w (softplus(z) - t z) + l2 / 2 |v|^2,    z = U(x @ v) + b

As a mean over images it needs no other `l2` than one image does.  L is strictly convex in v, so the optimum is unique.
Newton's method finds it; each of its steps looks at all data once and sums the Hessians of all concepts, which are kept
together: about ``32 k (c + 1)^2`` bytes with copies, in groups of concepts where that exceeds `BYTES`.
Shapes: n images, k concepts, gh x gw grid cells of the layer, q = gh * gw, c channels, d = c + 1 unknowns, the bias
last, H x W pixels of the masks, p pairs of an image and a concept that it shows.
"""

import warnings
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from loce_jax.concepts.blocks import Block, as_blocks
from loce_jax.concepts.segmentation.occurrences import Occurrences, Shown, find_occurrences, shown
from loce_jax.concepts.segmentation.passes import Passes
from loce_jax.concepts.vectors import ConceptVectors
from loce_jax.image_energies import ImageEnergies
from loce_jax.recipes import RidgeRecipe
from loce_jax.solver.paper.sample import Resize, upsample
from loce_jax.solver.precision import matmul
from loce_jax.solver.ridge.curvature import apply_bands, couple
from loce_jax.solver.ridge.objective import class_weights
from loce_jax.solver.solution import Status
from loce_jax.solver.whitening import DeviceWhitening, on_device
from loce_jax.solver.xla import resize_matrices
from loce_jax.statistics import Statistics

BYTES = 2**30  # of the Hessians that are summed in one pass, and their copies
MAX_PASSES = 50  # about 8 are usual
MIN_CURVATURE = 1e-4  # by the bias, where all pixels are saturated
BALANCED = RidgeRecipe(class_weight_power=1.0)
ROUNDING = 1e-6  # by how much, relatively, a loss may seem to rise


class Sums(NamedTuple):
    """Means over a concept's images of losses, and of their derivatives by the unknowns; or parts of these."""

    losses: Float[Array | np.ndarray, " k"]
    gradients: Float[Array | np.ndarray, "k d"]
    hessians: Float[Array | np.ndarray, "k d d"]


def fit_ridge(
    activations: Any,
    masks: Any = None,
    *,
    recipe: RidgeRecipe = BALANCED,
    statistics: Statistics | None = None,
    names: Sequence[str] | None = None,
) -> ConceptVectors:
    """Fit all concepts of a layer, each on the images that show it, and return vectors on raw activations.

    Args:
        activations: an array ``[n gh gw c]``, or blocks (`loce_jax.concepts.blocks`).
        masks: of an array of activations, ``[n k H W]``.
        recipe: as for local vectors, but concept and background weigh the same: one vector for many images segments
            too little else.  `RidgeRecipe.tolerance` is met, or a warning names the concepts.
        statistics: of the layer, which define the coordinates that the penalty is measured in; of all these images if
            left out.
        names: of the concepts; their numbers if left out.

    Returns:
        Vectors and offsets; ``MASK_FULL`` where every pixel of a concept's images shows it.

    Source: this project's own, in no paper (benchmarks/QUALITY.md on local vectors).

    >>> activations = np.random.default_rng(0).normal(size=(4, 6, 6, 3)).astype("f4")
    >>> found = fit_ridge(activations, activations[..., 1] > 1)
    >>> int(found.vectors[0].argmax()), bool(found.offsets[0] < 0)
    (1, True)
    """
    blocks = as_blocks(activations, masks)
    occurrences = find_occurrences(blocks, names)
    k, d = len(occurrences.names), occurrences.channels + 1
    if not (occurrences.status == Status.OK).any():
        return occurrences.result(np.zeros((k, d - 1)), np.zeros(k), "ridge")
    if statistics is None:
        statistics = _statistics(blocks, occurrences.channels)
    status = np.where(
        (occurrences.status == Status.OK) & (occurrences.shares == 1), Status.MASK_FULL, occurrences.status
    )
    concepts, size = np.flatnonzero(status == Status.OK), max(1, BYTES // (32 * d**2))
    unknowns, converged = np.zeros((k, d)), np.ones(k, bool)
    problem = Problem(blocks, occurrences, on_device(statistics.whitening(recipe.whitening)), recipe)
    for start in range(0, len(concepts), size):
        group = concepts[start : start + size]
        unknowns[group], converged[group] = _minimize(problem, group)
    if not converged.all():
        late = ", ".join(name for name, done in zip(occurrences.names, converged, strict=True) if not done)
        warnings.warn(
            f"after {MAX_PASSES} passes the vectors of {late} are less exact than `recipe.tolerance`, "
            f"{recipe.tolerance:g}. Ask for less, or for a larger `l2`.",
            stacklevel=2,
        )
    vectors, offsets = statistics.whitening(recipe.whitening).raw_filters(unknowns[:, :-1], unknowns[:, -1])
    return occurrences.result(vectors, offsets, "ridge", status=status)


def _statistics(blocks, channels):
    """Those of all blocks together; raises `InputError` where few images dominate them."""
    found, energies, n = Statistics(0, np.zeros(channels), np.zeros((channels,) * 2)), ImageEnergies(), 0
    for block in blocks:
        images = np.asarray(block.activations)
        found = found.merge(Statistics.of_part(images))
        energies = energies.merge(ImageEnergies.of(images, [f"sample {n + index}" for index in range(len(images))]))
        n += len(images)
    energies.check()
    return found


class Problem(NamedTuple):
    """What all concepts share."""

    blocks: Iterable[Block]
    occurrences: Occurrences
    whitening: DeviceWhitening
    recipe: RidgeRecipe

    def parts(self, group: Int[np.ndarray, " k"]) -> Passes:
        """What the images of a group of concepts show, with features as activations, and places in the group."""
        rows, wanted = np.full(len(self.occurrences.names), -1, np.int32), np.zeros(len(self.occurrences.names), bool)
        rows[group], wanted[group] = np.arange(len(group)), True

        def read():
            for part in shown(self.blocks, self.occurrences, wanted):
                local = part._replace(concepts=rows[part.concepts]).padded()
                yield local._replace(activations=_features(local.activations, self.whitening))

        return Passes(read)

    def evaluate(
        self,
        unknowns: Float[np.ndarray, "k d"],
        group: Int[np.ndarray, " k"],
        due: Bool[np.ndarray, " k"],
        parts: Passes,
    ) -> Sums:
        """The objective and its derivatives, float64, of those of a group of concepts that are `due`, in one pass."""
        k, d = unknowns.shape
        total = Sums(np.zeros(k), np.zeros((k, d)), np.zeros((k, d, d)))
        for part in parts:
            for whole, more in zip(total, _sum_block(part, unknowns.astype(np.float32), due, self.power), strict=True):
                whole += np.asarray(more)
        images, penalty = self.occurrences.images[group], np.append(np.full(d - 1, self.recipe.l2), 0)
        losses = total.losses / images + unknowns**2 @ penalty / 2
        gradients = total.gradients / images[:, None] + penalty * unknowns
        hessians = total.hessians / images[:, None, None] + np.diag(penalty)
        hessians[:, -1, -1] = np.maximum(hessians[:, -1, -1], MIN_CURVATURE)
        return Sums(losses, gradients, hessians)

    @property
    def power(self) -> np.float32:
        """The exponent of the class weights."""
        return np.float32(self.recipe.class_weight_power)


def _minimize(
    problem: Problem, group: Int[np.ndarray, " k"]
) -> tuple[Float[np.ndarray, "k d"], Bool[np.ndarray, " k"]]:
    """The unknowns of a group of concepts, and whether they are as exact as the tolerance asks.

    A step that raises the loss is halved, which is noticed in the next pass; each concept goes its own way.
    """
    l2, tolerance = problem.recipe.l2, problem.recipe.tolerance
    found = np.zeros((len(group), problem.occurrences.channels + 1))
    steps, lowest, done = np.zeros_like(found), np.full(len(group), np.inf), np.zeros(len(group), bool)
    parts = problem.parts(group)
    for _ in range(MAX_PASSES):
        sums = problem.evaluate(found + steps, group, ~done, parts)
        for row in np.flatnonzero(~done):
            loss, gradient = sums.losses[row], np.asarray(sums.gradients[row])
            if not loss <= lowest[row] + ROUNDING * abs(lowest[row]):
                steps[row] /= 2
                continue
            found[row] += steps[row]
            lowest[row], steps[row] = loss, -np.linalg.solve(sums.hessians[row], gradient)
            near = np.linalg.norm(gradient[:-1]) <= tolerance * l2 * np.linalg.norm(found[row, :-1])
            done[row] = near and abs(gradient[-1]) <= tolerance
        steps[done] = 0
        if done.all():
            break
    found[~np.isfinite(lowest)] = np.nan
    return found, done


@jax.jit
def _features(activations: Float[Array, "n gh gw c"], whitening: DeviceWhitening) -> Float[Array, "n gh gw d"]:
    """Whitened activations, and a 1 for the bias."""
    features = whitening(activations)
    return jnp.concatenate([features, jnp.ones_like(features[..., :1])], axis=-1)


@jax.jit
def _sum_block(part: Shown, unknowns: Float[Array, "k d"], due: Bool[Array, " k"], power: Float[Array, ""]) -> Sums:
    """What the pairs of a block add to the sums over images of the concepts that are `due`, the penalty left out."""
    features = jnp.asarray(part.activations)
    resize = resize_matrices(features.shape[1:3], part.masks.shape[1:])

    def add(sums, pair):
        image, concept, mask, _ = pair
        numbers = _pair_sums(features[image], unknowns[concept], mask.astype(jnp.float32), resize, power)
        return Sums(*(total.at[concept].add(more) for total, more in zip(sums, numbers, strict=True)))

    def add_if_due(sums, pair):
        return jax.lax.cond(pair[-1] & due[pair[1]], add, lambda sums, _: sums, sums, pair), None

    k, d = unknowns.shape
    return jax.lax.scan(add_if_due, Sums(jnp.zeros(k), jnp.zeros((k, d)), jnp.zeros((k, d, d))), tuple(part[1:]))[0]


def _pair_sums(
    features: Float[Array, "gh gw d"],
    unknowns: Float[Array, " d"],
    target: Float[Array, "H W"],
    resize: Resize,
    power: Float[Array, ""] | float,
) -> tuple[Float[Array, ""], Float[Array, " d"], Float[Array, "d d"]]:
    """The loss of ONE pair, its gradient and its Hessian."""
    rows, columns = resize
    logits, weights = upsample(matmul(features, unknowns), resize), class_weights(target, power)
    probability = jax.nn.sigmoid(logits)
    loss = jnp.sum(weights * (jax.nn.softplus(logits) - target * logits))
    derivative = matmul(matmul(rows.T, weights * (probability - target)), columns)
    bands = couple(weights * probability * (1 - probability), resize)
    curved = jax.vmap(lambda values: apply_bands(bands, values), in_axes=-1, out_axes=-1)(features)
    flat = features.reshape(-1, features.shape[-1])
    return loss, matmul(derivative.ravel(), flat), matmul(flat.T, curved.reshape(flat.shape))
