"""A network's folder in the Hugging Face layout: its JSON files and its safetensors.

Nothing here runs code from the folder: JSON and safetensors are data, and pickles (``.bin``) are not read.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from loce_jax.checks import InputError, check_exists
from loce_jax.models.checkpoints.tensor_file import read_header, read_tensor_file


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in the file at `path`."""
    fix = "The folder needs the layout that `save_pretrained` of Hugging Face's transformers writes."
    check_exists(path.name, path, kind="file", fix=fix)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as error:
        raise InputError(f"`{path.name}` must be JSON, but {str(path)!r} cannot be read: {error}. {fix}") from error
    if not isinstance(content, dict):
        raise InputError(f"`{path.name}` must hold a JSON object, but {str(path)!r} holds another value. {fix}")
    return content


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The safetensors files that hold the network's weights: one, or those that the index names."""
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.is_file():
        return (single,)
    if not index.is_file():
        raise InputError(
            f"`folder` must hold `model.safetensors`, but {str(folder)!r} does not. Pickles such as "
            f"`pytorch_model.bin` are not read here, since they can run code. `loce convert {folder} --out NEW_FOLDER` "
            "reads them with PyTorch's restricted unpickler, once; it needs PyTorch."
        )
    shards = read_json(index).get("weight_map")
    if not isinstance(shards, dict) or not all(_is_plain_name(name) for name in shards.values()):
        raise InputError(
            f"`weight_map` of {str(index)!r} must map each tensor to the name of a `.safetensors` file in the same "
            "folder, but it does not. Download the checkpoint again."
        )
    fix = "Download the checkpoint again."
    return tuple(check_exists(name, folder / name, kind="file", fix=fix) for name in sorted(set(shards.values())))


def read_tensors(files: Sequence[Path]) -> dict[str, np.ndarray]:
    """Every tensor of the safetensors `files` by key."""
    tensors = {}
    for path in files:
        tensors |= read_tensor_file(path)
    return tensors


def outline_tensors(files: Sequence[Path]) -> dict[str, np.ndarray]:
    """Zeros in place of every tensor, by key, as the files' headers say; they take no memory."""
    zero = np.zeros((), np.float32)
    return {key: np.broadcast_to(zero, one["shape"]) for path in files for key, one in read_header(path).items()}


def refuse_quantized(config: Mapping[str, Any], path: Path) -> None:
    """Raise `InputError` for a configuration of a quantized checkpoint, whose tensors are codes and no weights."""
    found = config.get("quantization_config")
    if found:
        method = found.get("quant_method", "") if isinstance(found, dict) else ""
        raise InputError(
            f"{str(path)!r} must describe floating-point weights, but its `quantization_config` "
            f"{f'({str(method)[:40]}) ' if method else ''}says that they are quantized. Take the checkpoint that is "
            "not quantized, or dequantize it with transformers, `model.dequantize().save_pretrained(FOLDER)`."
        )


def _is_plain_name(name: Any) -> bool:
    return isinstance(name, str) and name.endswith(".safetensors") and not {"/", "\\", "\0"} & set(name)
