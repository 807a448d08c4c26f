"""The data set that needs no download: street and room scenes put together from photographs, with exact masks.

Every scene is specified by ``(seed, index)`` alone and drawn again whenever it is read, so that it is the same in
any order and on any thread.  Objects stand on the ground, in front of each other; a mask holds the pixels of which
its object makes up more than half, after everything in front has hidden its share.  Scale and light are sampled at
random, independent of the concept: sub-concepts whose truth is known.
Shapes: H x W pixels of a scene.
"""

import functools as ft
import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from PIL import Image

from loce_jax.checks import InputError, check_arguments
from loce_jax.data.backdrops import BACKDROPS, draw_backdrop
from loce_jax.data.cutouts import CONCEPTS, cutout
from loce_jax.data.samples import Item, Pair, Reading

SIZE = 240, 320  # pixels
MAX_COUNT, MAX_SIDE = 100_000, 8192
VERSION = 1  # raise it whenever a scene would look different
SCALES = {"far": (0.24, 0.32), "near": (0.50, 0.72)}  # root of height times width, in heights of the scene
LIGHTS = ("day", "dusk")
HORIZONS = (0.40, 0.55)  # in heights of the scene, from the top
WIDER = 1.25  # backdrops are this much wider than a scene
BUSTS = ("cat", "person")  # end at the lower edge of their photograph, so also at that of a scene
DARK, BRIGHT = np.array([[0.40, 0.42, 0.62], [0.90, 0.68, 0.52]], np.float32)  # tints of dusk
SMALLEST_SHARE, MOST_HIDDEN = 0.008, 0.6  # of the scene's pixels, of the object's own


@dataclass(frozen=True)
class Placement:
    """Where one object stands: sizes and positions in pixels, `center` from the left, `base` from the top."""

    concept: str
    scale: str
    width: float
    height: float
    center: float
    base: float
    mirrored: bool
    degrees: float
    brightness: float


@dataclass(frozen=True)
class SceneSpec:
    """One scene before it is drawn; `placements` from the back to the front, `left` columns of the backdrop cut off."""

    backdrop: str
    light: str
    horizon: int
    left: int
    mirrored: bool
    placements: tuple[Placement, ...]


@dataclass(frozen=True)
class Scenes:
    """A data set of generated scenes, each showing two to four of `CONCEPTS`, never one twice.

    The attributes of a pair are ``scale`` (near or far), ``light`` (day or dusk), ``background`` (the backdrop) and
    ``occluded`` (the share of the object's own pixels in the frame that others hide, 0 to 0.6).

    Attributes:
        count: number of scenes.
        seed: another seed, other scenes; a larger `count` only adds scenes.
        size: ``(H, W)`` in pixels, each at least 96 and W from H to 2 H.
    """

    count: int = 160
    seed: int = 0
    size: tuple[int, int] = SIZE

    def __post_init__(self):
        if not 1 <= self.count <= MAX_COUNT:
            raise InputError(
                f"`count` must be a number of scenes from 1 to {MAX_COUNT}, because all are planned before the first "
                f"is drawn, but got {self.count}. Leave it out for 160."
            )
        if self.seed < 0:
            raise InputError(f"`seed` must be 0 or more, but got {self.seed}. Any such number will do.")
        height, width = self.size
        if min(self.size) < 96 or max(self.size) > MAX_SIDE or not height <= width <= 2 * height:
            raise InputError(
                f"`size` must be (H, W) of 96 to {MAX_SIDE} pixels with W from H to 2 H (objects need room to stand), "
                f"but got {self.size}. Leave it out for (240, 320)."
            )

    @property
    def name(self) -> str:
        """A short name for people."""
        return "scenes"

    @property
    def source(self) -> dict[str, Any] | None:
        """Plain values that open the same scenes again; None for another size."""
        return {"kind": "scenes", "count": self.count, "seed": self.seed} if self.size == SIZE else None

    @property
    def concepts(self) -> tuple[str, ...]:
        """Names of the concepts, in alphabetical order."""
        return CONCEPTS

    @property
    def fingerprint(self) -> str:
        """Hexadecimal digest of the three numbers and of the version of this file; photographs are not hashed."""
        return hashlib.sha256(f"scenes {VERSION} {self.count} {self.seed} {self.size}".encode()).hexdigest()

    @property
    def items(self) -> tuple[Item, ...]:
        """Every scene, by index."""
        return tuple(item for _, item in self._specs)

    def read(self, item: Item) -> Reading:
        """Draw one scene."""
        spec, _ = self._specs[item.image_id]
        photo, masks = draw(spec, self.size)
        return Reading(photo, tuple(masks[pair.concept] for pair in item.pairs))

    @ft.cached_property
    def _specs(self) -> tuple[tuple[SceneSpec, Item], ...]:
        return tuple(self._sample_spec(index) for index in range(self.count))

    def _sample_spec(self, index: int) -> tuple[SceneSpec, Item]:
        """Sample specifications until one shows enough of every object."""
        rng = np.random.default_rng([self.seed, index])
        while True:
            spec = sample_spec(rng, self.size)
            masks, hidden = outline(spec, self.size)
            if max(hidden.values()) <= MOST_HIDDEN and min(m.mean() for m in masks.values()) >= SMALLEST_SHARE:
                return spec, Item(f"scene_{index:04d}.png", index, self.size, _pairs(spec, hidden))


