"""Many samples through XLA: mapped over concepts and images, and divided evenly among this machine's devices.

Letters: n images, k concepts an image, h x w grid cells of the layer, c channels, H x W the target's grid.
"""

import functools as ft

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Bool, Float

from loce_jax.resampling import bilinear_matrix
from loce_jax.solver.options import SolverOptions
from loce_jax.solver.sample import solve_one
from loce_jax.solver.solution import Solution

Samples = tuple[  # activations, targets, which of them are real, start vectors
    Float[Array | np.ndarray, "n h w c"],
    Float[Array | np.ndarray, "n k H W"],
    Bool[Array | np.ndarray, "n k"],
    Float[Array | np.ndarray, "n k c"],
]


@ft.partial(jax.jit, static_argnames="options")
def solve_together(samples: Samples, options: SolverOptions) -> Solution:
    """All samples in one program on one device; the one place where the maths for one sample is mapped."""
    on_device = [jnp.asarray(part) for part in samples]
    (_, h, w, _), (_, _, H, W) = (part.shape for part in samples[:2])
    resize = jnp.asarray(bilinear_matrix(h, H), jnp.float32), jnp.asarray(bilinear_matrix(w, W), jnp.float32)
    one = ft.partial(solve_one, resize=resize, options=options)
    image = jax.vmap(one, in_axes=(None, 0, 0, 0), axis_name="concepts")
    if options.couples_batch:
        return jax.vmap(image, axis_name="images")(*on_device)
    return jax.lax.map(lambda sample: image(*sample), on_device, batch_size=_side_by_side())


def _side_by_side():
    """Images solved by one step of a loop.  On a CPU one: its activations stay in cache for all the steps."""
    return 1 if jax.default_backend() == "cpu" else 256


def solve_on_devices(samples: Samples, options: SolverOptions) -> Solution:
    """`solve_together`, the images divided evenly among the local devices, which then work without talking."""
    devices = jax.local_devices()
    if len(devices) == 1 or options.couples_batch:
        return solve_together(samples, options)
    n = len(samples[0])
    rows = np.minimum(np.arange(n + -n % len(devices)), n - 1)
    shares = jax.device_put([part if len(rows) == n else part[rows] for part in samples], over_images())
    return jax.tree.map(lambda leaf: leaf[:n], in_shares(options)(*shares))


@ft.cache
def in_shares(options: SolverOptions):
    """The program of all local devices, which takes the parts of `Samples`, their first axis a multiple of the devices.

    ``check_vma=False``: else `jax.grad` would sum the slopes of all devices where a start does not depend on the data.
    """

    def share(*samples):
        return solve_together(samples, options)

    specs = {"in_specs": P("images"), "out_specs": P("images"), "check_vma": False}
    return jax.jit(jax.shard_map(share, mesh=_local_mesh(), **specs))


def over_images() -> NamedSharding:
    """The first axis divided among this process's devices."""
    return NamedSharding(_local_mesh(), P("images"))


@ft.cache
def _local_mesh():
    devices = jax.local_devices()
    return jax.make_mesh((len(devices),), ("images",), (AxisType.Auto,), devices=devices)
