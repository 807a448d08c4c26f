"""The kinds of input of ``fuzz.py``: for each a valid one, what damages it, what reads it, and when a result is wrong.

A kind is a function without arguments; what it gives takes a random generator, makes one input and reads it.
"""

import copy
import hashlib
import io
import json
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors import SafetensorError
from safetensors.numpy import load, save

from loce_jax import InputError, load_network, open_run
from loce_jax.cli import main
from loce_jax.data import open_coco
from loce_jax.data.annotations.masks import union_mask
from loce_jax.data.images import read_photo
from loce_jax.data.samples import Fault
from loce_jax.models import load_converted
from loce_jax.models.base import Layer, Preprocess
from loce_jax.models.checkpoints.legacy_pth import MAGIC, PROTOCOL, read_legacy_pth
from loce_jax.models.converter import folder
from loce_jax.models.converter.graph import Graph, Node, Ref
from loce_jax.store import LayerRows, RunWriter, open_storage
from loce_jax.store.files import FORMAT
from loce_jax.store.mapped import view_tensors
from loce_jax.store.sealed import seal, unseal

HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**31, 10**9, 10**18, 10**400, -(10**9), 0.5, 1e308, float("nan"), float("inf")),
    *("", "x", "1", "../../etc/passwd", "\x00", "\ud800", "<script>", "a" * 10_000, "0" * 64),
    *([], {}, [[]], [None], {"": None}, [1, 2, 3], [[[[[[[[1]]]]]]]]),
)
Run = Callable[[np.random.Generator], None]


class Refused(Exception):
    """The input was refused with one clear error."""


class WrongResult(Exception):
    """The input was accepted, with a result that is not right."""


def _check(condition, what):
    if not condition:
        raise WrongResult(what)


def damage_bytes(rng: np.random.Generator, content: bytes) -> bytes:
    """One to four changes: bits, bytes, pieces that are lost, doubled or foreign, an early end."""
    found = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        at, length = int(rng.integers(0, len(found) + 1)), int(rng.integers(1, 40))
        way = rng.integers(6)
        if way == 0 and at < len(found):
            found[at] ^= 1 << int(rng.integers(8))
        elif way == 1:
            found[at : at + length] = rng.bytes(length)
        elif way == 2:
            del found[at : at + length]
        elif way == 3:
            found[at:at] = found[at : at + length]
        elif way == 4:
            found[at:at] = rng.choice([b"\xff" * 8, b"\x00" * 8, b"[" * 2000, b'{"a":', b"1e999", b"\x80\x04"])
        elif rng.random() < 0.3:
            del found[at:]
    return bytes(found)


def damage_tree(rng: np.random.Generator, tree: Any) -> Any:
    """One to three values of a JSON tree are hostile, missing, doubled or swapped."""
    tree = copy.deepcopy(tree)
    for _ in range(rng.integers(1, 4)):
        places = list(_places(tree))
        if not places:
            return HOSTILE[rng.integers(len(HOSTILE))]
        parent, key = places[rng.integers(len(places))]
        way = rng.integers(4)
        if way == 0:
            del parent[key]
        elif way == 1 and isinstance(parent, list):
            parent.insert(key, copy.deepcopy(parent[key]))
        elif way == 2:
            other, name = places[rng.integers(len(places))]
            try:
                parent[key] = copy.deepcopy(other[name])
            except (KeyError, IndexError):
                continue
        else:
            parent[key] = copy.deepcopy(HOSTILE[rng.integers(len(HOSTILE))])
    return tree


def _places(tree):
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield tree, key
        yield from _places(value)


def _text(tree) -> bytes:
    return json.dumps(tree).encode("utf-8", "surrogatepass")


def _refusing(call):
    """What `call` gives; `Refused` where it raises one of the package's own errors."""
    try:
        return call()
    except (InputError, Fault) as error:
        _check("\n" not in str(error), "an error of several lines")
        raise Refused from None


def _document():
    square = [[2, 2, 20, 2, 20, 20, 2, 20]]
    runs = {"size": [30, 40], "counts": [100, 50, 1050]}
    shapes = (square, runs, {"size": [30, 40], "counts": "d3b1h40"})
    return {
        "images": [{"id": i, "file_name": f"{i}.png", "height": 30, "width": 40} for i in range(3)],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {"id": i, "image_id": i % 3, "category_id": 1 + i % 2, "segmentation": shapes[i % 3], "iscrowd": 0}
            for i in range(5)
        ],
    }


