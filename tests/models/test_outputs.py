"""Heads that checkpoints have: names of classes, and what a part of a head is refused with."""

import json

import numpy as np
import pytest
import safetensors.numpy

from loce_jax import InputError, load_network
from tests.support.native_cases import CASES, checkpoint

HEADS = {  # one tensor of each kind of head
    "vit": "pooler.dense.bias",
    "vit classifier": "classifier.weight",
    "deit teacher": "distillation_classifier.weight",
    "yolos": "bbox_predictor.layers.1.bias",
    "detr": "model.query_position_embeddings.weight",
    "detr timm": "bbox_predictor.layers.1.bias",
    "dinov2 giant": "classifier.bias",
    "clip projection": "vision_model.post_layernorm.weight",
    "siglip tower": "head.mlp.fc1.weight",
    "convnext classifier": "layernorm.weight",
    "resnet basic": "classifier.1.weight",
    "efficientnet deep": "classifier.bias",
    "swin window as wide as the grid": "classifier.bias",
    "segformer head": "decode_head.classifier.bias",
    "segformer classes": "classifier.weight",
}

pytestmark = pytest.mark.usefixtures("torch")


def changed(name, tmp_path, *, without=(), **entries):
    """The folder of a case without some tensors, and with other entries of its configuration."""
    _, folder = checkpoint(name)
    tensors = safetensors.numpy.load_file(folder / "model.safetensors")
    lost = [next(key for key in tensors if key.endswith(end)) for end in without]
    kept = {key: tensor for key, tensor in tensors.items() if key not in lost}
    safetensors.numpy.save_file(kept, tmp_path / "model.safetensors")
    config = json.loads((folder / "config.json").read_text()) | entries
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "preprocessor_config.json").write_bytes((folder / "preprocessor_config.json").read_bytes())
    return str(tmp_path)


def outputs_of(folder, name):
    network = load_network(folder, size=CASES[name].sizes[0])
    return {output.name: output for output in network.outputs}


@pytest.mark.parametrize("name", HEADS)
def test_a_part_of_a_head_is_refused(name, tmp_path):
    with pytest.raises(InputError, match=rf"missing \S*{HEADS[name]}"):
        load_network(changed(name, tmp_path, without=[HEADS[name]]))


def test_without_a_head_there_is_no_output(tmp_path):
    folder = changed("vit classifier", tmp_path, without=["classifier.weight", "classifier.bias"])
    assert outputs_of(folder, "vit classifier") == {}


@pytest.mark.parametrize("name", ["vit classifier", "segformer head", "deit teacher"])
def test_classes_have_the_names_of_the_configuration(name, tmp_path):
    found = outputs_of(changed(name, tmp_path, id2label={"0": "cat", "1": "a dog"}), name)
    assert {key: output.classes for key, output in found.items()} == dict.fromkeys(found, ("cat", "a dog"))
    assert "logits" in found


@pytest.mark.parametrize(("name", "count"), [("yolos", 5), ("detr", 3)])
def test_a_detector_has_one_class_more(name, count, tmp_path):
    found = outputs_of(changed(name, tmp_path, id2label={"0": "cat", "1": "dog"}), name)
    assert found["logits"].classes == ("cat", "dog", "no object")
    assert (found["logits"].shape, found["pred_boxes"].shape) == ((count, 3), (count, 4))
    assert found["pred_boxes"].classes == ()


@pytest.mark.parametrize("labels", [None, ["cat", "dog"], {"0": "cat"}, {"0": "cat", "1": 1}, {"0": "cat", "2": "dog"}])
def test_labels_that_do_not_fit_name_nothing(labels, tmp_path):
    found = outputs_of(changed("vit classifier", tmp_path, id2label=labels), "vit classifier")
    assert (found["logits"].shape, found["logits"].classes) == ((2,), ())


def test_the_number_of_classes_is_the_files_not_the_configurations(tmp_path):
    folder = changed("vit classifier", tmp_path, num_labels=10**9, id2label={str(i): "x" for i in range(99)})
    assert outputs_of(folder, "vit classifier")["logits"].shape == (2,)


def test_heads_of_another_structure_are_left_out(tmp_path):
    folder = changed("vit classifier", tmp_path, without=["classifier.weight", "classifier.bias"])
    path = tmp_path / "model.safetensors"
    tensors = safetensors.numpy.load_file(path)
    safetensors.numpy.save_file(tensors | {"classifier.3.weight": np.zeros((5, 24), "f4")}, path)
    assert outputs_of(folder, "vit classifier") == {}


def test_a_wrapped_checkpoint_has_its_head(tmp_path):
    folder = changed("vit classifier", tmp_path)
    path = tmp_path / "model.safetensors"
    wrapped = {f"module.{key}": tensor for key, tensor in safetensors.numpy.load_file(path).items()}
    safetensors.numpy.save_file(wrapped, path)
    assert outputs_of(folder, "vit classifier")["logits"].shape == (2,)
