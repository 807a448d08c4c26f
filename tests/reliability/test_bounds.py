"""Numbers without bound are refused with the bound and its reason, before anything is done."""

import pytest

from loce_jax import InputError, PaperRecipe
from loce_jax.pipeline.plan import make_plan
from loce_jax.pipeline.sources import scenes_source
from tests.support.tiny import Boxes, tiny_network


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: scenes_source(count=10**9).open(), "from 1 to 100000, because all are planned before"),
        (lambda: PaperRecipe(num_steps=10**12), "at most 100000, because the loss of each step is kept"),
        (
            lambda: make_plan(tiny_network(), ("deep",), Boxes(), PaperRecipe(), target=(10**9, 100)),
            "from 1 to 4096, because every mask is resized to it",
        ),
    ],
)
def test_sizes_have_bounds(call, message):
    with pytest.raises(InputError, match=message):
        call()
