"""What every native family owes: PyTorch's numbers layer by layer, any checkpoint file, plain words when it fails."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from loce_jax.checks import InputError
from loce_jax.models.catalog import load_network
from loce_jax.models.networks.table import find_family
from tests.support.families_table import native_limit
from tests.support.native_cases import CASES, checkpoint, native_differences
from tests.support.parity import differences, make_model, save

# Both sides add the same float32 products in another order, through a few layers: that moves a layer by some 1e-6 of
# its largest activation.  A wrong epsilon, padding, activation function or axis order moves it by more than 1e-3.
TOLERANCE = 1e-4
SIZES = [(name, size) for name, case in CASES.items() for size in case.sizes]


pytestmark = pytest.mark.usefixtures("torch")


@pytest.mark.parametrize(("name", "size"), SIZES, ids=str)
def test_every_layer_agrees_with_torch(name, size):
    worst = native_differences(name, size)
    print(name, size, worst)
    assert max(worst.values()) < min(TOLERANCE, native_limit(CASES[name].family))


@pytest.mark.parametrize("name", CASES)
def test_bfloat16_stays_bfloat16(name):
    network = load_network(str(checkpoint(name)[1]), size=CASES[name].sizes[0]).astype("bfloat16")
    names = tuple(layer.name for layer in network.layers())
    photo = jax.ShapeDtypeStruct((1, *network.preprocess.size, 3), jnp.uint8)
    found = jax.eval_shape(lambda params, photo: network.activations(params, photo, names), network.params, photo)
    assert {array.dtype for array in found.values()} == {jnp.dtype(jnp.bfloat16)}


@pytest.mark.parametrize("name", {case.family: name for name, case in reversed(CASES.items())}.values())
def test_bfloat16_stays_close(name):
    model, folder = checkpoint(name)
    network = load_network(str(folder), size=CASES[name].sizes[0]).astype("bfloat16")
    # 8 bits of mantissa: some 0.4 % a product, which adds up over the layers; a wrong operation loses all of the signal
    assert max(differences(network, model, CASES[name]).values()) < 0.2


@pytest.mark.parametrize("name", CASES)
def test_shards_and_half_precision_files(torch, name, tmp_path):
    model = make_model(CASES[name]).to(torch.bfloat16)
    save(model, tmp_path / "half", max_shard_size="10KB")
    save(model.float(), tmp_path / "whole")  # the same, rounded numbers
    assert len(list((tmp_path / "half").glob("model-*.safetensors"))) > 1
    assert_same_weights(tmp_path / "half", tmp_path / "whole")


def assert_same_weights(folder, other):
    found, expected = (load_network(str(path)).params for path in (folder, other))
    assert found.keys() == expected.keys()
    for key in expected:
        np.testing.assert_array_equal(found[key], expected[key], err_msg=key)


@pytest.mark.parametrize("name", CASES)
def test_all_that_does_not_fit_is_listed(name, tmp_path):
    _, folder = checkpoint(name)
    tensors = safetensors.numpy.load_file(folder / "model.safetensors")
    read = find_family(json.loads((folder / "config.json").read_text())["model_type"]).keys.read
    wanted = [key for key in tensors if key.endswith("weight") and read({key: tensors[key]})][1:3]
    for key in wanted:
        tensors["nobody.knows." + key] = tensors.pop(key)
    safetensors.numpy.save_file(tensors, tmp_path / "model.safetensors")
    for file in ("config.json", "preprocessor_config.json"):
        (tmp_path / file).write_bytes((folder / file).read_bytes())
    with pytest.raises(InputError) as caught:
        load_network(str(tmp_path))
    assert str(caught.value).count("missing") == 2
    for key in wanted:
        assert f"unexpected nobody.knows.{key}" in str(caught.value)


@pytest.mark.parametrize("name", CASES)
def test_keys_of_the_running_transformers_are_read_too(name, tmp_path):
    """`save_pretrained` writes the keys of old; what `state_dict` calls them today must load as well."""
    model, folder = checkpoint(name)
    tensors = {key: np.array(tensor) for key, tensor in model.state_dict().items()}
    safetensors.numpy.save_file(tensors, tmp_path / "model.safetensors")
    for file in ("config.json", "preprocessor_config.json"):
        (tmp_path / file).write_bytes((folder / file).read_bytes())
    assert_same_weights(tmp_path, folder)


@pytest.mark.parametrize("name", CASES)
def test_names_and_numbers_in_the_configuration_are_checked(name, tmp_path):
    _, folder = checkpoint(name)
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    section = next((v for k, v in config.items() if k == "vision_config"), config)
    names = ("embed_dim", "hidden_size", "hidden_sizes", "d_model", "depth_multiplier", "width_coefficient")
    key = next(k for k in names if k in section)
    section[key] = "many"
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=f"`{key}` is 'many'"):
        load_network(str(tmp_path))
