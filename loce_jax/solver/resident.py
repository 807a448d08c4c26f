"""`solve` for GPUs with a sample kept on chip: one kernel that takes every step, instead of kernels for each step.

XLA runs each step as kernels of their own, so a sample's activations cross the memory bus twice a step: once for the
response, once for the slope.  Here one program (`loce_jax.solver.resident_kernel`) has one (sample, concept) for all
steps.  As many tiles of the activations as the registers allow are read once, before the first step; the others are
read again in every step by the same multiprocessor, so that its L1 cache answers, failing that the GPU's L2, instead
of the memory.  Neither registers (256 KB) nor shared memory (227 KB on an H200) hold 14x14x768 in bfloat16 (294 KB)
alone; both together do.

Written with Pallas for its Triton backend.  Seen in Pallas's interpreter and lowered for CUDA; no GPU was at hand.
Letters: n images, k concepts an image, h x w grid cells, c channels, H x W the target's grid, t steps.
"""

import functools as ft

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton
from jaxtyping import Array, Float

from loce_jax.checks import InputError
from loce_jax.resampling import bilinear_matrix
from loce_jax.solver.adamw import corrections
from loce_jax.solver.options import SolverOptions
from loce_jax.solver.resident_kernel import Recipe, solve_one

WARPS = 8  # 256 threads, so that each may have 255 registers
REGISTERS = 168 * 1024  # bytes of the register file (256 KB) for activations, vector and moments; the rest is for maps
LONGEST_GRID, LONGEST_TARGET = 32, 256  # beyond, one band of the maps alone fills the registers


def fits_on_chip(  # noqa: PLR0913 - a shape, and where it shall fit
    h: int, w: int, c: int, dtype: str, shared_memory: int, target: tuple[int, int] = (100, 100)
) -> bool:
    """Whether `solve_resident` keeps a sample of this shape on chip; if not, leave it to `solve`.

    What finds no room in registers must find it in the L1 cache, together with the target, which every step reads too.
    L1 and shared memory are one memory, a multiprocessor's 256 KB for compute capability 9.0, 192 KB for 8.0, 128 KB
    for 8.9, and each has 64 K registers of 4 bytes (NVIDIA, "CUDA C++ Programming Guide", technical specifications per
    compute capability).  What one block may claim as shared memory there (227, 163, 99 KB) is within 3 KB of what
    remains for L1 once 32 KB are set aside for the kernel's own scratch, and stands for it here.

    That a shape which fits is also faster is reasoned: its steps then read nothing from memory.  It was not measured.

    Args:
        h: the grid's height.
        w: the grid's width.
        c: channels.
        dtype: of the activations.
        shared_memory: bytes that one block may claim, see `shared_memory_of`.
        target: height and width of the targets.

    >>> h200 = 227 * 1024
    >>> fits_on_chip(7, 7, 2048, "bfloat16", h200), fits_on_chip(14, 14, 768, "bfloat16", h200)
    (True, True)
    >>> fits_on_chip(7, 7, 2048, "float32", h200), fits_on_chip(25, 34, 256, "bfloat16", h200)
    (False, False)
    """
    if max(h, w) > LONGEST_GRID or target[1] > LONGEST_TARGET or _room(c) < 0:
        return False
    itemsize = jnp.dtype(dtype).itemsize
    kept = min(h * w, CELLS * _held(h * w, c, itemsize))
    return (h * w - kept) * c * itemsize + 4 * target[0] * target[1] <= shared_memory


def shared_memory_of(device: jax.Device) -> int:
    """Bytes of shared memory that one block may claim on `device`; 0 where the device does not say.

    >>> shared_memory_of(jax.devices("cpu")[0])
    0
    """
    return getattr(device, "shared_memory_per_block_optin", 0)


def solve_resident(
    activations: Float[Array, "n h w c"],
    targets: Float[Array, "n k H W"],
    start: Float[Array, "n k c"],
    options: SolverOptions,
    *,
    interpret: bool = False,
) -> tuple[Float[Array, "n k c"], Float[Array, "n k t"]]:
    """Vectors and losses as `loce_jax.solve` finds them, all steps in one kernel.

    Rows are not judged: numbers that are not finite give rows that are not finite, and touch no other row.

    Args:
        activations: float32, bfloat16 or float16; all arithmetic is float32.
        targets: in [0, 1], float32.
        start: first vectors, float32.
        options: the recipe; `start`, `seed`, `target` and `iou` do not matter here.
        interpret: compute on any device what the kernel would, slowly.

    Returns:
        The vectors, and the objective before each step; float32.

    Raises:
        InputError: the recipe ties samples to each other, which programs of one sample each cannot do.

    >>> recipe = SolverOptions(num_steps=1)
    >>> arrays = jnp.ones((1, 2, 2, 1)), jnp.eye(4)[None, None], jnp.ones((1, 1, 1))
    >>> vectors, losses = solve_resident(*arrays, recipe, interpret=True)
    >>> vectors.round(3).tolist(), losses.round(3).tolist()
    ([[[0.899]]], [[[-3.0]]])
    """
    if options.couples_batch:
        raise InputError(
            f"`options` must have penalty='sample' with the objective {options.objective!r}, because here each sample "
            "is solved by itself, but got penalty='batch'. Use `loce_jax.solve`."
        )
    return _solve(activations, targets, start, options=options, interpret=interpret)


@ft.partial(jax.jit, static_argnames=("options", "interpret"))
def _solve(activations, targets, start, *, options, interpret):
    n, h, w, c = activations.shape
    k, *size = targets.shape[1:]
    rows, columns = (jnp.asarray(bilinear_matrix(*ab), jnp.float32) for ab in zip((h, w), size, strict=True))
    steps = options.num_steps
    # three products of the parts that tensor cores know (10 bits each) give a float32 product back
    precision = jax.lax.Precision.HIGHEST if interpret else jax.lax.DotAlgorithmPreset.TF32_TF32_F32_X3
    recipe = Recipe((h, w), options, precision)
    vectors, losses = pl.pallas_call(
        ft.partial(solve_one, recipe),
        grid=(n * k,),
        in_specs=[
            pl.BlockSpec((None, h * w, c), lambda i: (i // k, 0, 0)),
            *(_own(*size), _own(), _own(c)),
            *(_everyones(matrix.shape) for matrix in (rows, columns)),
            _everyones((steps, 2)),
        ],
        out_specs=[_own(c), _own(steps)],
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


def _own(*shape):
    """Each program's own row."""
    return pl.BlockSpec((None, *shape), lambda i: (i, *[0] * len(shape)))


def _everyones(shape):
    return pl.BlockSpec(shape, lambda i: (0,) * len(shape))

