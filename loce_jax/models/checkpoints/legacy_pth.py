"""Read a state dict from PyTorch's legacy ``.pth`` format (before 1.6, not a zip), without PyTorch and without trust.

The file is five pickles (magic number, protocol version, system, the object, storage keys) and then each storage's
length and raw bytes.  A pickle is a program, so it is not handed to `pickle`: a small machine below follows the few
instructions that a state dict is made of.  It calls nothing, imports nothing, sets no attribute, hashes only strings
and allocates nothing that the file does not hold; every other instruction or name is refused.
"""

import io
import math
import pickletools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from loce_jax.checks import InputError, check_exists

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
STORAGES = {
    "torch DoubleStorage": np.dtype("<f8"),
    "torch FloatStorage": np.dtype("<f4"),
    "torch HalfStorage": np.dtype("<f2"),
    "torch LongStorage": np.dtype("<i8"),
    "torch IntStorage": np.dtype("<i4"),
    "torch ShortStorage": np.dtype("<i2"),
    "torch CharStorage": np.dtype("i1"),
    "torch ByteStorage": np.dtype("u1"),
}
DICT, TENSOR, PARAMETER = (
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
)
WAY_OUT = "Load it with PyTorch where it came from and save the weights as `.safetensors`."


def read_legacy_pth(path: str | Path) -> dict[str, np.ndarray]:
    """The tensors of a legacy ``.pth`` state dict by key, as read-only arrays of the dtype they were stored in.

    Raises `InputError` if the file is of another format, cut off, inconsistent, or holds anything but tensors; nothing
    in the file is ever executed.
    """
    path = check_exists("path", path, kind="file", fix="Give the path of a `.pth` file.")
    data = path.read_bytes()
    try:
        if data.startswith(b"PK"):
            raise ValueError("it is a zip archive, the format of PyTorch 1.6 and later")
        return _read(io.BytesIO(data))
    except ValueError as error:
        raise InputError(
            f"`path` must be a legacy PyTorch state dict (tensors by name), but {str(path)!r} cannot be read: {error}. "
            f"{WAY_OUT}"
        ) from error


def _read(stream: io.BytesIO) -> dict[str, np.ndarray]:
    if _Machine(names=()).run(stream) != MAGIC:
        raise ValueError("it does not start with PyTorch's magic number")
    if _Machine(names=()).run(stream) != PROTOCOL:
        raise ValueError(f"its protocol version is not {PROTOCOL}")
    system = _Machine(names=()).run(stream)
    if type(system) is not dict or system.get("little_endian") is not True:
        raise ValueError("it was not written on a little-endian machine")
    state = _Machine(names=(*STORAGES, DICT, TENSOR, PARAMETER)).run(stream)
    if type(state) is not dict:
        raise ValueError(f"it holds a {_kind(state)} where a dict of tensors is expected")
    strangers = [f"{key!r} ({_kind(value)})" for key, value in state.items() if not isinstance(value, _Tensor)]
    if strangers:
        raise ValueError(f"it holds more than tensors: {', '.join(strangers[:5])}")
    storages = _read_storages(stream, {tensor.storage for tensor in state.values()})
    return {key: tensor.view(storages[tensor.storage.key]) for key, tensor in state.items()}


@dataclass(frozen=True)
class _Name:
    """A module-level name that the pickle mentions: never looked up, only compared."""

    name: str


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: np.dtype
    length: int


@dataclass(frozen=True)
class _Tensor:
    """A window on a storage, in elements; refuses to be made of anything but integers that stay inside."""

    storage: _Storage
    offset: int
    shape: tuple
    strides: tuple

    def __post_init__(self):
        sizes = (self.offset, *self.shape, *self.strides)
        if not all(type(size) is int and 0 <= size < 2**62 for size in sizes) or len(self.shape) != len(self.strides):
            raise ValueError("a tensor's offset, shape or strides are not matching non-negative integers")
        last = self.offset + sum((n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True))
        count = math.prod(self.shape)
        if count > self.storage.length or (count and last >= self.storage.length):
            raise ValueError(f"a tensor of shape {self.shape} reaches beyond its storage of {self.storage.length}")

    def view(self, storage: np.ndarray) -> np.ndarray:
        """The tensor's numbers; shares memory with `storage`."""
        if not math.prod(self.shape):
            return np.zeros(self.shape, storage.dtype)
        steps = [stride * storage.itemsize if n > 1 else 0 for n, stride in zip(self.shape, self.strides, strict=True)]
        return np.lib.stride_tricks.as_strided(storage[self.offset :], self.shape, steps, writeable=False)


def _read_storages(stream: io.BytesIO, expected: Iterable[_Storage]) -> dict[str, np.ndarray]:
    by_key: dict[str, _Storage] = {}
    for storage in expected:
        if by_key.setdefault(storage.key, storage) != storage:
            raise ValueError(f"its tensors disagree about the type or length of storage {storage.key!r}")
    keys = _Machine(names=()).run(stream)
    if type(keys) is not list or not all(type(key) is str for key in keys) or sorted(keys) != sorted(by_key):
        raise ValueError("its list of storages is not the list of those that its tensors use")
    storages = {}
    for key in keys:
        storage = by_key[key]
        length = int.from_bytes(stream.read(8), "little", signed=True)
        if length != storage.length:
            raise ValueError(f"storage {key!r} should hold {storage.length} numbers, but says {length}")
        raw = stream.read(length * storage.dtype.itemsize)
        if len(raw) != length * storage.dtype.itemsize:
            raise ValueError(f"it ends inside storage {key!r}")
        storages[key] = np.frombuffer(raw, storage.dtype)
    if stream.read(1):
        raise ValueError("bytes are left over after its last storage")
    return storages


