"""What similarity of two layers' concepts is worth: chance levels made from the same maps and activations.

The upper levels are fits that differ in nothing that matters: on halves of the images
(`loce_jax.concepts.evaluation.split.fit_on_halves`) and with two seeds.
Shapes: n images, k and m concepts, h x w cells of maps, gh x gw cells of the layer, c channels, d draws.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from loce_jax.analysis.bootstrap import as_groups
from loce_jax.checks import InputError, check_arguments, check_shape
from loce_jax.concepts.comparison.similarity import (
    MEASURES,
    Measure,
    check_maps,
    mean_of_pairs,
    pair_up,
    similarity_matrices,
)
from loce_jax.concepts.vectors import ConceptVectors
from loce_jax.solver.solution import Status


def other_images(groups: int | Sequence | np.ndarray, seed: int = 0) -> Int[np.ndarray, " n"]:
    """A permutation of the images that gives each the place of an image of another group.

    The groups are put in random order, one after the other, and moved on together by a random number of places.

    Args:
        groups: a number of images, each on its own; or one value per image.
        seed: random seed.

    >>> groups = np.array(["a", "a", "b", "b", "c"])
    >>> bool((groups[other_images(groups)] != groups).all())
    True
    """
    groups = np.arange(groups) if isinstance(groups, int | np.integer) else np.asarray(groups)
    _, rows, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    n, largest = len(groups), sizes.max(initial=0)
    if not 0 < 2 * largest <= n:
        raise InputError(
            f"`groups` must have no group with more than half of the images, so that each can be put in the place of "
            f"another's, but one has {largest} of {n}. Add images, or leave out some of that group."
        )
    rng = np.random.default_rng(seed)
    order = np.lexsort((rng.random(n), rng.permutation(len(sizes))[rows]))
    found = np.empty(n, int)
    found[order] = np.roll(order, rng.integers(largest, n - largest + 1))
    return found


@check_arguments
def shuffled_similarity(
    first: Float[np.ndarray, "n k h w"],
    second: Float[np.ndarray, "n m h w"],
    *,
    match_by: Measure | None = None,
    groups: Sequence | np.ndarray | None = None,
    draws: int = 100,
    seed: int = 0,
) -> Mapping[Measure, Float[np.ndarray, " d"]]:
    """The mean similarity of `concept_similarity` where the images of `second` are others than those of `first`.

    That is the level of maps that know nothing of each other but how large their concepts are, where they are in an
    image, and, with `match_by`, what matching makes of chance: it is done anew in every draw.

    Args:
        first: see `concept_similarity`, and so `second`, `match_by`, `groups`.
        second: see above.
        match_by: see above.
        groups: no image meets one of its own group.
        draws: how many permutations, see `other_images`.
        seed: of the first; the next ones have the next seeds.

    >>> maps = np.random.default_rng(0).random((8, 1, 5, 5))
    >>> bool(np.abs(shuffled_similarity(maps, maps, draws=20)["pearson"].mean()) < 0.1)
    True
    """
    first, second = check_maps(first, second, by_place=match_by is None)
    groups = as_groups(groups, len(first))
    found = np.empty((draws, len(MEASURES)))
    for draw in range(draws):
        matrices = similarity_matrices(first, second[other_images(groups, seed + draw)])
        pairs = pair_up(matrices, match_by)
        found[draw] = mean_of_pairs(matrices[:, pairs[:, 0], pairs[:, 1]])
    return dict(zip(MEASURES, found.T, strict=True))


def random_concepts(
    activations: Float[np.ndarray, "n gh gw c"], names: Sequence[str], shares: Float[np.ndarray, " k"], seed: int = 0
) -> ConceptVectors:
    """Vectors in random directions, each of which covers as many cells as a concept does.

    The directions are uniform; the offsets are such that a share of the cells of `activations` responds above 0.

    Args:
        activations: of the layer, finite.
        names: of the concepts.
        shares: of the cells that each covers, such as ``masks.mean(axis=(0, 2, 3))``, above 0 and below 1.
        seed: random seed.

    >>> cells = np.random.default_rng(0).normal(size=(10, 5, 5, 3))
    >>> found = random_concepts(cells, ["cat", "dog"], np.array([0.1, 0.5]))
    >>> (np.asarray(found.logits(cells)) > 0).mean(axis=(0, 2, 3)).round(2).tolist()
    [0.1, 0.5]
    """
    shares = np.asarray(shares, np.float64)
    check_shape("shares", shares, (len(names),), meaning="one per name", fix="")
    if not ((shares > 0) & (shares < 1)).all():
        raise InputError(
            f"`shares` must be above 0 and below 1, but go from {shares.min()} to {shares.max()}. "
            "Leave out concepts that no image shows, or that cover all of them."
        )
    cells = activations.reshape(-1, activations.shape[-1]).astype(np.float64)
    vectors = np.random.default_rng(seed).normal(size=(len(names), cells.shape[1]))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    responses = cells @ vectors.T
    offsets = [-np.quantile(response, 1 - share) for response, share in zip(responses.T, shares, strict=True)]
    status = np.full(len(names), Status.OK)
    return ConceptVectors(tuple(names), vectors.astype(np.float32), np.array(offsets, np.float32), status, "random")
