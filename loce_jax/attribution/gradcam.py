"""Grad-CAM: where a layer speaks for a score.

Shapes: n images, gh x gw grid cells, c channels.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from loce_jax.attribution.gradients import channel_gradients
from loce_jax.attribution.scores import Score, check_activations
from loce_jax.checks import InputError
from loce_jax.solver.solution import Status


@dataclass(frozen=True)
class GradCam:
    """Maps of n images.

    Attributes:
        maps: 0 and above, at the layer's grid, in the score's unit per cell; all 0 where nothing speaks for the score;
            NaN where `status` is not ``Status.OK``.
        weights: of the channels, which may be negative.
        status: ``Status.OK``, or ``Status.NONFINITE`` where a gradient or an activation is not finite.
        closed_form: whether the score is affine in the activations, so that all images share one row of weights, and
            Grad-CAM is CAM (Zhou et al., CVPR 2016) times 1 / (gh * gw).
    """

    maps: Float[np.ndarray, "n gh gw"]
    weights: Float[np.ndarray, "n c"]
    status: Int[np.ndarray, " n"]
    closed_form: bool

    @property
    def ok(self) -> Bool[np.ndarray, " n"]:
        """True where there is a map."""
        return self.status == Status.OK


def gradcam(score: Score, activations: Any, context: Any = None) -> GradCam:
    """Grad-CAM of every image: ``relu(sum_k w_k A_k)`` with ``w_k`` the mean over cells of the score's gradient.

    After Selvaraju et al., "Grad-CAM", ICCV 2017, section 3, where it is resized bilinearly to the photo
    (`loce_jax.solver.project.upsample` does that).  Where the score is proved to be affine in the activations, as
    behind a mean over cells and a linear classifier, one gradient serves all images; see
    `loce_jax.attribution.gradient_is_constant`.

    Args:
        score: a function of ONE image's activations; for a network, `class_score`.
        activations: of the layer, ``[n gh gw c]``.
        context: what goes around the layer, n first; see `ClassScore.context`.

    Raises:
        InputError: shapes do not fit, or the score is not one number an image.

    >>> activations = np.array([[[[2.0, 1.0], [1.0, 3.0]]]], "f4")
    >>> found = gradcam(lambda a: a.mean((0, 1)) @ np.array([4.0, -2.0]), activations)
    >>> found.maps.tolist(), found.weights.tolist(), found.closed_form
    ([[[3.0, 0.0]]], [[2.0, -1.0]], True)
    """
    activations = check_activations(score, activations, context)
    if activations.ndim != 4:
        raise InputError(
            f"`activations` must have shape [n gh gw c], since Grad-CAM is a map, but got {tuple(activations.shape)}. "
            "Give those of a layer before pooling."
        )
    gradients = channel_gradients(score, activations, context)
    images = np.asarray(activations).astype(gradients.sums.dtype)
    weights = gradients.sums / (images.shape[1] * images.shape[2])
    maps = np.einsum("nhwc,nc->nhw", images, weights)
    ok = gradients.ok & np.isfinite(maps).all(axis=(1, 2))
    maps = np.where(ok[:, None, None], np.maximum(maps, 0), np.nan).astype(maps.dtype)
    return GradCam(maps, weights, np.where(ok, Status.OK, Status.NONFINITE), gradients.constant)
