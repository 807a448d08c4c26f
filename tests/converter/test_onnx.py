"""ONNX networks: every layer of two real detectors against onnxruntime, what becomes a layer, damaged files."""

import json
import sys
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from loce_jax.checks import InputError
from loce_jax.models.base import Preprocess
from loce_jax.models.converter import load_converted
from loce_jax.models.converter.onnx import convert_onnx
from loce_jax.models.converter.onnx.zoo import recognize
from loce_jax.models.converter.torch.sources import convert_source
from loce_jax.models.preprocess.check import doubt_pixels
from loce_jax.models.preprocess.options import UnknownPreprocess
from loce_jax.store.files import layer_file

onnx = pytest.importorskip("onnx", reason="onnx, which reads the files, is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime, the reference here, is not installed")
from tests.support.compiled import compiled_quickly  # noqa: E402
from tests.support.onnx_models import build, ints, node, noise, reference  # noqa: E402 - needs both
from tests.support.resuming import assert_resumes  # noqa: E402

pytestmark = pytest.mark.onnx

SIGMOID = 2e-7  # onnxruntime's logistic function is as exact as float32 is at 1, not as at a score of 1e-4
BYTES = (1 / 255, 1 / 255, 1 / 255)  # the network takes 0 to 255
DETECTORS = {  # stretched, so that cells tell where things are in the photo
    "yolox_nano": Preprocess((416, 416), std=BYTES, channels="bgr"),
    "FastestDet": Preprocess((352, 352), channels="bgr"),
}
HEADS = {"yolox_nano": ("Concat_331", "Concat_364", "Concat_397"), "FastestDet": ("Concat_264",)}
PHOTOS = {"000000000285": 21, "000000000471": 5, "000000000072": 23}  # a bear, a bus, giraffes: their places in COCO-80


@pytest.fixture(scope="module", params=DETECTORS)
def detector(request, shared):
    path = shared("weights", f"{request.param}.onnx")
    return path, convert_onnx(path, preprocess=DETECTORS[request.param])


@pytest.fixture
def save(tmp_path):
    """Save a model, of these nodes unless given; its path."""

    def save(*nodes, model=None, **settings):
        onnx.save(model or build(*nodes, **settings), tmp_path / "net.onnx")
        return tmp_path / "net.onnx"

    return save


def oriented(value, layer):
    """The reference's ``[1 c h w]``, ``[1 h w c]`` or ``[1 t c]`` as ``[h w c]``."""
    value = value[0]
    if value.ndim == 2:
        return value[-np.prod(layer.grid) :].reshape(*layer.grid, -1)
    return value if value.shape == (*layer.grid, layer.channels) else value.transpose(1, 2, 0)


def check_layers(network, model, images, limit=1e-4):
    """Every layer against the output, or the node, of its name; images ``[b h w 3]`` as they enter the network."""
    names = tuple(layer.name for layer in network.layers())
    found = compiled_quickly(network.forward)(network.params, images, names)
    outputs = {one.name: one.output[0] for one in model.graph.node if one.name}
    made = {output for one in model.graph.node for output in one.output}
    outputs |= {
        layer.name: next(n for n in layer.aliases if n in made) for layer in network.layers() if "." in layer.name
    }
    for i, image in enumerate(images):
        expected = reference(model, np.ascontiguousarray(image.transpose(2, 0, 1)[None]))
        for layer in network.layers():
            right = oriented(expected[outputs.get(layer.name, layer.name)], layer)
            error = np.abs(found[layer.name][i] - right).max()
            assert error <= limit * np.abs(right).max() + SIGMOID, layer.name


@pytest.mark.parametrize("batch", [1, 3])
def test_every_layer_of_a_detector_is_onnxruntimes(detector, batch):
    path, network = detector
    images = noise(batch, *network.preprocess.size, 3) * (80 if "yolox" in path.name else 1)
    check_layers(network, onnx.load(path), images)


def test_every_convolution_and_activation_of_a_detector_is_a_layer(detector):
    path, network = detector
    names = {layer.name for layer in network.layers()}
    kinds = ("Conv", "Relu", "Sigmoid", "MaxPool", "Resize", "Add")
    assert {one.name for one in onnx.load(path).graph.node if one.op_type in kinds} <= names


def test_maps_on_their_side_are_no_layers(detector):
    path, network = detector
    if "FastestDet" in path.name:  # it computes its classes' softmax with rows and columns exchanged
        names = {layer.name for layer in network.layers()}
        assert not names & {"Transpose_261", "Softmax_262"}
        assert "Transpose_263" in names


