"""What SegFormer has beyond other families: a smallest size, two spellings of every name, a head that may be there."""

import json

import pytest

from loce_jax.checks import InputError
from loce_jax.models.catalog import load_network
from tests.support.native_cases import CASES
from tests.support.parity import make_model, save


@pytest.fixture(scope="module")
def folder(torch, tmp_path_factory):
    return save(make_model(CASES["segformer head"]), tmp_path_factory.mktemp("segformer"))


def test_every_reduction_needs_a_cell(folder):
    with pytest.raises(InputError, match=r"at least 13, .* got \(12, 40\). Try \(13, 40\)"):
        load_network(str(folder), size=(12, 40))
    grids = [layer.grid for layer in load_network(str(folder), size=(13, 40)).layers()]
    assert grids[0] == (4, 10)


def test_old_and_new_names_mean_the_same_layers(folder):
    network = load_network(str(folder))
    expected = {
        "stem": "encoder.patch_embeddings.0",
        "segformer.stages.1.patch_embeddings": "encoder.patch_embeddings.1",
        "segformer.encoder.block.0.1": "encoder.block.0.1",
        "stages.0.blocks.1": "encoder.block.0.1",
        "segformer.stages.2": "encoder.layer_norm.2",
        "stage3": "encoder.layer_norm.2",
        "-1": "decode_head.activation",
    }
    assert {name: network.resolve([name])[0].name for name in expected} == expected


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"depths": [2, 1]}, "`depths` does not hold `num_encoder_blocks` numbers"),
        ({"num_attention_heads": [1, 3, 3]}, "not multiples of `num_attention_heads`"),
        ({"hidden_act": "relu"}, "only 'gelu'"),
        ({"architectures": None}, "unexpected decode_head.batch_norm.bias"),
    ],
)
def test_wrong_configurations_are_input_errors(folder, tmp_path, changes, words):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(InputError, match=words):
        load_network(str(tmp_path))