@check_arguments
def open_scenes(*, count: int = 160, seed: int = 0) -> Scenes:
    """The built-in scenes: `count` of them, composed at random with `seed`.

    >>> open_scenes(count=3).items[0].image
    'scene_0000.png'
    """
    return Scenes(count=count, seed=seed)


def _pairs(spec: SceneSpec, hidden: dict[str, float]) -> tuple[Pair, ...]:
    scales = {placement.concept: placement.scale for placement in spec.placements}
    setting = (("light", spec.light), ("background", spec.backdrop))
    return tuple(
        Pair(concept, attributes=(("scale", scales[concept]), *setting, ("occluded", round(hidden[concept], 3))))
        for concept in sorted(scales)
    )


def sample_spec(rng: np.random.Generator, size: tuple[int, int]) -> SceneSpec:
    """Sample one specification; it may hide too much of an object."""
    height, width = size
    horizon = round(height * rng.uniform(*HORIZONS))
    number = int(rng.integers(2, 5))
    near = int(rng.integers(number > 2, 3))  # a third object in front would hide the others
    slots = rng.permutation(number)
    placements = [
        _place(rng, str(concept), "near" if i < near else "far", horizon, (int(slots[i]), number), size)
        for i, concept in enumerate(rng.permutation(CONCEPTS)[:number])
    ]
    return SceneSpec(
        backdrop=str(rng.choice(sorted(BACKDROPS))),
        light=str(rng.choice(LIGHTS)),
        horizon=horizon,
        left=int(rng.integers(round((WIDER - 1) * width) + 1)),
        mirrored=bool(rng.random() < 0.5),
        placements=tuple(sorted(placements, key=lambda placement: placement.base)),
    )


def _place(rng, concept: str, scale: str, horizon: int, slot: tuple[int, int], size: tuple[int, int]) -> Placement:
    """Put `concept` somewhere near the middle of slot ``(which, of how many)`` from left to right."""
    height, width = size
    whole = cutout(concept)
    zoom = height * rng.uniform(*SCALES[scale]) / np.sqrt(whole.width * whole.height)
    zoom = min(zoom, 0.8 * height / whole.height, 0.62 * width / whole.width)
    spread = 0.38 * whole.width * zoom  # at most an eighth of it leaves the frame on either side
    center = (slot[0] + rng.uniform(0.3, 0.7)) / slot[1] * width
    base = horizon + height * rng.uniform(0.04, 0.14) if scale == "far" else height * rng.uniform(0.93, 0.99)
    return Placement(
        concept=concept,
        scale=scale,
        width=float(whole.width * zoom),
        height=float(whole.height * zoom),
        center=float(np.clip(center, spread, width - spread)),
        base=float(base + (0.08 * height if scale == "near" and concept in BUSTS else 0)),
        mirrored=bool(rng.random() < 0.5),
        degrees=float(rng.uniform(-4, 4)),
        brightness=float(rng.uniform(0.88, 1.1)),
    )


def outline(spec: SceneSpec, size: tuple[int, int]) -> tuple[dict[str, Bool[np.ndarray, "H W"]], dict[str, float]]:
    """Mask of every concept, and the share of its own pixels in the frame that is hidden by those in front."""
    masks, hidden, free = {}, {}, np.ones(size, np.float32)
    for placement in reversed(spec.placements):
        box, alpha = _projected(placement, size, "alpha")
        masks[placement.concept] = _mask(box, alpha * free[box], size)
        hidden[placement.concept] = 1 - masks[placement.concept].sum() / max((alpha > 0.5).sum(), 1)
        free[box] *= 1 - alpha
    return masks, hidden


