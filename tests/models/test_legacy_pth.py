"""The legacy ``.pth`` reader: equal to PyTorch on honest files, one clear error on every other.

The file that the package reads is known by its SHA-256.  The tests of what comes after that check name each hostile
file's own SHA-256.
"""

import hashlib
import io
import os
import pickle
import struct
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

from loce_jax.checks import InputError
from loce_jax.models.checkpoints import legacy_pth
from loce_jax.models.checkpoints.legacy_pth import MAGIC, PROTOCOL, read_legacy_pth
from loce_jax.models.networks import efficientnet_lite0

SYSTEM = {"protocol_version": PROTOCOL, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
PythonPickler: Any = vars(pickle)["_Pickler"]  # its opcodes can be chosen, unlike those of the one written in C
STORAGE = ("7", 4, np.arange(4, dtype="<f4").tobytes())
OPENING = b"".join(pickle.dumps(part, 2) for part in (MAGIC, PROTOCOL, SYSTEM))


class Named:
    """Pickled as the module-level name it carries; protocol 2 writes GLOBAL."""

    def __init__(self, name):
        self.name = name


class Call:
    def __init__(self, name, *args):
        self.name, self.args = Named(name), args


class Storage:
    def __init__(self, kind="torch FloatStorage", key="7", length=4, view=None):
        self.id = ("storage", Named(kind), key, "cpu", length, view)


class HandPickler(PythonPickler):
    def persistent_id(self, obj):
        return obj.id if isinstance(obj, Storage) else None

    def save(self, obj, save_persistent_id=True):
        if isinstance(obj, Named):
            self.write(pickle.GLOBAL + obj.name.replace(" ", "\n").encode() + b"\n")
        elif isinstance(obj, Call):
            self.save(obj.name)
            self.save(obj.args)
            self.write(pickle.REDUCE)
        else:
            super().save(obj, save_persistent_id)


def hand_pickle(obj):
    stream = io.BytesIO()
    HandPickler(stream, 2).dump(obj)
    return stream.getvalue()


def tensor(shape=(4,), strides=(1,), offset=0, **storage):
    return Call("torch._utils _rebuild_tensor_v2", Storage(**storage), offset, shape, strides, False, OrderedDict())


def legacy_file(state, storages=(STORAGE,)):
    body = state if isinstance(state, bytes) else hand_pickle(state)
    keys = pickle.dumps([key for key, _, _ in storages], 2)
    return OPENING + body + keys + b"".join(struct.pack("<q", n) + raw for _, n, raw in storages)


def read_as_known(path):
    """Read a file whose SHA-256 is taken to be the right one."""
    return read_legacy_pth(path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.fixture
def read(tmp_path):
    def read_bytes(content):
        path = tmp_path / "weights.pth"
        path.write_bytes(content)
        return read_as_known(path)

    return read_bytes


def test_a_hand_made_file_is_read_without_torch(read):
    state = {"a": tensor(), "b": tensor((2, 2), (1, 2)), "c": tensor((), (), offset=3), "d": tensor((0, 5), (5, 1))}
    found = read(legacy_file(state))
    assert list(found) == list("abcd")
    np.testing.assert_array_equal(found["a"], [0, 1, 2, 3])
    np.testing.assert_array_equal(found["b"], [[0, 2], [1, 3]])
    assert found["c"] == 3 and found["d"].shape == (0, 5)
    assert not found["a"].flags.writeable


def test_agrees_with_torch(torch, tmp_path):
    base = torch.randn(4, 6)
    state = torch.nn.BatchNorm2d(3).state_dict()  # brings version numbers as attributes of the dict
    state |= {"turned": base.T, "window": base[1:3, ::2], "tied": base, "none": torch.zeros(0, 3)}
    state["channels_last"] = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    torch.save(state, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    found = read_as_known(tmp_path / "a.pth")
    assert list(found) == list(state)
    for key, value in state.items():
        np.testing.assert_array_equal(found[key], value.detach().numpy())
        assert found[key].dtype == value.detach().numpy().dtype


def test_agrees_with_torch_on_the_embedded_file(torch):
    path = efficientnet_lite0._weight_file()
    expected = torch.load(path, map_location="cpu", weights_only=True)
    found = read_legacy_pth(path, sha256=efficientnet_lite0.WEIGHTS_SHA256)
    assert list(found) == list(expected)
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value.numpy())


def test_another_file_is_refused_before_it_is_unpickled(tmp_path, monkeypatch):
    monkeypatch.setattr(legacy_pth, "_Unpickler", None)  # calling it would be a TypeError
    content = legacy_file({"a": tensor()})
    digest = hashlib.sha256(content).hexdigest()
    cuts = [content[:length] for length in range(0, len(content), 7)]
    for changed in (*cuts, content + b"\0", content.replace(b"\x07", b"\x08", 1), legacy_file({"b": tensor()})):
        path = tmp_path / "weights.pth"
        path.write_bytes(changed)
        with pytest.raises(InputError, match=f"must be the file with SHA-256 {digest}"):
            read_legacy_pth(path, sha256=digest)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("place", ["object", "first", "inside"])
def test_code_is_never_run(read, tmp_path, protocol, place):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "boom"),)

    bomb = pickle.dumps({"inside": Bomb()} if place == "inside" else Bomb(), protocol)
    content = bomb if place == "first" else legacy_file(bomb)
    with pytest.raises(InputError, match="cannot be read"):
        read(content)
    assert not (tmp_path / "boom").exists()


