"""How far a converted network is from PyTorch's, at every layer: forward hooks on the same images."""

import contextlib
import functools as ft
from collections import Counter

import numpy as np
import pytest
import torch

from loce_jax.models import convert
from loce_jax.models.base import Preprocess
from tests.support.compiled import compiled_quickly
from tests.support.converter_cases import CASES

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


def numbers_of_calls(module, images):
    """How often each module inside is called."""
    found = Counter()

    def count(name):
        return lambda *_: found.update([name])

    handles = [part.register_forward_hook(count(name)) for name, part in module.named_modules() if name]
    with torch.no_grad():
        module(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    for handle in handles:
        handle.remove()
    return found


@contextlib.contextmanager
def changed_by_hook(module, layer, change, in_front):
    """The module whose submodule `layer` hands on a changed map; other tokens, and its other outputs, as they are."""

    def changed(tensor):
        tensor = tensor.clone()
        count = layer.grid[0] * layer.grid[1]
        start = 0 if tensor.ndim == 4 or tensor.shape[1] == count else in_front
        cells = tensor if tensor.ndim == 4 else tensor[:, start : start + count]
        cells.copy_(change(cells))
        return tensor

    def hand_on(_, __, output):
        if isinstance(output, torch.Tensor):
            return changed(output)
        if isinstance(output, tuple):
            return (changed(output[0]), *output[1:])
        output[next(iter(output))] = changed(output[0])  # one of transformers' dictionaries
        return output

    handle = module.get_submodule(layer.name).register_forward_hook(hand_on)
    try:
        yield module
    finally:
        handle.remove()


def graph_of(network):
    """The nodes of a converted network."""
    return network.forward.args[0]


def behind(network, name):
    """The layers and outputs that depend on what the layer `name` hands on."""
    graph = graph_of(network)
    start = graph.arrangement(name)[0]
    reached = {start}
    for index, node in enumerate(graph.nodes):
        if not reached.isdisjoint(node.sources()):
            reached.add(index)
    return [other for other, index in graph.taps.items() if index in reached and other != name]


@ft.cache
def converted_network(case):
    """The case's module, converted, and the module itself."""
    library, _, name = case.partition(" ")
    if name:
        pytest.importorskip(library, reason=f"{library}, which builds this network, is not installed")
    module, size = CASES[case]()
    return convert(module, Preprocess(size)), module


@ft.cache
def converted_differences(case):
    """``{layer name: largest difference / largest value}`` for all layers; computed once."""
    network, module = converted_network(case)
    size = network.preprocess.size
    names = tuple(layer.name for layer in network.layers())
    images = np.random.default_rng(1).normal(size=(3, *size, 3)).astype("float32")
    found = compiled_quickly(network.forward)(network.params, images, names)
    hooked = outputs_by_hook(module, images)
    differences = {}
    for layer in network.layers():
        expected = as_map(hooked[layer.name], layer, IN_FRONT.get(case, 0))
        assert found[layer.name].shape == expected.shape == (3, *layer.grid, layer.channels)
        differences[layer.name] = float(np.abs(found[layer.name] - expected).max() / np.abs(expected).max())
    return differences
