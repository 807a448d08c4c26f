"""Read an ONNX file as untrusted input: data only, from its own folder only, checked by ONNX itself."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loce_jax.checks import InputError, check_exists


def need_onnx() -> Any:
    """The module `onnx`; or an `InputError` that says how to get it."""
    try:
        importlib.import_module("onnx.reference")
        return importlib.import_module("onnx")
    except ImportError as error:
        raise InputError(
            f"reading an ONNX file needs `onnx`, which cannot be imported: {error}. "
            'Install it: `pip install "loce_jax[onnx]"`.'
        ) from error


def read_model(path: str | Path) -> Any:
    """The model in the file, with all its tensors.

    Raises:
        InputError: the file is not there, is no valid ONNX model, or refers to data outside of its folder.
    """
    onnx = need_onnx()
    path = check_exists("path", path, kind="file", fix="Give the path of an ONNX model.")
    try:
        model = onnx.load(path, load_external_data=False)
        _check_beside(path, model)
        onnx.load_external_data_for_model(model, str(path.parent))
        onnx.checker.check_model(model)
    except InputError:
        raise
    except Exception as error:  # protobuf's, the checker's and the file system's own types
        raise InputError(
            f"`path` must be a valid ONNX model, but {str(path)!r} is not: {_first_line(error)} "
            "Export or download it again."
        ) from error
    return model


def _check_beside(path: Path, model: Any) -> None:
    """Tensors may lie in other files, but only in ones next to the model."""
    folder = path.parent.resolve()
    for tensor in _tensors(model.graph):
        location = next((entry.value for entry in tensor.external_data if entry.key == "location"), None)
        if location is not None and (folder / location).resolve().parent != folder:
            raise InputError(
                f"the tensors of {str(path)!r} must lie in its own folder, but {tensor.name!r} is to be read from "
                f"{location!r}. Save the model in one file: `onnx.save(model, path, save_as_external_data=False)`."
            )


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for attribute in (attribute for node in graph.node for attribute in node.attribute):
        yield from (attribute.t, *attribute.tensors, attribute.sparse_tensor.values, attribute.sparse_tensor.indices)
        for inner in (attribute.g, *attribute.graphs):
            yield from _tensors(inner)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"
