"""The paper's networks: the layers and shapes of its table, and what hooks on the PyTorch networks show."""

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from loce_jax.checks import InputError
from loce_jax.models.catalog import load_network
from loce_jax.models.paper import loading as paper
from loce_jax.models.paper.loading import load_paper_network
from loce_jax.models.paper.table import NAMES, PAPER_NETWORKS, PHOTO, paper_layers
from tests.support.compiled import compiled_quickly
from tests.support.parity import randomize

SIZES = {"ssd": (96, 128), "vit": (224, 224)}
SMALL = (64, 96)
# Both sides add the same float32 products in another order, through up to a hundred layers; a tap before the
# activation function, or another resize, differs by more than a tenth.
TOLERANCE = 1e-4
BUILT_BY_TORCH = [name for name, row in PAPER_NETWORKS.items() if not row.source.startswith("native:")]


@pytest.fixture(scope="module")
def build(torchvision):
    """``build(name)``: the PyTorch network with random weights."""
    from loce_jax.models.converter.torch.paper_modules import build

    return lambda name: build(f"paper:{name}", PAPER_NETWORKS[name], None, True)


def hooked(torch, model, names, run):
    """What hooks at `names` see; they keep the output itself, which later modules may change in place."""
    found = {}
    for name in names:
        model.get_submodule(name).register_forward_hook(
            lambda _, inputs, output, name=name: found.update({name: output})
        )
    with torch.no_grad():
        run(model.eval())
    return found


@pytest.mark.parametrize("name", BUILT_BY_TORCH)
def test_the_table_s_shapes_are_pytorch_s(torch, build, name):
    row = PAPER_NETWORKS[name]
    size = row.resizes_to or row.preprocess.size
    with torch.device("meta"):
        found = hooked(torch, build(name), row.layers, lambda model: model(torch.zeros(1, 3, *size)))
    for layer in paper_layers(f"paper:{name}"):
        tensor = found[layer.name]
        if layer.kind == "tokens":
            expected = (1, 1 + layer.grid[0] * layer.grid[1], layer.channels)
        else:
            expected = (1, *layer.grid, layer.channels) if name == "swin" else (1, layer.channels, *layer.grid)
        assert tuple(tensor.shape) == expected, layer.name


@pytest.fixture
def tiny_vit(monkeypatch, torchvision):
    """ViT-B/16 without its width."""
    from torchvision.models import vision_transformer
    from torchvision.models._api import BUILTIN_MODELS

    def tiny_vit(*, weights=None):
        return vision_transformer.VisionTransformer(224, 16, num_layers=12, num_heads=2, hidden_dim=32, mlp_dim=48)

    monkeypatch.setitem(BUILTIN_MODELS, "tiny_vit", tiny_vit)
    monkeypatch.setitem(PAPER_NETWORKS, "vit", replace(PAPER_NETWORKS["vit"], source="torchvision:tiny_vit"))


@pytest.mark.parametrize("name", BUILT_BY_TORCH)
def test_every_layer_is_what_a_hook_shows(torch, build, tiny_vit, name, tmp_path):
    from safetensors.torch import save_file

    size, row = SIZES.get(name, SMALL), PAPER_NETWORKS[name]
    model = randomize(build(name))
    save_file(
        {key: tensor.contiguous() for key, tensor in whole(model, name).items()}, tmp_path / "weights.safetensors"
    )
    network = load_paper_network(f"paper:{name}", size=size, weights=tmp_path / "weights.safetensors")
    photos = np.random.default_rng(0).integers(0, 256, (2, *size, 3), dtype=np.uint8)
    names = tuple(layer.name for layer in network.layers())
    assert names == tuple(row.layers)
    found = compiled_quickly(network.activations)(network.params, jnp.asarray(photos), names)
    images = torch.from_numpy(photos).permute(0, 3, 1, 2) / 255
    expected = hooked(torch, model, names, lambda model: model(as_the_network_does(torch, name, images)))
    worst = {}
    for layer in network.layers():
        truth = expected[layer.name].numpy()
        if layer.kind == "tokens":
            truth = truth[:, 1:].reshape(2, *layer.grid, layer.channels)
        elif name != "swin":
            truth = np.moveaxis(truth, 1, 3)
        assert found[layer.name].shape == truth.shape == (2, *layer.grid, layer.channels)
        worst[layer.name] = float(np.abs(found[layer.name] - truth).max() / np.abs(truth).max())
    print(name, size, worst)
    assert max(worst.values()) < TOLERANCE


def whole(model, name):
    """The state dict of the network that `model` is, or is the part of that has maps."""
    if name != "ssd":
        return model.state_dict()
    from torchvision.models import get_model

    detector = get_model("ssd300_vgg16", weights=None, weights_backbone=None)
    return detector.state_dict() | model.state_dict()


