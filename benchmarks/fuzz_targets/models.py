"""Fuzzed files of networks: graph folders, safetensors files, ``config.json``, ``preprocessor_config.json``, ``.pth``.

A run must end in a network or in one `InputError` of one line; anything else is a finding.
"""

import base64
import functools as ft
import hashlib
import json
import struct
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fuzz_targets.mutation import damage_bytes, damage_json
from loce_jax.checks import InputError
from loce_jax.models.base import Layer, Preprocess
from loce_jax.models.checkpoints.legacy_pth import read_legacy_pth
from loce_jax.models.checkpoints.tensor_file import read_tensor_file
from loce_jax.models.converter.graph import DType, Graph, Node, Ref
from loce_jax.models.converter.network import load_converted
from loce_jax.models.converter.text import graph_to_text
from loce_jax.models.networks.family import layers_of
from loce_jax.models.networks.table import FAMILIES, find_family
from loce_jax.models.preprocess.hub_folder import read_preprocess
from loce_jax.models.preprocess.options import read_options

LONGEST_MESSAGE = 4000  # characters
MOST_BUILT = 24  # layers of a network that is laid out
LAYERS = ("num_hidden_layers", "depths", "encoder_layers", "num_block_repeats", "depth_coefficient")
PTH = (  # two tensors in PyTorch's format of before 1.6, in base 85
    "fC7pNZ2X)?`5<bjP#G?O0!`@yE`S1kaR4Y-5C8xGaB^>SZ)0z4Uv_13b7^mGaRE)~16U0J003-hbaZTGUuAA&X<=@00*F`&0001Vd2nT4b7^{Ib8!Q"
    "GaRew>1poj5b7*gJba4es0$2k8003!jba4ht1Xu(B003-nZf9`^O9XXwE`S1KV{dG1Wn*+{Z*Fr6PjX~sa%E&hX=8K>aR4b&aRDe;0RR91cX0w^bZ>HF"
    "Xf9uMbZKmJ3SV+%Vs&Y3WM6b;ZgX#PUv@GIC@5G50001UbZ>HDXJv5%V{~tFV`vISY;R$7Q*>`~VP|CuSOEY405@?2SOWk60Ap}<aRo~RPIPewQA+?z"
    "0!sphaR*BRO96&)2#II_DN=C>ba4t&SOEY40Ag_qV{~tFV`wg4b#!TLa|&N_Wny({Y-C?_Wo~nCa$j~b3MeRO17mb=a${%;Mr?0kbW?P1a$#p>3TOmq"
    "1xo}@ba4z(O94v*g>el_0fli6iD&>RQgIJ-aS&2<E`S1EaR68W0000taRFg21ONa40000000000004kL0000$002Nh"
)
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
PREPROCESSOR = {
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

Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Target:
    """A kind of input.

    Attributes:
        make_input: files of one folder by name, made from the random generator.
        run: reads them where they lie; whatever it raises but `InputError` is a finding.
    """

    make_input: Callable[[np.random.Generator], Files]
    run: Callable[[Path], None]


def run_one(target: Target, files: Files) -> None:
    """Lay out `files` and run; raises `AssertionError` for an `InputError` that is no one short line."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        try:
            target.run(Path(folder))
        except InputError as error:
            message = str(error)
            assert len(message) <= LONGEST_MESSAGE, f"a message of {len(message)} characters: {message[:200]}"
            assert "\n" not in message, f"a message of several lines: {message[:400]!r}"


def tensor_file(tensors: Mapping[str, np.ndarray], header: Callable[[Any], str] = json.dumps) -> bytes:
    """A safetensors file of float32 tensors, its header written by `header`."""
    entries, place = {}, 0
    for name, array in tensors.items():
        entries[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [place, place + array.nbytes]}
        place += array.nbytes
    text = header(entries).encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(text)) + text + b"".join(array.tobytes() for array in tensors.values())


def _tensors() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        name: rng.normal(size=shape).astype(np.float32) for name, shape in {"a": (3, 4), "b": (), "c": (0, 2)}.items()
    }


def _damaged_tensor_file(rng: np.random.Generator, tensors: Mapping[str, np.ndarray]) -> bytes:
    if rng.random() < 0.5:
        return tensor_file(tensors, header=ft.partial(damage_json, rng))
    return damage_bytes(rng, tensor_file(tensors))


def _graph_folder(rng: np.random.Generator) -> Files:
    weight = {"stem.weight": np.random.default_rng(0).normal(size=(8, 3, 4, 4)).astype(np.float32)}
    text, tensors = graph_to_text(GRAPH), tensor_file(weight)
    match rng.integers(0, 4):
        case 0:
            return {"graph.json": damage_bytes(rng, text.encode()), "model.safetensors": tensors}
        case 1:
            return {"graph.json": text.encode(), "model.safetensors": _damaged_tensor_file(rng, weight)}
    return {"graph.json": damage_json(rng, json.loads(text)).encode(), "model.safetensors": tensors}


def _config(rng: np.random.Generator) -> Files:
    model_type = list(FAMILIES)[int(rng.integers(0, len(FAMILIES)))]
    numbers = {name: _small(name, value) for name, value in asdict(find_family(model_type).config()).items()}
    content = {"model_type": model_type, **numbers, "quantization_config": None}
    return {"config.json": damage_json(rng, content).encode(), "type": model_type.encode()}


def _small(name: str, value: Any) -> Any:
    """A configuration's entry, of a network with one layer where it counts layers."""
    if name in LAYERS:
        return [1] * len(value) if isinstance(value, tuple) else type(value)(1)
    return value


def _read_config(folder: Path) -> None:
    """Read it, and lay out the network that it describes, as loading does before it looks at the weights."""
    family = find_family((folder / "type").read_text())
    path = folder / "config.json"
    config = family._read_config(path)
    family._image_size(path)
    if layers_of(config) <= MOST_BUILT:  # loading compares their number with that of the tensors
        family.abstract_module(config)


def _preprocessor(rng: np.random.Generator) -> Files:
    content = damage_json(rng, PREPROCESSOR)
    return {"preprocessor_config.json": content.encode() if rng.random() < 0.8 else damage_bytes(rng, content.encode())}


def _read_preprocessor(folder: Path) -> None:
    for options in ("own", "imagenet", "channels=bgr"):
        try:
            found = read_preprocess(folder, read_options(options), model_size=(28, 28))
        except InputError:
            continue
        found.resize(np.zeros((5, 7, 3), np.uint8))
        assert np.isfinite(found.range).all() or max(map(abs, (*found.mean, *found.std))) > 1e30, found
        found.describe()


def _options(rng: np.random.Generator) -> Files:
    content = damage_json(rng, OPTIONS)
    if rng.random() < 0.5:
        pairs = json.loads(content)
        flat = pairs if isinstance(pairs, dict) else {"range": pairs}
        text = ",".join(f"{key}={value}" for key, value in flat.items())
        return {"text": text.encode("utf-8", "surrogatepass")}
    return {"text": content.encode()}


def _read_options(folder: Path) -> None:
    text = (folder / "text").read_bytes().decode("utf-8", "surrogatepass")
    read_options(text).apply(None, size=(4, 4), what="it").describe()


def _pth(rng: np.random.Generator) -> Files:
    return {"a.pth": damage_bytes(rng, base64.b85decode(PTH))}


def _read_pth(folder: Path) -> None:
    path = folder / "a.pth"
    read_legacy_pth(path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def _read_tensors(folder: Path) -> None:
    read_tensor_file(folder / "model.safetensors")


TARGETS = {
    "graph-folder": Target(_graph_folder, lambda folder: load_converted(folder) and None),
    "safetensors": Target(lambda rng: {"model.safetensors": _damaged_tensor_file(rng, _tensors())}, _read_tensors),
    "config": Target(_config, _read_config),
    "preprocessor-config": Target(_preprocessor, _read_preprocessor),
    "preprocess-option": Target(_options, _read_options),
    "pth": Target(_pth, _read_pth),
}
