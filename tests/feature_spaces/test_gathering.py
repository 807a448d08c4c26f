"""All images of a data set, their activations and masks: in order, complete, and honest about what was unread."""

import jax.numpy as jnp
import numpy as np
import pytest

from loce_jax import InputError
from loce_jax.feature_spaces import gathering
from loce_jax.feature_spaces.gathering import gather
from tests.support.bars import NETWORK, Bars


@pytest.mark.parametrize("limit", [4e9, 0])
def test_everything_lies_side_by_side(limit, monkeypatch):
    monkeypatch.setattr(gathering, "MOST_IN_MEMORY", limit)
    data, seen = Bars(), []
    found = gather(
        NETWORK, ["cells", "double"], data, size=(16, 16), progress=lambda done, total: seen.append((done, total))
    )
    assert found.images == tuple(item.image for item in data.items) and found.groups == found.images
    assert found.concepts == ("red", "blue") and found.unread == () and seen[-1] == (40, 40)
    assert found.photos is None
    for row, item in enumerate(data.items):
        reading = data.read(item)
        cells = reading.photo.reshape(4, 16, 4, 16, 3).mean((1, 3)) / 255
        np.testing.assert_allclose(found.activations["cells"][row], cells, atol=0.02)  # bicubic, 8 bits
        np.testing.assert_array_equal(found.activations["double"][row], 2 * found.activations["cells"][row])
        for k, name in enumerate(found.concepts):
            shown = [mask for pair, mask in zip(item.pairs, reading.masks, strict=True) if pair.concept == name]
            expected = (
                np.asarray(shown[0]).reshape(16, 4, 16, 4).mean((1, 3)) > 0.5 if shown else np.zeros((16, 16), bool)
            )
            assert (found.masks[row, k] != expected).mean() < 0.1, "up to the edge of the smoothed mask"


def test_blocks_are_the_rows_asked_for():
    found = gather(NETWORK, ["cells"], Bars(), size=(8, 8))
    rows = np.array([7, 3, 39])
    (block,) = found.blocks("cells", rows)
    np.testing.assert_array_equal(block.activations, found.activations["cells"][rows])
    np.testing.assert_array_equal(block.masks, found.masks[rows])
    assert [len(block.masks) for block in found.blocks("cells")] == [32, 8]


def test_photos_are_kept_when_asked_for():
    found = gather(NETWORK, ["cells"], Bars(5, missing=(1,)), size=(8, 8), photos=True)
    assert found.photos is not None and found.photos.shape == (4, 32, 32, 3)
    extracted = NETWORK.activations(NETWORK.params, jnp.asarray(found.photos), ("cells",))["cells"]
    np.testing.assert_allclose(extracted, found.activations["cells"], atol=1e-6)  # the same float32 means


def test_what_cannot_be_read_is_left_out_and_told():
    found = gather(NETWORK, ["cells"], Bars(missing=(0, 33), unreadable_masks=(5,)), size=(8, 8))
    assert len(found.images) == 37 and {"0.png", "33.png", "5.png"}.isdisjoint(found.images)
    assert found.unread == (("0.png", "it is gone."), ("5.png", "torn."), ("33.png", "it is gone."))
    np.testing.assert_array_equal(
        found.activations["cells"][0], gather(NETWORK, ["cells"], Bars()).activations["cells"][1]
    )


def test_nothing_to_read_is_an_error():
    with pytest.raises(InputError, match=r"none of 3 can. The first is '0.png': it is gone"):
        gather(NETWORK, ["cells"], Bars(3, missing=(0, 1, 2)))
