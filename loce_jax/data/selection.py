"""Which images and masks of a data set are used, and how they are altered: `select(dataset, options)`.

Random choices depend on the seed and on each image's own name, so that images which are added, or listed in another
order, leave the choice among the others as it was.
Shapes: H x W pixels of an image.
"""

import hashlib
import os
import re
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool

from loce_jax.checks import CheckedOptions, InputError, check_arguments, check_known
from loce_jax.data.annotations.masks import union_mask
from loce_jax.data.annotations.shapes import box_mask
from loce_jax.data.noise import add_gaussian_noise, add_salt_and_pepper
from loce_jax.data.samples import Dataset, Fault, Item, Pair, Reading, check_attributes, check_mask, digest, name_of

NOISES = {"gaussian": add_gaussian_noise, "salt-and-pepper": add_salt_and_pepper}


@dataclass(frozen=True)
class DataOptions(CheckedOptions):
    """Which images and masks of a data set are used, and how."""

    min_area: float = 0.0
    """Minimum share, 0 to 1, of the image that a mask covers."""
    max_area: float = 1.0
    """Maximum share, 0 to 1, of the image that a mask covers."""
    min_pixels: int = 0
    """Minimum number of pixels of a mask."""
    max_per_concept: int | None = None
    """Maximum number of images of each concept, drawn at random; all if left out."""
    max_images: int | None = None
    """Maximum number of images, drawn at random; all if left out."""
    seed: int = 0
    """Random seed of the draws and of the noise."""
    groups: tuple[str, ...] = ()
    """Names of the groups of images that are used, such as video sequences; all if left out."""
    group_by: str = ""
    """Rule for groups: 'folder', or a regular expression whose first group is the name; the data's own if left out."""
    crowd: Literal["include", "exclude", "own"] = "include"
    """Crowd annotations: included in their concept's mask, excluded, or a concept of their own."""
    masks: Literal["original", "rectangle", "ellipse"] = "original"
    """Masks: as annotated, the annotations' boxes, or the ellipses inscribed in these."""
    noise: Literal["none", "gaussian", "salt-and-pepper"] = "none"
    """Noise that is added to the photos."""
    noise_percent: float = 5.0
    """Level of the noise: standard deviation in percent of 255, or percent of the pixels."""
    paper: bool = False
    """Whether boxes and noise are drawn as the released code of the LoCE paper draws them."""

    def check(self) -> None:
        """Raise `InputError` for a value out of its range."""
        if not 0 <= self.min_area <= self.max_area <= 1:
            raise InputError(
                f"`min_area` and `max_area` must be shares of an image, 0 <= min_area <= max_area <= 1, but got "
                f"{self.min_area} and {self.max_area}. 0.01 is a hundredth of the image."
            )
        for name in ("max_per_concept", "max_images"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise InputError(f"`{name}` must be 1 or more, but got {getattr(self, name)}. Leave it out for all.")
        most = 100 if self.noise == "salt-and-pepper" else 1e6
        if not 0 <= self.noise_percent <= most:
            raise InputError(
                f"`noise_percent` must be from 0 to {most:g}, but got {self.noise_percent}. The default is 5."
            )
        for name in ("seed", "min_pixels"):
            if getattr(self, name) < 0:
                raise InputError(f"`{name}` must be 0 or more, but got {getattr(self, name)}. Leave it out for 0.")
        try:
            if self.group_by and self.group_by != "folder" and not re.compile(self.group_by).groups:
                raise InputError(
                    f"`group_by` must be 'folder' or a regular expression with a group, but got {self.group_by!r}. "
                    "Put what names the group into parentheses, as in '^(.*?)_'."
                )
        except re.error as error:
            raise InputError(
                f"`group_by` must be 'folder' or a regular expression, but {self.group_by!r} is none: {error}. "
                "'^(.*?)_' is one."
            ) from error

    def record(self) -> dict[str, Any]:
        """The values that differ from the defaults, as plain values; `crowd` is the opening function's."""
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "crowd"}
        differing = {name: value for name, value in values.items() if value != getattr(DataOptions, name)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in differing.items()}


def options_from(record: Mapping[str, Any] | None) -> DataOptions:
    """The options that a plan holds, as `DataOptions.record` wrote them.

    Raises:
        InputError: a name or a value that is not of these options.

    >>> options_from({"max_images": 10}).max_images
    10
    """
    given = record if isinstance(record, Mapping) else {} if record is None else {"record": record}
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    check_known("option of the data", values, [one.name for one in fields(DataOptions)])
    try:
        options = DataOptions(**values)
        options.check()
    except InputError as error:
        raise InputError(f"`plan` must hold options of the data, but one cannot be used: {error}") from error
    return options


