"""Backdrops to put objects in front of: a wall or a view above a ground that recedes to the horizon.

Made of parts of the photographs in `loce_jax.data.cutouts` that show none of the concepts.
Shapes: H x W pixels of the result.
"""

import functools as ft
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from loce_jax.data.cutouts import photograph

FINER = 4  # grounds are sampled on a grid this many times finer, then averaged


@dataclass(frozen=True)
class Backdrop:
    """What is above the horizon, ``view(rows, columns)``, and what is below, ``ground(rows, columns)``."""

    view: Callable
    ground: Callable


@ft.lru_cache(maxsize=32)
def draw_backdrop(name: str, rows_above: int, rows_below: int, columns: int) -> UInt8[np.ndarray, "H W 3"]:
    """Draw one of `BACKDROPS` with its horizon under `rows_above` rows."""
    view, ground = BACKDROPS[name].view(rows_above, columns), BACKDROPS[name].ground(rows_below, columns)
    view[-max(rows_above // 40, 1) :] *= 0.8  # a contact shadow along the horizon
    return np.concatenate([view, ground]).clip(0, 255).astype(np.uint8)


def crop(name: str, box: tuple[int, int, int, int], tint=(1.0, 1.0, 1.0), turned: bool = False) -> Callable:
    """A part ``(left, top, right, bottom)`` of a photograph, stretched to fit; `turned` by a quarter."""

    def view(rows: int, columns: int) -> Float32[np.ndarray, "H W 3"]:
        left, top, right, bottom = box
        part = Image.fromarray(np.rot90(photograph(name)[top:bottom, left:right], int(turned)))
        stretched = part.resize((columns, rows), Image.Resampling.BICUBIC)
        return np.asarray(stretched, np.float32) * np.array(tint, np.float32)

    return view


def stacked(upper: Callable, lower: Callable, share: float) -> Callable:
    """`lower` in the last `share` of the rows, `upper` above it."""

    def view(rows: int, columns: int) -> Float32[np.ndarray, "H W 3"]:
        below = max(round(share * rows), 1)
        return np.concatenate([upper(rows - below, columns), lower(below, columns)])

    return view


def laid_out(name: str, box: tuple[int, int, int, int], tint, zoom: float) -> Callable:
    """A part of a photograph as an endless floor in perspective, mirrored wherever it ends, dimmer far away."""

    def ground(rows: int, columns: int) -> Float32[np.ndarray, "H W 3"]:
        left, top, right, bottom = box
        texture = photograph(name)[top:bottom, left:right]
        nearness = (np.arange(rows * FINER) + 0.5) / (rows * FINER)
        depth = (1 / (0.15 + 0.85 * nearness))[:, None]
        across = (np.arange(columns * FINER) / FINER - columns / 2) * zoom * depth * 240 / columns
        along = np.broadcast_to(110 * zoom * depth, across.shape)
        fine = texture[_mirrored(along, len(texture)), _mirrored(across, texture.shape[1])]
        floor = fine.reshape(rows, FINER, columns, FINER, 3).mean((1, 3), dtype=np.float32)
        shade = 0.82 + 0.18 * np.linspace(0, 1, rows, dtype=np.float32)
        return floor * np.array(tint, np.float32) * shade[:, None, None]

    return ground


def _mirrored(positions: np.ndarray, length: int) -> np.ndarray:
    return np.abs((positions.astype(int) + length + length // 2) % (2 * length) - length).clip(0, length - 1)


FULL = (0, 0, 512, 512)
SKY = crop("china", (330, 0, 640, 130))
HEDGE = crop("china", (0, 350, 150, 427), (1.1, 1.15, 1.0))
GRASS = laid_out("grass", FULL, (0.80, 1.05, 0.50), 2.0)
BACKDROPS = {
    "garden": Backdrop(stacked(SKY, HEDGE, 0.6), GRASS),
    "lake": Backdrop(crop("china", (378, 90, 640, 285)), GRASS),
    "plaza": Backdrop(stacked(SKY, HEDGE, 0.25), laid_out("brick", FULL, (1.25, 1.08, 0.92), 1.5)),
    "room": Backdrop(crop("astronaut", (66, 0, 150, 60)), laid_out("coffee", (440, 0, 600, 110), (1.0, 1.0, 1.0), 0.8)),
    "shore": Backdrop(crop("china", (378, 150, 560, 285)), laid_out("gravel", FULL, (1.35, 1.22, 1.0), 2.0)),
    "wall": Backdrop(
        crop("brick", (80, 0, 400, 512), (1.2, 0.8, 0.66), True), laid_out("gravel", FULL, (1.0, 0.97, 0.92), 1.5)
    ),
}