def draw(
    spec: SceneSpec, size: tuple[int, int]
) -> tuple[UInt8[np.ndarray, "H W 3"], dict[str, Bool[np.ndarray, "H W"]]]:
    """Photo of the scene and mask of every concept."""
    masks, free = {}, np.ones(size, np.float32)
    photo = np.zeros((*size, 3), np.float32)
    for placement in reversed(spec.placements):
        box, alpha = _projected(placement, size, "alpha")
        _, colors = _projected(placement, size, "colors")
        masks[placement.concept] = _mask(box, alpha * free[box], size)
        photo[box] += free[box][..., None] * colors * placement.brightness
        free[box] *= 1 - alpha
    photo += free[..., None] * _ground(spec, size)
    if spec.light == "dusk":
        glow = photo @ np.full((3, 1), 1 / 3, np.float32)
        photo *= DARK + glow * (BRIGHT - DARK)
    return (255 * photo + 0.5).clip(0, 255).astype(np.uint8), masks


def _mask(box, share: np.ndarray, size: tuple[int, int]) -> Bool[np.ndarray, "H W"]:
    mask = np.zeros(size, bool)
    mask[box] = share > 0.5
    return mask


@ft.lru_cache(maxsize=128)
def _reduced(concept: str, level: int, part: str) -> Image.Image:
    """The cut-out made smaller by ``2 ** (level / 2)``: its alpha, or its colors times alpha."""
    whole = cutout(concept)
    small = whole.resize([max(round(side * 2 ** (-level / 2)), 1) for side in whole.size], Image.Resampling.LANCZOS)
    alpha = small.getchannel("A")
    return alpha if part == "alpha" else Image.composite(small.convert("RGB"), Image.new("RGB", small.size), alpha)


def _projected(placement: Placement, size: tuple[int, int], part: str):
    """One object alone: its rows and columns of the frame, and its alpha or its colors there, from 0 to 1."""
    cos, sin = np.cos(np.radians(placement.degrees)), np.sin(np.radians(placement.degrees))
    x, y = placement.center, placement.base - placement.height / 2
    reach_x = (cos * placement.width + abs(sin) * placement.height) / 2
    reach_y = (cos * placement.height + abs(sin) * placement.width) / 2
    left, right = max(int(x - reach_x), 0), min(int(x + reach_x) + 1, size[1])
    top, bottom = max(int(y - reach_y), 0), min(int(y + reach_y) + 1, size[0])

    level = max(int(2 * np.log2(cutout(placement.concept).height / placement.height)), 0)
    source = _reduced(placement.concept, level, part)
    zoom = source.height / placement.height
    flip = -1 if placement.mirrored else 1
    matrix = np.array([[flip * zoom * cos, flip * zoom * sin], [-zoom * sin, zoom * cos]])
    shift = np.array(source.size) / 2 - matrix @ (x - left, y - top)
    image = source.transform(
        (right - left, bottom - top),
        Image.Transform.AFFINE,
        (*matrix[0], shift[0], *matrix[1], shift[1]),
        Image.Resampling.BICUBIC,
    )
    return (slice(top, bottom), slice(left, right)), np.asarray(image, np.float32) / 255


def _ground(spec: SceneSpec, size: tuple[int, int]) -> Float32[np.ndarray, "H W 3"]:
    """The empty backdrop, with a soft shadow under each object."""
    height, width = size
    above, below = round(HORIZONS[1] * height), height - round(HORIZONS[0] * height)
    whole = draw_backdrop(spec.backdrop, above, below + 1, round(WIDER * width) + 1)
    scene = whole[above - spec.horizon :, spec.left :][:height, :width]
    scene = scene[:, :: -1 if spec.mirrored else 1].astype(np.float32) / 255
    for placement in spec.placements:
        across = (np.arange(width) - placement.center) / (0.42 * placement.width)
        down = (np.arange(height) - placement.base) / (0.06 * placement.height)
        scene *= 1 - np.multiply.outer(np.exp(-(down**2)), 0.6 * np.exp(-(across**4)), dtype=np.float32)[..., None]
    return scene