def test_detectors_find_what_is_in_photographs(detector, shared):
    path, network = detector
    files = [shared("data", "coco_open", "images", f"{photo}.jpg") for photo in PHOTOS]
    images = np.stack([network.preprocess.resize(np.asarray(Image.open(file).convert("RGB"))) for file in files])
    found = compiled_quickly(network.activations)(network.params, images, HEADS[path.stem])
    annotations = shared("data", "coco_open", "instances.json")
    for i, (photo, right) in enumerate(PHOTOS.items()):
        cells = (np.asarray(found[head][i]) for head in HEADS[path.stem])
        _, category, place = max((score(each, path.stem) for each in cells), key=lambda one: one[0])
        assert category == right
        assert inside(annotations, photo, category, *place)


def test_wrong_pixels_are_doubted(detector, shared):
    _, network = detector
    files = [shared("data", "coco_open", "images", f"{photo}.jpg") for photo in PHOTOS]
    images = np.stack([network.preprocess.resize(np.asarray(Image.open(file).convert("RGB"))) for file in files])
    right = network.preprocess
    assert doubt_pixels(network, images) is None
    for factor, words in ((1 / 255, "too small"), (255, "too large")):
        wrong = replace(right, std=(right.std[0] / factor,) * 3)
        assert words in (doubt_pixels(replace(network, preprocess=wrong), images) or "")
    if "yolox" in network.name:  # what `loce convert` once took for granted
        assert "too small" in (doubt_pixels(replace(network, preprocess=Preprocess(right.size)), images) or "")


def score(cells, name):
    """The best cell ``[h w 85]``: its score, its class, and where it is from 0 to 1."""
    sure, classes = (cells[..., 4], cells[..., 5:]) if name == "yolox_nano" else (cells[..., 0], cells[..., 5:])
    scores = sure[..., None] * classes
    row, column, category = np.unravel_index(scores.argmax(), scores.shape)
    return scores.max(), category, ((row + 0.5) / len(cells), (column + 0.5) / len(cells))


def inside(annotations, photo, category, y, x):
    """Whether the place lies in a box of that category."""
    content = json.loads(annotations.read_text())
    image = next(one for one in content["images"] if one["file_name"] == f"{photo}.jpg")
    wanted = sorted(one["id"] for one in content["categories"])[category]
    place = np.array([x * image["width"], y * image["height"]])
    boxes = [
        np.array(one["bbox"])
        for one in content["annotations"]
        if one["image_id"] == image["id"] and one["category_id"] == wanted
    ]
    return any(((box[:2] <= place) & (place <= box[:2] + box[2:])).all() for box in boxes)


TOKENS = [  # a class token that an export repeats for each image, a block, and an attention
    node("Conv", "x", noise(8, 3, 4, 4), outputs=["p"], name="/embed/Conv", strides=[4, 4]),
    node("Shape", "p", outputs=["s"]),
    node("Gather", "s", ints(0), outputs=["b"]),
    node("Concat", "b", ints(8), ints(-1), outputs=["to"], axis=0),
    node("Reshape", "p", "to", outputs=["f"]),
    node("Transpose", "f", outputs=["t"], name="/embed/Transpose", perm=[0, 2, 1]),
    node("Concat", "b", ints(1), ints(8), outputs=["class"], axis=0),
    node("Expand", noise(1, 1, 8), "class", outputs=["token"]),
    node("Concat", "token", "t", outputs=["tokens"], name="/embed/Concat", axis=1),
    node("LayerNormalization", "tokens", noise(8), noise(8, seed=1), outputs=["n"], name="/norm/LayerNormalization"),
    node("MatMul", "n", noise(8, 8), outputs=["q"], name="/q/MatMul"),
    node("Transpose", "n", outputs=["k"], perm=[0, 2, 1]),
    node("MatMul", "q", "k", outputs=["l"]),
    node("Softmax", "l", outputs=["a"]),
    node("MatMul", "a", "n", name="/attend/MatMul"),
]


def test_tokens_are_layers_on_their_grid(save):
    path = save(*TOKENS, opset=17, image=("x", ["b", 3, "h", "w"]))
    network = convert_onnx(path, preprocess=Preprocess((24, 20)))
    layers = {layer.name: layer for layer in network.layers()}
    expected = ["/embed/Conv", "/embed/Transpose", "/embed/Concat", "/norm/LayerNormalization", "/q/MatMul", "l", "a"]
    assert list(layers) == [*expected, "/attend/MatMul"]
    assert {layer.grid for layer in layers.values()} == {(6, 5)}
    assert [layer.kind for layer in layers.values()] == ["grid"] + 7 * ["tokens"]
    check_layers(network, onnx.load(path), noise(2, 24, 20, 3))


