"""How `solve` computes on this machine's devices, and how many concepts of an image one call should hold."""

from collections.abc import Iterable

import jax

from loce_jax.batch_sizes import CONCEPTS_PER_CALL


def uses_cpu_threads() -> bool:
    """Whether `solve` runs a thread for each CPU core: where JAX has one device, a CPU."""
    return jax.default_backend() == "cpu" and jax.local_device_count() == 1


def concepts_per_call(counts: Iterable[int]) -> int:
    """How many concepts of each image to give `solve` in one call, with `valid` marking the padding; at least 1.

    On CPU threads padding takes no time and any number of concepts runs the same program, so it is the largest of the
    numbers.  Elsewhere it is `CONCEPTS_PER_CALL`: the program is compiled once, and an image with more concepts takes
    several rows of a call.

    Args:
        counts: each image's number of concepts.

    >>> concepts_per_call([2, 7, 0])
    7
    """
    return max([1, *counts]) if uses_cpu_threads() else CONCEPTS_PER_CALL
