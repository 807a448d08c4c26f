"""The heart: one concept vector per (activations, mask); knows no image file, data set, network or label."""

from loce_jax.solver.iou import overlap, quantize
from loce_jax.solver.options import SolverOptions
from loce_jax.solver.project import project
from loce_jax.solver.solution import Convergence, Solution, Status
from loce_jax.solver.solve import solve
from loce_jax.solver.whitening import Statistics, Whitening

__all__ = [
    "Convergence",
    "Solution",
    "SolverOptions",
    "Statistics",
    "Status",
    "Whitening",
    "overlap",
    "project",
    "quantize",
    "solve",
]
