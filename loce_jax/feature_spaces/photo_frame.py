"""Maps of what networks see, on the photos alone: where one pads photos and another stretches them, only these agree.

Shapes: n images, h x w cells of a map.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from loce_jax.framing import Canvas


def on_photos(maps: Float[np.ndarray, "n *m h w"], canvases: Sequence[Canvas]) -> Float[np.ndarray, "n *m h w"]:
    """Maps that cover each image's canvas, resized bilinearly so that they cover its photo.

    Args:
        maps: of n images.
        canvases: of each image; its maps are returned as they are where there is no padding.

    >>> half = Canvas(size=(2, 4), photo=(2, 2), left=2)
    >>> on_photos(np.array([[[0.0, 0, 1, 1], [0, 0, 3, 3]]]), [half]).tolist()
    [[[0.75, 1.0, 1.0, 1.0], [2.25, 3.0, 3.0, 3.0]]]
    """
    if all(canvas.size == canvas.photo for canvas in canvases):
        return maps
    found, matrices = np.array(maps), {}
    for row, canvas in enumerate(canvases):
        if canvas not in matrices:
            starts, sizes = (canvas.top, canvas.left), maps.shape[-2:]
            parts = zip(sizes, starts, canvas.photo, canvas.size, strict=True)
            matrices[canvas] = [_window(*part).astype(maps.dtype) for part in parts]
        rows, columns = matrices[canvas]
        if canvas.size != canvas.photo:
            found[row] = rows @ maps[row] @ columns.T
    return found


def _window(n: int, start: int, length: int, total: int) -> Float[np.ndarray, "n n"]:
    """Bilinear interpolation of n cells that cover `total` at n centers of the part from `start` on."""
    position = np.clip((start + (np.arange(n) + 0.5) * length / n) * n / total - 0.5, 0, n - 1)
    return np.maximum(1 - np.abs(position[:, None] - np.arange(n)), 0)
