"""A network's folder in the Hugging Face layout: its JSON files, its safetensors, its preprocessing.

Nothing here runs code from the folder: JSON and safetensors are data, and pickles (``.bin``) are not read.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from loce_jax.checks import InputError, check_exists
from loce_jax.models.base import Filter, Preprocess

FILTERS: tuple[Filter, ...] = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")  # by Pillow's numbers
DEFAULTS = dict.fromkeys(["crop_size", "size", "image_mean", "image_std"]) | {
    "resample": 2,
    "rescale_factor": 1 / 255,
    "rescale_offset": False,
    "do_rescale": True,
    "do_normalize": True,
}


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
    import safetensors.numpy  # noqa: PLC0415 - only who converts needs it

    tensors = {}
    for path in files:
        try:
            tensors |= safetensors.numpy.load_file(path)
        except Exception as error:  # the library's own type, and what NumPy says to a type it does not know
            raise InputError(
                f"`{path.name}` must be a safetensors file, but {str(path)!r} cannot be read: {error}. "
                "Download the checkpoint again."
            ) from error
    return tensors


def read_preprocess(folder: Path) -> Preprocess:
    """What ``preprocessor_config.json`` says: the checkpoint's mean, std, filter, and crop size as the input size.

    Only the numbers are taken over: the whole photo is resized to that size, where transformers would crop, or keep
    the aspect ratio and pad.  A shortest and a longest edge become 3:4, as of most photographs: 800 x 1066 for DETR.
    """
    path = folder / "preprocessor_config.json"
    if not path.exists() and (folder / "processor_config.json").exists():  # newer folders nest it
        path = folder / "processor_config.json"
    content = read_json(path)
    nested = content.get("image_processor")
    config: dict[str, Any] = DEFAULTS | (nested if isinstance(nested, dict) else content)
    config |= {} if config["do_normalize"] else {"image_mean": [0.0, 0.0, 0.0], "image_std": [1.0, 1.0, 1.0]}
    size, mean, std = _input_size(config["crop_size"] or config["size"]), config["image_mean"], config["image_std"]
    faults = {
        "`crop_size` or `size` must be a height and a width": not all(type(n) is int and n > 0 for n in size),
        "`image_mean` must be three numbers": not _is_triple(mean),
        "`image_std` must be three numbers above 0": not _is_triple(std) or min(std) <= 0,
        f"`resample` must be one of Pillow's numbers, 0 to {len(FILTERS) - 1}": config["resample"]
        not in range(len(FILTERS)),
        "`rescale_factor` must be 1/255": not _is_255th(config["rescale_factor"]),
        "`do_rescale` must be true": config["do_rescale"] is not True,
        "`rescale_offset` must be false": config["rescale_offset"] is not False,
    }
    if any(faults.values()):
        found = "; ".join(fault for fault, is_so in faults.items() if is_so)
        raise InputError(f"{str(path)!r} cannot be followed: {found}. Correct the file.")
    return Preprocess(size=size, mean=tuple(mean), std=tuple(std), resample=FILTERS[config["resample"]])


def _input_size(size: Any) -> tuple[Any, Any]:
    if not isinstance(size, dict):
        return (*size,) if isinstance(size, list) and len(size) == 2 else (size, size)
    shortest, longest = size.get("shortest_edge"), size.get("longest_edge")
    if type(shortest) is not int:
        return size.get("height"), size.get("width")
    return (shortest, min(longest, shortest * 4 // 3)) if type(longest) is int else (shortest, shortest)


def _is_plain_name(name: Any) -> bool:
    return isinstance(name, str) and name.endswith(".safetensors") and not {"/", "\\", "\0"} & set(name)


def _is_triple(values: Any) -> bool:
    return (
        isinstance(values, list)
        and len(values) == 3
        and all(isinstance(value, (int, float)) and math.isfinite(value) for value in values)
    )


def _is_255th(value: Any) -> bool:
    return isinstance(value, float) and math.isclose(value, 1 / 255, rel_tol=1e-6)
