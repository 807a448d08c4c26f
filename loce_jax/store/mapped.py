"""Look into a safetensors file without loading it: every tensor as a memory-mapped, read-only array.

The safetensors library copies what it reads; a run's vectors should stay on disk until they are used.  The format
is an 8-byte length, a JSON header of that length with dtypes, shapes and offsets, and the raw numbers.
"""

import json
import math
from pathlib import Path

import numpy as np

DTYPES = {"F16": np.float16, "F32": np.float32, "F64": np.float64, "I32": np.int32}


def map_tensors(path: Path) -> dict[str, np.ndarray]:
    """Name and memory-mapped array of every tensor in the file.

    Raises:
        ValueError: the file is not a whole safetensors file of the dtypes that a run holds.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > size - 8:
            raise ValueError(f"its header of {length} bytes is longer than the file")
        header = json.loads(file.read(length))
    tensors = {}
    for name, entry in header.items():
        dtype, shape = np.dtype(DTYPES[entry["dtype"]]), tuple(entry["shape"])
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        if not 8 + length <= begin <= end <= size or end - begin != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"tensor {name!r} does not fit into the file")
        empty = begin == end
        tensors[name] = np.zeros(shape, dtype) if empty else np.memmap(path, dtype, "r", begin, shape)
    return tensors
