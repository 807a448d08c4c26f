"""What in a layer a network's outputs depend on: gradients, Grad-CAM, directions taken out or added."""

from loce_jax.attribution.directions import (
    Derivatives,
    Effects,
    ablate,
    directional_derivatives,
    moved_along,
    perturb,
    without_direction,
)
from loce_jax.attribution.gradcam import GradCam, gradcam
from loce_jax.attribution.gradients import ChannelGradients, channel_gradients, gradient_is_constant
from loce_jax.attribution.scores import ClassScore, class_score

__all__ = [
    "ChannelGradients",
    "ClassScore",
    "Derivatives",
    "Effects",
    "GradCam",
    "ablate",
    "channel_gradients",
    "class_score",
    "directional_derivatives",
    "gradcam",
    "gradient_is_constant",
    "moved_along",
    "perturb",
    "without_direction",
]
