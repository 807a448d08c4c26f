"""`loce convert` from start to end: what it can be pointed at, and runs of `loce fit` on what it made."""

import json
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from loce_jax import load_network, open_run
from loce_jax.checks import InputError
from loce_jax.cli import main
from loce_jax.models.base import Preprocess

WITHOUT_TORCH = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'")

sys.meta_path.insert(0, Refuse())
"""


@pytest.fixture(scope="module")
def libraries(torch):
    """``libraries("timm")``: PyTorch and what is built on it, or a skip that says so."""
    from loce_jax.models.converter.torch.libraries import need

    def import_or_skip(*names):
        for name in ("torch", *names):
            try:
                need(name)
            except InputError as error:
                pytest.skip(f"{name}, with or beside torch, is not installed: {error}")

    return import_or_skip


@pytest.fixture(scope="module", autouse=True)
def offline():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield


@pytest.fixture(scope="module")
def converted(libraries, tmp_path_factory):
    """``converted(source, *flags)``: the folder that `loce convert` wrote, made once."""
    made = {}

    def convert(source, *flags):
        libraries(*[name for name in ("timm", "torchvision") if source.startswith(name)])
        if (source, flags) not in made:
            out = tmp_path_factory.mktemp("converted") / "network"
            assert main(["convert", source, "--out", str(out), *flags]) == 0
            made[source, flags] = out
        return made[source, flags]

    return convert


def fit(model, layers, shared, out, *concepts):
    """`loce fit` on the photographs of COCO that show `concepts`."""
    data = ["--coco", str(shared("data", "coco_open", "instances.json"))]
    data += ["--images", str(shared("data", "coco_open", "images")), "--concepts", *concepts]
    assert main(["fit", "--model", str(model), "--layers", *layers, "--out", str(out), *data]) == 0
    run = open_run(out)
    assert run.complete
    return run


def test_native_and_converted_dinov2_hold_the_same_loces(converted, shared, tmp_path):
    checkpoint = shared("weights", "dinov2-small")
    layers, concepts = ("encoder.layer.3", "encoder.layer.7"), ("cat", "dog", "car")
    native = fit(checkpoint, layers, shared, tmp_path / "native", *concepts)
    other = fit(converted(str(checkpoint)), layers, shared, tmp_path / "converted", *concepts)
    assert len(native.table["image"]) > 20
    np.testing.assert_array_equal(native.table["status"], other.table["status"])
    for layer in layers:
        expected, found = native.vectors(layer), other.vectors(layer)
        # 50 steps of AdamW turn the last digits of activations that agree to 5e-6 into something larger
        distance = np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)
        print(layer, distance.max())
        assert distance.max() < 1e-3


@pytest.mark.parametrize(
    ("source", "layer"), [("timm:resnet18", "layer3"), ("torchvision:squeezenet1_1", "features.9")], ids=str
)
def test_fit_runs_on_converted_networks_of_other_libraries(converted, shared, tmp_path, source, layer):
    folder = converted(source, "--random-weights", "--size", "96", "128")
    run = fit(folder, [layer], shared, tmp_path / "run", "cat")
    assert run.plan["model"]["preprocess"]["size"] == [96, 128]
    assert np.isfinite(run.vectors(layer)[run.select(status="ok")]).all()
    assert len(run.select(status="ok")) > 5


def test_a_converted_network_needs_no_torch(converted, tmp_path):
    folder = converted("torchvision:squeezenet1_1", "--random-weights", "--size", "96", "128")
    code = (
        "import numpy as np\n"
        "from loce_jax import load_network, make_extractor\n"
        f"network = load_network({str(folder)!r})\n"
        "print(make_extractor(network, ['features.9'])(np.zeros((3, 96, 128, 3), np.uint8))['features.9'].shape)\n"
    )
    found = subprocess.run([sys.executable, "-c", WITHOUT_TORCH + code], capture_output=True, text=True, check=False)
    assert found.stdout == "(3, 5, 7, 384)\n", found.stderr


def test_other_sizes_than_the_recorded_one_are_refused(converted):
    folder = converted("torchvision:squeezenet1_1", "--random-weights", "--size", "96", "128")
    with pytest.raises(InputError, match=r"`size` must be \(96, 128\).*Convert it again with `size` 64 64"):
        load_network(str(folder), size=(64, 64))


def test_preprocessing_comes_from_the_library(converted):
    torchvision = load_network(str(converted("torchvision:squeezenet1_1", "--random-weights", "--size", "96", "128")))
    assert torchvision.preprocess == Preprocess(
        (96, 128), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), resample="bilinear"
    )
    timm = load_network(str(converted("timm:resnet18", "--random-weights", "--size", "96", "128")))
    assert timm.preprocess.resample in ("bilinear", "bicubic") and timm.preprocess.mean == (0.485, 0.456, 0.406)


def test_the_papers_preprocessing():
    network = load_network("efficientnet-lite0", preprocess="paper")
    plain = Preprocess((480, 640), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), resample="bicubic")
    assert network.preprocess == plain
    assert load_network("efficientnet-lite0", preprocess="paper", size=(64, 96)).preprocess.size == (64, 96)
    with pytest.raises(InputError, match="'papre' is none of these. Did you mean 'paper'"):
        load_network("efficientnet-lite0", preprocess="papre")


def test_weights_come_from_a_file_when_given(libraries, converted, tmp_path, capsys):
    libraries("torchvision")
    import torch
    import torchvision
    from safetensors.torch import save_file

    torch.manual_seed(3)
    model = torchvision.models.squeezenet1_1().eval()
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    folder = converted(
        "torchvision:squeezenet1_1", "--weights", str(tmp_path / "weights.safetensors"), "--size", "64", "64"
    )
    network = load_network(str(folder))
    photo = jnp.asarray(np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8))
    found = network.activations(network.params, photo, ("features.12",))["features.12"]
    with torch.no_grad():
        images = torch.from_numpy(np.array(network.preprocess.normalize(photo))).permute(0, 3, 1, 2)
        expected = np.moveaxis(model.get_submodule("features")(images).numpy(), 1, 3)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())

    save_file({"features.0.weight": model.state_dict()["features.0.weight"]}, tmp_path / "few.safetensors")
    wrong = ["convert", "torchvision:squeezenet1_1", "--weights", str(tmp_path / "few.safetensors")]
    assert main([*wrong, "--out", str(tmp_path / "never")]) == 2
    assert "Missing key(s) in state_dict" in capsys.readouterr().err
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize(
    ("source", "flags", "words"),
    [
        ("timm:resnet18x", [], "unknown network 'resnet18x'. Did you mean"),
        ("torchvision:resnet", [], "unknown network 'resnet'. Did you mean"),
        ("keras:resnet50", [], "unknown library 'keras'"),
        ("nobody/nothing", [], "no folder is called 'nobody/nothing'"),
        ("nobody/nothing", ["--random-weights"], "`--random-weights` are for `timm:NAME`"),
    ],
    ids=str,
)
def test_wrong_sources_are_one_line(libraries, capsys, tmp_path, source, flags, words):
    libraries("timm", "torchvision")
    assert main(["convert", source, "--out", str(tmp_path / "out"), *flags]) == 2
    assert words in capsys.readouterr().err


def test_a_folder_with_something_in_it_is_left_alone(capsys, tmp_path):
    (tmp_path / "mine").write_text("precious")
    assert main(["convert", "timm:resnet18", "--out", str(tmp_path)]) == 2
    assert "`--out` must be a new or an empty folder" in capsys.readouterr().err
    assert (tmp_path / "mine").read_text() == "precious"


def test_pickled_weights_are_refused_until_converted(libraries, converted, shared, tmp_path):
    libraries()
    import torch
    from transformers import Dinov2Config, Dinov2Model

    config = Dinov2Config(hidden_size=24, num_hidden_layers=1, num_attention_heads=2, image_size=28)
    model = Dinov2Model(config).eval()
    folder = tmp_path / "pickled"
    folder.mkdir()
    config.architectures = ["Dinov2Model"]
    config.save_pretrained(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    preprocess = {"size": 28, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocess))
    with pytest.raises(InputError, match="Pickles such as `pytorch_model.bin` are not read.*loce convert"):
        load_network(str(folder))
    layers = load_network(str(converted(str(folder)))).layers()
    assert any(layer.channels == 24 and layer.grid == (2, 2) for layer in layers)


@pytest.mark.slow
def test_without_torch_one_line_says_what_to_install():
    code = WITHOUT_TORCH + "from loce_jax.cli import main\nsys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "convert", "timm:resnet18", "--out", "never"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and 'pip install "loce_jax[torch]"' in done.stderr
