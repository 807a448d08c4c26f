"""One rule for layer names: a spelling means the same layer to a network, an extractor, a run and its commands."""

import json
import re

import numpy as np
import pytest

from loce_jax import InputError, load_network, make_extractor, open_run
from loce_jax.cli import main
from loce_jax.layer_names import LayerRecord, match_layers, resolve_layers
from tests.support.small_coco import draw

NAMES = ("blocks.4", "stage3", "_blocks.4", "-1", "head", "*head*")
SIZE = 64, 64


@pytest.fixture(scope="module")
def network():
    return load_network("efficientnet-lite0", size=SIZE)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("layers")
    draw(folder, images=7)
    data = ["--coco", str(folder / "coco.json"), "--images", str(folder / "images")]
    flags = ["--model", "efficientnet-lite0", "--size", "64", "64", "--layers", *NAMES, "--solver.num-steps", "2"]
    assert main(["fit", *flags, *data, "--out", str(folder / "run")]) == 0
    return open_run(folder / "run")


@pytest.fixture(scope="module")
def found(network):
    """Activations, asked for by every spelling."""
    return make_extractor(network, [*NAMES, "blocks.0"])(np.zeros((3, *SIZE, 3), np.uint8))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_spelling_means_the_same_layer_everywhere(network, run, found, name, tmp_path):
    (layer,) = network.resolve([name])
    assert run.resolve([name]) == run.match(name) == (layer.name,)
    assert run.vectors(name).tobytes() == run.vectors(layer.name).tobytes()
    assert run.column("status", name).tolist() == ["ok"] * 7
    assert found[name] is found[layer.name]
    assert main(["stats", str(run.path), "--layers", name, "--out", str(tmp_path)]) == 0
    assert list(json.loads((tmp_path / "stats.json").read_text())["layers"]) == [layer.name]


@pytest.mark.slow
def test_the_plan_keeps_what_is_known_of_layers(network, run):
    for record, layer in zip(run.layer_records, network.resolve(NAMES), strict=True):
        assert network.layers()[record.index] == layer
        assert record.aliases == list(layer.aliases) and record.channels == layer.channels
        assert tuple(record.grid) == layer.grid and (record.stride, record.kind) == (layer.stride, layer.kind)


@pytest.mark.slow
def test_all_layers_come_in_the_plans_order(run):
    assert run.resolve() == run.layers == run.resolve(["*"])
    assert run.match("stage1") == ()


@pytest.mark.slow
def test_names_that_mean_no_layer_or_several_are_refused(run, found):
    with pytest.raises(InputError, match=re.escape(f"unknown layer 'blocks.5' of run {str(run.path)!r}. Did you mean")):
        run.vectors("blocks.5")
    with pytest.raises(InputError, match=re.escape("unknown layer '-2'")):
        run.vectors("-2")
    with pytest.raises(InputError, match="`layer` must mean one layer, but '\\*' means"):
        run.responses("*")
    with pytest.raises(InputError, match="unknown layer 'blocks.5' of these activations"):
        found["blocks.5"]
    with pytest.raises(InputError, match="`name` must mean one layer, but '\\*' means _blocks.0, "):
        found["*"]


def test_every_spelling_is_one_layer_of_the_network(network):
    layers = [network.resolve([name])[0] for name in NAMES]
    assert [layer.name for layer in layers] == [
        "_blocks.4",
        "_blocks.4",
        "_blocks.4",
        "_conv_head",
        "_conv_head",
        "_conv_head",
    ]


def test_an_end_of_a_name_counts_at_a_dot_only():
    layers = [LayerRecord(name) for name in ("blocks.1", "blocks.11", "tail.blocks.2", "head.blocks.2")]
    assert resolve_layers(["1"], layers, owner="run 'r'") == (layers[0],)
    assert match_layers("locks.1", layers, owner="run 'r'") == ()
    with pytest.raises(InputError, match="layer 'blocks.2' of run 'r' must mean one layer, but means tail.blocks.2"):
        resolve_layers(["blocks.2"], layers, owner="run 'r'")
