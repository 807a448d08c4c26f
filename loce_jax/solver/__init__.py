"""One concept vector per (activations, mask); this folder uses no image file, data set, network or label."""

from loce_jax.solver.iou import mask_iou, quantize
from loce_jax.solver.project import project
from loce_jax.solver.solution import Convergence, Solution, Status
from loce_jax.solver.solve import solve

__all__ = [
    "Convergence",
    "Solution",
    "Status",
    "mask_iou",
    "project",
    "quantize",
    "solve",
]
