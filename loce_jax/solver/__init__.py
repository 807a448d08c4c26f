"""The heart: one concept vector per (activations, mask); knows no image file, data set, network or label."""

from loce_jax.solver.iou import overlap, quantise
from loce_jax.solver.options import SolverOptions
from loce_jax.solver.project import project
from loce_jax.solver.solution import Solution, Status
from loce_jax.solver.solve import solve

__all__ = ["Solution", "SolverOptions", "Status", "overlap", "project", "quantise", "solve"]
