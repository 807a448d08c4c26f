"""Intersection over union of a projection and the mask at the photo's own size, as the paper reports it.

NumPy, on the host: every photo has its own size.
Shapes: h x w the projection's grid, H x W pixels of the photo.
"""

import numpy as np
from jaxtyping import Bool, Float, UInt8

from loce_jax.arrays import as_array
from loce_jax.checks import InputError
from loce_jax.framing import Canvas
from loce_jax.resampling import antialias_matrix
from loce_jax.solver.cpu.dispatch import counts_supported

HALF = 0.5  # the threshold that `count_overlap` has


def quantize(logits: Float[np.ndarray, "*rows h w"]) -> UInt8[np.ndarray, "*rows h w"]:
    """The reference's 8-bit projection: ``floor(255 * sigmoid(clip(logits, -10, 10)))``, from 0 to 254.

    >>> quantize(np.array([[-99.0, 0.0, 99.0]]))
    array([[  0, 127, 254]], dtype=uint8)
    """
    return np.floor(255 / (1 + np.exp(-np.clip(as_array("logits", logits), -10, 10)))).astype(np.uint8)


def mask_iou(
    projection: Float[np.ndarray, "h w"] | UInt8[np.ndarray, "h w"],
    mask: Bool[np.ndarray, "H W"],
    threshold: float = 0.5,
    *,
    canvas: Canvas | None = None,
) -> float:
    """IoU of `mask` and the projection, resized to the mask's size and thresholded: in [0, 1], 1 is best.

    An 8-bit projection (see `quantize`) is divided by 255, which gives the reference's figure; a float one is taken
    as it is.  The resize is scikit-image's (`loce_jax.resampling.antialias_matrix`).  0 where mask and projection are
    both empty, as in the reference.

    Args:
        projection: a map of any grid, such as `Solution.project` returns.
        mask: the annotated mask at the image's own size.
        threshold: pixels above it are segmented: 0.5 of probabilities and 8-bit projections, 0 of logits.
        canvas: where the photo lies in what the projection covers; the photo alone is measured.  Without it, the
            projection covers the photo.

    >>> mask_iou(np.array([[0.9, 0.2]]), np.array([[True, False]]))
    1.0
    """
    projection, mask = as_array("projection", projection), as_array("mask", mask)
    if projection.ndim != 2 or mask.ndim != 2:
        raise InputError(
            f"`projection` and `mask` must have 2 axes each, but got shapes {projection.shape} and {mask.shape}. Give "
            "one of each."
        )
    values = projection / 255 if projection.dtype == np.uint8 else projection.astype(np.float64)
    if threshold != HALF:
        values = values + (HALF - threshold)
    size, window = (mask.shape, np.s_[:, :]) if canvas is None else (canvas.size, canvas.window)
    grows = all(n_out >= n_in for n_in, n_out in zip(values.shape, mask.shape, strict=True))
    if grows and size == mask.shape and counts_supported():
        from loce_jax.solver.cpu.overlap_counts import count_overlap  # noqa: PLC0415 - Numba

        both, drawn = count_overlap(values, mask)
        either = drawn + np.count_nonzero(mask) - both
    else:
        matrices = (antialias_matrix(*lengths) for lengths in zip(values.shape, size, strict=True))
        rows, columns = (matrix[part] for matrix, part in zip(matrices, window, strict=True))
        drawn = rows @ values @ columns.T > HALF
        both, either = np.count_nonzero(drawn & mask), np.count_nonzero(drawn | mask)
    return float(both / either) if either else 0.0
