"""Local concept embeddings in JAX: ask a vision network where and how it holds a concept, picture by picture."""

from loce_jax.checks import InputError
from loce_jax.resampling import soft_target
from loce_jax.solver import Solution, SolverOptions, Status, overlap, project, quantise, solve
from loce_jax.store import Run, open_run

__version__ = "0.1.0"

__all__ = [
    "InputError",
    "Run",
    "Solution",
    "SolverOptions",
    "Status",
    "open_run",
    "overlap",
    "project",
    "quantise",
    "soft_target",
    "solve",
]
