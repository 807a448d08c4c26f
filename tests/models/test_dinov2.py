"""DINOv2 against transformers' PyTorch model, layer by layer, with real and with made-up weights."""

import json
import shutil

import jax.numpy as jnp
import numpy as np
import pytest

from loce_jax.checks import InputError
from loce_jax.models.networks.vit.dinov2 import load_dinov2
from tests.support.compiled import compiled_quickly

# Both sides add the same float32 products in another order, through 12 blocks: that moves a layer by some 1e-6 of its
# largest activation.  A wrong epsilon, GELU, scale or position moves it by more than 1e-3.
TOLERANCE = 1e-4
PREPROCESSOR = {
    "crop_size": {"height": 28, "width": 28},
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "resample": 3,
    "rescale_factor": 1 / 255,
}
TINY = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "image_size": 70}


@pytest.fixture(scope="module")
def make_checkpoint(torch, tmp_path_factory):
    """A folder with random weights, nothing at its neutral start; ``max_shard_size`` splits it."""
    from transformers import Dinov2Config, Dinov2Model

    def make(max_shard_size="1GB", **options):
        folder = tmp_path_factory.mktemp("dinov2") / "tiny"
        torch.manual_seed(0)
        model = Dinov2Model(Dinov2Config.from_dict(TINY | options))
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
        model.save_pretrained(folder, max_shard_size=max_shard_size)
        (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
        return folder

    return make


@pytest.fixture(scope="module")
def tiny(make_checkpoint):
    return make_checkpoint()


def worst_difference(torch, folder, size):
    """The largest relative difference of any layer from transformers' model; also checks names and grids."""
    from transformers import Dinov2Model

    network = load_dinov2(folder, size)
    size = network.preprocess.size
    images = jnp.asarray(np.random.default_rng(0).integers(0, 256, (2, *size, 3), dtype=np.uint8))
    names = tuple(layer.name for layer in network.layers())
    found = compiled_quickly(network.activations)(network.params, images, names)

    model = Dinov2Model.from_pretrained(folder, dtype=torch.float32).eval()
    normalized = np.array(network.preprocess.normalize(images))
    with torch.no_grad():
        output = model(torch.from_numpy(normalized).permute(0, 3, 1, 2), output_hidden_states=True)
    tokens = dict(zip(names[1:], (*output.hidden_states, output.last_hidden_state), strict=True))
    assert found.keys() == set(names)
    worst = 0
    for layer in network.layers()[1:]:
        assert layer.grid == (size[0] // 14, size[1] // 14)
        expected = tokens[layer.name][:, 1:].reshape(2, *layer.grid, layer.channels).numpy()
        assert found[layer.name].shape == expected.shape
        worst = max(worst, np.abs(found[layer.name] - expected).max() / np.abs(expected).max())
    print(folder.name, size, f"{worst:.1e}")
    return worst


@pytest.mark.parametrize("size", [None, (224, 224), (280, 196)])
def test_real_weights_agree_with_torch(torch, shared, size):
    assert worst_difference(torch, shared("weights", "dinov2-small"), size) < TOLERANCE


@pytest.mark.parametrize("size", [(70, 70), (14, 126), None])
@pytest.mark.parametrize(
    "options",
    [{}, {"use_swiglu_ffn": True}, {"qkv_bias": False, "mlp_ratio": 2, "layer_norm_eps": 1e-3}],
    ids=str,
)
def test_made_up_weights_agree_with_torch(torch, make_checkpoint, options, size):
    assert worst_difference(torch, make_checkpoint(**options), size) < TOLERANCE


def test_shards_are_put_together(torch, make_checkpoint):
    folder = make_checkpoint(max_shard_size="20KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    assert worst_difference(torch, folder, None) < TOLERANCE


def test_layers_and_preprocessing_come_from_the_folder(tiny):
    network = load_dinov2(tiny)
    assert network.name == "tiny"
    assert network.preprocess.size == (28, 28)
    assert network.preprocess.resample == "bicubic"
    assert network.preprocess.mean == (0.485, 0.456, 0.406)
    assert [layer.name for layer in network.layers()] == [
        "embeddings.patch_embeddings.projection",
        "embeddings",
        "encoder.layer.0",
        "encoder.layer.1",
        "layernorm",
    ]
    assert [(layer.channels, layer.grid, layer.stride, layer.kind) for layer in network.layers()] == [
        (24, (2, 2), 14.0, "grid"),
        *[(24, (2, 2), 14.0, "tokens")] * 4,
    ]
    assert [layer.name for layer in network.resolve(["stage2", "stem"])] == ["encoder.layer.1", "embeddings"]


def test_the_fingerprint_knows_weights_and_architecture(tiny, tmp_path):
    def changed(name, change):
        folder = shutil.copytree(tiny, tmp_path / name)
        change(folder)
        return load_dinov2(folder).fingerprint

    def edit_weights(folder):
        content = bytearray((folder / "model.safetensors").read_bytes())
        content[-1] ^= 1
        (folder / "model.safetensors").write_bytes(content)

    original = load_dinov2(tiny).fingerprint
    assert changed("same", lambda folder: None) == original
    assert changed("weights", edit_weights) != original
    assert changed("heads", lambda folder: edit(folder / "config.json", num_attention_heads=4)) != original


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ((225, 30), r"got \(225, 30\). Nearest: height 224 or 238, width 28 or 42"),
        ((28, 5), "height 28, width 14"),
        ((28, 0), "width"),
    ],
)
def test_other_sizes_name_the_nearest(tiny, size, words):
    with pytest.raises(InputError, match=words):
        load_dinov2(tiny, size)


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("config.json", {"hidden_size": "24"}, "`hidden_size` is '24'"),
        ("config.json", {"hidden_size": True}, "`hidden_size` is True"),
        ("config.json", {"num_hidden_layers": 0}, "`num_hidden_layers` is 0"),
        ("config.json", {"layer_norm_eps": float("nan")}, "`layer_norm_eps` is nan"),
        ("config.json", {"num_attention_heads": 5}, "not a multiple"),
        ("config.json", {"mlp_ratio": 1e-300}, "`mlp_ratio` leaves no hidden unit"),
        ("config.json", {"patch_size": 71}, "`image_size` is below"),
        ("config.json", {"hidden_act": "swish"}, "only 'gelu'"),
        ("config.json", {"num_channels": 1}, "only 3"),
        ("config.json", {"num_hidden_layers": 3}, "missing encoder.layer.2.*and 10 more"),
        ("config.json", {"num_hidden_layers": 1}, "unexpected encoder.layer.1.*and 10 more"),
        ("config.json", {"image_size": 84}, r"position_embeddings has shape \(1, 26, 24\) instead of \(1, 37, 24\)"),
        ("preprocessor_config.json", {"crop_size": {"height": 2.5}}, "`crop_size` or `size` must be"),
        ("preprocessor_config.json", {"image_mean": [0.5]}, "`image_mean` must be three"),
        ("preprocessor_config.json", {"image_std": [1, 1, 0]}, "`image_std` must be three numbers above 0"),
        ("preprocessor_config.json", {"resample": 6, "do_grayscale": True}, "`resample` .*; `do_grayscale` must"),
        ("preprocessor_config.json", {"rescale_factor": 0}, "`rescale_factor` must be a number above 0"),
    ],
)
def test_wrong_configurations_are_input_errors(tiny, tmp_path, name, changes, words):
    folder = shutil.copytree(tiny, tmp_path / "folder")
    edit(folder / name, **changes)
    with pytest.raises(InputError, match=words):
        load_dinov2(folder)


def test_damaged_or_missing_weights_are_input_errors(tiny, tmp_path):
    folder = shutil.copytree(tiny, tmp_path / "folder")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(InputError, match="must be a safetensors file"):
        load_dinov2(folder)
    weights.rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError, match="Pickles such as `pytorch_model.bin` are not read"):
        load_dinov2(folder)


@pytest.mark.parametrize("shard", ["../model.safetensors", "/etc/passwd", "a\\b.safetensors", "model.bin", 3])
def test_an_index_may_not_leave_its_folder(tiny, tmp_path, shard):
    folder = shutil.copytree(tiny, tmp_path / "folder")
    (folder / "model.safetensors").rename(tmp_path / "model.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": shard}}))
    with pytest.raises(InputError, match="in the same folder"):
        load_dinov2(folder)


def test_a_missing_shard_is_named(tiny, tmp_path):
    folder = shutil.copytree(tiny, tmp_path / "folder")
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "b.safetensors"}}))
    with pytest.raises(InputError, match="`b.safetensors` must be an existing file"):
        load_dinov2(folder)
