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
    header = json.loads(content[8 : 8 + length].tobytes())
    tensors = {}
    for name, entry in header.items():
        dtype, shape = np.dtype(DTYPES[entry["dtype"]]), tuple(entry["shape"])
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        if not 8 + length <= begin <= end <= size or end - begin != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"tensor {name!r} does not fit into the file")
        tensors[name] = content[begin:end].view(dtype).reshape(shape)
    return tensors