def test_names_are_those_of_the_file(save):
    nodes = [
        node("Conv", "x", noise(4, 3, 3, 3), outputs=["/a/Conv_output_0"], name="/a/Conv", pads=[1, 1, 1, 1]),
        node("Identity", "/a/Conv_output_0", outputs=["same"], name="/a/Identity"),
        node("Relu", "same", outputs=["-1"], name="n" * 300),
        node("Neg", "-1", outputs=["free"], name="/a/Conv"),
        node("Abs", "free", name="a\nline"),
    ]
    network = convert_onnx(save(*nodes), preprocess="unknown")
    assert [(layer.name, layer.aliases) for layer in network.layers()] == [
        ("/a/Conv", ("/a/Conv_output_0", "/a/Identity", "same", "stride1.Conv_1")),
        ("free", ("a", "stride1.Neg_1")),
        ("y", ("stride1.Abs_1", "stride1")),
    ]
    (layer,) = network.resolve(["/a/Conv_output_0"])
    assert layer.name == network.resolve(["*/Identity"])[0].name == "/a/Conv"
    assert layer_file(layer.name, 0, "00000").split("/")[1] == "00-%2Fa%2FConv"


def test_layers_are_called_by_module_operator_and_stride(save):
    nodes = [
        node("Conv", "x", noise(4, 3, 2, 2), outputs=["11"], name="/net/stem/conv/Conv", strides=[2, 2]),
        node("Relu", "11", outputs=["12"], name="/net/stem/act/Relu"),
        node("Conv", "12", "net.down.weight", outputs=["13"], strides=[2, 2]),
        node("Relu", "13", outputs=["14"]),
        node("Resize", "14", "", np.array([1, 1, 2, 2], np.float32), outputs=["15"], mode="nearest"),
        node("Conv", "15", noise(4, 4, 1, 1), outputs=["16"]),
    ]
    model = build(*nodes, image=("x", [1, 3, 16, 24]), opset=14, result="16")
    model.graph.initializer.append(onnx.numpy_helper.from_array(noise(4, 4, 2, 2), "net.down.weight"))
    network = convert_onnx(save(model=model), preprocess="unit")
    assert [(layer.name, layer.aliases) for layer in network.layers()] == [
        ("/net/stem/conv/Conv", ("11", "net.stem.conv", "stride2.Conv_1")),
        ("/net/stem/act/Relu", ("12", "net", "net.stem", "net.stem.act", "stride2.Relu_1", "stride2")),
        ("net.down", ("stride4.Conv_1", "13")),
        ("stride4.Relu_1", ("stride4", "14")),
        ("stride2.Resize_1", ("15",)),
        ("stride2.Conv_2", ("16",)),
    ]
    assert [layer.name for layer in network.resolve(["stem", "stride4", "stride2.C*"])] == [
        "/net/stem/act/Relu",
        "stride4.Relu_1",
        "/net/stem/conv/Conv",
        "stride2.Conv_2",
    ]
    check_layers(convert_onnx(save(model=model), preprocess="unit", name="n"), model, noise(1, 16, 24, 3))


def test_what_the_file_returns_beside_layers_are_outputs(save):
    nodes = [
        node("Conv", "x", noise(4, 3, 3, 3), outputs=["map"], name="conv"),
        node("ReduceMean", "map", axes=[2, 3], keepdims=0, outputs=["pooled"]),
        node("MatMul", "pooled", noise(4, 5), outputs=["conv"]),
        node("ArgMax", "conv", axis=1, outputs=["best"]),
    ]
    model = build(*nodes, result="map")
    for name, kind, length in (("conv", onnx.TensorProto.FLOAT, 5), ("best", onnx.TensorProto.INT64, 1)):
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, kind, [1, length]))
    network = convert_onnx(save(model=model), preprocess="unit")
    assert [(output.name, output.shape) for output in network.outputs] == [("output.conv", (5,))]
    assert ([layer.name for layer in network.layers()], network.dead_ends) == (["conv"], ())
    images = noise(1, 10, 13, 3)
    found = network.forward(network.params, jnp.asarray(images), ("output.conv",))["output.conv"]
    expected = reference(model, images.transpose(0, 3, 1, 2))["conv"]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert_resumes(network, "conv")


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_pictures_may_come_with_channels_last_and_half_as_long(save, dtype):
    weights = noise(4, 3, 3, 3).astype(dtype)
    nodes = [node("Transpose", "x", perm=[0, 3, 1, 2], outputs=["t"]), node("Conv", "t", weights, strides=[2, 2])]
    path = save(*nodes, image=("x", [1, 10, 13, 3]), dtype=dtype)
    network = convert_onnx(path, preprocess="unit")
    images = noise(2, 10, 13, 3)
    found = network.forward(network.params, jnp.asarray(images), ("y",))["y"]
    expected = reference(onnx.load(path), images[:1].astype(dtype))["y"]
    np.testing.assert_allclose(found[0], expected[0].transpose(1, 2, 0), rtol=0, atol=4 * np.finfo(dtype).eps * 10)
    assert found.dtype == np.float32


