"""Plots: what is on the Axes and in the pixels are the numbers that went in; colours stay apart for all eyes."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb

from loce_jax.analysis.linkage import link
from loce_jax.analysis.mixtures import Gaussians, Mixture, fit_mixture, fit_mixtures
from loce_jax.analysis.separation import Separation
from loce_jax.checks import InputError
from loce_jax.plots.curves import draw_bars, draw_curves
from loce_jax.plots.examples import OPACITY, border, draw_mask, draw_projection, project
from loce_jax.plots.maps import draw_map
from loce_jax.plots.matrices import draw_separation
from loce_jax.plots.mixtures import draw_component_regions, draw_concept_regions
from loce_jax.plots.palette import CONCEPT_COLOURS, PROJECTION, concept_style, rgb
from loce_jax.plots.strips import ALIKE, Tile, draw_strip
from loce_jax.plots.trees import draw_tree

# Machado, Oliveira & Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency", 2009,
# table 1, severity 1.0, on linear RGB.
EYES = {
    "normal": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
RGB_TO_XYZ = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]


@pytest.fixture
def axes():
    figure, axes = plt.subplots()
    yield axes
    plt.close(figure)


def lightness_and_hue(colour, eye):
    """CIE L*a*b*, white point D65."""
    values = np.array(to_rgb(colour))
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    xyz = RGB_TO_XYZ @ np.clip(np.array(EYES[eye]) @ linear, 0, 1) / [0.95047, 1, 1.08883]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("eye", EYES)
def test_colours_stay_apart(eye):
    seen = [lightness_and_hue(colour, eye) for colour in CONCEPT_COLOURS]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 15  # 2.3 is just noticeable


def test_styles_differ_for_56_concepts():
    assert len({concept_style(index) for index in range(56)}) == 56


def test_map_holds_every_point_in_its_concepts_colour(axes):
    points = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    draw_map(axes, points, ["dog", "cat", "dog"], concepts=["bird", "cat", "dog"])
    cat, dog = axes.collections
    assert cat.get_offsets().tolist() == [[2, 3]] and dog.get_offsets().tolist() == [[0, 1], [4, 5]]
    assert [to_hex(one.get_facecolor()[0]) for one in (cat, dog)] == [concept_style(1)[0], concept_style(2)[0]]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["cat", "dog"]


def test_map_of_nothing_and_of_an_unknown_concept(axes):
    assert not draw_map(axes, np.zeros((0, 2)), [], concepts=["cat"]).collections
    with pytest.raises(InputError, match="unknown concept 'kat'. Did you mean 'cat'"):
        draw_map(axes, np.zeros((1, 2)), ["kat"], concepts=["cat"])


def test_matrix_shows_its_numbers_and_an_empty_diagonal(axes):
    draw_separation(axes, Separation(("a", "b"), np.array([[0, 0.25], [0.25, 0]])))
    assert [text.get_text() for text in axes.texts] == ["0.25", "0.25"]
    image = axes.images[0].get_array()
    assert np.ma.getmaskarray(image).tolist() == [[True, False], [False, True]] and image[0, 1] == 0.25
    assert [text.get_text() for text in axes.get_xticklabels()] == ["a", "b"]


def test_a_large_matrix_has_colours_only(axes):
    draw_separation(axes, Separation(tuple(range(30)), np.full((30, 30), 0.5)))
    assert not axes.texts and axes.images[0].get_array().shape == (30, 30)


def project_slowly(response, height, width):
    def place(i, pixels, cells):
        centre = min(max((i + 0.5) * cells / pixels - 0.5, 0), cells - 1)
        return int(centre), min(int(centre) + 1, cells - 1), centre % 1

    out = np.zeros((height, width))
    for y, x in np.ndindex(height, width):
        top, bottom, v = place(y, height, response.shape[0])
        left, right, u = place(x, width, response.shape[1])
        upper = (1 - u) * response[top, left] + u * response[top, right]
        lower = (1 - u) * response[bottom, left] + u * response[bottom, right]
        out[y, x] = 1 / (1 + np.exp(-((1 - v) * upper + v * lower)))
    return out


@pytest.mark.parametrize("grid", [(1, 1), (3, 5), (7, 7)])
def test_projection_matches_slow_twin(grid):
    response = 3 * np.random.default_rng(0).normal(size=grid)
    np.testing.assert_allclose(project(response, (24, 35)), project_slowly(response, 24, 35), atol=1e-5)


def test_border_is_inside_and_ignores_the_frame():
    region = np.zeros((6, 6), bool)
    region[:, :3] = True
    assert np.argwhere(border(region)).tolist() == [[row, 2] for row in range(6)]


def test_mask_is_outlined_and_the_rest_is_the_photo():
    photo, mask = np.full((20, 20, 3), 128, np.uint8), np.zeros((20, 20), bool)
    mask[5:15, 5:15] = True
    drawn = draw_mask(photo, mask)
    assert (drawn[border(mask)] == 255).all() and (drawn[4, 10] == 20).all() and (drawn[6, 10] == 20).all()
    assert (drawn[10, 10] == 128).all() and (drawn[0, 0] == 128).all() and (photo == 128).all()
    with pytest.raises(InputError, match="Resize the mask with the photo"):
        draw_mask(photo, mask[1:])


def test_projection_tints_by_its_value():
    photo = np.zeros((8, 8, 3), np.uint8)
    drawn = draw_projection(photo, np.full((2, 2), -1.0))
    expected = OPACITY * project_slowly(np.full((1, 1), -1.0), 1, 1)[0, 0] * np.array(rgb(PROJECTION))
    np.testing.assert_allclose(drawn[4, 4], expected, atol=0.5)
    halves = draw_projection(photo, np.array([[-9.0, 9.0]]))
    assert (halves[:, 4] == rgb(PROJECTION)).all() and halves[0, 0].max() < 2  # the line, and far outside


def test_curves_carry_their_values_and_a_band_around_them(axes):
    places, values = np.array([1, 5, 10]), np.array([0.9, 0.8, 0.6])
    draw_curves(axes, places, {"cat": values, "$dog": values / 2}, spreads={"cat": np.full(3, 0.1)})
    assert [line.get_ydata().tolist() for line in axes.lines] == [values.tolist(), (values / 2).tolist()]
    corners = axes.collections[0].get_paths()[0].vertices
    assert corners[:, 1].max() == pytest.approx(1.0) and corners[:, 1].min() == pytest.approx(0.5)
    axes.figure.canvas.draw()  # a dollar sign alone would be an error of mathematics
    draw_curves(axes, places, {"b": values}, concepts=["a", "b"])
    assert to_hex(axes.lines[-1].get_color()) == CONCEPT_COLOURS[1]
    with pytest.raises(InputError, match="`cat` must have shape"):
        draw_curves(axes, places, {"cat": values[:2]})


def test_bars_of_a_place_stand_side_by_side(axes):
    draw_bars(axes, ["early", "late"], {"mean": np.array([0.2, 0.4]), "failed": np.array([0.1, 0.0])})
    assert [bar.get_height() for bar in axes.patches] == [0.2, 0.4, 0.1, 0.0]
    left = [bar.get_x() for bar in axes.patches]
    assert left == pytest.approx([-0.4, 0.6, 0.0, 1.0])


def test_tree_shows_merges_clusters_and_leaves(axes):
    # leaves 0..3 at 0, 1, 10, 14: (0 1) at 1, (2 3) at 4, all at 10
    links = np.array([[0.0, 1.0, 1.0, 2.0], [2.0, 3.0, 4.0, 2.0], [4.0, 5.0, 10.0, 4.0]])
    draw_tree(axes, links, np.array([7, 7, 8, 8]), ["cat", "cat", "dog", "cat"], concepts=["cat", "dog"])
    merges = [segment.tolist() for segment in axes.collections[0].get_segments()]
    assert merges == [
        [[0, 0], [0, 1], [1, 1], [1, 0]],
        [[2, 0], [2, 4], [3, 4], [3, 0]],
        [[0.5, 1], [0.5, 10], [2.5, 10], [2.5, 4]],
    ]
    colours = [to_hex(colour) for colour in axes.collections[0].get_colors()]
    assert len(set(colours)) == 3  # two clusters, and the merge above them
    assert sorted(bar.get_x() + bar.get_width() / 2 for bar in axes.containers[0]) == [0, 1, 3]  # the cats


def test_a_chain_of_three_thousand_merges_is_drawn(axes):
    n = 3000
    links = np.array([[0 if i == 0 else n + i - 1, i + 1, i + 1.0, i + 2] for i in range(n - 1)], float)
    draw_tree(axes, links, np.zeros(n, int), ["cat"] * n, concepts=["cat"])
    assert len(axes.collections[0].get_segments()) == n - 1


def test_strip_shows_photos_frames_and_what_is_missing():
    figure, row = plt.subplots(1, 3)
    photo = np.full((4, 4, 3), 9, np.uint8)
    draw_strip(list(row), [Tile(photo, "0.25", ALIKE), Tile(None, "$5")], title="query")
    figure.canvas.draw()
    assert (row[0].images[0].get_array() == photo).all() and row[0].get_xlabel() == "0.25"
    assert to_hex(row[0].spines["left"].get_edgecolor()) == ALIKE and row[0].get_ylabel() == "query"
    assert row[1].texts[0].get_text() == "no photo" and not row[2].axison
    plt.close(figure)


def test_mixtures_colour_their_regions_and_number_their_components(axes):
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(30, 2)), rng.normal(size=(30, 2)) + 20
    points, labels = np.vstack([left, right]), ["dog"] * 30 + ["cat"] * 30
    mixtures = fit_mixtures(points, labels, 1)
    draw_concept_regions(axes, points, mixtures, concepts=["bird", "cat", "dog"])
    regions = axes.images[0]
    shown = [to_hex(regions.cmap(regions.norm(regions.get_array()[row, column]))) for row, column in ((0, 0), (-1, -1))]
    assert shown == [CONCEPT_COLOURS[2], CONCEPT_COLOURS[1]]  # dogs lie lower left
    ellipse = axes.patches[list(mixtures).index("cat")]
    np.testing.assert_allclose(ellipse.center, right.mean(axis=0), atol=1e-6)
    sizes = np.sqrt(np.linalg.eigvalsh(np.cov(right.T, ddof=0)))
    np.testing.assert_allclose(sorted([ellipse.width / 2, ellipse.height / 2]), sizes, rtol=1e-4)
    assert [text.get_text() for text in axes.texts] == ["1", "1"]


def test_a_mixture_without_labels_colours_its_components(axes):
    rng = np.random.default_rng(0)
    points = np.vstack([rng.normal(size=(30, 2)), rng.normal(size=(30, 2)) + 20])
    mixture = fit_mixture(points, 2, drop=0.0)
    draw_component_regions(axes, points, mixture)
    assert len(axes.patches) == 2 and {text.get_text() for text in axes.texts} == {"1", "2"}
    corners = axes.images[0].get_array()
    assert {int(corners[0, 0]), int(corners[-1, -1])} == {0, 1}


def test_a_component_that_is_likeliest_nowhere_is_drawn_all_the_same(axes):
    points = np.random.default_rng(0).normal(size=(20, 2))
    alike = Gaussians(np.array([0.999, 0.001]), np.zeros((2, 2)), np.repeat(np.eye(2)[None], 2, axis=0))
    nobody = np.zeros(0)
    mixture = Mixture(alike, alike, np.arange(2), nobody, np.zeros(20, int), np.array([1.0, 0.0]))
    draw_component_regions(axes, points, mixture)
    assert len(axes.patches) == 2 and set(axes.images[0].get_array().ravel().tolist()) == {0}


@pytest.mark.parametrize("method", ["single", "centroid", "median"])
def test_clusters_are_marked_by_the_tree_and_not_by_its_heights(axes, method):
    """Four points on a square tie; "centroid" and "median" merge lower than before.  Heights order no merges."""
    corners = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    points = np.vstack([corners, corners + 5])
    links = link(points, method=method)
    draw_tree(axes, links, np.repeat([0, 1], 4), ["cat"] * 8, concepts=["cat"])
    colours = [to_hex(colour) for colour in axes.collections[0].get_colors()]
    assert len(colours) == 7 and sorted(colours.count(colour) for colour in set(colours)) == [1, 3, 3]


def test_all_in_one_cluster_is_drawn(axes):
    links = link(np.arange(4.0)[:, None])
    draw_tree(axes, links, np.zeros(4, int), ["cat"] * 4, concepts=["cat"])
    assert len(set(map(to_hex, axes.collections[0].get_colors()))) == 1
