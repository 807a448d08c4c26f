"""Kinds of damaged and hostile input: for each, valid inputs, what reads them, and when a result is wrong.

A kind is a function without arguments that may write to the current folder; what it returns takes a `random.Random`,
makes one input from what it draws and reads it.  It raises `Refused` for a clear error and `WrongResult` for a result
that is not right.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fuzzing.damage import Run

_FILES = {
    "data": ("coco", "rle", "polygons", "images"),
    "runs": ("records", "plans", "layers"),
    "tensors": ("safetensors", "tensor-files", "pth"),
    "networks": ("graphs", "configs", "preprocessors", "preprocess-options"),
    "command_lines": ("commands",),
}
KINDS = tuple(kind for kinds in _FILES.values() for kind in kinds)


def open_kind(kind: str) -> "Run":
    """What makes and reads one input of a kind; only now is the package imported, which a caller may instrument."""
    file = next(file for file, kinds in _FILES.items() if kind in kinds)
    return getattr(importlib.import_module(f"fuzzing.{file}"), kind.replace("-", "_"))()