@dataclass(frozen=True, eq=False)
class SelectedDataset:
    """A part of another data set, perhaps with other masks and noise; `select` makes it."""

    base: Dataset
    options: DataOptions
    items: tuple[Item, ...]
    concepts: tuple[str, ...]
    fingerprint: str
    _originals: Mapping[str, Item]

    @property
    def name(self) -> str:
        """The other data set's."""
        return name_of(self.base)

    @property
    def source(self) -> dict[str, Any] | None:
        """Plain values that open it again; None if the other data set has none."""
        source = getattr(self.base, "source", None)
        return source and {**source, "options": self.options.record()}

    @property
    def problems(self) -> tuple:
        """The other data set's but those of images that could be used and are not."""
        others = {item.image for item in self.base.items}.difference(self._originals)
        return tuple(one for one in getattr(self.base, "problems", ()) if one.file not in others)

    @property
    def notes(self) -> tuple[str, ...]:
        """The other data set's, which are of all its files."""
        return tuple(getattr(self.base, "notes", ()))

    def files(self, item: Item) -> Sequence[Path]:
        """The files that `read` opens for an item, if the other data set names them."""
        files = getattr(self.base, "files", None)
        return files(self._originals[item.image]) if files else ()

    def read(self, item: Item) -> Reading:
        """Open one item of the other data set, and alter it."""
        original = self._originals[item.image]
        reading = self.base.read(original)
        masks = _alter_masks(self.base, original, reading.masks, self.options)
        kept = {pair.concept: mask for pair, mask in zip(original.pairs, masks, strict=True)}
        return Reading(_add_noise(reading.photo, item, self.options), tuple(kept[pair.concept] for pair in item.pairs))


@check_arguments
def select(dataset: Dataset, options: DataOptions) -> Dataset:
    """The part of a data set that `options` describe; the data set itself where they are the defaults.

    Groups are chosen first, then areas, then images are drawn, then the images of each concept.  A mask that cannot be
    read is never left out for its area, so that it stays a row with a status.

    Args:
        dataset: any data set.
        options: what is used, and how.

    Raises:
        InputError: a value out of its range, an unknown group, nothing left.

    >>> from loce_jax.data import open_arrays
    >>> masks = np.zeros((3, 8, 8), bool)
    >>> masks[0, 0], masks[1:, :4] = True, True
    >>> dataset = open_arrays(np.zeros((3, 8, 8, 3), np.uint8), masks=masks, names=["a", "b", "c"])
    >>> [item.image for item in select(dataset, DataOptions(min_area=0.2)).items]
    ['b', 'c']
    """
    check_attributes(dataset)
    options.check()
    if options.crowd not in ("include", (getattr(dataset, "source", None) or {}).get("crowd")):
        raise InputError(
            f"`crowd` is chosen when a data set is opened, but got {options.crowd!r} for an open one. Open it with "
            f"`crowd={options.crowd!r}`, as `loce_jax.data.open_coco` takes it."
        )
    if not options.record():
        return dataset
    items = _choose_groups([_with_group(item, options.group_by) for item in dataset.items], options)
    items = _filter_areas(dataset, items, options)
    if options.max_images is not None:
        items = _draw(items, options)
    if options.max_per_concept is not None:
        items = _draw_per_concept(items, dataset.concepts, options)
    if not items:
        raise InputError(
            f"the options of the data must leave an image with a concept, but none of {len(dataset.items)} is left: "
            f"{options.record()}. Widen them."
        )
    originals = {item.image: item for item in dataset.items}
    originals = {item.image: originals[item.image] for item in items}
    present = {pair.concept for item in items for pair in item.pairs}
    rows = [dataset.fingerprint, options.record(), *([item.image, [p.concept for p in item.pairs]] for item in items)]
    if options.masks != "original" and hasattr(dataset, "annotations"):
        described: Any = dataset
        rows += [[one.get("bbox") for pair in item.pairs for one in described.annotations(pair)] for item in items]
    return SelectedDataset(
        base=dataset,
        options=options,
        items=tuple(items),
        concepts=tuple(name for name in dataset.concepts if name in present),
        fingerprint=digest(rows),
        _originals=originals,
    )


def group_of(item: Item) -> str | None:
    """Name of the group that an image belongs to, such as a video sequence; None where there are no groups."""
    return next((str(value) for pair in item.pairs for name, value in pair.attributes if name == "group"), None)


