"""Look into a safetensors file without loading it: every tensor as a view of the file's bytes.

The safetensors library copies what it reads; a run's vectors should stay on disk until they are used.  The format
is an 8-byte length, a JSON header of that length with dtypes, shapes and offsets, and the raw numbers.
"""

import json
import math

import numpy as np
from jaxtyping import UInt8

DTYPES = {"F16": np.float16, "F32": np.float32, "F64": np.float64, "I32": np.int32, "I64": np.int64}


def view_tensors(content: UInt8[np.ndarray, " bytes"]) -> dict[str, np.ndarray]:
    """Name and array of every tensor in the file, whose bytes may be memory-mapped.

    Raises:
        ValueError: the file is not a whole safetensors file of the dtypes that a run holds.
    """
    size, length = len(content), int.from_bytes(content[:8].tobytes(), "little")
    if length > size - 8:
        raise ValueError(f"its header of {length} bytes is longer than the file")
    try:
        header = json.loads(content[8 : 8 + length].tobytes())
    except RecursionError:
        raise ValueError("its header is nested too deeply") from None
    if not isinstance(header, dict):
        raise ValueError("its header is no JSON object")
    return {name: _view(name, entry, content, 8 + length) for name, entry in header.items()}


def _view(name, entry, content, start):
    try:
        dtype, shape = np.dtype(DTYPES[entry["dtype"]]), tuple(entry["shape"])
        begin, end = entry["data_offsets"]
        if not all(type(number) is int and number >= 0 for number in (*shape, begin, end)):
            raise ValueError("lengths and offsets must be whole numbers")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"tensor {name!r} has not the form of one: {error}") from error
    if not begin <= end <= len(content) - start or end - begin != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"tensor {name!r} does not fit into the file")
    return content[start + begin : start + end].view(dtype).reshape(shape)
