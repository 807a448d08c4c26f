"""DETR beyond what `test_native.py` asks of every family: its published networks, task models and older files."""

import json
import shutil

import numpy as np
import pytest
import safetensors.numpy

from loce_jax.checks import InputError
from loce_jax.models.catalog import load_network
from loce_jax.models.networks.detr import FAMILY, Config
from tests.support.compiled import compiled_quickly
from tests.support.native_cases import TINY_DETR
from tests.support.parity import Case, differences, make_model, save

TOLERANCE = 1e-4  # see test_native.py
BACKBONE = "model.backbone.conv_encoder.model"
TIMM = {name: value for name, value in TINY_DETR.items() if name != "backbone_config"} | {"use_timm_backbone": True}
SIZE = (64, 96)


def case(options, model="DetrForObjectDetection"):
    return Case("DETR", model, "DetrConfig", options)


@pytest.fixture(scope="module")
def tiny(torch, tmp_path_factory):
    """The torch model, which checkpoints of the tests below hold, and its folder."""
    model = make_model(case(TINY_DETR))
    return model, save(model, tmp_path_factory.mktemp("detr"))


def encode(folder):
    """Activations at every layer for one random photo."""
    network = load_network(str(folder), size=SIZE)
    photo = np.random.default_rng(1).integers(0, 256, (1, *SIZE, 3), dtype=np.uint8)
    names = tuple(layer.name for layer in network.layers())
    return compiled_quickly(network.activations)(network.params, photo, names)


def test_resnet_50_with_a_dilated_last_stage_agrees_with_torch(timm, tmp_path):
    dilated = case(TIMM | {"backbone": "resnet50", "dilation": True})
    model = make_model(dilated)
    network = load_network(str(save(model, tmp_path)), size=SIZE)
    grids = {layer.name: layer.grid for layer in network.layers()}
    assert grids[f"{BACKBONE}.layer3"] == grids[f"{BACKBONE}.layer4"] == grids["model.encoder.layers.1"] == (4, 6)
    worst = differences(network, model, dilated)
    print(worst)
    assert max(worst.values()) < TOLERANCE


@pytest.mark.slow
def test_the_published_network_has_the_shapes_of_the_paper():
    shapes = FAMILY.abstract_module(Config()).shapes((800, 1066))
    wanted = {f"{BACKBONE}.layer3": (50, 67, 1024), f"{BACKBONE}.layer4": (25, 34, 2048)}
    wanted |= dict.fromkeys(["model.input_projection", *(f"model.encoder.layers.{i}" for i in range(6))], (25, 34, 256))
    assert {name: shapes[name] for name in wanted} == wanted
    assert list(shapes)[-1] == "model.encoder.layers.5"


def test_photos_are_resized_to_800_x_1066_when_the_file_names_edges(tiny, tmp_path):
    folder = shutil.copytree(tiny[1], tmp_path / "edges")
    edit(folder / "preprocessor_config.json", size={"shortest_edge": 800, "longest_edge": 1333})
    assert load_network(str(folder)).preprocess.size == (800, 1066)


@pytest.mark.parametrize(("name", "outputs"), [("DetrModel", []), ("DetrForSegmentation", ["logits", "pred_boxes"])])
def test_other_task_models_hold_the_same_layers(tiny, tmp_path, name, outputs):
    model, folder = tiny
    other = make_model(case(TINY_DETR, name))
    inner = other if name == "DetrModel" else other.detr.model
    inner.load_state_dict(model.model.state_dict())
    save(other, tmp_path)
    expected = encode(folder)
    for layer, found in encode(tmp_path).items():
        np.testing.assert_array_equal(found, expected[layer])
    network = load_network(str(tmp_path), size=SIZE)
    assert [output.name for output in network.outputs] == outputs
    if outputs:
        assert max(differences(network, other.detr, case(TINY_DETR)).values()) < TOLERANCE