def test_pictures_may_be_bytes(save):
    nodes = [node("Cast", "x", to=1, outputs=["f"]), node("Conv", "f", noise(4, 3, 3, 3))]
    path = save(*nodes, dtype=np.uint8)
    network = convert_onnx(path, preprocess=Preprocess((10, 13), std=BYTES))
    photos = np.random.default_rng(0).integers(0, 256, (1, 10, 13, 3), np.uint8)
    found = network.activations(network.params, jnp.asarray(photos), ("y",))["y"][0]
    expected = reference(onnx.load(path), photos.transpose(0, 3, 1, 2))["y"][0].transpose(1, 2, 0)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


def test_a_network_is_kept_and_read_without_onnx(save, tmp_path, monkeypatch):
    path = save(*TOKENS, opset=17, image=("x", ["b", 3, "h", "w"]))
    made = convert_onnx(path, preprocess=Preprocess((24, 20)), name="mine", out=tmp_path / "kept")
    monkeypatch.setitem(sys.modules, "onnx", None)
    read = load_converted(tmp_path / "kept")
    assert (read.name, read.fingerprint, read.layers()) == ("mine", made.fingerprint, made.layers())
    names = tuple(layer.name for layer in read.layers())
    expected, found = (one.forward(one.params, jnp.asarray(noise(2, 24, 20, 3)), names) for one in (made, read))
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    with pytest.raises(InputError, match=r"pip install .*\[onnx\]"):
        convert_onnx(path)


def test_bfloat16_stays_bfloat16(save):
    nodes = [
        node("Conv", "x", noise(4, 3, 3, 3), outputs=["c"], pads=[0, 0, 2, 2]),
        node("AveragePool", "c", outputs=["a"], kernel_shape=[2, 2], pads=[0, 0, 1, 1]),
        node("Greater", "a", np.float32(0), outputs=["g"]),
        node("Cast", "g", to=1, outputs=["f"]),
        node("HardSwish", "f", outputs=["h"]),
        node("Resize", "h", "", np.array([1, 1, 2, 2], np.float32), mode="linear"),
    ]
    network = convert_onnx(save(*nodes, opset=14), preprocess="unit").astype("bfloat16")
    names = tuple(layer.name for layer in network.layers())
    found = network.forward(network.params, jnp.asarray(noise(1, 10, 13, 3), jnp.bfloat16), names)
    assert len(found) == 5
    assert {value.dtype for value in found.values()} == {np.dtype(jnp.bfloat16)}


