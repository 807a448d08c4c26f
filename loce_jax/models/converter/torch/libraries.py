"""PyTorch and what is built on it, imported only where something is converted."""

import importlib
import re
import sys
from typing import Any

from loce_jax.checks import InputError

_declared: list[Any] = []  # PyTorch forgets a declaration when its object is gone


def need(library: str) -> Any:
    """The module called `library`, of PyTorch or built on it; or one `InputError` that says how to get it."""
    try:
        importlib.import_module("torch")
        _allow_torchvision()
        return importlib.import_module(library)
    except ImportError as error:
        raise InputError(
            f"converting needs `{library}`, which cannot be imported: {error}. "
            'Install it: `pip install "loce_jax[torch]"`, or `[timm]` or `[torchvision]` for their networks.'
        ) from error


def _allow_torchvision() -> None:
    """Let a torchvision be imported whose compiled operators do not fit the installed PyTorch; no network needs them.

    Without this even transformers cannot import its networks beside such a torchvision.
    """
    try:
        importlib.import_module("torchvision")
    except ImportError:
        pass
    except RuntimeError:  # an operator that its Python part registers does not exist
        for name in [name for name in sys.modules if re.match(r"torchvision(\.|$)", name)]:
            del sys.modules[name]
        library = sys.modules["torch"].library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _declared.append(library)
