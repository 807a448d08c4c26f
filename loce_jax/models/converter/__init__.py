"""Any PyTorch vision network, recorded once, as a graph of our own that runs in JAX."""

from loce_jax.models.converter.network import load_converted
from loce_jax.models.converter.torch.conversion import convert

__all__ = ["convert", "load_converted"]
