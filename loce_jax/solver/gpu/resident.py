"""`solve` for GPUs with the samples being solved kept on chip: one kernel for all steps, not kernels for each step.

XLA runs each step as kernels of their own over many samples, so activations cross the memory bus twice per step: once
for the response, once for the gradient; the maps on the target's grid cross it too.  Here one program
(`loce_jax.solver.gpu.kernel`) has one (sample, concept) for all steps: its vector, moments and maps stay in
registers, and its activations are read from memory in the first step only.  Later steps read them from the caches, the
multiprocessor's L1 or the GPU's L2, because only as many samples are solved at a time as fit there together.
Registers could hold 64 KB of a sample, not all of it; whether that pays has not been measured.

Written with Pallas for its Triton backend.  Seen in Pallas's interpreter, and compiled for compute capability 9.0 by
JAX 0.10.2, where no shape that was tried and fits on chip spills a register (7x7x2048, 14x14x768 and 24x24x80 in
bfloat16, 7x7x1280 in both); never run on a GPU, for none was at hand.
Shapes: n images, k concepts per image, h x w grid cells, c channels, H x W the target's grid, t steps.
"""

import functools as ft
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton
from jaxtyping import Array, Float

from loce_jax.checks import InputError
from loce_jax.recipes import PaperRecipe
from loce_jax.resampling import bilinear_matrix
from loce_jax.solver.gpu.kernel import CHANNELS, KernelConfig, solve_one
from loce_jax.solver.paper.adamw import corrections

WARPS = 8
L2_BYTES = {"8.0": 40 * 2**20, "9.0": 50 * 2**20}  # by compute capability: NVIDIA's white papers on A100 and on H100
LONGEST_GRID, LONGEST_TARGET = 32, 128  # beyond, the maps were not seen to fit the registers


class Chip(NamedTuple):
    """A GPU's multiprocessors, and the bytes of the cache that they share."""

    cores: int
    cache: int


def chip_of(device) -> Chip | None:
    """The properties of `device`, one of `jax.devices`, that `fits_on_chip` needs; None where they are unknown.

    >>> chip_of(jax.devices("cpu")[0])
    """
    cache = L2_BYTES.get(str(getattr(device, "compute_capability", None)))
    return Chip(device.core_count, cache) if cache else None


def fits_on_chip(h: int, w: int, c: int, dtype: str, chip: Chip | None, target: tuple[int, int] = (100, 100)) -> bool:
    """Whether the samples that `solve_resident` has in work stay on chip; if not, leave them to `solve`.

    They do where all samples in work and their targets are no more than the L2 cache.  In work are one program a
    multiprocessor, two for up to 512 channels, which take at most half of its registers.

    That a shape which fits is also faster is reasoned, from what steps then no longer read from memory, not measured.

    Args:
        h: the grid's height.
        w: the grid's width.
        c: channels.
        dtype: of the activations.
        chip: where; None says no.
        target: height and width of the targets.

    >>> h200 = Chip(cores=132, cache=50 * 2**20)
    >>> fits_on_chip(7, 7, 2048, "bfloat16", h200), fits_on_chip(14, 14, 768, "bfloat16", h200)
    (True, True)
    >>> fits_on_chip(7, 7, 2048, "float32", h200), fits_on_chip(25, 34, 256, "bfloat16", h200)
    (False, False)
    """
    if chip is None or max(h, w) > LONGEST_GRID or target[1] > LONGEST_TARGET or c > CHANNELS:
        return False
    sample = h * w * c * jnp.dtype(dtype).itemsize + 4 * target[0] * target[1]
    return chip.cores * (2 if c <= 512 else 1) * sample <= chip.cache


def solve_resident(
    activations: Float[Array, "n h w c"],
    targets: Float[Array, "n k H W"],
    start: Float[Array, "n k c"],
    recipe: PaperRecipe,
    *,
    interpret: bool = False,
) -> tuple[Float[Array, "n k c"], Float[Array, "n k t"]]:
    """Vectors and losses as `loce_jax.solve` finds them, all steps in one kernel.

    Rows get no status: numbers that are not finite give rows that are not finite, and change no other row.

    Args:
        activations: float32, bfloat16 or float16; all arithmetic is float32.
        targets: in [0, 1], float32.
        start: first vectors, float32.
        recipe: the recipe; `init` and `seed` do not matter here.
        interpret: compute on any device what the kernel would, slowly.

    Returns:
        The vectors, and the objective before each step; float32.

    Raises:
        InputError: the recipe ties samples to each other, which programs of one sample each cannot do.

    >>> mask = jnp.eye(2)
    >>> arrays = mask.reshape(1, 2, 2, 1), mask.reshape(1, 1, 2, 2), jnp.zeros((1, 1, 1))
    >>> vectors, losses = solve_resident(*arrays, PaperRecipe(num_steps=1), interpret=True)
    >>> bool(vectors[0, 0, 0] > 0), losses.tolist()
    (True, [[[-1.0]]])
    """
    if recipe.couples_batch:
        raise InputError(
            f"`recipe` must have penalty='sample' with the objective {recipe.objective!r}, because here each sample "
            "is solved by itself, but got penalty='batch'. Use `loce_jax.solve`."
        )
    return _solve(activations, targets, start, recipe=recipe, interpret=interpret)


@ft.partial(jax.jit, static_argnames=("recipe", "interpret"))
def _solve(activations, targets, start, *, recipe, interpret):
    n, h, w, c = activations.shape
    k, *size = targets.shape[1:]
    rows, columns = (jnp.asarray(bilinear_matrix(*ab), jnp.float32) for ab in zip((h, w), size, strict=True))
    steps = recipe.num_steps
    vectors, losses = pl.pallas_call(
        ft.partial(solve_one, KernelConfig((h, w), recipe)),
        grid=(n * k,),
        in_specs=[
            pl.BlockSpec((None, h * w, c), lambda i: (i // k, 0, 0)),
            *(_per_program(*size), _per_program(), _per_program(c)),
            *(_shared(matrix.shape) for matrix in (rows, columns)),
            _shared((steps, 2)),
        ],
        out_specs=[_per_program(c), _per_program(steps)],
        out_shape=[jax.ShapeDtypeStruct((n * k, length), jnp.float32) for length in (c, steps)],
        compiler_params=triton.CompilerParams(num_warps=WARPS, num_stages=1),
        interpret=interpret,
        name="solve_resident",
    )(
        activations.reshape(n, h * w, c),
        targets.reshape(n * k, *size),
        jnp.mean(targets <= 0, axis=(2, 3)).reshape(n * k),
        start.reshape(n * k, c),
        rows,
        columns,
        corrections(steps),
    )
    return vectors.reshape(n, k, c), losses.reshape(n, k, steps)


def _per_program(*shape):
    """One row for each program."""
    return pl.BlockSpec((None, *shape), lambda i: (i, *[0] * len(shape)))


def _shared(shape):
    return pl.BlockSpec(shape, lambda i: (0,) * len(shape))
