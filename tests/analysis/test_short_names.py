"""Short names of layers: those of the original figures, and ones that stay apart."""

import json

import numpy as np
import pytest

from loce_jax.analysis.paper_forms import paper_short_name
from loce_jax.analysis.short_names import short_names

DETR = [
    "model.backbone.conv_encoder.model.layer3",
    "model.input_projection",
    "model.encoder.layers.0",
    "model.encoder.layers.5",
]


def test_names_in_the_original_figures(shared):
    expected = json.loads(shared("golden", "analysis.json").read_text())["short_layer_names"]
    assert len(expected) == 82
    assert {name: paper_short_name(name) for name in expected} == expected


def test_what_all_share_goes_and_long_ones_are_abbreviated_alike():
    assert short_names(DETR) == ("b.ce.m.layer3", "ip", "e.l.0", "e.l.5")
    assert short_names(DETR, length=99) == (
        "backbone.conv_encoder.model.layer3",
        "input_projection",
        "encoder.layers.0",
        "encoder.layers.5",
    )
    assert short_names(["encoder.layers.encoder_layer_3", "encoder.layers.encoder_layer_11"]) == (
        "encoder_layer_3",
        "encoder_layer_11",
    )
    assert short_names(["features.5.2", "features.7.0"]) == ("features.5.2", "features.7.0")


def test_one_name_none_and_equal_ones():
    assert short_names([]) == ()
    assert short_names(["a.b.conv"]) == ("conv",)
    assert short_names(["conv"]) == ("conv",)
    assert short_names(["a.x", "a.y", "a.x"]) == ("x", "y", "x")
    assert short_names(["a", "a.b"]) == ("a", "a.b")


def test_nothing_is_abbreviated_where_that_would_mix_names_up():
    names = ["stem.alpha_long_word.weight", "tail.alpine_large_world.weight", "stem.alpine_large_world.weight"]
    assert short_names(names) == tuple(names)


@pytest.mark.parametrize("seed", range(50))
def test_different_names_stay_different_in_any_order(seed):
    rng = np.random.default_rng(seed)
    parts = ["encoder", "decoder", "layer_1", "layer_11", "l1", "e", "0", "attention_output", "", "x" * 20]
    names = [".".join(rng.choice(parts, rng.integers(1, 5))) for _ in range(rng.integers(1, 8))]
    short = short_names(names)
    assert len(set(zip(names, short, strict=True))) == len(set(names)) == len(set(short))
    order = rng.permutation(len(names))
    assert short_names([names[row] for row in order]) == tuple(short[row] for row in order)
