"""Damaged descriptions of networks: graphs, configurations and preprocessing."""

import json
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from fuzzing.damage import HOSTILE, Refused, Run, check, damage_bytes, damage_tree, json_bytes, places_in, refusing
from fuzzing.tensors import damage_tensor_file
from loce_jax import load_network
from loce_jax.models import load_converted
from loce_jax.models.base import Layer, Preprocess
from loce_jax.models.converter import folder
from loce_jax.models.converter.graph import DType, Graph, Node, Ref
from loce_jax.models.networks.family import layers_of
from loce_jax.models.networks.table import FAMILIES, find_family
from loce_jax.models.preprocess.hub_folder import PREPROCESSOR, read_preprocess
from loce_jax.models.preprocess.options import read_options

MOST_BUILT = 4  # layers of a network that is laid out; more are the same again
LAYERS = ("num_hidden_layers", "depths", "encoder_layers", "num_block_repeats", "depth_coefficient")
WORDS = ("", "\0", "\ud800", "x" * 5000, "float32", "NaN", "rgb", "{}", "aten.add.Tensor")
NUMBERS = (2, 3, 7, 255, 256, 10**6, 2**63, 10**30, -0.0, 1e-300, 1e300, float("-inf"))
ODD = (*HOSTILE, *WORDS, *NUMBERS, [0, 0], {"a": 1})
GRAPH = Graph(
    name="tiny",
    preprocess=Preprocess(size=(16, 24)),
    any_batch=True,
    nodes=(
        Node("images"),
        Node("weight", ("stem.weight",)),
        Node("aten.permute.default", (Ref(0), (0, 3, 1, 2))),
        Node("aten.conv2d.default", (Ref(2), Ref(1), None, (4, 4)), module="stem"),
        Node("aten.clamp.default", (Ref(3), -1.0, float("inf")), module="act"),
        Node("aten.max_pool2d.default", (Ref(4), (3, 3), (1, 1), (1, 1))),
        Node("aten._to_copy.default", (Ref(5),), {"dtype": DType("float32")}, "act"),
        Node("aten.permute.default", (Ref(6), (0, 2, 3, 1))),
    ),
    layers=(Layer("act", 8, (4, 6), 4.0, "grid", ("top",)),),
    taps={"act": 7},
)
PREPROCESSING = {
    "do_resize": True,
    "do_center_crop": True,
    "do_rescale": True,
    "do_normalize": True,
    "size": {"shortest_edge": 256},
    "crop_size": {"height": 224, "width": 224},
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "resample": 3,
    "rescale_factor": 1 / 255,
    "rescale_offset": False,
}
OPTIONS = {"preset": "yolox", "range": "0..255", "mean": [1, 2, 3], "std": 0.5, "channels": "bgr", "letterbox": 114}


def _damage(rng: Random, tree: Any) -> Any:
    """As `damage_tree`, with values that mean something to networks; three in ten have a key of another name."""
    tree = damage_tree(rng, tree, ODD)
    keys = [(parent, key) for parent, key in places_in(tree) if isinstance(parent, dict)]
    if keys and rng.random() < 0.3:
        parent, key = rng.choice(keys)
        parent[rng.choice(WORDS)] = parent.pop(key)
    return tree


def graphs() -> Run:
    """Folders of converted networks: the graph, or the file of tensors."""
    root = Path("graph")
    weight = np.random.default_rng(0).normal(size=(8, 3, 4, 4)).astype("float32")
    folder.write(root, GRAPH, {"stem.weight": weight})
    graph, tensors = root / folder.GRAPH, root / folder.TENSORS
    text, numbers = graph.read_bytes(), tensors.read_bytes()

    def run(rng):
        graph.write_bytes(text)
        tensors.write_bytes(numbers)
        match rng.randrange(4):
            case 0:
                tensors.write_bytes(damage_tensor_file(rng, numbers))
            case 1:
                graph.write_bytes(damage_bytes(rng, text))
            case _:
                graph.write_bytes(json_bytes(_damage(rng, json.loads(text))))
        refusing(lambda: load_converted(root).layers())

    return run


def configs() -> Run:
    """``config.json`` of every family; small networks are laid out, as loading does before it looks at the weights."""
    root, types = Path("model"), list(FAMILIES)
    root.mkdir()
    path = root / "config.json"
    (root / PREPROCESSOR).write_bytes(json_bytes(PREPROCESSING))

    def run(rng):
        model_type = rng.choice(types)
        family = find_family(model_type)
        numbers = {name: _small(name, value) for name, value in asdict(family.config()).items()}
        tree = {"model_type": model_type, **numbers, "quantization_config": None}
        path.write_bytes(json_bytes(_damage(rng, json.loads(json.dumps(tree)))))
        _check_refused(lambda: load_network(str(root)), "a network without weights")
        config = refusing(lambda: family._read_config(path))
        refusing(lambda: family._image_size(path))
        if layers_of(config) <= MOST_BUILT:  # loading compares their number with that of the tensors
            refusing(lambda: family.abstract_module(config))

    return run


def _small(name: str, value: Any) -> Any:
    """A configuration's entry, of a network with one layer where it counts layers."""
    if name in LAYERS:
        return [1] * len(value) if isinstance(value, tuple) else type(value)(1)
    return value


def _check_refused(call, otherwise):
    try:
        refusing(call)
    except Refused:
        return
    check(False, otherwise)


def preprocessors() -> Run:
    """``preprocessor_config.json``, a fifth of them no JSON; what is read resizes a photo."""
    root = Path("processor")
    root.mkdir()

    def run(rng):
        content = json_bytes(_damage(rng, PREPROCESSING))
        (root / PREPROCESSOR).write_bytes(content if rng.random() < 0.8 else damage_bytes(rng, content))
        options = read_options(rng.choice(("own", "imagenet", "channels=bgr")))
        found = refusing(lambda: read_preprocess(root, options, model_size=(28, 28)))
        pixels = found.resize(np.zeros((5, 7, 3), np.uint8))
        check(pixels.shape == (*found.size, 3), "the size of a photo")
        is_huge = max(map(abs, (*found.mean, *found.std))) > 1e30
        check(np.isfinite(found.range).all() or is_huge, "a range that is not finite")
        found.describe()

    return run


def preprocess_options() -> Run:
    """The option `preprocess`, as JSON and as key=value pairs."""

    def run(rng):
        tree = _damage(rng, OPTIONS)
        text = json_bytes(tree).decode("utf-8", "surrogatepass")
        if rng.random() < 0.5:
            pairs = tree if isinstance(tree, dict) else {"range": tree}
            text = ",".join(f"{key}={value}" for key, value in pairs.items())
        refusing(lambda: read_options(text).apply(None, size=(4, 4), what="it").describe())

    return run
