"""YOLOv5s as published: its size, its maps, its names; folding the norms changes nothing."""

import pytest

from loce_jax.checks import InputError
from loce_jax.models.converter.torch import yolov5
from loce_jax.models.paper.table import PAPER_NETWORKS
from tests.support.parity import randomize

torch = pytest.importorskip("torch", reason="torch, which builds this network, is not installed")

pytestmark = pytest.mark.torch
HEAD = sum((channels + 1) * 3 * (5 + 80) for channels in (128, 256, 512))  # three 1x1 convolutions, 80 classes


def hooked(model, images):
    """Every module's output, kept as the reference a hook sees: changed in place by what comes after."""
    found = {}
    for name, module in model.named_modules():
        module.register_forward_hook(lambda _, inputs, output, name=name: found.update({name: output}))
    with torch.no_grad():
        model(images)
    return found


def test_the_number_of_parameters_is_the_published_one():
    def count(model):
        return sum(parameter.numel() for parameter in model.parameters())

    assert count(yolov5.network()) + HEAD == 7_235_389  # as its authors' summary says, norms not folded
    assert count(yolov5.fold_norms(yolov5.network())) + HEAD == 7_225_885  # folded


def test_the_paper_s_layers_have_their_shapes():
    with torch.device("meta"):
        model = yolov5.network()
        found = hooked(model.eval(), torch.zeros(1, 3, 480, 640))
    for layer, shape in PAPER_NETWORKS["yolo"].layers.items():
        assert tuple(found[layer].shape) == (1, *shape), layer


def test_folding_changes_nothing_and_convolutions_show_the_value_after_the_activation():
    images = torch.rand(2, 3, 64, 96)
    model = randomize(yolov5.network())
    expected = hooked(model, images)
    folded = yolov5.build_yolov5s({f"model.{key}": tensor for key, tensor in model.state_dict().items()})
    found = hooked(folded, images)
    for name in map(str, range(24)):
        scale = expected[name].abs().max()
        assert (found[name] - expected[name]).abs().max() < 1e-5 * scale, name  # float32, some 60 layers deep
        if hasattr(folded.get_submodule(name), "conv"):
            assert found[f"{name}.conv"] is found[name]


def test_folded_checkpoints_and_those_with_a_head_are_read():
    folded = randomize(yolov5.fold_norms(yolov5.network()))
    weights = {f"model.model.{key}": tensor.half() for key, tensor in folded.state_dict().items()}
    again = yolov5.build_yolov5s(weights | {"model.model.24.m.0.weight": torch.zeros(255, 128, 1, 1)})
    for key, tensor in again.state_dict().items():
        assert torch.equal(tensor, folded.state_dict()[key].half().float()), key


def test_weights_that_do_not_fit_are_listed():
    weights = yolov5.network().state_dict()
    weights["25.conv.weight"] = weights.pop("5.conv.weight")
    weights["7.bn.bias"] = torch.zeros(3)
    with pytest.raises(InputError) as caught:
        yolov5.build_yolov5s(weights)
    for fault in ("missing 5.conv.weight", "unexpected 25.conv.weight", "7.bn.bias has shape (3,) instead of (512,)"):
        assert fault in str(caught.value)
