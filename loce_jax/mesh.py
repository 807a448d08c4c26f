"""The local devices as a mesh of one axis, for work that is sharded over images without communication.

A mesh holds the devices of this process only, so processes of one job may take different numbers of steps.
"""

import functools as ft
from collections.abc import Callable

import jax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P


def image_sharding() -> NamedSharding:
    """The sharding that divides the first axis, which is of images, among the local devices."""
    return NamedSharding(local_mesh(), P("images"))


def shard_over_images(function: Callable, *, replicated: int = 0) -> Callable:
    """`function`, compiled for all local devices: each device gets its share of every argument's first axis.

    Args:
        function: from pytrees to a pytree; all of their arrays have images as first axis.
        replicated: number of leading arguments that every device gets whole instead.

    Returns:
        The compiled function.  It sets ``check_vma=False``: with the check, `jax.grad` with respect to an array that
        does not depend on the data would be summed over the devices.
    """

    def sharded(*arguments):
        whole, parts = arguments[:replicated], arguments[replicated:]
        work = jax.shard_map(
            lambda whole, parts: function(*whole, *parts),
            mesh=local_mesh(),
            in_specs=(P(), P("images")),
            out_specs=P("images"),
            check_vma=False,
        )
        return work(whole, parts)

    return jax.jit(sharded)


@ft.cache
def local_mesh() -> jax.sharding.Mesh:
    """The local devices on one axis, "images"."""
    devices = jax.local_devices()
    return jax.make_mesh((len(devices),), ("images",), (AxisType.Auto,), devices=devices)
