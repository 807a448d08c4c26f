"""One chunk after reading: activations of its images, and each layer's solutions for its samples.

Images go through network and solver in batches, as large as memory allows; the shapes are always the same, so that
the number of compilations does not grow with the data.
Shapes: b images per batch, k concepts of an image, h x w grid cells, c channels, th x tw the target's grid.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from loce_jax.activations import Extract
from loce_jax.foreign_text import logger
from loce_jax.pipeline.memory import is_out_of_memory, out_of_memory
from loce_jax.pipeline.plan import Plan
from loce_jax.pipeline.reading import ReadImage, readable
from loce_jax.recipes import Recipe
from loce_jax.solver import Solution, solve
from loce_jax.solver.backend import concepts_per_call
from loce_jax.statistics import Statistics

log = logger(__name__)


def solve_chunk(
    plan: Plan,
    images: Sequence[ReadImage],
    extract: Extract,
    batch_size: int,
    statistics: Mapping[str, Statistics] | None = None,
) -> tuple[dict[str, Solution], int]:
    """Each layer's `Solution` for the chunk's readable samples, as NumPy arrays, and the batch size that fits.

    Where a device runs out of memory, half as many images per batch are tried, down to one.  `statistics` of the layers
    are for a recipe that whitens.

    Raises:
        InputError: the device's memory does not hold one image.
    """
    while True:
        try:
            starts = range(0, len(images), batch_size)
            batches = [
                _solve_batch(plan, images[start : start + batch_size], extract, batch_size, statistics or {})
                for start in starts
            ]
            return jax.tree.map(lambda *leaves: np.concatenate(leaves), *batches), batch_size
        except jax.errors.JaxRuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if batch_size == 1:
                raise out_of_memory("one image", error) from error
            batch_size //= 2
            log.warning(
                "The device's memory does not hold %d images together; going on with %d.", 2 * batch_size, batch_size
            )


def _solve_batch(plan, images, extract, batch_size, statistics):
    pixels = np.zeros((batch_size, *images[0].pixels.shape), np.uint8)
    pixels[: len(images)] = [image.pixels for image in images]
    activations = extract(pixels)
    calls = list(_solver_calls(images, batch_size, plan.target))
    return {layer: _solve_layer(activations[layer], calls, plan.recipe, statistics.get(layer)) for layer in plan.layers}


@dataclass(frozen=True)
class SolverCall:
    """Readable samples of b images, up to k concepts per image, in their order, for one call of `solve`.

    Attributes:
        image_index: which image of the batch; one with more than k concepts is in several places.
        targets: the samples' targets, 0 where there is no sample.
        valid: where there is one.
    """

    image_index: Int[np.ndarray, " b"]
    targets: Float[np.ndarray, "b k th tw"]
    valid: Bool[np.ndarray, "b k"]


def _solver_calls(images: Sequence[ReadImage], batch_size: int, target: tuple[int, int]) -> Iterator[SolverCall]:
    """All readable samples, in calls of one shape.

    `concepts_per_call` decides k; an image with more concepts takes several rows.
    """
    by_image = [readable(image.samples) for image in images]
    max_concepts = concepts_per_call(map(len, by_image))
    entries = [
        (index, samples[start : start + max_concepts])
        for index, samples in enumerate(by_image)
        for start in range(0, max(len(samples), 1), max_concepts)
    ]
    entries += [(index, []) for index in range(len(entries), batch_size)]
    for start in range(0, len(entries), batch_size):
        some = entries[start : start + batch_size]
        image_index = np.zeros(batch_size, int)
        image_index[: len(some)] = [index for index, _ in some]
        targets = np.zeros((batch_size, max_concepts, *target), np.float32)
        valid = np.zeros((batch_size, max_concepts), bool)
        for row, (_, samples) in enumerate(some):
            valid[row, : len(samples)] = True
            for k, sample in enumerate(samples):
                targets[row, k] = sample.target
        yield SolverCall(image_index, targets, valid)


def _solve_layer(
    activations: Float[Array, "b h w c"],
    calls: Sequence[SolverCall],
    recipe: Recipe,
    statistics: Statistics | None,
) -> Solution:
    found = []
    for call in calls:
        in_order = np.array_equal(call.image_index, np.arange(len(activations)))
        maps = activations if in_order else activations[call.image_index]
        solution = solve(maps, call.targets, recipe, valid=call.valid, statistics=statistics)
        found.append(jax.tree.map(lambda leaf, valid=call.valid: np.asarray(leaf)[valid], solution))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *found)
