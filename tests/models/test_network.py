"""What every network promises: it runs in threads, on several devices at once, and for any number of photos."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import jax.numpy as jnp
import numpy as np
import pytest

from loce_jax import load_network
from loce_jax.checks import InputError
from loce_jax.models.base import Layer, Network, Preprocess

SHARDED = """
import jax, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from loce_jax import load_network

network = load_network({source!r}, size={size})
names = tuple(layer.name for layer in network.layers())
images = np.random.default_rng(0).integers(0, 256, (8, *network.preprocess.size, 3), dtype=np.uint8)
forward = jax.jit(network.activations, static_argnums=2)
alone = forward(network.params, images, names)
mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
spread = forward(network.params, jax.device_put(images, NamedSharding(mesh, PartitionSpec("data"))), names)
print(max(float(abs(np.asarray(spread[n]) - np.asarray(alone[n])).max() / abs(alone[n]).max()) for n in names))
print(min(len(spread[n].sharding.device_set) for n in names))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "size"), [("efficientnet-lite0", (64, 96)), ("weights/dinov2-small", (56, 70))], ids=str
)
def test_four_devices_compute_what_one_does(shared, source, size):
    name = source if source == "efficientnet-lite0" else str(shared(*source.split("/")))
    code = SHARDED.format(source=name, size=size)
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    difference, devices = done.stdout.split()
    assert int(devices) == 4
    assert float(difference) < 1e-5  # float32 sums in another order; a wrong split changes everything


@pytest.mark.slow
def test_threads_and_batch_sizes_do_not_matter():
    network = load_network("efficientnet-lite0", size=(64, 64))
    images = jnp.asarray(np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8))

    def run(count):
        return np.asarray(network.activations(network.params, images[:count], ("_blocks.4",))["_blocks.4"])

    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(run, (1, 5, 3)))
    for activations in found:
        np.testing.assert_allclose(activations, run(5)[: len(activations)], atol=1e-5)


def named(*layers):
    table = tuple(Layer(name, 1, (1, 1), 1.0, "grid", tuple(aliases)) for name, *aliases in layers)
    return Network("net", "0", Preprocess((8, 8)), {}, lambda params, images, names: {}, table)


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("a.layer1.0", ["a.layer1.0"]),
        ("layer1.0", ["a.layer1.0"]),
        ("stem", ["b.layer1"]),
        ("-1", ["c.layer1.0x"]),
        ("*layer1.0*", ["a.layer1.0", "c.layer1.0x"]),
        ("first", ["a.layer1.0"]),
    ],
    ids=str,
)
def test_a_name_may_be_an_alias_an_end_an_index_or_a_pattern(asked, meant):
    network = named(("a.layer1.0", "the.first"), ("b.layer1", "stem"), ("c.layer1.0x",))
    assert [layer.name for layer in network.resolve([asked])] == meant


def test_a_name_that_means_several_layers_lists_them():
    network = named(("a.block", "same"), ("b.block", "same"))
    with pytest.raises(
        InputError, match=r"layer 'block' .* means a.block, b.block. Give one of these names, or '\*block'"
    ):
        network.resolve(["block"])
    with pytest.raises(InputError, match="layer 'same' .* means a.block, b.block"):
        network.resolve(["same"])


def test_precision_is_checked():
    with pytest.raises(InputError, match="`dtype` must be one of 'float32', 'bfloat16', but got 'float16'"):
        load_network("efficientnet-lite0", dtype="float16")  # pyright: ignore[reportArgumentType] - not one of these
