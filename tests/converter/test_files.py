"""Converted networks on disk: read without PyTorch, by several devices, and with nothing believed."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from loce_jax.checks import InputError
from loce_jax.models import load_converted
from loce_jax.models.base import Layer, Output, Preprocess
from loce_jax.models.converter import folder
from loce_jax.models.converter.graph import DType, Graph, Node, Ref
from loce_jax.models.converter.text import graph_from_text, graph_to_text

WEIGHT = np.random.default_rng(0).normal(size=(8, 3, 4, 4)).astype("float32")
GRAPH = Graph(
    name="tiny",
    preprocess=Preprocess((16, 24), mean=(0.5, 0.5, 0.5), channels="bgr", pad=114, placement="center", source="me"),
    any_batch=True,
    nodes=(
        Node("images"),
        Node("weight", ("stem.weight",)),
        Node("aten.permute.default", (Ref(0), (0, 3, 1, 2))),
        Node("aten.conv2d.default", (Ref(2), Ref(1), None, (4, 4)), module="stem"),
        Node("aten.clamp.default", (Ref(3), -1.0, float("inf")), module="act"),
        Node("aten._to_copy.default", (Ref(4),), {"dtype": DType("float32")}, "act"),
        Node("aten.permute.default", (Ref(5), (0, 2, 3, 1))),
        Node("aten.mean.dim", (Ref(5), (2, 3))),
        Node("aten.mean.dim", (Ref(7), (1,))),
    ),
    layers=(Layer("act", 8, (4, 6), 4.0, "grid", ("top",)),),
    taps={"act": 6, "logits": 7, "size": 8},
    outputs=(Output("logits", (8,), tuple("abcdefgh")), Output("size", ())),
)


@pytest.fixture
def tiny(tmp_path):
    folder.write(tmp_path / "tiny", GRAPH, {"stem.weight": WEIGHT})
    return tmp_path / "tiny"


def test_text_and_back():
    assert graph_from_text(graph_to_text(GRAPH), source="here") == GRAPH


def test_outputs_are_read_again(tiny):
    network = load_converted(tiny)
    assert (network.outputs, network.dead_ends) == (GRAPH.outputs, ())
    images = np.random.default_rng(1).normal(size=(2, 16, 24, 3)).astype("float32")
    found = network.forward(network.params, jnp.asarray(images), ("act", "logits", "size"))
    np.testing.assert_allclose(found["logits"], found["act"].mean((1, 2)), atol=1e-6)
    assert found["size"].shape == (2,)
    headless = replace(GRAPH, taps={"act": 6}, outputs=())
    assert headless.dead_ends() == ("act",)


def change(path, edit):
    content = json.loads((path / "graph.json").read_text())
    edit(content)
    (path / "graph.json").write_text(json.dumps(content))


def last(content):
    return content["nodes"][6]


def output(content):
    return content["outputs"][0]


NESTED = [0]
for _ in range(20):
    NESTED = [NESTED]

HOSTILE = {
    "a number beyond float64": (lambda c: c["preprocess"].update(mean=[10**400, 0.5, 0.5]), "mean"),
    "another format": (lambda c: c.update(format="pickle"), '"format"'),
    "another version": (lambda c: c.update(version=2), '"version" is 2.*Convert the network again'),
    "a key too many": (lambda c: c.update(run="rm"), "other keys"),
    "no nodes": (lambda c: c.update(nodes=None), "list should be"),
    "an unknown operation": (lambda c: last(c).update(op="os.system"), "unknown operation 'os.system'"),
    "an operation that is no text": (lambda c: last(c).update(op=["aten.add.Tensor"]), "is no node"),
    "a later node": (lambda c: last(c).update(args=[{"ref": 6}]), "refers to node 6"),
    "a negative node": (lambda c: last(c).update(args=[{"ref": -1}]), "refers to node -1"),
    "a node that is no number": (lambda c: last(c).update(args=[{"ref": "0"}]), "an argument of node 6"),
    "another reference": (lambda c: last(c).update(args=[{"import": "os"}]), "an argument of node 6"),
    "two things at once": (lambda c: last(c).update(args=[{"dtype": "float32", "ref": 0}]), "an argument of node 6"),
    "an unknown type": (lambda c: last(c).update(args=[{"dtype": "object"}]), "an argument of node 6"),
    "a huge number": (lambda c: last(c).update(args=[10**30]), "too large"),
    "a long text": (lambda c: last(c).update(args=["x" * 10**5]), "long text"),
    "deep nesting": (lambda c: last(c).update(args=NESTED), "lists in lists"),
    "a weight by number": (lambda c: c["nodes"][1].update(args=[3]), "no weight node"),
    "a missing weight": (lambda c: c["nodes"][1].update(args=["../../etc/passwd"]), "1 are missing"),
    "a missing weight with a long name": (lambda c: c["nodes"][1].update(args=["x" * 900]), "1 are missing"),
    "a window of a million cells": (
        lambda c: last(c).update(op="aten.max_pool2d.default", args=[{"ref": 5}, [1, 10**6]]),
        "at most 1024 cells",
    ),
    "a million windows": (
        lambda c: last(c).update(op="aten.adaptive_avg_pool2d.default", args=[{"ref": 5}, [10**6, 1]]),
        "at most 1024 cells",
    ),
    "a layer at a long text": (lambda c: c["layers"][0].update(node="x" * 5000), "not there|xxx"),
    "a layer nowhere": (lambda c: c["layers"][0].update(node=99), "not there"),
    "two equal layers": (lambda c: c["layers"].append(c["layers"][0]), "the same name"),
    "no layer": (lambda c: c.update(layers=[]), "no layer"),
    "a grid of nothing": (lambda c: c["layers"][0].update(grid=[0, 6]), "no grid"),
    "a wrong grid": (lambda c: c["layers"][0].update(grid=[6, 4]), "must have shape"),
    "no outputs": (lambda c: c.update(outputs=None), "list should be"),
    "an output's key too many": (lambda c: output(c).update(run="rm"), "an output has other keys"),
    "an output nowhere": (lambda c: output(c).update(node=-1), "not there"),
    "an output with a long name": (lambda c: output(c).update(name="x" * 5000), "short text"),
    "an output called like a layer": (lambda c: output(c).update(name="act"), "the same name"),
    "an output of a thousand axes": (lambda c: output(c).update(shape=[1] * 999, classes=[]), "at most 8"),
    "an output of a wrong shape": (lambda c: output(c).update(shape=[9], classes=[]), "output 'logits'.* must have"),
    "a class too many": (lambda c: output(c)["classes"].append("i"), "9 names of classes"),
    "a class that is no text": (lambda c: output(c).update(classes=[[]] * 8), "short text"),
    "a wrong kind": (lambda c: c["layers"][0].update(kind="code"), 'neither "grid"'),
    "an unknown filter": (lambda c: c["preprocess"].update(resample="exec"), '"resample"'),
    "a deviation of 0": (lambda c: c["preprocess"].update(std=[1, 0, 1]), '"mean" and "std"'),
    "an unknown order of channels": (
        lambda c: c["preprocess"].update(channels="cmyk"),
        '"channels" is none of rgb, bgr',
    ),
    "a padding of no gray": (lambda c: c["preprocess"].update(pad=256), '"pad" is neither'),
    "a placement that is no text": (lambda c: c["preprocess"].update(placement=[]), '"placement" is none'),
    "an image of a billion rows": (lambda c: c["preprocess"].update(size=[10**9, 2]), "from 1 to 8192"),
    "arguments that do not fit": (lambda c: last(c).update(args=[{"ref": 5}, [0, 9]]), "cannot be computed"),
    "an unknown argument": (lambda c: last(c).update(kwargs={"file": "x"}), "cannot be computed"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_strange_graph_is_refused_in_words(tiny, case):
    edit, words = HOSTILE[case]
    change(tiny, edit)
    with pytest.raises(InputError, match=words) as error:
        load_converted(tiny)
    assert len(str(error.value)) < 2000 and "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "[1", "[" * 10**5, '{"nodes": NaN}', "\udcff".encode("utf8", "surrogateescape")])
def test_what_is_no_json_is_refused(tiny, text):
    (tiny / "graph.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match="must be a graph"):
        load_converted(tiny)


def test_a_cut_weights_file_is_refused(tiny):
    path = tiny / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match="safetensors"):
        load_converted(tiny)


def test_weights_of_another_shape_are_refused(tiny):
    safetensors.numpy.save_file({"stem.weight": WEIGHT[:, :2]}, tiny / "model.safetensors")
    with pytest.raises(InputError, match="cannot be computed"):
        load_converted(tiny)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(InputError, match="`folder` must be an existing folder"):
        load_converted(tmp_path / "nowhere")
    with pytest.raises(InputError, match="`graph.json` must be an existing file"):
        load_converted(tmp_path)


def test_fingerprint_is_of_graph_and_weights(tiny):
    before = load_converted(tiny).fingerprint
    safetensors.numpy.save_file({"stem.weight": WEIGHT + 1}, tiny / "model.safetensors")
    assert load_converted(tiny).fingerprint != before


SCRIPT = """
import sys
sys.modules["torch"] = None  # importing it now raises
import jax, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
from loce_jax.models import load_converted

