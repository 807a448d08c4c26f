"""Read a safetensors file as untrusted input: its header is checked before any tensor is laid out.

The format: the header's length in 8 bytes, the header in JSON (``{name: {"dtype", "shape", "data_offsets"}}``), then
the tensors' bytes without a gap.  https://huggingface.co/docs/safetensors
"""

import contextlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

from loce_jax.checks import InputError

LONGEST_HEADER = 100_000_000  # bytes; safetensors itself reads no longer one
MOST_AXES, MOST_NUMBERS = 32, 2**60  # of a tensor
DTYPES: dict[str, Any] = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U64": np.uint64,
    "U32": np.uint32,
    "U16": np.uint16,
    "U8": np.uint8,
    "BOOL": np.bool_,
}
CODES = ("F8_", "F6_", "F4", "MXFP", "E8M0")  # what dtypes of quantized weights begin with
FIX = "Download the checkpoint again."


class _Fault(ValueError):
    """What is wrong with the file, as the end of a sentence."""


def read_tensor_file(path: Path) -> dict[str, np.ndarray]:
    """Every tensor of the safetensors file at `path`, by name, as an array of its own.

    Raises:
        InputError: the file is damaged or no safetensors file, or holds tensors of a type that no network here reads,
            such as the 8-bit floating-point codes of a quantized checkpoint.
    """
    with _opened(path) as file:
        return _read(file, path.stat().st_size, path)


def read_header(path: Path) -> Mapping[str, Any]:
    """The header's entry of each tensor of the safetensors file at `path`; errors as of `read_tensor_file`."""
    with _opened(path) as file:
        return _header(file, path.stat().st_size)[0]


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The file at `path`, and one `InputError` for what is wrong with it."""
    try:
        with path.open("rb") as file:
            yield file
    except (_Fault, OSError) as error:
        raise InputError(
            f"`{path.name}` must be a safetensors file, but {str(path)!r} cannot be read: {error}. {FIX}"
        ) from error


def _read(file: BinaryIO, size: int, path: Path) -> dict[str, np.ndarray]:
    entries, start = _header(file, size)
    quantized = {name: entry["dtype"] for name, entry in entries.items() if entry["dtype"].startswith(CODES)}
    if quantized:
        kinds, some = ", ".join(sorted(set(quantized.values()))), ", ".join(list(quantized)[:3])
        raise InputError(
            f"{str(path)!r} must hold weights as numbers, but {len(quantized)} tensors ({some}) are {kinds}: codes of "
            "a quantized checkpoint, which mean nothing without their scales. Take the checkpoint that is not "
            "quantized, or dequantize it with the library that quantized it and save it in float32."
        )
    tensors = {}
    for name, entry in entries.items():
        begin, end = entry["data_offsets"]
        file.seek(start + begin)
        data = file.read(end - begin)
        if len(data) < end - begin:
            raise _Fault("it ends before its last tensor")
        tensors[name] = np.frombuffer(data, DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return tensors


def _header(file: BinaryIO, size: int) -> tuple[Mapping[str, Any], int]:
    """The entry of each tensor, and where their bytes begin."""
    length = int.from_bytes(file.read(8), "little")
    _expect(size >= 8 and 2 <= length <= min(size - 8, LONGEST_HEADER), "its header is longer than the file")
    try:
        content = json.loads(file.read(length).decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise _Fault(f"its header is no JSON: {str(error)[:200]}") from error
    _expect(isinstance(content, dict), "its header is no JSON object")
    content.pop("__metadata__", None)
    _expect(bool(content), "it holds no tensor")
    place = 0
    for name, entry in sorted(content.items(), key=lambda item: _begin(*item)):
        place = _check(name, entry, place)
    _expect(8 + length + place == size, "its tensors do not fill it")
    return content, 8 + length


def _begin(name: str, entry: Any) -> tuple[int, int]:
    keys = {"dtype", "shape", "data_offsets"}
    _expect(isinstance(entry, dict) and entry.keys() == keys, f"its entry {name[:80]!r} has other keys than a tensor")
    offsets = entry["data_offsets"]
    plain = isinstance(offsets, list) and len(offsets) == 2 and all(type(n) is int and n >= 0 for n in offsets)
    _expect(plain, f"its tensor {name[:80]!r} has no place in it")
    return offsets[0], offsets[1]


def _check(name: str, entry: Mapping[str, Any], place: int) -> int:
    """Where the tensor ends that must begin at `place`."""
    dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    what = f"its tensor {name[:80]!r}"
    is_code = isinstance(dtype, str) and dtype.startswith(CODES)
    _expect(
        isinstance(dtype, str) and (is_code or dtype in DTYPES), f"{what} is of the unknown type {str(dtype)[:40]!r}"
    )
    plain = isinstance(shape, list) and len(shape) <= MOST_AXES and all(type(n) is int and n >= 0 for n in shape)
    _expect(plain and math.prod(max(n, 1) for n in shape) < MOST_NUMBERS, f"{what} has no shape")
    _expect(begin == place and end >= begin, f"{what} does not begin where the one before it ends")
    _expect(is_code or end - begin == math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize, f"{what} has another size")
    return end


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    _expect(len(found) == len(pairs), "its header has a name twice")
    return found


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise _Fault(otherwise)
