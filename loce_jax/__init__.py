"""Local concept embeddings (LoCE) in JAX: how a vision network represents a concept, image by image."""

from loce_jax.activations import make_extractor
from loce_jax.checks import InputError
from loce_jax.models.base import Layer, Network, Preprocess
from loce_jax.models.catalog import load_network
from loce_jax.pipeline.fit import fit
from loce_jax.recipes import PaperRecipe, RidgeRecipe
from loce_jax.resampling import resize_mask
from loce_jax.solver import Solution, Status, mask_iou, project, quantize, solve
from loce_jax.statistics import Statistics
from loce_jax.store import Run, open_run

__version__ = "0.1.0"

__all__ = [
    "InputError",
    "Layer",
    "Network",
    "PaperRecipe",
    "Preprocess",
    "RidgeRecipe",
    "Run",
    "Solution",
    "Statistics",
    "Status",
    "fit",
    "load_network",
    "make_extractor",
    "open_run",
    "mask_iou",
    "project",
    "quantize",
    "resize_mask",
    "solve",
]
