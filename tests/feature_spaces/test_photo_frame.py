"""Maps on the photo alone: padding goes, what is seen there stays where it is."""

import dataclasses

import numpy as np

from loce_jax import Preprocess, fit
from loce_jax.feature_spaces.gathering import gather
from loce_jax.feature_spaces.options import HeldOut
from loce_jax.feature_spaces.photo_frame import on_photos
from loce_jax.feature_spaces.spaces import Side, make_spaces
from loce_jax.framing import Canvas
from tests.support.bars import NETWORK, Bars


def test_a_linear_map_is_read_at_the_centers_of_the_photos_cells():
    """A bilinear resize of a linear map is exact but at the border, where it is clamped."""
    canvas = Canvas(size=(80, 120), photo=(40, 60), top=20, left=30)
    y, x = np.meshgrid((np.arange(16) + 0.5) * 5, (np.arange(16) + 0.5) * 7.5, indexing="ij")  # in pixels
    found = on_photos(np.stack([y, x])[None], [canvas])
    np.testing.assert_allclose(found[0, 0][:, 0], 20 + (np.arange(16) + 0.5) * 2.5, rtol=1e-12)
    np.testing.assert_allclose(found[0, 1][0], 30 + (np.arange(16) + 0.5) * 3.75, rtol=1e-12)


def test_without_padding_nothing_changes():
    maps, alone = np.random.default_rng(0).random((2, 3, 4, 5)), Canvas((6, 7), (6, 7))
    assert on_photos(maps, [alone] * 2) is maps
    mixed = on_photos(maps, [alone, Canvas((12, 7), (6, 7))])
    np.testing.assert_array_equal(mixed[0], maps[0])
    np.testing.assert_allclose(mixed[1, :, 0], maps[1, :, 0])  # clamped: a quarter cell above the first center
    np.testing.assert_allclose(
        mixed[1, :, -1], 0.75 * maps[1, :, 1] + 0.25 * maps[1, :, 2]
    )  # 1.25 cells below the first center


class Wide(Bars):
    """Bars whose photos are half as high as wide: the lower half of them is left out."""

    def __init__(self, count=40):
        super().__init__(count)
        self.items = tuple(dataclasses.replace(item, size=(32, 64)) for item in self.items)

    def read(self, item):
        whole = super().read(item)
        return type(whole)(whole.photo[:32], tuple(np.asarray(mask)[:32] for mask in whole.masks))


def test_a_network_that_pads_is_compared_with_one_that_stretches(tmp_path):
    padded = dataclasses.replace(NETWORK, preprocess=Preprocess((32, 32), pad=0, placement="center"))
    sides = []
    for name, network in (("stretched", NETWORK), ("padded", padded)):
        run = fit(network, Wide(24), ["cells"], out=tmp_path / name)
        gathered = gather(network, ["cells"], Wide(24), size=(16, 16))
        sides.append(Side(name, run, {"cells": 0.0}, gathered))
    rows = [np.arange(24)] * 2
    parts = HeldOut().split([str(number) for number in range(24)])
    first, second = make_spaces(sides, rows, parts, "cav", lambda line: None)
    np.testing.assert_allclose(first.shares, second.shares, atol=0.02)
    middle = slice(14, 42)  # rows away from the padding
    hot = [one.maps[:, :, middle] > 0.5 for one in (first, second)]
    assert (hot[0] & hot[1]).sum() / (hot[0] | hot[1]).sum() > 0.8
