"""Several layers' projections in one picture, against recorded pictures of the original code."""

import numpy as np
import pytest

from loce_jax.checks import InputError
from loce_jax.plots.combined import color_projection, combine_as_paper, combine_projections
from loce_jax.solver import quantize


@pytest.fixture(scope="module")
def recorded(shared):
    return np.load(shared("golden", "analysis.npz"))


def test_projection_of_the_original_code(recorded):
    activations, vector = recorded["proj_acts"].transpose(1, 2, 0), recorded["proj_vec"]
    np.testing.assert_array_equal(quantize(activations @ vector), recorded["proj_out"])


def test_combination_of_the_original_code(recorded):
    inputs = [recorded[f"combine_in_{place}"] for place in range(3)]
    np.testing.assert_array_equal(combine_as_paper(inputs), recorded["combine_out"])


def test_colors_of_the_original_code(recorded):
    projection, expected = recorded["combine_in_0"] / 255, recorded["rgb_binary_mask"]
    np.testing.assert_array_equal(color_projection(projection, stretched=True), expected)


def test_the_mean_is_exact_where_the_original_one_is_not():
    rng = np.random.default_rng(0)
    maps = [rng.random((4, 6)) for _ in range(3)]
    np.testing.assert_allclose(combine_projections(maps), sum(maps) / 3, rtol=1e-15)
    levels = [np.full((2, 2), level, np.uint8) for level in (0, 255)]
    assert combine_as_paper(levels).max() == 127
    assert combine_projections([level / 255 for level in levels]).tolist() == [[0.5, 0.5], [0.5, 0.5]]


def test_combining_keeps_the_range_which_bicubic_resizing_does_not():
    step = np.repeat([[0.2, 0.2, 0.8, 0.8]], 4, axis=0)
    fine = np.zeros((16, 16))
    combined = combine_projections([step, fine])
    assert combined.shape == (16, 16)
    assert combined.min() == pytest.approx(0.1) and combined.max() == pytest.approx(0.4)
    bicubic = combine_as_paper([np.round(255 * step).astype(np.uint8), fine.astype(np.uint8)])
    assert bicubic.max() > 255 * 0.4 + 1


def test_resized_by_hand():
    combined = combine_projections([np.array([[0.0, 0.8]]), np.array([[0.4, 0.4, 0.4, 0.4], [0.0, 0.0, 0.0, 0.0]])])
    np.testing.assert_allclose(combined, [[0.2, 0.3, 0.5, 0.6], [0.0, 0.1, 0.3, 0.4]], atol=1e-15)
    tall, wide = np.full((5, 1), 0.25), np.full((1, 7), 0.75)
    np.testing.assert_allclose(combine_projections([tall, wide]), np.full((5, 7), 0.5))


def test_colors_say_what_the_value_is_unless_stretched():
    weak = np.array([[0.10, 0.12]])
    assert (color_projection(weak)[..., 2] == 255).all()  # blue: no evidence
    assert color_projection(weak, stretched=True).tolist() == [[[0, 0, 255], [255, 0, 0]]]
    constant = np.full((1, 2), 0.9)
    assert (color_projection(constant, stretched=True) >= 254).all()  # white
    assert (color_projection(np.array([[0.0, 0.5, 1.0]])).tolist()) == [[[0, 0, 255], [255, 254, 254], [255, 0, 0]]]


def test_nothing_to_combine():
    for combine in (combine_projections, combine_as_paper):
        with pytest.raises(InputError, match="at least one map"):
            combine([])