@pytest.mark.parametrize("name", ["builtins eval", "os system", "posix system", "torch.nn.modules.conv Conv2d",
                                  "torch BFloat16Storage", "torch.storage _load_from_bytes", "collections Counter",
                                  "collections OrderedDict.pop", "numpy.core.multiarray _reconstruct"])  # fmt: skip
def test_a_refused_name_is_named(read, name):
    with pytest.raises(InputError, match=f"asks for '{name.replace(' ', '.')}', which is not part of a state dict"):
        read(legacy_file({"a": Call(name, "1 + 1")}))


def test_a_long_refused_name_is_cut(read):
    with pytest.raises(InputError, match="asks for 'os.xxx") as error:
        read(legacy_file({"a": Call(f"os {'x' * 5000}", "1 + 1")}))
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize(
    "state",
    {
        "negative offset": {"a": tensor(offset=-1)},
        "negative shape": {"a": tensor((-4,))},
        "offset beyond": {"a": tensor(offset=1)},
        "stride beyond": {"a": tensor(strides=(2,))},
        "two huge sizes": {"a": tensor((2**40, 2**40), (0, 0))},
        "no such integer": {"a": tensor((1,), (2**70,))},
        "empty but huge": {"a": tensor((0, 2**61, 2**61), (1, 1, 1))},
        "strides missing": {"a": tensor(strides=())},
        "sizes are text": {"a": tensor(("4",), (1,))},
        "too many axes": {"a": tensor((1,) * 100, (1,) * 100)},
        "negative length": {"a": tensor(length=-4)},
        "huge length": {"a": tensor(length=2**60)},
        "view of a storage": {"a": tensor(view=("8", 0, 4))},
        "two lengths for a storage": {"a": tensor(), "b": tensor(length=2**20, offset=2**19)},
        "two types for a storage": {"a": tensor(), "b": tensor(kind="torch LongStorage")},
        "rebuild with text": {"a": Call("torch._utils _rebuild_tensor_v2", "x" * 9)},
        "storage called": {"a": Call("torch FloatStorage", 10**12)},
        "a name alone": {"a": Named("torch._utils _rebuild_tensor_v2")},
        "a storage alone": {"a": Storage()},
        "more than tensors": {"epoch": 3, "best": 0.5, "state": {"a": tensor()}},
        "a list": [tensor()],
        "a tensor": tensor(),
    }.items(),
    ids=lambda item: item[0],
)
def test_inconsistent_objects_are_refused(read, state):
    with pytest.raises(InputError, match="cannot be read"):
        read(legacy_file(state[1]))


@pytest.mark.parametrize(
    "program",
    {
        "recall of nothing": b"\x80\x02h\x07.",
        "empty stack": b"\x80\x02.",
        "mark never set": b"\x80\x02}u.",
        "takes below its mark": b"\x80\x02}(K\x01s.",
        "odd items": b"\x80\x02}(K\x01u.",
        "set attributes of a name": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}X\x08\x00\x00\x00__code__K\x01sb.",
        "call a number": b"\x80\x02K\x01)R.",
        "append to a dict": b"\x80\x02}K\x01a.",
        "text longer than the file": b"\x80\x02X\xff\xff\xff\x7fabc.",
        "extension": b"\x80\x02\x82\x01.",
        "new object": b"\x80\x02ccollections\nOrderedDict\n)\x81.",
        "stack global": b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
        "no opcode": b"\x80\x02\xff.",
        "broken text": b"\x80\x02X\x02\x00\x00\x00\xff\xfe.",
    }.items(),
    ids=lambda item: item[0],
)
def test_hostile_programs_are_refused(read, program):
    with pytest.raises(InputError, match="cannot be read"):
        read(legacy_file(program[1]))


def test_lists_that_hold_themselves_are_refused(read):
    with pytest.raises(InputError, match="list"):
        read(legacy_file(b"\x80\x02]q\x00h\x00a."))


def test_every_cut_is_an_input_error(read):
    content = legacy_file({"a": tensor(), "b": tensor((2, 2), (2, 1))})
    for length in range(len(content)):
        with pytest.raises(InputError):
            read(content[:length])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK\x03\x04 and more", "cannot be read.*safetensors"),
        (b"", "cannot be read"),
        (pickle.dumps(MAGIC + 1, 2) + legacy_file({})[len(pickle.dumps(MAGIC, 2)) :], "magic number"),
        (
            OPENING.replace(pickle.dumps(PROTOCOL, 2), pickle.dumps(1002, 2)) + legacy_file({})[len(OPENING) :],
            "protocol 1001",
        ),
        (legacy_file({}).replace(b"little_endian\x71\x02\x88", b"little_endian\x71\x02\x89"), "little-endian"),
        (legacy_file({"a": tensor()}, [("7", 3, bytes(12))]), "should hold 4 numbers, but says 3"),
        (legacy_file({"a": tensor()}, [("7", -1, b"")]), "should hold 4 numbers, but says -1"),
        (legacy_file({"a": tensor()}, [("7", 4, bytes(15))]), "cannot be read"),
        (legacy_file({"a": tensor()}, [("7", 4, bytes(17))]), "bytes are left over"),
        (legacy_file({"a": tensor()}, []), "list of storages"),
        (legacy_file({"a": tensor()}, [("7", 4, bytes(16)), ("7", 4, bytes(16))]), "list of storages"),
    ],
)
def test_what_is_wrong_is_said(read, content, words):
    with pytest.raises(InputError, match=words):
        read(content)


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(InputError, match="nothing is there"):
        read_legacy_pth(tmp_path / "none.pth", sha256="")