def coco() -> Run:
    """COCO files."""
    document, path = _document(), Path("coco.json")
    Path("images").mkdir()

    def run(rng):
        content = _text(damage_tree(rng, document)) if rng.random() < 0.7 else damage_bytes(rng, _text(document))
        path.write_bytes(content)
        dataset = _refusing(lambda: open_coco(path, "images"))
        for item in dataset.items:
            for mask in dataset.masks(item):
                _check(isinstance(mask, Exception) or (mask.shape == item.size and mask.dtype == bool), "a mask")

    return run


def rle() -> Run:
    """Run lengths, as lists and as text."""

    def run(rng):
        height, width = rng.integers(1, 40, 2).tolist()
        size = height, width
        cuts = np.sort(rng.integers(0, size[0] * size[1] + 1, rng.integers(0, 12)))
        counts = np.diff([0, *cuts, size[0] * size[1]]).tolist()
        found: dict[str, Any] = {"size": list(size), "counts": counts}
        if rng.random() < 0.8:
            found = damage_tree(rng, found)
        if rng.random() < 0.3 and isinstance(found, dict):
            found["counts"] = "".join(map(chr, rng.integers(32, 127, rng.integers(0, 30))))
        mask = _refusing(lambda: union_mask([{"id": 1, "segmentation": found, "iscrowd": 1}], size))
        _check(mask.shape == size and mask.dtype == bool, "size or dtype")
        if isinstance(found, dict) and isinstance(found.get("counts"), list):
            flat = np.repeat(np.arange(len(found["counts"])) % 2 == 1, [int(n) for n in found["counts"]])
            _check((mask == flat.reshape(size[::-1]).T).all(), "other pixels than the runs say")

    return run


def polygons() -> Run:
    """Polygons."""

    def run(rng):
        height, width = rng.integers(1, 60, 2).tolist()
        size = height, width
        scale = 10.0 ** rng.integers(-3, 12)
        found: Any = [(rng.normal(size=2 * rng.integers(1, 9)) * scale).tolist() for _ in range(rng.integers(1, 4))]
        if rng.random() < 0.5:
            found = damage_tree(rng, found)
        mask = _refusing(lambda: union_mask([{"id": 1, "segmentation": found}], size))
        _check(mask.shape == size and mask.dtype == bool, "size or dtype")
        rows, columns = np.nonzero(mask)
        if len(rows) and all(isinstance(part, list) and all(type(n) in (int, float) for n in part) for part in found):
            numbers = [np.array([float(n) for n in part]) for part in found if len(part) > 5]  # two points have no area
            x, y = (np.concatenate([part[offset::2] for part in numbers]) for offset in (0, 1))
            inside = x.min() - 1 <= columns.min() and columns.max() <= x.max() + 1
            _check(inside and y.min() - 1 <= rows.min() and rows.max() <= y.max() + 1, "pixels outside of the polygon")

    return run


def images() -> Run:
    """Photos: headers and bodies of several formats."""
    photo, seeds = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)), []
    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"):
        stream = io.BytesIO()
        photo.save(stream, kind)
        seeds.append(stream.getvalue())

    def run(rng):
        path = Path("photo")
        path.write_bytes(damage_bytes(rng, seeds[rng.integers(len(seeds))]))
        found = _refusing(lambda: read_photo(path, (12, 16)))
        _check(found.shape == (12, 16, 3) and found.dtype == np.uint8, "size or dtype")

    return run


def _small_run() -> Path:
    """A run of two chunks, with records that can be damaged."""
    rng = np.random.default_rng(0)
    plan = {
        "format": FORMAT,
        "model": {"name": "net", "fingerprint": "0"},
        "layers": {"a": {"channels": 4, "grid": [2, 3], "index": -1}, "b": {"aliases": ["c"]}},
        "data": {"name": "set", "fingerprint": "1", "concepts": ["cat", "dog"]},
        "recipe": {"name": "paper", "num_steps": 3},
        "images": 6,
        "chunks": ["00000", "00001"],
    }
    root = Path("run")
    with RunWriter(open_storage(root), plan) as writer:
        for chunk in plan["chunks"]:
            layers = {
                layer: LayerRows(
                    rows=np.array([0, 2]),
                    vectors=rng.normal(size=(2, 4)).astype("float32"),
                    responses=rng.normal(size=(2, 2, 3)).astype("float16"),
                    iou=rng.random(2),
                    loss=rng.random(2).astype("float32"),
                    status=["ok", "mask_empty", "ok"],
                )
                for layer in plan["layers"]
            }
            columns = {
                "image": [f"{chunk}{row}.png" for row in range(3)],
                "image_id": [0, 1, 2],
                "concept": ["cat", "dog", "cat"],
                "area": [0.5, None, 0.25],
                "reason": ["", "gone", ""],
            }
            writer.write(chunk, columns, layers)
        writer.finish()
    return root


