"""Every tap of every family against a forward hook in PyTorch, on the same images."""

import functools as ft

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch, the reference here, is not installed")

from loce_jax.models import convert  # noqa: E402
from loce_jax.models.base import Preprocess  # noqa: E402
from tests.support.converter_cases import CASES  # noqa: E402

pytest.importorskip(
    "torchvision", reason="torchvision, some of whose networks are converted beside torch's, is missing"
)
pytest.importorskip("timm", reason="timm, some of whose networks are converted beside torch's, is missing")

pytestmark = pytest.mark.torch
CLOSE = 1e-4  # of the largest magnitude; float32 sums in another order differ by about 1e-6
IN_FRONT = {  # tokens that stand before the patches
    "vit": 1,
    "deit": 2,
    "dinov2": 1,
    "dinov2_with_registers": 4,
    "dinov3_vit": 3,
    "clip_vision": 1,
    "beit": 1,
    "yolos": 1,
    "vit_mae": 1,
    "dpt": 1,
    "torchvision vit": 1,
    "timm vit_tiny_patch16_224": 1,
    "timm eva02_tiny_patch14_224": 1,
}
SOME_LAYERS = {  # name, grid, channels, kind
    "vit": ("layers.1", (3, 3), 32, "tokens"),
    "yolos": ("encoder.layer.1", (3, 3), 32, "tokens"),
    "resnet": ("encoder.stages.3", (2, 2), 40, "grid"),
    "detr": ("encoder.layers.0", (2, 3), 16, "tokens"),
    "sam_vision": ("vision_encoder.layers.1", (4, 4), 32, "grid"),
    "torchvision swin": ("features.3", (7, 7), 32, "grid"),
    "torchvision ssd300_vgg16 backbone": ("extra.4", (1, 1), 256, "grid"),
}


def outputs_by_hook(module, images):
    """The first tensor that each module returned last, copied at once."""
    found = {}

    def hook(name):
        def keep(_, __, output):
            while output is not None and not isinstance(output, torch.Tensor):
                output = output[0] if len(output) else None
            if output is not None:
                found[name] = output.clone().numpy()

        return keep

    handles = [part.register_forward_hook(hook(name)) for name, part in module.named_modules() if name]
    with torch.no_grad():
        module(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    for handle in handles:
        handle.remove()
    return found


def as_map(output, layer, in_front):
    """A module's output as ``[b gh gw c]``."""
    if output.shape[1:] == (layer.channels, *layer.grid):
        return output.transpose(0, 2, 3, 1)
    if output.ndim == 4:
        return output
    height, width = layer.grid
    start = 0 if output.shape[1] == height * width else in_front
    return output[:, start : start + height * width].reshape(len(output), height, width, -1)


@ft.cache
def converted_network(case):
    """The case's module, converted, and the module itself."""
    module, size = CASES[case]()
    return convert(module, Preprocess(size)), module


@ft.cache
def converted_differences(case):
    """``{layer name: largest difference / largest value}`` for all layers; computed once."""
    network, module = converted_network(case)
    size = network.preprocess.size
    names = tuple(layer.name for layer in network.layers())
    images = np.random.default_rng(1).normal(size=(3, *size, 3)).astype("float32")
    found = jax.jit(network.forward, static_argnums=2)(network.params, images, names)
    hooked = outputs_by_hook(module, images)
    differences = {}
    for layer in network.layers():
        expected = as_map(hooked[layer.name], layer, IN_FRONT.get(case, 0))
        assert found[layer.name].shape == expected.shape == (3, *layer.grid, layer.channels)
        differences[layer.name] = float(np.abs(found[layer.name] - expected).max() / np.abs(expected).max())
    return differences


@pytest.mark.parametrize("case", CASES)
def test_every_tap_is_pytorchs(case):
    differences = converted_differences(case)
    worst = max(differences, key=lambda name: differences[name])
    print(f"{case}: {len(differences)} taps, worst {differences[worst]:.1e} at {worst}")
    assert differences[worst] < CLOSE
    assert len(differences) > 12
    if case in SOME_LAYERS:
        name, grid, channels, kind = SOME_LAYERS[case]
        (layer,) = converted_network(case)[0].resolve([name])
        assert (layer.name, layer.grid, layer.channels, layer.kind) == (name, grid, channels, kind)