def test_an_encoder_alone_has_the_same_layers_and_fingerprints_do_not_know_the_decoder(tiny, tmp_path):
    folder = shutil.copytree(tiny[1], tmp_path / "encoder")
    tensors = safetensors.numpy.load_file(folder / "model.safetensors")
    of_encoder = ("model.backbone", "model.input_projection", "model.encoder")
    kept = {key: tensor for key, tensor in tensors.items() if key.startswith(of_encoder)}
    safetensors.numpy.save_file(kept, folder / "model.safetensors")
    expected = encode(tiny[1])
    for layer, found in encode(folder).items():
        np.testing.assert_array_equal(found, expected[layer])
    assert load_network(str(folder), size=SIZE).outputs == ()
    assert repr(Config()) == repr(Config(decoder_layers=2, decoder_attention_heads=4, decoder_ffn_dim=8))


@pytest.mark.usefixtures("torch")
def test_the_norm_follows_every_block_where_all_were_trained(tmp_path):
    trained = case(TINY_DETR | {"auxiliary_loss": True})
    model = make_model(trained)
    network = load_network(str(save(model, tmp_path)), size=SIZE)
    assert max(differences(network, model, trained).values()) < TOLERANCE


@pytest.mark.parametrize("wrapper", ["module.", "model."])
def test_a_wrapped_detector_has_its_heads(tiny, tmp_path, wrapper):
    folder = shutil.copytree(tiny[1], tmp_path / "wrapped")
    tensors = safetensors.numpy.load_file(folder / "model.safetensors")
    safetensors.numpy.save_file(
        {f"{wrapper}{key}": tensor for key, tensor in tensors.items()}, folder / "model.safetensors"
    )
    outputs = {output.name: output.shape for output in load_network(str(folder), size=SIZE).outputs}
    assert outputs == {"logits": (3, 3), "pred_boxes": (3, 4)}


def test_names_of_the_paper_of_timm_and_of_transformers(tiny):
    network = load_network(str(tiny[1]), size=SIZE)
    names = {
        f"{BACKBONE}.layer1": ["layer1", "stage1", "layer1.1", "model.backbone.model.encoder.stages.0", "stages.0"],
        f"{BACKBONE}.layer1.0": ["layer1.0", "encoder.stages.0.layers.0"],
        f"{BACKBONE}.maxpool": ["stem"],
        "model.input_projection": ["input_projection"],
        "model.encoder.layers.1": ["encoder.layers.1", "-1"],
    }
    for name, others in names.items():
        assert {layer.name for layer in network.resolve([name, *others])} == {name}


@pytest.mark.parametrize("nested", [True, False])
def test_timm_backbones_of_older_and_newer_files(nested):
    older = {"backbone": "resnet101", "dilation": True, "use_timm_backbone": True, "backbone_config": None}
    newer = {"backbone_config": {"model_type": "timm_backbone", "backbone": "resnet101.a1_in1k", "output_stride": 16}}
    flat = FAMILY.flatten(newer if nested else older)
    assert (flat["dilation"], flat["layer_type"], flat["depths"]) == (True, "bottleneck", (3, 4, 23, 3))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"activation_function": "gelu"}, "only 'relu'"),
        ({"position_embedding_type": "learned"}, "only 'sine'"),
        ({"encoder_attention_heads": 7}, "`d_model` is not a multiple of `encoder_attention_heads`"),
        ({"decoder_attention_heads": 7}, "`d_model` is not a multiple of `decoder_attention_heads`"),
        ({"decoder_layers": 10**9}, "`decoder_layers` is 1000000000"),
        ({"d_model": 21}, "`d_model` is not a multiple of 4"),
        ({"backbone_config": {"model_type": "swin"}}, "`backbone_config` is 'swin'"),
        ({"backbone_config": {"model_type": "resnet", "out_features": ["stage3"]}}, "`out_features` is 'stage3'"),
        ({"backbone_config": None, "use_timm_backbone": True, "backbone": "resnet26d"}, "`backbone` is 'resnet26d'"),
        ({"backbone_config": None, "backbone": "resnet18", "dilation": True}, "with basic blocks"),
        (
            {"backbone_config": {"model_type": "timm_backbone", "backbone": "resnet50", "output_stride": 8}},
            "`output_stride` is 8",
        ),
    ],
)
def test_what_is_not_built_is_refused(tiny, tmp_path, changes, words):
    folder = shutil.copytree(tiny[1], tmp_path / "folder")
    edit(folder / "config.json", **changes)
    with pytest.raises(InputError, match=words):
        load_network(str(folder))


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