def _seen(root):
    run = open_run(root)
    return [run.table, *({"v": run.vectors(layer), "r": run.responses(layer)} for layer in run.layers)]


def _same(one, other):
    for mine, theirs in zip(one, other, strict=True):
        _check(mine.keys() == theirs.keys(), "other columns")
        for name in mine:
            np.testing.assert_array_equal(mine[name], theirs[name])


def _file_of_a_run(name: str, *, sealed: bool) -> Run:
    root = _small_run()
    path, expected = root / name, _seen(root)
    whole = path.read_bytes()

    def run(rng):
        resealed = sealed and rng.random() < 0.5
        if resealed:
            tree = {key: value for key, value in unseal(whole).items() if key != "sha256"}
            damaged = damage_tree(rng, tree)
            try:
                content = seal(damaged)
            except (ValueError, TypeError):  # no JSON
                raise Refused from None
        else:
            content = damage_bytes(rng, whole)
        path.write_bytes(content)
        try:
            found = _refusing(lambda: _seen(root))
            _refusing(lambda: open_run(root).damaged())
        finally:
            path.write_bytes(whole)
        if not resealed:
            try:
                _same(found, expected)
            except AssertionError as error:
                raise WrongResult("other numbers than were written") from error

    return run


def records() -> Run:
    """Records of chunks, half of them with a digest that fits the damage."""
    return _file_of_a_run("chunks/00001.json", sealed=True)


def plans() -> Run:
    """Plans, half of them with a digest that fits the damage."""
    return _file_of_a_run("plan.json", sealed=True)


def layers() -> Run:
    """Layer files of runs."""
    return _file_of_a_run("layers/00-a/00001.safetensors", sealed=False)


def safetensors() -> Run:
    """Headers of safetensors, without a digest to help."""
    whole = save({"a": np.arange(6, dtype="float32").reshape(2, 3), "b": np.arange(4, dtype="int64")})
    length = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + length])

    def run(rng):
        if rng.random() < 0.5:
            text = _text(damage_tree(rng, header))
            content = struct.pack("<Q", len(text)) + text + whole[8 + length :]
        else:
            content = damage_bytes(rng, whole)
        try:
            found = view_tensors(np.frombuffer(content, np.uint8))
        except ValueError:
            raise Refused from None
        try:
            theirs = load(content)
        except (SafetensorError, KeyError, ValueError, TypeError, OverflowError):
            return
        for name in found.keys() & theirs.keys():
            _check(np.array_equal(found[name], theirs[name], equal_nan=True), "other numbers than the library's")

    return run


def graphs() -> Run:
    """Folders of converted networks."""
    graph = Graph(
        name="tiny",
        preprocess=Preprocess((16, 24)),
        any_batch=True,
        nodes=(
            Node("images"),
            Node("weight", ("stem",)),
            Node("aten.permute.default", (Ref(0), (0, 3, 1, 2))),
            Node("aten.conv2d.default", (Ref(2), Ref(1), None, (4, 4)), module="stem"),
            Node("aten.permute.default", (Ref(3), (0, 2, 3, 1))),
        ),
        layers=(Layer("stem", 8, (4, 6), 4.0, "grid"),),
        taps={"stem": 4},
    )
    root = Path("graph")
    folder.write(root, graph, {"stem": np.ones((8, 3, 4, 4), np.float32)})
    paths = sorted(path for path in root.iterdir() if path.is_file())
    whole = {path: path.read_bytes() for path in paths}

    def run(rng):
        path = paths[rng.integers(len(paths))]
        is_tree = path.suffix == ".json" and rng.random() < 0.7
        path.write_bytes(
            _text(damage_tree(rng, json.loads(whole[path]))) if is_tree else damage_bytes(rng, whole[path])
        )
        try:
            _refusing(lambda: load_converted(root).layers())
        finally:
            path.write_bytes(whole[path])

    return run