network = load_converted(sys.argv[1])
names = tuple(layer.name for layer in network.layers())
images = np.random.default_rng(0).normal(size=(4, *network.preprocess.size, 3)).astype("float32")
forward = jax.jit(network.forward, static_argnums=2)
alone = forward(network.params, images, names)
mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
spread = forward(network.params, jax.device_put(images, NamedSharding(mesh, P("data"))), names)
for name in names:
    assert len(spread[name].sharding.device_set) == 4
    np.testing.assert_allclose(spread[name], alone[name], atol=1e-5)
np.savez(sys.argv[2], **alone)
"""


def run_without_torch(path, out):
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", SCRIPT, str(path), str(out)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    with np.load(out) as found:
        return dict(found)


@pytest.mark.slow
def test_a_hand_written_graph_runs_on_four_devices_without_torch(tiny, tmp_path):
    found = run_without_torch(tiny, tmp_path / "out.npz")["act"]
    images = np.random.default_rng(0).normal(size=(4, 16, 24, 3)).astype("float32")
    cells = images.reshape(4, 4, 4, 6, 4, 3)
    np.testing.assert_allclose(found, np.maximum(np.einsum("bhiwjc,ocij->bhwo", cells, WEIGHT), -1), atol=1e-5)


@pytest.mark.parametrize("case", ["vit", "swin", "siglip2"])
def test_a_converted_network_runs_on_four_devices_without_torch(torchvision, case, tmp_path):
    from loce_jax.models import convert
    from tests.support.converter_cases import CASES

    module, size = CASES[case]()
    network = convert(module, Preprocess(size), out=tmp_path / case)
    images = np.random.default_rng(0).normal(size=(4, *size, 3)).astype("float32")
    names = tuple(layer.name for layer in network.layers())
    expected = network.forward(network.params, jax_array(images), names)
    for name, array in run_without_torch(tmp_path / case, tmp_path / "out.npz").items():
        np.testing.assert_allclose(array, expected[name], atol=2e-5)  # float32 sums in another order


def jax_array(images):
    import jax.numpy as jnp

    return jnp.asarray(images)
