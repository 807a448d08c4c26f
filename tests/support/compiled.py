"""Networks compiled for one call, where compiling costs more than it saves."""

import jax

UNOPTIMIZED = {"xla_backend_optimization_level": 0}


def compiled_quickly(forward):
    """``forward(params, images, layers)`` under `jit` at LLVM's lowest level, which takes half the time to build."""
    return jax.jit(forward, static_argnums=2, compiler_options=UNOPTIMIZED)
