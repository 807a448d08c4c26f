"""A letterboxed network: masks lie where its padded photographs have them, from the target to the page."""

from dataclasses import replace

import numpy as np
import pytest

from loce_jax import PaperRecipe, fit, resize_mask
from loce_jax.data.samples import Item, Pair, Reading
from loce_jax.framing import recorded_canvas
from loce_jax.models.base import Preprocess
from loce_jax.pipeline.plan import make_plan
from loce_jax.pipeline.reading import SampleReader
from loce_jax.report.images import illustrate
from loce_jax.resampling import resize_bilinear
from loce_jax.solver import mask_iou, quantize
from loce_jax.study.selection.photos import Photos
from tests.support.tiny import SIZE, tiny_network

PHOTO = (20, 80)  # wider than the network's 48 x 64: 12 rows of the input and 36 of padding


class Strips:
    """Three wide photographs, one concept at the right end of each."""

    concepts, fingerprint = ("end",), "strips 1"
    items = tuple(Item(f"{i}", i, PHOTO, (Pair("end"),)) for i in range(3))

    def read(self, item):
        photo = np.random.default_rng(item.image_id).integers(0, 60, (*PHOTO, 3), np.uint8)
        mask = np.zeros(PHOTO, bool)
        mask[:, 50 + item.image_id :] = True
        photo[mask] += np.array([150, 0, 0], np.uint8)
        return Reading(photo, (mask,))


def letterboxed(placement):
    return replace(tiny_network(), preprocess=Preprocess(SIZE, pad=114, placement=placement))


@pytest.mark.parametrize("placement", ["corner", "center"])
def test_masks_follow_the_padding_and_the_iou_is_of_the_photo(tmp_path, placement):
    network, data = letterboxed(placement), Strips()
    run = fit(network, data, ["shallow"], out=tmp_path / "run", recipe=PaperRecipe(num_steps=20))
    canvas = recorded_canvas(PHOTO, run.plan)
    assert canvas == network.preprocess.canvas(PHOTO) and canvas.size == (60, 80)
    plan = make_plan(network, ["shallow"], data, PaperRecipe())
    for number, item in enumerate(data.items):
        read = SampleReader.for_plan(plan)(item)
        (mask,) = data.read(item).masks
        assert isinstance(mask, np.ndarray)
        np.testing.assert_array_equal(read.samples[0].target, resize_mask(canvas.pad(mask), (100, 100)))
        response = run.responses("shallow")[number].astype(float)
        by_hand = mask_iou(quantize(resize_bilinear(response, (100, 100))), mask, canvas=canvas)
        assert run.column("iou", "shallow")[number] == pytest.approx(by_hand, abs=0.02)  # stored in float16
    assert run.column("iou", "shallow").min() > 0.45  # the photo is two rows of cells high
    shown = illustrate(data, thumbs=set(), examples={("0", "end")}, plan=run.plan).examples["0", "end"]
    plain = illustrate(data, thumbs=set(), examples={("0", "end")}).examples["0", "end"]
    assert shown != plain
    tile = Photos(run, data).tiles([0], projections={0: np.where(canvas.pad(np.ones(PHOTO)) > 0, 1.0, 0.0)})[0]
    other = Photos(run, data).tiles([0], projections={0: np.ones((4, 4))})[0]
    assert np.abs(tile.astype(int) - other).mean() < 3  # the projection's part on the photo is what tints it
