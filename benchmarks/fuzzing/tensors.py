"""Damaged files of tensors: safetensors, and PyTorch's format of before 1.6."""

import hashlib
import io
import json
import pickle
import struct
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from random import Random

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from fuzzing.damage import Refused, Run, check, damage_bytes, damage_tree, json_bytes, refusing
from loce_jax.models.checkpoints.legacy_pth import MAGIC, PROTOCOL, read_legacy_pth
from loce_jax.models.checkpoints.tensor_file import read_tensor_file
from loce_jax.store.mapped import view_tensors

TENSORS = {"a": np.arange(6, dtype="float32").reshape(2, 3), "b": np.arange(4, dtype="int64")}


def damage_tensor_file(rng: Random, whole: bytes) -> bytes:
    """A safetensors file with damage in its header's JSON or anywhere."""
    if rng.random() < 0.5:
        length = int.from_bytes(whole[:8], "little")
        header = json_bytes(damage_tree(rng, json.loads(whole[8 : 8 + length])))
        return struct.pack("<Q", len(header)) + header + whole[8 + length :]
    return damage_bytes(rng, whole)


def _compare(found: Mapping[str, np.ndarray], content: bytes) -> None:
    """Raise `WrongResult` unless the safetensors library reads the same numbers, or nothing."""
    try:
        theirs = load(content)
    except (SafetensorError, KeyError, ValueError, TypeError, OverflowError):
        return
    for name in found.keys() & theirs.keys():
        check(np.array_equal(found[name], theirs[name], equal_nan=True), "other numbers than the library's")


def safetensors() -> Run:
    """Safetensors as they lie in memory, without a digest to help."""
    whole = save(TENSORS)

    def run(rng):
        content = damage_tensor_file(rng, whole)
        try:
            found = view_tensors(np.frombuffer(content, np.uint8))
        except ValueError:
            raise Refused from None
        _compare(found, content)

    return run


def tensor_files() -> Run:
    """Safetensors files of checkpoints, with a tensor of no axis and one of no number."""
    whole = save({**TENSORS, "c": np.array(0.5, "float32"), "d": np.zeros((0, 2), "float16")})
    path = Path("model.safetensors")

    def run(rng):
        content = damage_tensor_file(rng, whole)
        path.write_bytes(content)
        _compare(refusing(lambda: read_tensor_file(path)), content)

    return run


def pth() -> Run:
    """Legacy ``.pth`` files whose digest is taken to be the right one."""
    whole, path = _legacy_file(MAGIC, PROTOCOL), Path("weights.pth")

    def run(rng):
        path.write_bytes(damage_bytes(rng, whole))
        found = refusing(lambda: read_legacy_pth(path, sha256=hashlib.sha256(path.read_bytes()).hexdigest()))
        check(all(isinstance(value, np.ndarray) for value in found.values()), "something else than arrays")

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