def configs() -> Run:
    """``config.json`` and ``preprocessor_config.json`` of checkpoint folders without weights."""
    seeds = (
        {
            "model_type": "vit",
            "architectures": ["ViTModel"],
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 64,
            "image_size": 32,
            "patch_size": 8,
        },
        {
            "model_type": "resnet",
            "architectures": ["ResNetModel"],
            "embedding_size": 8,
            "hidden_sizes": [8, 16],
            "depths": [1, 1],
            "layer_type": "basic",
        },
    )
    preprocess = {
        "size": {"height": 32, "width": 32},
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
        "do_resize": True,
    }
    root = Path("model")
    root.mkdir()

    def run(rng):
        both = [seeds[rng.integers(len(seeds))], preprocess]
        damaged = rng.integers(2)
        both[damaged] = damage_tree(rng, both[damaged])
        for name, tree in zip(("config.json", "preprocessor_config.json"), both, strict=True):
            (root / name).write_bytes(_text(tree))
        _refusing(lambda: load_network(str(root)))

    return run


def pth() -> Run:
    """Legacy ``.pth`` files whose digest is taken to be the right one."""
    whole, path = _legacy_file(MAGIC, PROTOCOL), Path("weights.pth")

    def run(rng):
        path.write_bytes(damage_bytes(rng, whole))
        found = _refusing(lambda: read_legacy_pth(path, sha256=hashlib.sha256(path.read_bytes()).hexdigest()))
        _check(all(isinstance(value, np.ndarray) for value in found.values()), "something else than arrays")

    return run


def _legacy_file(magic, protocol) -> bytes:
    """A state dict of one tensor, as PyTorch wrote it before there were zip files."""

    class Named(str):
        pass

    class Pickler(vars(pickle)["_Pickler"]):  # its opcodes can be chosen
        def persistent_id(self, obj):
            return ("storage", Named("torch FloatStorage"), "7", "cpu", 4, None) if obj == "STORAGE" else None

        def save(self, obj, save_persistent_id=True):
            if isinstance(obj, Named):
                self.write(pickle.GLOBAL + obj.replace(" ", "\n").encode() + b"\n")
            elif obj == "TENSOR":
                self.save(Named("torch._utils _rebuild_tensor_v2"))
                self.save(("STORAGE", 0, (2, 2), (2, 1), False, OrderedDict()))
                self.write(pickle.REDUCE)
            else:
                super().save(obj, save_persistent_id)

    stream = io.BytesIO()
    Pickler(stream, 2).dump({"a": "TENSOR"})
    system = {"protocol_version": protocol, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    opening = b"".join(pickle.dumps(part, 2) for part in (magic, protocol, system))
    numbers = struct.pack("<q", 4) + np.arange(4, dtype="<f4").tobytes()
    return opening + stream.getvalue() + pickle.dumps(["7"], 2) + numbers


def commands() -> Run:
    """Command lines: words that are lost, doubled, swapped or hostile."""
    root = str(_small_run())
    seeds = (
        ["show", root, "--verify"],
        ["stats", root, "--layers", "a", "--concepts", "cat"],
        ["report", root, "--out", "page.html", "--coco", "none.json", "--images", "none"],
        ["fit", "--model", "none", "--layers", "-1", "--coco", "a.json", "--images", "b", "--out", "new"],
        ["fit", "--scenes", "--layers", "-1", "--out", "new", "--model", "none", "--solver.num-steps", "5"],
        ["layers", "--model", "none"],
        ["compare", root, root, "--layers", "a"],
    )
    words = ["", "-", "--", "-1", "1e999", "nan", "10000000000000", "\x00", "\ud800", "--help", "--out", "[/red]", "~"]

    def run(rng):
        given = list(seeds[rng.integers(len(seeds))])
        for _ in range(rng.integers(1, 4)):
            at, way = int(rng.integers(len(given))) if given else 0, rng.integers(4)
            if way == 0 and given:
                del given[at]
            elif way == 1 and given:
                given.insert(at, given[int(rng.integers(len(given)))])
            elif way == 2 and given:
                given[at] = words[rng.integers(len(words))]
            else:
                given.insert(at, words[rng.integers(len(words))])
        try:
            code = main(given)
        except SystemExit as end:  # the parser's way
            code = end.code or 0
        _check(code in (0, 1, 2, 4), f"exit code {code}")
        if code:
            raise Refused

    return run


KINDS: dict[str, Callable[[], Run]] = {
    "coco": coco,
    "rle": rle,
    "polygons": polygons,
    "images": images,
    "records": records,
    "plans": plans,
    "layers": layers,
    "safetensors": safetensors,
    "graphs": graphs,
    "configs": configs,
    "pth": pth,
    "commands": commands,
}
