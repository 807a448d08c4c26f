"""Photographs of colored bars, and a network whose channels are the colors: what is planted is found."""

import numpy as np

from loce_jax import Preprocess
from loce_jax.data.samples import Fault, Item, Pair, Reading
from loce_jax.models import from_function


def means(params, images):
    cells = images.reshape(len(images), 4, 8, 4, 8, 3).mean((2, 4))
    return {"cells": cells, "double": 2 * cells}


NETWORK = from_function(means, {}, preprocess=Preprocess((32, 32)), name="means")


class Bars:
    """A red bar or a blue one, or both, whose place grows with the number of the image; some cannot be read."""

    concepts, fingerprint = ("red", "blue"), "1"

    def __init__(self, count=40, missing=(), unreadable_masks=()):
        self.missing, self.unreadable_masks = missing, unreadable_masks
        pairs = {0: (Pair("red"),), 1: (Pair("blue"),), 2: (Pair("red"), Pair("blue"))}
        self.items = tuple(Item(f"{i}.png", i, (64, 64), pairs[i % 3]) for i in range(count))

    def read(self, item):
        if item.image_id in self.missing:
            raise Fault("image_missing", "it is gone.")
        photo, masks = np.zeros((64, 64, 3), np.uint8), []
        for pair in item.pairs:
            mask = np.zeros((64, 64), bool)
            left = (self.concepts.index(pair.concept) * 32 + item.image_id) % 48
            mask[:, left : left + 16] = True
            photo[mask, 2 * self.concepts.index(pair.concept)] = 255
            masks.append(Fault("mask_unreadable", "torn.") if item.image_id in self.unreadable_masks else mask)
        return Reading(photo, tuple(masks))
