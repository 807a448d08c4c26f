"""Checkpoint folders as people have them: wrapped, quantized, without files, with numbers that nobody has."""

import json
import shutil
import struct
from typing import Any

import jax
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from loce_jax.checks import InputError
from loce_jax.cli import main
from loce_jax.models.catalog import load_network
from loce_jax.models.checkpoints.tensor_file import read_tensor_file
from loce_jax.models.networks.vit.dinov2 import FAMILY, Config

NUMBERS: dict[str, Any] = {
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "mlp_ratio": 2.0,
    "image_size": 28,
}
CONFIG = {"model_type": "dinov2", **NUMBERS}
PREPROCESSOR = {"size": {"height": 42, "width": 28}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}


@pytest.fixture(scope="module")
def tensors():
    """Random weights by the checkpoint's keys."""
    module = FAMILY.abstract_module(Config(**NUMBERS))
    rng = np.random.default_rng(0)
    return {
        FAMILY.keys.checkpoint_key(key): rng.normal(size=one.checkpoint_shape).astype(np.float32)
        for key, one in module.parameters.items()
    }


@pytest.fixture(scope="module")
def original(tmp_path_factory, tensors):
    folder = tmp_path_factory.mktemp("checkpoint")
    safetensors.numpy.save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
    return folder


@pytest.fixture
def folder(original, tmp_path):
    return shutil.copytree(original, tmp_path / "folder")


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "model.", "backbone.", "module.model.", "_orig_mod.module.model.backbone."]
)
def test_prefixes_of_wrappers_are_taken_off(tensors, prefix):
    module = FAMILY.abstract_module(Config(**NUMBERS))
    wrapped = {prefix + key: tensor for key, tensor in tensors.items()}
    wrapped["n_averaged"] = np.zeros((), np.int64)  # what lacks the prefix belongs to the wrapper
    expected, found = (module.convert(one, source="it", keys=FAMILY.keys) for one in (tensors, wrapped))
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_a_message_names_eight_keys_and_counts_the_rest(folder, tensors):
    safetensors.numpy.save_file({f"net.{key}": one for key, one in tensors.items()}, folder / "model.safetensors")
    with pytest.raises(InputError) as error:
        load_network(str(folder))
    count = 2 * len(tensors)
    assert f"but {count} of its tensors" in str(error.value) and f"; and {count - 8} more. Check" in str(error.value)
    assert str(error.value).count("missing ") == 8 and len(str(error.value)) < 900


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_every_floating_point_precision_is_read(folder, tensors, dtype):
    narrow = {key: tensor.astype(dtype) for key, tensor in tensors.items()}
    save(folder / "model.safetensors", narrow)
    found, module = load_network(str(folder)).params, FAMILY.abstract_module(Config(**NUMBERS))
    for key, one in module.parameters.items():
        expected = one.convert(narrow[FAMILY.keys.checkpoint_key(key)].astype(np.float32))
        np.testing.assert_array_equal(found[key], expected)


def save(path, tensors, **names):
    """A safetensors file; `names` are those of types that NumPy calls otherwise."""
    known = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int8": "I8"} | names
    header, place = {}, 0
    for key, tensor in tensors.items():
        entry = {"dtype": known[tensor.dtype.name], "shape": list(tensor.shape)}
        header[key] = entry | {"data_offsets": [place, place + tensor.nbytes]}
        place += tensor.nbytes
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(tensor.tobytes() for tensor in tensors.values()))


@pytest.mark.parametrize(
    ("dtype", "words"),
    [
        (np.int8, "hold integers, which are codes of a quantization: .*int8.* and . more.*dequantize"),
        (ml_dtypes.float8_e4m3fn, "are F8_E4M3: codes of a quantized checkpoint"),
    ],
)
def test_codes_are_no_weights(folder, tensors, dtype, words):
    codes = {key: one.astype(dtype) if one.ndim > 1 else one for key, one in tensors.items()}
    save(folder / "model.safetensors", codes, float8_e4m3fn="F8_E4M3")
    with pytest.raises(InputError, match=words):
        load_network(str(folder))


def test_a_quantized_configuration_is_refused(folder):
    edit(folder / "config.json", quantization_config={"quant_method": "bitsandbytes"})
    with pytest.raises(InputError, match=r"`quantization_config` \(bitsandbytes\) says .* dequantize"):
        load_network(str(folder))


@pytest.mark.parametrize("size", [[28, 28], 28])
def test_an_image_size_may_be_a_pair(original, folder, size):
    edit(folder / "config.json", image_size=size, patch_size=[14, 14])
    assert load_network(str(folder)).fingerprint == load_network(str(original)).fingerprint


def test_an_image_size_may_have_two_numbers(folder, tensors):
    edit(folder / "config.json", image_size=[28, 42])
    positions = np.zeros((1, 7, 8), np.float32)
    save(folder / "model.safetensors", tensors | {"embeddings.position_embeddings": positions})
    assert load_network(str(folder), size=(56, 14)).layers()[-1].grid == (4, 1)


def test_more_layers_than_tensors_are_not_built(folder):
    edit(folder / "config.json", num_hidden_layers=500)
    with pytest.raises(InputError, match="names 500 layers, and the checkpoint holds 24 tensors"):
        load_network(str(folder))


