"""Options of the commands: which images concepts are found on and tested on, which class is looked at."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Shaped

from loce_jax.checks import CheckedOptions, InputError, check_known, counted
from loce_jax.concepts.evaluation.split import Split, check_share, split


@dataclass(frozen=True)
class ClassOptions(CheckedOptions):
    """Which class, and on which images it is looked at."""

    target: str
    """Class of the network: its name, or its number from 0."""
    output: str = "logits"
    """Output of the network that holds the class."""
    samples: Literal["regions", "images"] = "regions"
    """Activations that a concept vector is found on: averaged over each concept's mask, against the masks of the other
    concepts; or averaged over whole images, those that show the concept against those that do not."""
    examples: int = 50
    """Number of images, those that the network gives the class the highest value."""
    draws: int = 1999
    """Number of random directions that the score of a concept is ranked among."""
    seed: int = 0
    """Random seed of the draws."""

    def __post_init__(self):
        super().__post_init__()
        for name in ("examples", "draws"):
            if getattr(self, name) < 1:
                raise InputError(
                    f"`{name}` must be at least 1, because a score is a share of images, ranked among those of random "
                    f"directions, but got {getattr(self, name)}. Leave it out."
                )


FEWEST_GROUPS = 5  # that are resampled


@dataclass(frozen=True)
class HeldOut(CheckedOptions):
    """Which images are held out."""

    test_groups: tuple[str, ...] = ()
    """Names of the groups, such as video sequences, that concepts are tested on and not found on; random ones if left
    out."""
    share: float = 1 / 3
    """Share of the images to hold out, at random, whole groups at a time."""
    seed: int = 0
    """Random seed of the split and of the intervals."""

    def __post_init__(self):
        super().__post_init__()
        check_share(self.share)

    def split(self, groups: Sequence[str]) -> Split:
        """The rows of images on either side.

        Args:
            groups: of each image.

        Raises:
            InputError: an unknown group, or nothing on one side.

        >>> HeldOut(test_groups=("b",)).split(["a", "b", "a"]).train.tolist()
        [0, 2]
        """
        if len(set(groups)) < 2:
            raise InputError(
                "there must be images of at least two groups (where there are no groups, two images), to find concepts "
                f"on one and test them on the other, but there are {counted(len(groups), 'image')} of "
                f"{counted(len(set(groups)), 'group')}. Fit the run on more images."
            )
        if not self.test_groups:
            return split(groups, self.share, self.seed)
        check_known("group", self.test_groups, sorted(set(groups)))
        held_out = np.isin(np.asarray(groups), self.test_groups)
        if held_out.all():
            raise InputError(
                f"`test_groups` must leave a group to find concepts on, but names all {len(set(groups))}. Leave out "
                "one of them."
            )
        return Split(np.flatnonzero(~held_out), np.flatnonzero(held_out))


@dataclass(frozen=True, eq=False)
class Resampled:
    """What intervals and shuffles of held-out images go over.

    Attributes:
        units: one value per image; images with the same one belong together.
        words: what they are, for titles.
    """

    units: Shaped[np.ndarray, " n"]
    words: str


def resampled(groups: Sequence[str]) -> Resampled:
    """The groups of images, where there are at least 5; else the images, as if they were independent.

    >>> resampled(["a", "a", "b"]).words
    'images (of 2 groups only: intervals are too narrow)'
    >>> resampled(["a", "b", "c", "d", "e", "e"]).words, resampled(list("abcdef")).words
    ('groups of images', 'images')
    """
    count = len(set(groups))
    if count == len(groups):
        return Resampled(np.asarray(groups), "images")
    if count >= FEWEST_GROUPS:
        return Resampled(np.asarray(groups), "groups of images")
    return Resampled(np.arange(len(groups)), f"images (of {count} groups only: intervals are too narrow)")
