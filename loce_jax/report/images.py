"""The page's photographs: every file is opened once, and leaves as small JPEGs in `data:` addresses.

Shapes: H x W pixels.
"""

import base64
import io
import os
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from loce_jax.data.samples import Fault
from loce_jax.foreign_text import logger
from loce_jax.framing import recorded_canvas
from loce_jax.plots.examples import draw_mask
from loce_jax.study.selection.photos import surroundings
from loce_jax.study.selection.sources import PhotoSource

_THUMB = 96  # pixels, both sides
_EXAMPLE = 240  # pixels, longer side
_QUALITY = 72  # JPEG

log = logger(__name__)
_GRAY = 114  # around a letterboxed photo
NO_PLAN: Mapping[str, Any] = MappingProxyType({})

Progress = Callable[[int, int], None]

Pair = tuple[str, str]
"""(image, concept): one row of the run's table."""


def ignore(done: int, of: int) -> None:
    """Report no progress."""


@dataclass
class Pictures:
    """`data:` addresses by (image, concept); a pair whose photo cannot be read is in none of the two.

    `unread` says of these photos why.
    """

    thumbs: dict[Pair, str] = field(default_factory=dict)
    examples: dict[Pair, str] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)


def illustrate(
    photos: PhotoSource,
    *,
    thumbs: AbstractSet[Pair],
    examples: AbstractSet[Pair],
    plan: Mapping[str, Any] = NO_PLAN,
    report_progress: Progress = ignore,
) -> Pictures:
    """Thumbnails (the concept and its surroundings) and examples (the whole photo), masks outlined.

    Examples show what the network saw, as the `plan` of a run records it: a letterboxed photo with its padding.

    Args:
        photos: where they are read, by several threads at once.
        thumbs: pairs whose thumbnail is wanted.
        examples: pairs whose example is wanted.
        plan: the run's.
        report_progress: called with the number of photos done and of all.
    """
    pictures, wanted = Pictures(), {image for image, _ in thumbs | examples}
    items = [item for item in photos.items if item.image in wanted]
    report_progress(0, len(items))
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        found = threads.map(lambda item: _illustrate_one(photos.read, item, (thumbs, examples), plan), items)
        for done, one in enumerate(found, 1):
            pictures.thumbs |= one.thumbs
            pictures.examples |= one.examples
            pictures.unread |= one.unread
            report_progress(done, len(items))
    if pictures.unread:
        image, reason = next(iter(pictures.unread.items()))
        log.warning(
            "%d of %d photographs are not shown; the first is %r: %s", len(pictures.unread), len(items), image, reason
        )
    return pictures


def _illustrate_one(read, item, wanted, plan):
    """The pictures of one image; none if it cannot be read."""
    pictures, (thumbs, examples) = Pictures(), wanted
    try:
        reading = read(item)
    except (Fault, OSError) as error:
        pictures.unread[item.image] = error.reason if isinstance(error, Fault) else str(error)
        return pictures
    rows, columns = reading.photo.shape[:2]
    for pair, mask in zip(item.pairs, reading.masks, strict=True):
        mask = np.zeros((rows, columns), bool) if isinstance(mask, Fault) else mask
        key = item.image, pair.concept
        if key in thumbs:
            top, left, side = surroundings(mask)
            window = np.s_[top : top + side, left : left + side]
            pictures.thumbs[key] = _encode(reading.photo[window], mask[window], (_THUMB, _THUMB))
        if key in examples:
            height, width = mask.shape
            canvas = recorded_canvas((height, width), plan)
            height, width = (max(1, round(_EXAMPLE * side / max(canvas.size))) for side in canvas.size)
            pictures.examples[key] = _encode(canvas.pad(reading.photo, _GRAY), canvas.pad(mask), (width, height))
    return pictures


def _encode(photo: UInt8[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "H W"], size: tuple[int, int]) -> str:
    """Bring both to ``size = (width, height)``, outline the mask, and pack the picture into a `data:` address."""
    small = Image.fromarray(photo).resize(size, Image.Resampling.LANCZOS, reducing_gap=2)
    share = np.asarray(Image.fromarray(mask.astype(np.float32)).resize(size, Image.Resampling.BOX))
    region = share >= 0.5 if (share >= 0.5).any() else share > 0  # a mask of less than a pixel still shows
    packed = io.BytesIO()
    Image.fromarray(draw_mask(np.asarray(small), region)).save(packed, "JPEG", quality=_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(packed.getvalue()).decode()
