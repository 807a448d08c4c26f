"""Every tap of every family against a forward hook in PyTorch, on the same images."""

import pytest

pytest.importorskip("torch", reason="torch, the reference here, is not installed")

from tests.support.converted import converted_differences, converted_network
from tests.support.converter_cases import CASES
from tests.support.families_table import converter_limit
from tests.support.resuming import assert_resumes

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


@pytest.mark.parametrize("case", ["vit", "dinov2_with_registers", "resnet"])
def test_a_converted_network_resumes(case):
    network, _ = converted_network(case)
    first, *_ = network.layers()
    assert_resumes(network, first.name)
