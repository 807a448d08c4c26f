"""A converted network on disk: ``graph.json`` and ``model.safetensors`` in one folder.

Read as untrusted input: JSON and tensors are data; every operation must be known, every reference must point to an
earlier node, every size must be small enough; nothing that the file names is imported or run.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from loce_jax.atomic import new_folder
from loce_jax.checks import InputError, check_exists, short_repr
from loce_jax.models.checkpoints.hub_folder import read_tensors
from loce_jax.models.converter.graph import Graph
from loce_jax.models.converter.text import graph_from_text, graph_to_text

GRAPH, TENSORS = "graph.json", "model.safetensors"
MAX_BYTES = 64 * 2**20  # bytes of graph.json; ViT-B/16 has 0.1 MB
FIX = "Convert the network again with `loce_jax.models.convert`."

Tensors = Mapping[str, np.ndarray]


def write(folder: str | Path, graph: Graph, tensors: Tensors) -> None:
    """Write the network to a new `folder`, which appears only when it is whole."""
    import safetensors.numpy  # noqa: PLC0415 - only who converts needs it

    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"`out` must be a new or empty folder, but {str(folder)!r} holds something. Choose another.")
    with new_folder(folder) as draft:
        (draft / GRAPH).write_text(graph_to_text(graph), encoding="utf-8")
        safetensors.numpy.save_file(
            {key: np.ascontiguousarray(array) for key, array in tensors.items()}, draft / TENSORS
        )
        os.chmod(draft / TENSORS, (draft / GRAPH).stat().st_mode)  # the library's files are their owner's alone


def read(folder: str | Path) -> tuple[Graph, Tensors]:
    """The network in `folder`.  Raises `InputError` for anything that `write` does not write."""
    folder = check_exists("folder", folder, kind="folder", fix=FIX)
    files = [check_exists(name, folder / name, kind="file", fix=FIX) for name in (GRAPH, TENSORS)]
    if files[0].stat().st_size > MAX_BYTES:
        raise InputError(f"`{GRAPH}` must have at most {MAX_BYTES} bytes, but {str(files[0])!r} is longer. {FIX}")
    graph = graph_from_text(files[0].read_text(encoding="utf-8", errors="replace"), source=str(files[0]))
    tensors = read_tensors(files[1:])
    if missing := sorted(graph.weights() - tensors.keys()):
        raise InputError(
            f"`{TENSORS}` must hold every tensor of the graph, but {len(missing)} are missing: "
            f"{', '.join(short_repr(name) for name in missing[:3])}. {FIX}"
        )
    return graph, tensors


def fingerprint(graph: Graph, tensors: Tensors) -> str:
    """Hexadecimal SHA-256 over the graph's text and every tensor's name, type, shape and numbers."""
    digest = hashlib.sha256(graph_to_text(graph).encode())
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        digest.update(f"\0{name}\0{array.dtype.name}\0{array.shape}\0".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
