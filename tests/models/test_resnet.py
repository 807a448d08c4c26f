"""The names that people know a ResNet's layers and weights by."""

import pytest

from loce_jax.models.base import Preprocess
from loce_jax.models.networks import resnet


@pytest.fixture(scope="module")
def resnet50():
    return resnet.FAMILY.with_random_weights(Preprocess(size=(64, 96)))


@pytest.mark.parametrize(
    ("alias", "name", "channels", "grid"),
    [
        ("embedder.embedder", "embedder.embedder", 64, (32, 48)),
        ("stem", "embedder", 64, (16, 24)),
        ("layer1.0", "encoder.stages.0.layers.0", 256, (16, 24)),
        ("layer1", "encoder.stages.0.layers.2", 256, (16, 24)),
        ("layer3.5", "encoder.stages.2.layers.5", 1024, (4, 6)),
        ("stage3", "encoder.stages.2.layers.5", 1024, (4, 6)),
        ("resnet.encoder.stages.3", "encoder.stages.3.layers.2", 2048, (2, 3)),
        ("stages.3.layers.2", "encoder.stages.3.layers.2", 2048, (2, 3)),
    ],
)
def test_layers_have_the_names_of_transformers_and_of_torchvision(resnet50, alias, name, channels, grid):
    (layer,) = resnet50.resolve([alias])
    assert (layer.name, layer.channels, layer.grid) == (name, channels, grid)


def test_no_name_means_two_layers(resnet50):
    names = [name for layer in resnet50.layers() for name in (layer.name, *layer.aliases)]
    assert len(set(names)) == len(names) > 18


def test_weights_have_the_names_that_timm_gives_them():
    keys = {resnet.timm_name(key) for key in resnet.FAMILY.abstract_module(resnet.Config()).parameters}
    assert len(keys) == 53 * 5  # convolutions, each with four numbers a channel behind it
    assert {
        "conv1.weight",
        "bn1.running_var",
        "layer1.0.downsample.0.weight",
        "layer1.0.downsample.1.bias",
        "layer4.2.conv3.weight",
        "layer4.2.bn3.running_mean",
    } <= keys
