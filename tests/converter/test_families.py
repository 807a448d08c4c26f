"""Every tap of every family against a forward hook in PyTorch, on the same images."""

from collections import Counter
from itertools import chain

import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("torch", reason="torch, the reference here, is not installed")

from tests.support.compiled import compiled_quickly
from tests.support.converted import (
    IN_FRONT,
    as_map,
    behind,
    changed_by_hook,
    converted_differences,
    converted_network,
    graph_of,
    numbers_of_calls,
    outputs_by_hook,
)
from tests.support.converter_cases import CASES
from tests.support.families_table import converter_limit
from tests.support.resuming import assert_same, photos

pytestmark = pytest.mark.torch
CLOSE = 1e-4  # of the largest magnitude; float32 sums in another order differ by about 1e-6
SOME_LAYERS = {  # name, grid, channels, kind
    "vit": ("layers.1", (3, 3), 32, "tokens"),
    "yolos": ("encoder.layer.1", (3, 3), 32, "tokens"),
    "resnet": ("encoder.stages.3", (2, 2), 40, "grid"),
    "detr": ("encoder.layers.0", (2, 3), 16, "tokens"),
    "sam_vision": ("vision_encoder.layers.1", (4, 4), 32, "grid"),
    "torchvision swin": ("features.3", (7, 7), 32, "grid"),
    "torchvision ssd300_vgg16 backbone": ("extra.4", (1, 1), 256, "grid"),
}


@pytest.mark.parametrize("case", CASES)
def test_every_tap_is_pytorchs(case):
    differences = converted_differences(case)
    worst = max(differences, key=lambda name: differences[name])
    print(f"{case}: {len(differences)} taps, worst {differences[worst]:.1e} at {worst}")
    assert differences[worst] < min(CLOSE, converter_limit(case))
    assert len(differences) > 12
    if case in SOME_LAYERS:
        name, grid, channels, kind = SOME_LAYERS[case]
        (layer,) = converted_network(case)[0].resolve([name])
        assert (layer.name, layer.grid, layer.channels, layer.kind) == (name, grid, channels, kind)


def change(cells):
    """Half as much again where positive, half where negative: no normalization takes it back."""
    return cells + abs(cells) / 2


def ends_of(network, layer):
    """The last layer that depends on `layer`, and the outputs that do."""
    outputs, found = {output.name for output in network.outputs}, behind(network, layer.name)
    return (*[name for name in found if name not in outputs][-1:], *[name for name in found if name in outputs])


def early_middle_late(network, calls):
    """Layers that something depends on, each with a value of its own: identities share one, some modules give two."""
    values = Counter(graph_of(network).arrangement(layer.name)[0] for layer in network.layers())
    layers = [
        layer
        for layer in network.layers()
        if values[graph_of(network).arrangement(layer.name)[0]] == calls[layer.name] == 1
        and behind(network, layer.name)
    ]
    return layers[0], layers[len(layers) // 2], layers[-1]


@pytest.mark.parametrize("case", CASES)
def test_every_network_resumes(case):
    """Resumed from a layer's own map it is the plain forward; from a changed one, PyTorch with a hook there.

    All in one program, which takes less time to compile than its parts.
    """
    network, module = converted_network(case)
    assert {layer.name for layer in network.layers() if not behind(network, layer.name)} == set(network.dead_ends)
    images = photos(network)
    normalized = np.array(network.normalize(jnp.asarray(images)))
    layers = early_middle_late(network, numbers_of_calls(module, normalized))
    ends = {layer.name: ends_of(network, layer) for layer in layers}
    _, middle, _ = layers
    last = ends[middle.name][0]

    def compute(params, images, _):
        names = {*ends, *chain(*ends.values())}
        plain = network.edit({}, tuple(names))(params, images)
        rests = {name: network.rest(name, to) for name, to in ends.items()}
        contexts = {name: rest.context(params, images) for name, rest in rests.items()}
        resumed = {name: rest(params, plain[name], contexts[name]) for name, rest in rests.items()}
        return plain, resumed, rests[middle.name](params, change(plain[middle.name]), contexts[middle.name])[last]

    plain, resumed, changed = compiled_quickly(compute)(network.params, images, None)
    for name, to in ends.items():
        assert_same(resumed[name], plain, to)
    tokens, (end,) = IN_FRONT.get(case, 0), network.resolve([last])
    with changed_by_hook(module, middle, change, tokens):
        expected = as_map(outputs_by_hook(module, normalized)[last], end, tokens)
    scale = np.abs(expected).max()
    assert np.abs(changed - expected).max() < CLOSE * scale
    assert np.abs(plain[last] - expected).max() > CLOSE * scale  # what was changed does arrive
