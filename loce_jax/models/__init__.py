"""Networks: frozen, in JAX, with named layers."""

import pkgutil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loce_jax.models.adapters import from_function, from_linen, from_nnx
    from loce_jax.models.converter.network import load_converted
    from loce_jax.models.converter.onnx import convert_onnx
    from loce_jax.models.converter.torch.conversion import convert

MODULES = {  # imported on first use, so that one does not wait for the others
    "convert": "loce_jax.models.converter.torch.conversion",
    "convert_onnx": "loce_jax.models.converter.onnx",
    "from_function": "loce_jax.models.adapters",
    "from_linen": "loce_jax.models.adapters",
    "from_nnx": "loce_jax.models.adapters",
    "load_converted": "loce_jax.models.converter.network",
}

__all__ = ["convert", "convert_onnx", "from_function", "from_linen", "from_nnx", "load_converted"]


def __getattr__(name: str) -> Any:
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return pkgutil.resolve_name(f"{MODULES[name]}:{name}")
