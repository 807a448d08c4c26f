"""Read a state dict from PyTorch's legacy ``.pth`` format (before PyTorch 1.6, not a zip archive), without PyTorch.

The file is five pickles (magic number, protocol version, system, state dict, storage keys), then each storage's length
and raw bytes.  A pickle can run code, hence two defenses: a file is unpickled only if its SHA-256 is the one that the
caller names, and the unpickler resolves only the four names that a state dict of float32 and int64 tensors is made of.
"""

import hashlib
import io
import pickle
import pickletools
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from loce_jax.checks import InputError, check_exists, one_line

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


def read_legacy_pth(path: str | Path, *, sha256: str) -> dict[str, np.ndarray]:
    """The tensors of a legacy ``.pth`` state dict.

    Args:
        path: the file.
        sha256: hexadecimal SHA-256 that the file must have; it is compared before anything is unpickled.

    Returns:
        The tensors by key, in the file's order, as read-only arrays of the data type they were stored in.

    Raises:
        InputError: there is no such file, it has another SHA-256, or it is not a legacy state dict of tensors.
    """
    path = check_exists("path", path, kind="file", fix="Give the path of a `.pth` file.")
    data = path.read_bytes()
    if (found := hashlib.sha256(data).hexdigest()) != sha256:
        raise InputError(
            f"`path` must be the file with SHA-256 {sha256}, since only that one is unpickled, but {str(path)!r} has "
            f"SHA-256 {found}. Install the package that it comes from again, or convert another checkpoint with "
            "`loce convert`."
        )
    try:
        return _read(io.BytesIO(data))
    except Exception as error:  # an unpickler raises whatever the pickle makes it raise
        why = f"{type(error).__name__}: {one_line(error)}"
        raise InputError(
            f"`path` must be a legacy PyTorch state dict (tensors by name), but {str(path)!r} cannot be read: "
            f"{why}. Load it with PyTorch and save the weights as `.safetensors`."
        ) from error


class _Storage(NamedTuple):
    key: str
    dtype: np.dtype
    length: int


class _Tensor(NamedTuple):
    """The arguments of PyTorch's function that rebuilds a tensor: offset and strides count elements of the storage."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    requires_grad: bool
    hooks: OrderedDict

    def view(self, data: np.ndarray) -> np.ndarray:
        """The tensor's elements; NumPy refuses a window that reaches beyond `data`."""
        size = data.dtype.itemsize
        steps = [size * stride for stride in self.strides]
        return np.ndarray(self.shape, data.dtype, data, size * self.offset, steps)


NAMES = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "FloatStorage"): np.dtype("<f4"),
    ("torch", "LongStorage"): np.dtype("<i8"),
    ("torch._utils", "_rebuild_tensor_v2"): _Tensor,
}


class _Unpickler(pickle.Unpickler):
    """Resolves the four names of a state dict and the persistent ids of its storages; nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """One of the four names; `pickle.UnpicklingError` for every other."""
        if (module, name) not in NAMES:
            raise pickle.UnpicklingError(f"its pickle asks for '{module}.{name}', which is not part of a state dict")
        return NAMES[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        """The storage that the id describes, without its elements, which come after the pickles."""
        match pid:
            case ("storage", np.dtype() as dtype, str(key), str(), int(length), None):
                return _Storage(key, dtype, length)
        raise pickle.UnpicklingError("its pickle has a persistent id that is not a plain storage")


def _unpickle(stream: io.BytesIO) -> Any:
    """The next pickle, whose operations are read through before any is done, as some reserve memory that they name."""
    start = stream.tell()
    for operation, argument, _ in pickletools.genops(stream):
        if "PUT" in operation.name and argument is not None and argument > stream.getbuffer().nbytes:
            raise ValueError(f"its pickle puts something at place {argument}")
    stream.seek(start)
    return _Unpickler(stream).load()


def _read(stream: io.BytesIO) -> dict[str, np.ndarray]:
    magic, protocol, system, state, keys = (_unpickle(stream) for _ in range(5))
    if (magic, protocol) != (MAGIC, PROTOCOL) or system["little_endian"] is not True:
        raise ValueError("it does not start with PyTorch's magic number, protocol 1001 and little-endian numbers")
    if not isinstance(state, dict) or not all(isinstance(tensor, _Tensor) for tensor in state.values()):
        raise ValueError("it holds more than tensors by name")
    storages = {tensor.storage.key: tensor.storage for tensor in state.values()}
    if sorted(keys) != sorted(storages):
        raise ValueError("its list of storages is not the list of those that its tensors use")
    data = {key: _read_storage(stream, storages[key]) for key in keys}
    if stream.read(1):
        raise ValueError("bytes are left over after its last storage")
    return {key: tensor.view(data[tensor.storage.key]) for key, tensor in state.items()}


def _read_storage(stream: io.BytesIO, storage: _Storage) -> np.ndarray:
    length = int.from_bytes(stream.read(8), "little", signed=True)
    if length != storage.length:
        raise ValueError(f"storage {storage.key!r} should hold {storage.length} numbers, but says {length}")
    return np.frombuffer(stream.read(length * storage.dtype.itemsize), storage.dtype, count=length)