def as_the_network_does(torch, name, images):
    """The images after what the network itself does to them first."""
    if name != "ssd":
        return images
    from torchvision.models import get_model

    detector: Any = get_model("ssd300_vgg16", weights=None, weights_backbone=None)
    return detector.transform(list(images))[0].tensors


@pytest.mark.slow
def test_detr_is_the_native_one():
    network = load_paper_network("paper:detr", random_weights=True)
    listed = paper_layers("paper:detr")
    assert [(layer.name, layer.grid, layer.channels, layer.kind) for layer in network.layers()] == [
        (layer.name, layer.grid, layer.channels, layer.kind) for layer in listed
    ]
    small = load_paper_network("paper:detr", random_weights=True, size=(64, 96))
    photo = np.zeros((1, 64, 96, 3), np.uint8)
    for name, found in small.activations(
        small.params, jnp.asarray(photo), tuple(PAPER_NETWORKS["detr"].layers)
    ).items():
        assert np.isfinite(found).all(), name


def test_photos_are_resized_twice_where_the_paper_does_so():
    photo = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    first = Image.fromarray(photo).resize((640, 480), Image.Resampling.BICUBIC)
    vit, detr, swin = (PAPER_NETWORKS[name].preprocess.resize(photo) for name in ("vit", "detr", "swin"))
    np.testing.assert_array_equal(swin, np.asarray(first))
    np.testing.assert_array_equal(vit, np.asarray(first.resize((224, 224), Image.Resampling.BICUBIC)))
    np.testing.assert_array_equal(detr, np.asarray(first.resize((1066, 800), Image.Resampling.BILINEAR)))
    assert PHOTO == swin.shape[:2]


@pytest.fixture
def own_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("LOCE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_second_start_needs_no_pytorch_and_survives_damage(torchvision, monkeypatch, own_cache_folder):
    first = load_network("paper:squeezenet", size=(64, 64), random_weights=True)
    built = []
    monkeypatch.setattr(paper, "build", lambda *given, build=paper.build: built.append(given) or build(*given))
    again = load_network("paper:squeezenet", size=(64, 64), random_weights=True)
    assert not built
    assert again.name == "paper:squeezenet (random weights)"
    assert (again.fingerprint, again.layers()) == (first.fingerprint, first.layers())
    assert again.preprocess == replace(PAPER_NETWORKS["squeezenet"].preprocess, size=(64, 64))
    (entry,) = (own_cache_folder / "converted").iterdir()
    (entry / "graph.json").write_text("{")
    assert load_network("paper:squeezenet", size=(64, 64), random_weights=True).fingerprint == first.fingerprint
    assert len(built) == 1


def test_what_weights_were_looked_for_is_said(torch, torchvision, monkeypatch, own_cache_folder, tmp_path):
    def offline(url, **options):
        raise OSError("no connection")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    with pytest.raises(
        InputError, match=r"IMAGENET1K_V1 in .*https://download.*swin_t.*no connection.*`random_weights`"
    ):
        load_paper_network("paper:swin")
    with pytest.raises(InputError, match=r"'paper:yolo' needs a file with its weights.*`weights`.*`random_weights`"):
        load_paper_network("paper:yolo")
    with pytest.raises(InputError, match="`weights` must be an existing file"):
        load_paper_network("paper:swin", weights=tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("no tensors")
    with pytest.raises(InputError, match="must be a safetensors file"):
        load_paper_network("paper:swin", weights=tmp_path / "text.safetensors")
    with pytest.raises(InputError, match="exclude each other"):
        load_paper_network("paper:swin", weights="x", random_weights=True)
    with pytest.raises(InputError, match="unknown network of the paper 'paper:swim'. Did you mean 'paper:swin'"):
        load_paper_network("paper:swim")


def test_other_weights_are_refused(torch, build, own_cache_folder, tmp_path):
    from safetensors.torch import save_file

    tensors = {key.replace("features.3", "features.33"): t for key, t in build("squeezenet").state_dict().items()}
    save_file(tensors, tmp_path / "weights.safetensors")
    with pytest.raises(InputError, match=r"state dict of 'paper:squeezenet'.*Missing key.*features\.3\."):
        load_paper_network("paper:squeezenet", weights=tmp_path / "weights.safetensors", size=(64, 64))


@pytest.mark.parametrize("name", NAMES)
def test_every_network_is_listed_without_loading(name):
    layers = paper_layers(name)
    assert [layer.name for layer in layers] == list(PAPER_NETWORKS[name.removeprefix("paper:")].layers)