@pytest.mark.parametrize(
    "changes",
    [
        {"num_hidden_layers": 10**6},
        {"num_hidden_layers": 10**400},
        {"hidden_size": 10**9},
        {"num_attention_heads": 10**9, "hidden_size": 10**9},
        {"mlp_ratio": 1e300},
        {"image_size": 10**9},
        {"image_size": [28, 10**9]},
        {"image_size": [28, 28, 28]},
        {"image_size": []},
        {"patch_size": [14, 7]},
        {"layer_norm_eps": float("inf")},
        {"hidden_act": ["gelu"] * 10**5},
        {"hidden_size": {"a": 1}},
        {"qkv_bias": None},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_configuration_that_nobody_has_is_one_short_line(folder, changes):
    edit(folder / "config.json", **changes)
    with pytest.raises(InputError, match="must describe a DINOv2 network") as error:
        load_network(str(folder))
    assert len(str(error.value)) < 700


def test_without_a_preprocessing_layers_are_listed_and_nothing_else(folder, capsys):
    (folder / "preprocessor_config.json").unlink()
    assert main(["layers", str(folder)]) == 0
    assert "2 x 2 x 8" in (shown := capsys.readouterr().out) and "(unknown)" in shown
    with pytest.raises(InputError, match="wrong pixels give wrong embeddings"):
        load_network(str(folder))
    assert load_network(str(folder), preprocess="imagenet").preprocess.size == (28, 28)
    assert load_network(str(folder), size=(56, 28), preprocess="paper").preprocess.size == (56, 28)
    with pytest.raises(InputError, match="`size` must be a height and a width of at least 1 pixel and at most 8192"):
        load_network(str(folder), size=(10**9, 14), preprocess="unit")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("net.pt", "a pickle of PyTorch.*torch.onnx.export.*save_file.*loce_jax.models.convert"),
        ("a/b.pth", "a pickle of PyTorch"),
        ("net.onnx", "loce convert net.onnx --out NEW_FOLDER"),
        ("model.safetensors", "weights without the network"),
        ("net.tflite", "of TensorFlow"),
    ],
)
def test_other_formats_say_the_way(name, words, tmp_path, capsys):
    with pytest.raises(InputError, match=words):
        load_network(name)
    if not name.endswith(".onnx"):
        assert main(["convert", name, "--out", str(tmp_path / "out")]) == 2
        assert capsys.readouterr().err.startswith(f"loce: '{name}' is ")


def damage(header=None, *, cut=0, length=None, data=b"\0" * 4):
    entry = {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}} if header is None else header
    text = entry if isinstance(entry, bytes) else json.dumps(entry).encode()
    whole = struct.pack("<Q", len(text) if length is None else length) + text + data
    return whole[: len(whole) - cut]


def tensor(**changes):
    return {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} | changes}


DAMAGED = {
    "nothing": (b"", "longer than the file"),
    "a few bytes": (b"\1\0\0", "longer than the file"),
    "a huge header": (damage(length=2**63), "longer than the file"),
    "no JSON": (damage(b"{nothing"), "no JSON"),
    "no text": (damage(b"\xff\xfe{}"), "no JSON"),
    "deep": (damage(b"[" * 100_000), "no JSON"),
    "a list": (damage(b"[]"), "no JSON object"),
    "no tensor": (damage({}), "holds no tensor"),
    "a name twice": (damage(b'{"a":{},"a":{}}'), "a name twice"),
    "an entry of another shape": (damage({"a": []}), "other keys"),
    "another key": (damage({"a": {"dtype": "F32", "shape": [1], "offsets": [0, 4]}}), "other keys"),
    "an unknown type": (damage(tensor(dtype="F33")), "unknown type 'F33'"),
    "a type of no text": (damage(tensor(dtype=[])), "unknown type"),
    "a negative shape": (damage(tensor(shape=[-1])), "no shape"),
    "a shape of text": (damage(tensor(shape="1")), "no shape"),
    "true as a shape": (damage(tensor(shape=[True])), "no shape"),
    "a huge shape": (damage(tensor(shape=[2**62, 2**62])), "no shape"),
    "a huge axis beside an empty one": (damage(tensor(shape=[0, 10**30], data_offsets=[0, 0]), data=b""), "no shape"),
    "an offset beyond": (damage(tensor(data_offsets=[0, 8], shape=[2])), "do not fill"),
    "a gap": (damage(tensor(data_offsets=[2, 4])), "does not begin where"),
    "offsets backwards": (damage(tensor(data_offsets=[4, 0])), "does not begin where|do not fill"),
    "offsets of text": (damage(tensor(data_offsets=["0", 4])), "no place"),
    "bytes at the end": (damage(data=bytes(5)), "do not fill"),
    "a cut": (damage(cut=1), "do not fill"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_tensor_file_is_one_input_error(tmp_path, case):
    content, words = DAMAGED[case]
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=f"must be a safetensors file.*({words})") as error:
        read_tensor_file(tmp_path / "model.safetensors")
    assert len(str(error.value)) < 800


def test_a_tensor_file_is_what_the_library_reads(tmp_path, tensors):
    extra = {"empty": np.zeros((0, 3), np.float16), "scalar": np.array(3, np.int32), "flags": np.array([True, False])}
    safetensors.numpy.save_file(tensors | extra, tmp_path / "m.safetensors", metadata={"format": "pt"})
    found = read_tensor_file(tmp_path / "m.safetensors")
    expected = safetensors.numpy.load_file(tmp_path / "m.safetensors")
    assert found.keys() == expected.keys()
    for key, array in expected.items():
        assert found[key].dtype == array.dtype
        np.testing.assert_array_equal(found[key], array)
