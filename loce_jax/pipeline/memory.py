"""How many images a batch may have within a limit of main memory; `loce_jax.batch_sizes` has the usual numbers."""

import math
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np

from loce_jax.activations import compile_forward
from loce_jax.batch_sizes import CHUNKS_OPEN, IMAGES_PER_BATCH, IMAGES_PER_FORWARD
from loce_jax.checks import InputError, one_line
from loce_jax.pipeline.plan import Plan

GIGABYTE = 1e9
COPIES = 3  # of the activations: the batches', theirs in one array, and the one that the solver reads
# Of c x c numbers in float64, what whitening keeps of every layer, and takes for the one that is being worked on; for
# one layer of 2048 channels 9 were seen in all.
SQUARES, SQUARES_AT_WORK = 4, 6
LOADED_LATER = 300_000_000  # compilers and libraries that the work begins with; 0.25 gigabytes were seen
ALLOCATOR_OVERHEAD = 1.1  # what allocators keep back, as a factor


def images_per_batch(plan: Plan, memory: float | None) -> int:
    """The largest number of images per batch, 32 or fewer, that fits `memory` gigabytes.

    On a GPU or TPU the activations are in its own memory; `solve_chunk` halves a batch that does not fit there.

    Raises:
        InputError: not even one batch of images fits.
    """
    if memory is None:
        return IMAGES_PER_BATCH
    fixed = _resident() + _reading(plan) + _forward(plan) + _statistics(plan)
    for batch_size in (IMAGES_PER_BATCH, IMAGES_PER_BATCH // 2, IMAGES_PER_FORWARD):
        needed = ALLOCATOR_OVERHEAD * (fixed + batch_size * _image(plan))
        if needed <= memory * GIGABYTE:
            return batch_size
    raise InputError(
        f"`memory` must hold the network, the photos of {CHUNKS_OPEN} chunks and {IMAGES_PER_FORWARD} images' "
        f"activations, for this plan {needed / GIGABYTE:.1f} gigabytes, but got {memory:g}. Allow more, or ask for "
        "fewer layers."
    )


def _resident() -> int:
    """Bytes that the process has in memory now, 0 where the system does not say, and that libraries add later."""
    status = Path("/proc/self/statm")
    now = int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if status.exists() else 0
    return now + LOADED_LATER


def _reading(plan: Plan) -> int:
    """Bytes of the photos, masks and targets of the chunks that are open together, if they are the largest."""
    target = 4 * math.prod(plan.target)
    return CHUNKS_OPEN * max(
        sum(3 * math.prod(item.size) + len(item.pairs) * (2 * math.prod(item.size) + target) for item in items)
        for items in plan.chunks.values()
    )


def _forward(plan: Plan) -> int:
    """Bytes that a pass through the network takes for a while, as its compiler says."""
    images = jax.ShapeDtypeStruct((IMAGES_PER_FORWARD, *plan.network.preprocess.size, 3), np.uint8)
    forward: Any = compile_forward(plan.network, plan.layers)  # compiled by `jax.jit`
    compiled = forward.lower(plan.network.params, images).compile()
    analysis = compiled.memory_analysis()
    return analysis.temp_size_in_bytes if analysis else 0


def _statistics(plan: Plan) -> int:
    """Bytes of the layers' statistics, where the recipe whitens."""
    if not plan.recipe.needs_statistics:
        return 0
    squares = [8 * layer.channels**2 for layer in plan.network.resolve(plan.layers)]
    return SQUARES * sum(squares) + SQUARES_AT_WORK * max(squares)


def _image(plan: Plan) -> int:
    """Bytes that one image takes from pixels to solutions."""
    layers = plan.network.resolve(plan.layers)
    numbers = sum(math.prod(layer.grid) * layer.channels for layer in layers)
    concepts = max(len(item.pairs) for item in plan.dataset.items)
    solutions = concepts * sum(4 * layer.channels + math.prod(layer.grid) for layer in layers)
    return 4 * (COPIES * numbers + 2 * concepts * math.prod(plan.target) + solutions)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device's memory did not suffice."""
    return isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)


def out_of_memory(what: str, error: BaseException) -> InputError:
    """The error for a device whose memory does not hold `what`, in one line."""
    why = one_line(error, longest=200)
    return InputError(
        f"the device's memory must hold {what}, but does not: {why} What is finished is kept. Give a smaller input "
        "`size` or fewer `layers`, or set JAX_PLATFORMS=cpu."
    )
