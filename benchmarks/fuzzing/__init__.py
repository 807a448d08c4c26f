"""Kinds of damaged and hostile input: for each, valid inputs, what reads them, and when a result is wrong.

A kind is a function without arguments that may write to the current folder; what it returns takes a random generator,
makes one input and reads it.  It raises `Refused` for a clear error and `WrongResult` for a result that is not right.
"""

from collections.abc import Callable

from fuzzing import command_lines, data, networks, runs, tensors
from fuzzing.damage import Refused, Run, WrongResult

__all__ = ["KINDS", "Refused", "WrongResult"]

KINDS: dict[str, Callable[[], Run]] = {
    "coco": data.coco,
    "rle": data.rle,
    "polygons": data.polygons,
    "images": data.images,
    "records": runs.records,
    "plans": runs.plans,
    "layers": runs.layers,
    "safetensors": tensors.safetensors,
    "tensor-files": tensors.tensor_files,
    "pth": tensors.pth,
    "graphs": networks.graphs,
    "configs": networks.configs,
    "preprocessors": networks.preprocessors,
    "preprocess-options": networks.preprocess_options,
    "commands": command_lines.commands,
}
