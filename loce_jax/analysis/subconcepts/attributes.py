"""Attributes of embeddings that may distinguish sub-concepts: what else is in the image, and where the object is.

Shapes: n rows, one per (image, concept) pair; h x w pixels.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Num

from loce_jax.checks import InputError, check_shape

_BRIGHTNESS = np.array([0.299, 0.587, 0.114])  # of red, green and blue


def co_occurring(groups: Sequence | np.ndarray, concepts: Sequence | np.ndarray) -> dict[Any, Bool[np.ndarray, " n"]]:
    """For every concept, ascending, whether another row of the same image has it.

    Only concepts among the given rows are known: pass all rows of the run, then select.

    Args:
        groups: the image of each row.
        concepts: the concept of each row.

    >>> {name: column.tolist() for name, column in co_occurring(["a", "a", "b"], ["cat", "dog", "dog"]).items()}
    {'cat': [False, True, False], 'dog': [True, False, False]}
    """
    groups, concepts = np.asarray(groups), np.asarray(concepts)
    check_shape("concepts", concepts, groups.shape, meaning="one per entry of `groups`", fix="")
    _, image = np.unique(groups, return_inverse=True)
    names, concept = np.unique(concepts, return_inverse=True)
    counts = np.zeros((len(set(image.tolist())), len(names)), int)
    np.add.at(counts, (image, concept), 1)
    others = counts[image] - (concept[:, None] == np.arange(len(names)))
    return {name: others[:, column] > 0 for column, name in enumerate(names.tolist())}


def mask_attributes(mask: Bool[np.ndarray, "h w"], photo: Num[np.ndarray, "_ _ _"]) -> dict[str, float]:
    """Size, position and brightness of a mask's object, all from 0 to 1.

    ``area``: share of the photograph.  ``x``, ``y``: center of mass, from the left and from the top, pixel centers at
    ``(column + 0.5) / w``.  ``width``, ``height``: of the bounding box, as a share of the photograph's.
    ``brightness``: mean of ``0.299 red + 0.587 green + 0.114 blue`` (ITU-R BT.601) inside.
    An empty mask has area 0 and NaN for the rest.

    Args:
        mask: True inside the object.
        photo: integers from 0 to 255, or floats from 0 to 1, at the mask's size.

    >>> found = mask_attributes(np.array([[True, True, False, False]]), np.full((1, 4, 3), 255, np.uint8))
    >>> {name: round(value, 3) for name, value in found.items()}
    {'area': 0.5, 'x': 0.25, 'y': 0.5, 'width': 0.5, 'height': 1.0, 'brightness': 1.0}
    """
    check_shape(
        "photo",
        photo,
        (*mask.shape, 3),
        meaning="red, green, blue at the mask's size",
        fix="Resize the mask or the photo.",
    )
    if not np.isfinite(photo).all():
        raise InputError("`photo` must be finite, but holds NaN or infinity. Read the file again.")
    rows, columns = np.nonzero(mask)
    names = ("area", "x", "y", "width", "height", "brightness")
    if not len(rows):
        return dict.fromkeys(names, float("nan")) | {"area": 0.0}
    height, width = mask.shape
    brightness = photo[rows, columns].astype(np.float64) @ _BRIGHTNESS
    values = (
        len(rows) / mask.size,
        (columns.mean() + 0.5) / width,
        (rows.mean() + 0.5) / height,
        (np.ptp(columns) + 1) / width,
        (np.ptp(rows) + 1) / height,
        brightness.mean() / (255 if photo.dtype.kind in "iu" else 1),
    )
    return dict(zip(names, map(float, values), strict=True))