def test_tensors_may_lie_beside_the_model(tmp_path):
    model = build(node("Conv", "x", noise(40, 3, 3, 3)))
    onnx.save(model, tmp_path / "one.onnx")
    onnx.save(model, tmp_path / "two.onnx", save_as_external_data=True, location="two.data", size_threshold=0)
    one, two = (convert_onnx(tmp_path / f"{name}.onnx", preprocess="unit", name="same") for name in ("one", "two"))
    assert (tmp_path / "two.data").stat().st_size >= 4 * 40 * 27
    assert one.fingerprint == two.fingerprint


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "link"])
def test_tensors_may_not_lie_elsewhere(tmp_path, location):
    folder = tmp_path / "inner"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(4 * 4 * 27))
    (folder / "link").symlink_to(tmp_path / "secret")
    model = build(node("Conv", "x", noise(4, 3, 3, 3)))
    (tensor,) = model.graph.initializer
    onnx.external_data_helper.set_external_data(tensor, location)
    tensor.ClearField("raw_data")
    (folder / "net.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="must lie in its own folder"):
        convert_onnx(folder / "net.onnx")


CONV = node("Conv", "x", noise(4, 3, 3, 3))
BAD = {
    "unknown operations": (
        {
            "nodes": [
                node("Det", "x", outputs=["d"], name="why"),
                node("LRN", "x", size=3),
                node("Det", "x", outputs=["e"]),
            ]
        },
        r"2 are not: Det \(2 times: why, e\); LRN \(1 times: y\). To add one, write a function .* table `OPS`",
    ),
    "other domains": ({"nodes": [node("Conv", "x", domain="com.microsoft")]}, r"com.microsoft.Conv \(1 times"),
    "a setting from the image": (
        {
            "nodes": [
                node("ReduceMax", "x", outputs=["m"], keepdims=0),
                node("Cast", "m", to=7, outputs=["i"]),
                node("Unsqueeze", "i", ints(0), outputs=["k"]),
                node("Expand", "x", "k", name="grow"),
            ]
        },
        r"node 'grow' \(Expand\) .*'shape' must not depend on the image",
    ),
    "shapes that do not fit": (
        {"nodes": [node("Add", "x", noise(3, 4), name="plus")]},
        r"node 'plus' \(Add\) .* shapes \(1, 3, 10, 13\), \(3, 4\)",
    ),
    "a huge window": (
        {"nodes": [node("MaxPool", "x", kernel_shape=[10**9, 1], pads=[10**9] * 4)]},
        "sizes from 1 to 4096",
    ),
    "an index beyond the end": ({"nodes": [node("Gather", "x", ints(3), axis=1)]}, "indices go from 3 to 3"),
    "no maps": ({"nodes": [node("ReduceMean", "x", axes=[2, 3])]}, "must be a network whose nodes return feature maps"),
    "several images": ({"nodes": [CONV], "image": ("x", [8, 3, 10, 13])}, r"has: 'x' FLOAT \[8, 3, 10, 13\]"),
    "no image": ({"nodes": [CONV], "image": ("x", [1, 4, 10, 13])}, r"has: 'x' FLOAT \[1, 4, 10, 13\]"),
    "a free size": ({"nodes": [CONV], "image": ("x", [1, 3, "h", 13])}, r"how large .* size \(0, 13\)"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_converted_is_named(save, name):
    settings, message = BAD[name]
    path = save(*settings["nodes"], **{key: value for key, value in settings.items() if key != "nodes"})
    with pytest.raises(InputError, match=message):
        convert_onnx(path, preprocess="unit")


def test_the_command_line_converts_onnx_files(save, tmp_path):
    made = convert_source(str(save(CONV)), tmp_path / "out", size=(10, 13), preprocess="unit")
    assert load_converted(tmp_path / "out").fingerprint == made.fingerprint
    with pytest.raises(InputError, match="`weights` and `random_weights` are for"):
        convert_source(str(tmp_path / "net.onnx"), tmp_path / "other", random_weights=True)


def test_what_enters_must_be_said(save, tmp_path):
    with pytest.raises(UnknownPreprocess, match="wrong pixels give wrong .*imagenet, .*range=0..255.*`unknown`"):
        convert_source(str(save(CONV)), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(UnknownPreprocess):  # the order of the channels is left open
        convert_onnx(tmp_path / "net.onnx", preprocess="range=0..255")
    made = convert_onnx(tmp_path / "net.onnx", preprocess="range=0..255,channels=bgr,letterbox=114")
    assert made.preprocess == Preprocess((10, 13), std=BYTES, channels="bgr", pad=114)
    assert convert_onnx(tmp_path / "net.onnx", preprocess="unknown").preprocess.source == "unknown"


@pytest.mark.parametrize(
    ("name", "metadata", "preset"),
    [
        ("yolox_tiny", {}, "yolox"),
        ("mine", {"author": "Ultralytics", "task": "detect"}, "yolov5"),
        ("mine", {"author": "Ultralytics", "task": "classify"}, None),
        ("resnet50-v1-7", {}, "imagenet"),
        ("resnet50", {}, None),
    ],
)
def test_published_families_are_recognized(tmp_path, name, metadata, preset):
    model = build(node("Slice", "x", ints(0), ints(99), ints(2), outputs=["y"]))
    onnx.helper.set_model_props(model, metadata)
    model.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("y", 1, [1, 85, 85]))
    family = recognize(model, tmp_path / f"{name}.onnx")
    assert (family.preset if family else None) == preset


def test_the_size_must_be_the_networks(save):
    with pytest.raises(InputError, match=r"must be \(10, 13\).* but is \(20, 20\)"):
        convert_onnx(save(CONV), preprocess=Preprocess((20, 20)))


@pytest.mark.parametrize("damage", ["nothing", "cut", "noise", "no model"])
def test_damaged_files_are_named(tmp_path, damage):
    whole = build(CONV).SerializeToString()
    contents = {"cut": whole[: len(whole) // 2], "noise": bytes(range(256)) * 9, "no model": b""}
    if damage != "nothing":
        (tmp_path / "net.onnx").write_bytes(contents[damage])
    with pytest.raises(InputError, match="`path` must be .*net.onnx"):
        convert_onnx(tmp_path / "net.onnx")
