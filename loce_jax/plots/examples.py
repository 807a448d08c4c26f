"""One photo with the outline of its mask and the projection of its embedding: pixels in, pixels out.

Shapes: H x W pixels, h x w cells of the layer's grid.
"""

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from scipy.ndimage import binary_dilation, binary_erosion
from scipy.special import expit

from loce_jax.checks import check_shape
from loce_jax.plots.palette import PROJECTION, rgb

OPACITY = 0.5
"""Opacity of the projection's color where the projection is 1."""


def project(response: Float[np.ndarray, "h w"], size: tuple[int, int]) -> Float[np.ndarray, "H W"]:
    """Projection on ``size = (H, W)`` pixels: sigmoid of the bilinearly resized response, 0 to 1.

    Samples sit at cell centers and edges repeat ("align_corners=False").  Where `size` is smaller than the grid the
    resize averages, which suits pictures but not measurements.

    >>> project(np.array([[-1.0, 1.0]]), (1, 4)).round(2)
    array([[0.27, 0.38, 0.62, 0.73]], dtype=float32)
    """
    (height, width), grid = size, Image.fromarray(np.asarray(response, np.float32))
    return expit(np.asarray(grid.resize((width, height), Image.Resampling.BILINEAR)))


def border(region: Bool[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """The pixels of `region` that touch something else; the frame of the picture does not count as something else."""
    return region & ~binary_erosion(region, border_value=1)


def draw_mask(photo: UInt8[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "_ _"]) -> UInt8[np.ndarray, "H W 3"]:
    """A copy of `photo` with the border of `mask`, of its size, in white between dark lines, visible on any photo."""
    check_shape("mask", mask, photo.shape[:2], meaning="the photo's", fix="Resize the mask with the photo.")
    line, drawn = border(mask), photo.copy()
    drawn[binary_dilation(line).astype(bool)] = 20
    drawn[line] = 255
    return drawn


def draw_projection(
    photo: UInt8[np.ndarray, "H W 3"], response: Float[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "H W 3"]:
    """A copy of `photo` tinted by the projection, as the page draws it; see `tint`."""
    return tint(photo, project(response, photo.shape[:2]))


def tint(photo: UInt8[np.ndarray, "H W 3"], projection: Float[np.ndarray, "_ _"]) -> UInt8[np.ndarray, "H W 3"]:
    """A copy of `photo` tinted by a projection of its size, with a full line around where it is above one half.

    The opacity of the tint is `OPACITY` times the projection.
    """
    check_shape("projection", projection, photo.shape[:2], meaning="the photo's", fix="Use `draw_projection`.")
    opacity = np.where(border(projection > 0.5), 1, OPACITY * projection)[..., None]
    return (photo * (1 - opacity) + np.array(rgb(PROJECTION)) * opacity).round().astype(np.uint8)