def _with_group(item: Item, group_by: str) -> Item:
    """The item with an attribute "group" as `group_by` says."""
    if not group_by:
        return item
    if group_by == "folder":
        group = item.image.rpartition("/")[0]
    else:
        found = re.search(group_by, item.image)
        group = found.group(1) if found and found.group(1) else ""
    pairs = [
        replace(pair, attributes=(*((k, v) for k, v in pair.attributes if k != "group"), ("group", group)))
        for pair in item.pairs
    ]
    return replace(item, pairs=tuple(pairs))


def _choose_groups(items, options):
    if not options.groups:
        return items
    known = sorted({group for item in items if (group := group_of(item)) is not None})
    if not known:
        raise InputError(
            "`groups` can be given for data with groups, but these have none. `group_by` makes some: 'folder', or a "
            "regular expression such as '^(.*?)_'."
        )
    check_known("group", options.groups, known)
    return [item for item in items if group_of(item) in options.groups]


def _filter_areas(dataset, items, options):
    if (options.min_area, options.max_area, options.min_pixels) == (0.0, 1.0, 0):
        return items
    originals = {item.image: item for item in dataset.items}

    def keep(item):
        areas = _areas(dataset, originals[item.image], options)
        pixels = item.size[0] * item.size[1]
        kept = [
            pair
            for pair in item.pairs
            if (area := areas[pair.concept]) is None
            or (options.min_area <= area / pixels <= options.max_area and area >= options.min_pixels)
        ]
        return replace(item, pairs=tuple(kept))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return [item for item in pool.map(keep, items) if item.pairs]


def _areas(dataset, item, options) -> dict[str, int | None]:
    """Pixels of each concept's mask; None where there is no mask."""
    try:
        masks = dataset.masks(item) if hasattr(dataset, "masks") else dataset.read(item).masks
    except Fault:
        return dict.fromkeys(pair.concept for pair in item.pairs)
    masks = _alter_masks(dataset, item, masks, options)
    return {
        pair.concept: None if isinstance(mask, Fault) else int(mask.sum())
        for pair, mask in zip(item.pairs, masks, strict=True)
    }


def _rank(options, *names):
    return hashlib.sha256("\0".join([str(options.seed), *names]).encode("utf-8", "surrogatepass")).digest()


def _draw(items, options):
    drawn = sorted(items, key=lambda item: _rank(options, item.image))[: options.max_images]
    chosen = {item.image for item in drawn}
    return [item for item in items if item.image in chosen]


def _draw_per_concept(items, concepts, options):
    chosen = set()
    for concept in concepts:
        images = [item.image for item in items if any(pair.concept == concept for pair in item.pairs)]
        images.sort(key=lambda image: _rank(options, image, concept))
        chosen |= {(image, concept) for image in images[: options.max_per_concept]}
    thinned = [replace(i, pairs=tuple(p for p in i.pairs if (i.image, p.concept) in chosen)) for i in items]
    return [item for item in thinned if item.pairs]


def _alter_masks(dataset, item, masks, options):
    if options.masks == "original":
        return masks
    return tuple(_shape(dataset, item, pair, mask, options) for pair, mask in zip(item.pairs, masks, strict=True))


def _shape(dataset, item: Item, pair: Pair, mask, options) -> Bool[np.ndarray, "H W"] | Fault:
    """The boxes of a pair's annotations, or the ellipses in them; of the whole mask where there are no annotations."""
    try:
        if hasattr(dataset, "annotations"):
            boxes = [_with_box(one, item.size) for one in dataset.annotations(pair)]
        elif isinstance(mask, Fault):
            return mask
        else:
            boxes = [{"id": 0, "segmentation": [], "bbox": _box_of(mask)}]
        shape = box_mask(boxes, item.size, shape=options.masks, paper=options.paper)
    except Fault as fault:
        return fault.with_traceback(None)
    return check_mask(shape, item, pair)


def _with_box(annotation: dict, size: tuple[int, int]) -> dict:
    """The annotation, with the box around its mask where it has no box of its own."""
    if annotation.get("bbox"):
        return annotation
    mask = union_mask([annotation], size)
    return annotation | {"bbox": _box_of(mask) if mask.any() else [0, 0, 0, 0]}


def _box_of(mask) -> list[float]:
    (rows,), (columns,) = (np.nonzero(mask.any(axis=axis)) for axis in (1, 0))
    left, top = int(columns[0]), int(rows[0])
    return [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top]


def _add_noise(photo, item, options):
    if options.noise == "none":
        return photo
    seed = options.seed if options.paper else (options.seed, zlib.crc32(item.image.encode("utf-8", "surrogatepass")))
    return NOISES[options.noise](photo, options.noise_percent, seed=seed, paper=options.paper)