class _Machine:
    """Follows one pickle, instruction by instruction, up to its STOP.

    Attributes:
        names: the module-level names that the pickle may mention.
        stack, marks, memo: as in `pickletools`' description of the pickle machine.
    """

    def __init__(self, names: tuple[str, ...]):
        self.names = names
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self, stream: io.BytesIO) -> Any:
        """The object the pickle describes; `stream` is left behind its STOP."""
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name in _LITERALS:
                self.stack.append(argument)
            elif opcode.name in _CONSTANTS:
                self.stack.append(_CONSTANTS[opcode.name]())
            elif opcode.name in _ACTIONS:
                _ACTIONS[opcode.name](self, argument)
            elif opcode.name not in {"PROTO", "STOP"}:
                raise ValueError(f"its pickle uses the instruction {opcode.name}, which no state dict needs")
        return self.pop()

    def pop(self) -> Any:
        """The top of the stack."""
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise ValueError("its pickle takes more from the stack than is there")
        return self.stack.pop()

    def pop_to_mark(self) -> list[Any]:
        """Everything above the last mark."""
        if not self.marks:
            raise ValueError("its pickle returns to a mark that was never set")
        start = self.marks.pop()
        items, self.stack[start:] = self.stack[start:], []
        return items

    def pop_many(self, count: int) -> list[Any]:
        """The `count` topmost items, lowest first."""
        return [self.pop() for _ in range(count)][::-1]

    def recall(self, index: int) -> None:
        """Push what was remembered as `index`."""
        if index not in self.memo:
            raise ValueError(f"its pickle recalls item {index}, which it never stored")
        self.stack.append(self.memo[index])

    def remember(self, index: int) -> None:
        """Keep the top of the stack as `index`."""
        top = self.pop()
        self.stack.append(top)
        self.memo[index] = top

    def name(self, name: str) -> None:
        """Push a mentioned name, if it is one of `names`."""
        if name not in self.names:
            raise ValueError(f"its pickle asks for {name.replace(' ', '.')!r}, which is not part of a state dict")
        self.stack.append(_Name(name))

    def put(self, items: list[Any]) -> None:
        """Add key, value, key, value, ... to the dict on top of the stack."""
        target, keys, values = self.pop(), items[::2], items[1::2]
        if type(target) is not dict or len(keys) != len(values) or not all(type(key) is str for key in keys):
            raise ValueError("its pickle fills a dict with something other than named items")
        target.update(zip(keys, values, strict=True))
        self.stack.append(target)

    def append(self, items: list[Any]) -> None:
        """Add `items` to the list on top of the stack."""
        target = self.pop()
        if type(target) is not list:
            raise ValueError("its pickle appends to something other than a list")
        target.extend(items)
        self.stack.append(target)

    def load_storage(self) -> None:
        """Replace a persistent id by the storage it means."""
        match self.pop():
            case ("storage", _Name(name), str(key), str(), int(length), None) if name in STORAGES and length >= 0:
                self.stack.append(_Storage(key, STORAGES[name], length))
            case _:
                raise ValueError("its pickle has a persistent id that is not a plain storage")

    def rebuild(self) -> None:
        """What calling the name with the arguments would build; nothing is called."""
        match self.pop_many(2):
            case [_Name(name), ()] if name == DICT:
                self.stack.append({})
            case [_Name(name), (_Storage() as storage, int(offset), tuple(shape), tuple(strides), bool(), dict())] if (
                name == TENSOR
            ):
                self.stack.append(_Tensor(storage, offset, shape, strides))
            case [_Name(name), (_Tensor() as tensor, bool(), dict())] if name == PARAMETER:
                self.stack.append(tensor)
            case [_Name(name), _]:
                raise ValueError(f"its pickle calls {name.replace(' ', '.')!r} with unexpected arguments")
            case _:
                raise ValueError("its pickle calls something that is not a name")

    def ignore_state(self) -> None:
        """Drop the attributes given to a dict: PyTorch keeps version numbers there."""
        target, _ = self.pop_many(2)
        if type(target) is not dict:
            raise ValueError("its pickle sets attributes of something other than a dict")
        self.stack.append(target)


def _kind(value: Any) -> str:
    return "name" if isinstance(value, _Name) else type(value).__name__.lstrip("_").lower()


_LITERALS = {"BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"}
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
}
_ACTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": lambda machine, _: machine.marks.append(len(machine.stack)),
    "GLOBAL": lambda machine, name: machine.name(name),
    "BINPUT": lambda machine, index: machine.remember(index),
    "LONG_BINPUT": lambda machine, index: machine.remember(index),
    "BINGET": lambda machine, index: machine.recall(index),
    "LONG_BINGET": lambda machine, index: machine.recall(index),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.pop_to_mark())),
    "TUPLE1": lambda machine, _: machine.stack.append(tuple(machine.pop_many(1))),
    "TUPLE2": lambda machine, _: machine.stack.append(tuple(machine.pop_many(2))),
    "TUPLE3": lambda machine, _: machine.stack.append(tuple(machine.pop_many(3))),
    "SETITEM": lambda machine, _: machine.put(machine.pop_many(2)),
    "SETITEMS": lambda machine, _: machine.put(machine.pop_to_mark()),
    "APPEND": lambda machine, _: machine.append(machine.pop_many(1)),
    "APPENDS": lambda machine, _: machine.append(machine.pop_to_mark()),
    "BINPERSID": lambda machine, _: machine.load_storage(),
    "REDUCE": lambda machine, _: machine.rebuild(),
    "BUILD": lambda machine, _: machine.ignore_state(),
}
