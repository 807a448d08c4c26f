"""Which images several runs have in common, and whether they suffice to find concepts on some and compare the others.

Asked twice: of the data sets, before any network runs, and of the images that could be read.
Shapes: n images that all have.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from loce_jax.checks import InputError, counted, listed
from loce_jax.concepts.evaluation.split import Split
from loce_jax.data.samples import Dataset
from loce_jax.data.selection import group_of
from loce_jax.feature_spaces.gathering import Gathered
from loce_jax.feature_spaces.options import HeldOut, resampled

FEWEST = 2  # groups to find concepts on, which have halves; images to compare them on, which can be shuffled


@dataclass(frozen=True)
class ImageList:
    """The images of one run.

    Attributes:
        images: their names.
        groups: of each image, its group; its own name where there are no groups.
        concepts: names of the concepts.
    """

    images: tuple[str, ...]
    groups: tuple[str, ...]
    concepts: tuple[str, ...]

    @classmethod
    def of(cls, dataset: Dataset) -> "ImageList":
        """All images of a data set, whether they can be read or not."""
        images = tuple(item.image for item in dataset.items)
        groups = tuple(group_of(item) or item.image for item in dataset.items)
        return cls(images, groups, tuple(dataset.concepts))

    @classmethod
    def of_gathered(cls, gathered: Gathered) -> "ImageList":
        """The images that could be read."""
        return cls(gathered.images, gathered.groups, gathered.concepts)


@dataclass(frozen=True, eq=False)
class Common:
    """The images that all runs have, in the first one's order.

    Attributes:
        rows: of each run, where they are in its list.
        groups: of each image.
        parts: which of them concepts are found on, and which they are compared on.
    """

    rows: tuple[Int[np.ndarray, " n"], ...]
    groups: tuple[str, ...]
    parts: Split

    @property
    def compared(self) -> tuple[str, ...]:
        """Groups of the images that concepts are compared on."""
        return tuple(self.groups[number] for number in self.parts.held_out)


def common_images(lists: Mapping[str, ImageList], held_out: HeldOut) -> Common:
    """The images that all of several runs have, divided.

    Args:
        lists: images of each run, by the run's name.
        held_out: how they are divided.

    Raises:
        InputError: concepts differ, the common images are too few, or a group of `held_out` is not known.

    >>> images = tuple("abcdef")
    >>> lists = {"one": ImageList(images, images, ("cat",)), "two": ImageList(images[:5], images[:5], ("cat",))}
    >>> [len(part) for part in vars(common_images(lists, HeldOut()).parts).values()]
    [3, 2]
    """
    (name, first), *others = lists.items()
    for other, theirs in others:
        if theirs.concepts != first.concepts:
            raise InputError(
                f"`runs` must have the same concepts, to be compared, but {name!r} has "
                f"{listed(first.concepts)} and {other!r} {listed(theirs.concepts)}. Fit them on the same data, with "
                "the same `concepts`."
            )
    places = [{image: row for row, image in enumerate(mine.images)} for mine in lists.values()]
    images = [image for image in first.images if all(image in mine for mine in places)]
    rows = tuple(np.array([mine[image] for image in images], int) for mine in places)
    groups = tuple(first.groups[row] for row in rows[0])
    if len(set(groups)) < FEWEST:
        raise _too_few(groups, None)
    parts = held_out.split(groups)
    if len({groups[number] for number in parts.train}) < FEWEST or len(parts.held_out) < FEWEST:
        raise _too_few(groups, parts)
    found = Common(rows, groups, parts)
    _check_largest(found.compared)
    return found


def _too_few(groups: Sequence[str], parts: Split | None) -> InputError:
    kinds = len(set(groups))
    have = counted(len(groups), "image") + (f" of {counted(kinds, 'group')}" if kinds < len(groups) else "")
    if parts is not None:
        have += f", {len(parts.train)} to find concepts on and {len(parts.held_out)} to compare them on"
    return InputError(
        f"`runs` must have at least {2 * FEWEST} images in common, {FEWEST} or more to find concepts on, of different "
        f"groups if there are groups, because reference levels come from halves of them, and {FEWEST} or more to "
        f"compare concepts on, because others come from shuffling them, but have {have}. Fit the runs on more of the "
        "same images, or hold out others (`share`, `test_groups`)."
    )


def _check_largest(groups: Sequence[str]) -> None:
    """Raise `InputError` where shuffled images cannot all come from other groups."""
    largest, count = Counter(resampled(groups).units.tolist()).most_common(1)[0]
    if 2 * count > len(groups):
        raise InputError(
            "the images that concepts are compared on must have no group with more than half of them, because shuffled "
            f"images come from other groups, but {largest!r} has {count} of {len(groups)}. Hold out others "
            "(`test_groups`, `seed`)."
        )
