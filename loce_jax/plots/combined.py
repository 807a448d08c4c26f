"""Several layers' projections as one picture.

Shapes: h x w cells of a layer's grid, H x W those of the finest.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib import colormaps
from PIL import Image

from loce_jax.checks import InputError
from loce_jax.resampling import resize_bilinear


def combine_projections(projections: Sequence[Float[np.ndarray, "_ _"]]) -> Float[np.ndarray, "H W"]:
    """The mean of projections of several sizes, each resized bilinearly to the greatest height and width.

    >>> combine_projections([np.array([[0.2]]), np.array([[0.4, 0.8]])]).round(2)
    array([[0.3, 0.5]])
    """
    height, width = (max(sides) for sides in zip(*_shapes(projections), strict=True))
    return np.mean([resize_bilinear(projection, (height, width)) for projection in projections], axis=0)


def combine_as_paper(projections: Sequence[UInt8[np.ndarray, "_ _"]]) -> UInt8[np.ndarray, "H W"]:
    """What the released code of Mikriukov et al., IJCV 2025, makes of 8-bit projections.

    Each is resized to the one with most cells by Pillow's bicubic filter, which overshoots at edges; the mean loses
    its fraction.

    >>> combine_as_paper([np.full((1, 1), 50, np.uint8), np.full((2, 2), 101, np.uint8)])
    array([[75, 75],
           [75, 75]], dtype=uint8)
    """
    height, width = max(_shapes(projections), key=np.prod)
    resized = [
        np.asarray(Image.fromarray(projection).resize((width, height), Image.Resampling.BICUBIC))
        for projection in projections
    ]
    return np.mean(resized, axis=0).astype(np.uint8)


def color_projection(projection: Float[np.ndarray, "h w"], *, stretched: bool = False) -> UInt8[np.ndarray, "h w 3"]:
    """Blue for 0, white for one half, red for 1.

    Args:
        projection: 0 to 1.
        stretched: color from the map's own least to its greatest value, as the released code of Mikriukov et al., IJCV
            2025, does: then something is red in every map, whatever the evidence.  A constant map is white.

    >>> color_projection(np.array([[0.0, 1.0]])).tolist()
    [[[0, 0, 255], [255, 0, 0]]]
    """
    if stretched:
        low, span = projection.min(), np.ptp(projection)
        projection = (projection - low) / span if span else np.full(projection.shape, 0.5)
    return (255 * colormaps["bwr"](projection.astype(np.float64))[..., :3]).astype(np.uint8)


def _shapes(projections):
    if not projections:
        raise InputError("`projections` must hold at least one map to combine, but got none. Choose a layer.")
    return [projection.shape for projection in projections]
