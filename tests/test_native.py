"""What every native family owes: PyTorch's numbers layer by layer, any checkpoint file, plain words when it fails."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from loce_jax.checks import InputError
from loce_jax.models.catalogue import load_network
from tests.native_cases import CASES
from tests.parity import differences, make_model, save

# Both sides add the same float32 products in another order, through a few layers: that moves a layer by some 1e-6 of
# its largest activation.  A wrong epsilon, padding, activation function or axis order moves it by more than 1e-3.
TOLERANCE = 1e-4
SIZES = [(name, size) for name, case in CASES.items() for size in case.sizes]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """``checkpoint(case name)``: the torch model and its folder, made once."""
    pytest.importorskip("torch", reason="torch, the reference here, is not installed")
    made = {}

    def make(name):
        if name not in made:
            model = make_model(CASES[name])
            made[name] = model, save(model, tmp_path_factory.mktemp(name))
        return made[name]

    return make


@pytest.mark.parametrize(("name", "size"), SIZES, ids=str)
def test_every_layer_agrees_with_torch(checkpoint, name, size):
    model, folder = checkpoint(name)
    worst = differences(load_network(str(folder), size=size), model, CASES[name])
    print(name, size, worst)
    assert max(worst.values()) < TOLERANCE


def maps(folder, size, dtype="float32"):
    """Activations at every layer for one random photo."""
    network = load_network(str(folder), size=size).astype(dtype)
    names = tuple(layer.name for layer in network.layers())
    photo = np.random.default_rng(1).integers(0, 256, (1, *size, 3), dtype=np.uint8)
    return jax.jit(network.activations, static_argnums=2)(network.params, jnp.asarray(photo), names)


@pytest.mark.parametrize("name", CASES)
def test_shards_and_half_precision_files(checkpoint, name, tmp_path):
    torch = pytest.importorskip("torch", reason="torch, the reference here, is not installed")
    model, _ = checkpoint(name)
    size = CASES[name].sizes[0]
    rounded = {key: tensor.bfloat16().to(tensor.dtype) for key, tensor in model.state_dict().items()}
    whole, half = (make_model(CASES[name]) for _ in range(2))
    whole.load_state_dict(rounded)
    half.load_state_dict(rounded)
    save(whole, tmp_path / "whole")
    save(half.to(torch.bfloat16), tmp_path / "half", max_shard_size="30KB")
    assert len(list((tmp_path / "half").glob("model-*.safetensors"))) > 1
    expected = maps(tmp_path / "whole", size)
    for layer, found in maps(tmp_path / "half", size).items():
        # counters of whole numbers aside, both files hold the same numbers
        np.testing.assert_array_equal(found, expected[layer])


@pytest.mark.parametrize("name", CASES)
def test_bfloat16_stays_bfloat16_and_close(checkpoint, name):
    _, folder = checkpoint(name)
    size = CASES[name].sizes[0]
    exact = maps(folder, size)
    for layer, found in maps(folder, size, "bfloat16").items():
        assert found.dtype == jnp.bfloat16
        # 8 bits of mantissa: some 0.4 % a product; half of the signal would be lost only by a wrong operation
        difference = np.linalg.norm(found.astype(np.float32) - exact[layer])
        assert difference < 0.2 * np.linalg.norm(exact[layer]), layer


@pytest.mark.parametrize("name", CASES)
def test_all_that_does_not_fit_is_listed(checkpoint, name, tmp_path):
    _, folder = checkpoint(name)
    tensors = safetensors.numpy.load_file(folder / "model.safetensors")
    wanted = [key for key in tensors if key.endswith("weight")]
    for key in wanted[1:3]:
        tensors["nobody.knows." + key] = tensors.pop(key)
    safetensors.numpy.save_file(tensors, tmp_path / "model.safetensors")
    for file in ("config.json", "preprocessor_config.json"):
        (tmp_path / file).write_bytes((folder / file).read_bytes())
    with pytest.raises(InputError) as caught:
        load_network(str(tmp_path))
    assert str(caught.value).count("missing") == 2
    for key in wanted[1:3]:
        assert f"unexpected nobody.knows.{key}" in str(caught.value)


@pytest.mark.parametrize("name", CASES)
def test_keys_of_the_running_transformers_are_read_too(checkpoint, name, tmp_path):
    """`save_pretrained` writes the keys of old; what `state_dict` calls them today must load as well."""
    model, folder = checkpoint(name)
    tensors = {key: np.array(tensor) for key, tensor in model.state_dict().items()}
    safetensors.numpy.save_file(tensors, tmp_path / "model.safetensors")
    for file in ("config.json", "preprocessor_config.json"):
        (tmp_path / file).write_bytes((folder / file).read_bytes())
    size = CASES[name].sizes[0]
    expected = maps(folder, size)
    for layer, found in maps(tmp_path, size).items():
        np.testing.assert_array_equal(found, expected[layer])


@pytest.mark.parametrize("name", CASES)
def test_names_and_numbers_in_the_configuration_are_checked(checkpoint, name, tmp_path):
    _, folder = checkpoint(name)
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    section = next((v for k, v in config.items() if k == "vision_config"), config)
    key = next(k for k in ("hidden_size", "hidden_sizes", "embed_dim", "d_model", "depth_multiplier") if k in section)
    section[key] = "many"
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=f"`{key}` is 'many'"):
        load_network(str(tmp_path))
