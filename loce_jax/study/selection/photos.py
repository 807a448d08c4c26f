"""The photographs behind LoCEs, for the pictures of a study: a tile for each row, cut around the concept.

Shapes: H x W pixels.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from loce_jax.analysis.subconcepts.attributes import mask_attributes
from loce_jax.checks import InputError
from loce_jax.data.samples import Fault
from loce_jax.framing import recorded_canvas
from loce_jax.plots.examples import draw_mask, tint
from loce_jax.resampling import resize_bilinear
from loce_jax.study.selection.sources import PhotoSource, RunLike

_SIDE = 144  # pixels of a tile


def check_same_data(run: RunLike, dataset: PhotoSource) -> None:
    """Raise `InputError` if a data set says by its fingerprint that it is another one than the run's."""
    mine, theirs = run.plan["data"].get("fingerprint"), getattr(dataset, "fingerprint", None)
    if mine is not None and theirs is not None and mine != theirs:
        raise InputError(
            f"`dataset` must be the one that the run was made from, with the fingerprint {mine!r}, but has {theirs!r}: "
            "images, concepts, annotations or options differ. Open the run's own."
        )


@dataclass(frozen=True)
class Photos:
    """Photos and masks of a run's rows; without a data set there are none.

    Attributes:
        run: the run.
        dataset: where its photos came from; None if that cannot be opened any more.
    """

    run: RunLike
    dataset: PhotoSource | None

    def __post_init__(self):
        """Raise `InputError` for the data of another run."""
        if self.dataset is not None:
            check_same_data(self.run, self.dataset)

    def tiles(
        self, rows: Iterable[int], *, projections: Mapping[int, Float[np.ndarray, "_ _"]] | None = None
    ) -> dict[int, UInt8[np.ndarray, "H W 3"]]:
        """By row the concept and its surroundings, its mask outlined; rows that cannot be read are left out.

        Rows of `projections`, which are of what the network saw of whole photos at any size, are tinted by theirs.
        """
        projections = projections or {}
        return {
            row: _tile(photo, mask, projections.get(row), recorded_canvas(mask.shape, self.run.plan))
            for row, photo, mask in self._read(rows)
        }

    def attributes(self, rows: Iterable[int]) -> dict[int, Mapping[str, float]]:
        """Attributes of photo and mask, by row; rows that cannot be read are left out."""
        return {row: mask_attributes(mask, photo) for row, photo, mask in self._read(rows)}

    def _read(self, rows):
        wanted: dict[str, list[int]] = {}
        for row in rows:
            wanted.setdefault(str(self.run.table["image"][row]), []).append(int(row))
        if self.dataset is None:
            return
        for item in self.dataset.items:
            if item.image not in wanted:
                continue
            try:
                reading = self.dataset.read(item)
            except (Fault, OSError):
                continue
            masks = {pair.concept: mask for pair, mask in zip(item.pairs, reading.masks, strict=True)}
            for row in wanted[item.image]:
                mask = masks.get(str(self.run.table["concept"][row]))
                if mask is not None and not isinstance(mask, Fault):
                    yield row, reading.photo, mask


def surroundings(mask: Bool[np.ndarray, "H W"]) -> tuple[int, int, int]:
    """Top, left and side of a square around the mask: 1.6 times its extent, at least 2/5 of the photo, inside it.

    >>> mask = np.zeros((100, 200), bool)
    >>> mask[40:50, 180:190] = True
    >>> surroundings(mask)
    (25, 160, 40)
    """
    short = min(mask.shape)
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return (mask.shape[0] - short) // 2, (mask.shape[1] - short) // 2, short
    extent = 1 + max(rows[-1] - rows[0], columns[-1] - columns[0])
    side = int(min(short, max(1.6 * extent, 0.4 * short)))
    middles = (rows[0] + rows[-1] + 1) // 2, (columns[0] + columns[-1] + 1) // 2
    top, left = (
        int(np.clip(middle - side // 2, 0, most - side)) for middle, most in zip(middles, mask.shape, strict=True)
    )
    return top, left, side


def _tile(photo, mask, projection, canvas) -> UInt8[np.ndarray, "s s 3"]:
    top, left, side = surroundings(mask)
    window = np.s_[top : top + side, left : left + side]
    small = np.asarray(Image.fromarray(photo[window]).resize((_SIDE, _SIDE), Image.Resampling.LANCZOS))
    if projection is not None:
        seen = resize_bilinear(projection, canvas.size)[canvas.window][window]
        small = tint(small, resize_bilinear(seen, (_SIDE, _SIDE)))
    share = np.asarray(Image.fromarray(mask[window].astype(np.float32)).resize((_SIDE, _SIDE), Image.Resampling.BOX))
    return draw_mask(small, share >= 0.5)
