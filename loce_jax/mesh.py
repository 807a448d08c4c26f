"""This process's devices in one row, for work that is divided evenly and needs no talk between them.

Meshes are local on purpose: processes of one job may then take different numbers of steps.
"""

import functools as ft

import jax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P


def divided() -> NamedSharding:
    """The first axis, of images, divided among the local devices."""
    return NamedSharding(local_mesh(), P("images"))


def each_its_share(function, *, shared: int = 0):
    """`function` compiled for all local devices: each works on its share of every argument's first axis.

    Args:
        function: from pytrees to a pytree, all with an axis of images first.
        shared: number of leading arguments that all devices get whole.

    ``check_vma=False``: else `jax.grad` would sum the slopes of all devices where a start does not depend on the data.
    """

    def split(*arguments):
        whole, parts = arguments[:shared], arguments[shared:]
        work = jax.shard_map(
            lambda whole, parts: function(*whole, *parts),
            mesh=local_mesh(),
            in_specs=(P(), P("images")),
            out_specs=P("images"),
            check_vma=False,
        )
        return work(whole, parts)

    return jax.jit(split)


@ft.cache
def local_mesh() -> jax.sharding.Mesh:
    """The local devices, their axis called "images"."""
    devices = jax.local_devices()
    return jax.make_mesh((len(devices),), ("images",), (AxisType.Auto,), devices=devices)
