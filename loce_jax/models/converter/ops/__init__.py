"""ATen operations in JAX, one small function each, by the names that `torch.export` gives them.

To add one: a function in the file of its theme, and one line in the table `OPS` at that file's end.
"""

from collections.abc import Callable
from typing import Any

from loce_jax.models.converter.ops import (
    attention,
    convolution,
    creation,
    elementwise,
    indexing,
    pooling,
    reductions,
    resampling,
    shapes,
)

THEMES = (elementwise, shapes, indexing, reductions, convolution, pooling, attention, resampling, creation)
OPS: dict[str, Callable[..., Any]] = {name: function for theme in THEMES for name, function in theme.OPS.items()}
