"""Photographs in rows, with a colored frame and a line of text each.

Shapes: H x W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from matplotlib.axes import Axes

from loce_jax.foreign_text import for_picture

ALIKE, UNLIKE, NEUTRAL = "#1f9d55", "#c91f16", "#656364"
_MISSING = "#e8e6e3"


@dataclass(frozen=True)
class Tile:
    """One picture of a strip.

    Attributes:
        picture: None where the photograph cannot be read.
        caption: a line under it.
        color: of its frame.
    """

    picture: UInt8[np.ndarray, "H W 3"] | None
    caption: str
    color: str = NEUTRAL


def draw_strip(row: Sequence[Axes], tiles: Sequence[Tile], *, title: str = "") -> None:
    """Draw `tiles` from left to right on the axes of one row, which may be longer; the `title` stands left of it."""
    for axes, tile in zip(row, tiles, strict=False):
        if tile.picture is None:
            axes.set_facecolor(_MISSING)
            axes.text(0.5, 0.5, "no photo", ha="center", va="center", transform=axes.transAxes, fontsize=7)
        else:
            axes.imshow(tile.picture)
        axes.set_xlabel(for_picture(tile.caption), fontsize=7)
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set(color=tile.color, linewidth=2.5)
    for axes in row[len(tiles) :]:
        axes.set_axis_off()
    row[0].set_ylabel(for_picture(title), fontsize=8)
