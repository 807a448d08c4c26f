"""EfficientNet-Lite0 against a plain PyTorch build of it, layer by layer, and against photographs everyone knows."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage import data as photographs

from loce_jax.checks import InputError
from loce_jax.models.networks import efficientnet_lite0 as lite
from loce_jax.models.networks.imagenet_classes import IMAGENET_CLASSES
from tests.support.families_table import LITE0, native_limit
from tests.support.selection import further

# Both sides add the same float32 products in another order, through about 50 layers: that moves a layer by some 1e-6 of
# its largest activation.  A wrong epsilon, padding or axis order moves it by more than 1e-2.
TOLERANCE = 1e-4
SIZES = [(224, 224), (97, 130)]  # even and odd: "SAME" pads them differently


@pytest.fixture(scope="module")
def network():
    return lite.load_efficientnet_lite0()


def make_reference():
    """``images [b h w 3]`` to layers and logits, from the paper, with PyTorch's functions and the raw tensors."""
    import torch

    weights = torch.load(lite._weight_file(), weights_only=True)
    f = torch.nn.functional

    def conv(x, name, stride=1, depthwise=False):
        weight = weights[f"{name}.weight"]
        pads = []
        for n in (x.shape[3], x.shape[2]):  # TensorFlow's "SAME": the odd pixel goes to the end
            total = max((-(-n // stride) - 1) * stride + weight.shape[-1] - n, 0)
            pads += [total // 2, total - total // 2]
        return f.conv2d(f.pad(x, pads), weight, stride=stride, groups=x.shape[1] if depthwise else 1)

    def norm(x, name):
        mean, var, weight, bias = (
            weights[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias")
        )
        return f.batch_norm(x, mean, var, weight, bias, eps=1e-3)

    strides = {1: 2, 3: 2, 5: 2, 11: 2}  # of blocks; the others have 1

    @torch.no_grad()
    def run(images):
        x = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)
        x = f.relu6(norm(conv(x, "_conv_stem", 2), "_bn0"))
        found = {"_conv_stem": x}
        for i in range(16):
            name, start = f"_blocks.{i}", x
            if i > 0:
                x = f.relu6(norm(conv(x, f"{name}._expand_conv"), f"{name}._bn0"))
            x = f.relu6(norm(conv(x, f"{name}._depthwise_conv", strides.get(i, 1), depthwise=True), f"{name}._bn1"))
            x = norm(conv(x, f"{name}._project_conv"), f"{name}._bn2")
            x = x + start if x.shape == start.shape else x
            found[name] = x
        found["_conv_head"] = x = f.relu6(norm(conv(x, "_conv_head"), "_bn1"))
        logits = f.linear(x.mean((2, 3)), weights["_fc.weight"], weights["_fc.bias"])
        return SimpleNamespace(
            layers={name: value.permute(0, 2, 3, 1).numpy() for name, value in found.items()}, logits=logits.numpy()
        )

    return run


def layer_differences(size):
    """``{layer name: largest difference / largest value}`` for all layers and the logits."""
    network, reference = lite.load_efficientnet_lite0(size), make_reference()
    images = np.random.default_rng(0).integers(0, 256, (2, *size, 3), dtype=np.uint8)
    names = tuple(layer.name for layer in network.layers())
    normalized = network.preprocess.normalize(jnp.asarray(images))
    found = jax.jit(network.activations, static_argnums=2)(network.params, jnp.asarray(images), names)
    expected = reference(normalized)
    assert found.keys() == expected.layers.keys()
    for layer in network.layers():
        assert found[layer.name].shape == (2, *layer.grid, layer.channels)
    differences = {name: relative(found[name], expected.layers[name]) for name in names}
    differences["logits"] = relative(
        network.forward(network.params, normalized, ("logits",))["logits"], expected.logits
    )
    return differences


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.usefixtures("torch")
def test_every_layer_and_the_logits_agree_with_torch(size):
    differences = layer_differences(size)
    print({name: f"{difference:.1e}" for name, difference in differences.items()})
    assert max(differences.values()) < min(TOLERANCE, native_limit(LITE0))


def test_pixels_enter_as_the_network_was_trained(network):
    pixels = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    expected = (pixels.astype(float) - 127) / 128
    # one float32 rounding of numbers up to 1
    np.testing.assert_allclose(network.preprocess.normalize(jnp.asarray(pixels)), expected, atol=2e-7)


@pytest.mark.parametrize(
    ("photograph", "sensible"),
    [
        ("chelsea", {"tabby", "tiger cat", "Egyptian cat"}),
        *further(
            ("coffee", {"espresso", "cup", "coffee mug"}),
            ("rocket", {"missile", "projectile", "drilling platform"}),  # the launch tower fills the photo
            ("stereo_motorcycle", {"moped", "motor scooter"}),
        ),
    ],
)
def test_photographs_are_recognized(network, photograph, sensible):
    photo = getattr(photographs, photograph)()
    photo = photo[0] if isinstance(photo, tuple) else photo
    image = jnp.asarray(network.preprocess.resize(photo))[None]
    logits = jax.jit(network.edit({}, "logits"))(network.params, image)["logits"]
    (classes,) = [output.classes for output in network.outputs if output.name == "logits"]
    assert classes[int(logits[0].argmax())] in sensible


def test_classes_are_those_of_imagenet_in_their_order(shared):
    words = shared("data", "words")
    lemmas = dict(line.split("\t") for line in (words / "imagenet_synset_to_lemma.txt").read_text().splitlines())
    synsets = (words / "imagenet_synsets.txt").read_text().split()
    for name, synset in zip(IMAGENET_CLASSES, synsets, strict=True):
        assert name.split(" (")[0] in lemmas[synset].split(", "), synset
    assert len(set(IMAGENET_CLASSES)) == 1000


@pytest.mark.slow
def test_one_layer_alone_is_what_it_is_among_all(network):
    images = jnp.asarray(np.random.default_rng(1).integers(0, 256, (1, 224, 224, 3), dtype=np.uint8))
    names = tuple(layer.name for layer in network.layers())
    alone = network.activations(network.params, images, ("_blocks.4",))
    assert list(alone) == ["_blocks.4"]
    every = network.activations(network.params, images, names)
    np.testing.assert_array_equal(alone["_blocks.4"], every["_blocks.4"])


def test_names_aliases_and_order(network):
    def resolve(*names):
        return [layer.name for layer in network.resolve(names)]

    assert resolve("stem", "head", "blocks.4", "stage3") == ["_conv_stem", "_conv_head", "_blocks.4"]
    assert resolve("-1", "stage7") == ["_conv_head", "_blocks.15"]
    assert resolve("blocks.1?") == resolve("_blocks.1?") == [f"_blocks.{i}" for i in range(10, 16)]
    with pytest.raises(InputError, match=r"unknown layer '_blocks.44' .* Did you mean '_blocks.4'"):
        network.resolve(["_blocks.44"])
    for name in ("--1", "-0", "-99", "²", ""):
        with pytest.raises(InputError, match="unknown layer"):
            network.resolve([name])


def test_misfits_are_listed_together():
    tensors = {key: np.zeros(p.checkpoint_shape, "f4") for key, p in lite.abstract_module().parameters.items()}
    del tensors["_fc.bias"]
    tensors["_bn7.weight"] = np.zeros(3)
    tensors["_fc.weight"] = tensors["_fc.weight"].T
    with pytest.raises(InputError) as caught:
        lite.abstract_module().convert(tensors, source="some.pth")
    for words in (
        "some.pth",
        "missing _fc.bias",
        "unexpected _bn7.weight",
        "_fc.weight has shape (1280, 1000) instead of (1000, 1280)",
    ):
        assert words in str(caught.value)


def relative(found, expected):
    return np.abs(np.asarray(found) - expected).max() / np.abs(expected).max()
