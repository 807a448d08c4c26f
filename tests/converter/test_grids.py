"""Which outputs are maps, and how they lie; no network needed."""

from dataclasses import replace

import pytest

from loce_jax.models.converter.grids import Arrangement, Change, Output, find_layers

SIZE = (64, 96)


def found(*outputs, size=SIZE):
    return {layer.name: how for layer, how in find_layers(outputs, size)}


def channels_first(name, c, h, w, **options):
    return Output(name, (c, h, w), varies=True, tall=(c, 2 * h, w), wide=(c, h, 2 * w), **options)


def tokens(name, count, before=0, behind=0, **options):
    sight = (True,) * before + (False,) * (count - before - behind) + (True,) * behind
    return Output(name, (count, 32), varies=True, constant=sight, **options)


def test_what_grows_with_the_picture_is_its_map():
    square = channels_first("square", 8, 8, 8)
    last = Output("last", (8, 8, 8), varies=True, tall=(16, 8, 8), wide=(8, 16, 8))
    assert found(square, last, size=(64, 64)) == {
        "square": Arrangement("bchw", (8, 8)),
        "last": Arrangement("bhwc", (8, 8)),
    }


@pytest.mark.parametrize(
    "output",
    [
        Output("pooled", (8, 1, 1), varies=True, tall=(8, 1, 1), wide=(8, 1, 1)),
        Output("attention", (2, 96, 96), varies=True, tall=(2, 192, 192), wide=(2, 192, 192)),
        Output("heads", (2, 96, 16), varies=True, tall=(2, 192, 16), wide=(2, 192, 16)),
        Output("queries", (100, 32), varies=True, constant=(False,) * 100, tall=(100, 32), wide=(100, 32)),
        Output("positions", (8, 8, 12), varies=False, tall=(8, 16, 12), wide=(8, 8, 24)),
    ],
    ids=lambda output: output.name,
)
def test_what_does_not_grow_like_a_map_is_none(output):
    assert list(found(channels_first("stem", 8, 8, 12), output)) == ["stem"]


def test_one_cell_counts_where_it_grows():
    assert found(Output("top", (8, 1, 1), varies=True, tall=(8, 3, 1), wide=(8, 1, 3)))["top"].grid == (1, 1)


def test_networks_of_one_size_are_read_by_proportion():
    outputs = [
        Output("patches", (32, 4, 6), varies=True),
        Output("windows", (4, 6, 32), varies=True),
        tokens("block", 29, before=1, behind=4),
        Output("attention", (2, 29, 29), varies=True),
        Output("pooled", (8, 1, 1), varies=True),
    ]
    assert found(*outputs) == {
        "patches": Arrangement("bchw", (4, 6)),
        "windows": Arrangement("bhwc", (4, 6)),
        "block": Arrangement("btc", (4, 6), skip=1),
    }


def test_tokens_keep_the_place_of_the_blind_ones_at_first_sight():
    later = tokens("later", 25)
    assert found(Output("patches", (32, 4, 6), varies=True), tokens("first", 25, before=1), later)["later"].skip == 1


def test_dead_cells_at_the_end_are_still_cells():
    stem = Output("patches", (8, 4, 6), varies=True)
    assert found(stem, tokens("dead", 24, before=1, behind=2))["dead"] == Arrangement("btc", (4, 6))


def test_later_stages_of_tokens_are_halved_grids():
    assert found(Output("patches", (8, 8, 12), varies=True), tokens("merged", 24))["merged"].grid == (4, 6)


def test_a_number_of_tokens_that_is_no_grid_is_none():
    assert "odd" not in found(Output("patches", (8, 8, 12), varies=True), tokens("odd", 23))


def test_tokens_in_an_order_of_their_own_are_none():
    def change(place):
        return Change(0.1, 0.1, tuple(1.0 if i == place else 0.01 for i in range(24)))

    stem = Output("patches", (8, 4, 6), varies=True)
    block = tokens("block", 24)
    assert "block" in found(stem, replace(block, changes=(change(0),) * 3))
    assert "block" in found(stem, replace(block, changes=(change(0), change(23), change(23))))
    assert "block" not in found(stem, replace(block, changes=(change(23),) * 3))


def test_stride_is_pixels_per_cell():
    ((layer, _),) = find_layers([channels_first("stem", 8, 13, 20)], (104, 160))
    assert (layer.stride, layer.channels, layer.kind) == (8.0, 8, "grid")
