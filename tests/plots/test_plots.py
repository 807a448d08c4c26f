"""Plots: what is on the Axes and in the pixels are the numbers that went in; colors stay apart for all eyes."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from loce_jax.analysis.clustering.linkage import link
from loce_jax.analysis.metrics.separation import Separation
from loce_jax.analysis.mixtures.density import Gaussians
from loce_jax.analysis.mixtures.fit import Mixture, fit_mixture, fit_mixtures
from loce_jax.checks import InputError
from loce_jax.plots.curves import draw_bars, draw_curves, draw_points
from loce_jax.plots.examples import OPACITY, border, draw_mask, draw_projection, project, tint
from loce_jax.plots.figures import NamedMatrix, plot_iou, plot_matrices
from loce_jax.plots.legends import list_names
from loce_jax.plots.maps import draw_map
from loce_jax.plots.matrices import draw_matrix, draw_separation, lay_out
from loce_jax.plots.mixtures import draw_component_regions, draw_concept_regions
from loce_jax.plots.palette import CONCEPT_COLORS, OTHERS, PROJECTION, category_style, concept_styles, rgb
from loce_jax.plots.strips import ALIKE, Tile, draw_strip
from loce_jax.plots.trees import draw_tree
from tests.support.selection import further

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


def lightness_and_hue(color, eye):
    """CIE L*a*b*, white point D65."""
    values = np.array(to_rgb(color))
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    xyz = RGB_TO_XYZ @ np.clip(np.array(EYES[eye]) @ linear, 0, 1) / [0.95047, 1, 1.08883]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize(("count", "apart"), [(8, 15), (24, 12)])
@pytest.mark.parametrize("eye", EYES)
def test_colors_stay_apart(eye, count, apart):
    seen = [lightness_and_hue(color, eye) for color in (*CONCEPT_COLORS[:count], OTHERS, "#ffffff")]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > apart  # 2.3 is just noticeable


def test_styles_differ_for_168_concepts():
    assert len({category_style(index) for index in range(168)}) == 168
    assert len({category_style(index)[0] for index in range(24)}) == 24, "where there is no marker, as in the tree"


def test_the_24_largest_concepts_have_a_color_each_in_the_data_sets_order():
    names = [f"concept {number:02}" for number in range(80)]
    labels = names + names[40:64]  # these have two rows, the others one
    styles = concept_styles(names, labels)
    assert list(styles) == names and len(set(styles.values())) == 80
    assert [styles[name][0] for name in names[40:64]] == list(CONCEPT_COLORS)
    assert concept_styles(names[:5], labels) == concept_styles(names[:5])


def test_map_holds_every_point_in_its_concepts_color(axes):
    points = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    draw_map(axes, points, ["dog", "cat", "dog"], styles=concept_styles(["bird", "cat", "dog"]))
    cat, dog = axes.collections
    assert cat.get_offsets().tolist() == [[2, 3]] and dog.get_offsets().tolist() == [[0, 1], [4, 5]]
    assert [to_hex(one.get_facecolor()[0]) for one in (cat, dog)] == [category_style(1)[0], category_style(2)[0]]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["cat", "dog"]


def test_concepts_that_are_not_named_are_pale_and_counted(axes):
    points = np.arange(8.0).reshape(4, 2)
    draw_map(axes, points, ["dog", "cat", "emu", "dog"], styles=concept_styles(["cat"]))
    cat, others = axes.collections
    assert cat.get_offsets().tolist() == [[2, 3]] and others.get_offsets().tolist() == [[0, 1], [4, 5], [6, 7]]
    assert to_hex(others.get_facecolor()[0]) == OTHERS and others.get_zorder() < cat.get_zorder()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["cat", "2 other concepts"]


def test_map_of_nothing(axes):
    assert (
        not draw_map(axes, np.zeros((0, 2)), [], styles=concept_styles(["cat"])).collections and not axes.get_legend()
    )


@pytest.mark.parametrize("names", [3, *further(26, 77)])
def test_names_leave_the_picture_its_room(names):
    figure = Figure(figsize=(12, 4.8), layout="constrained")
    axes, empty = figure.subplots(1, 2)
    for name in range(names):
        axes.plot([0, 1], label=str(name))
    list_names(axes)
    figure.draw_without_rendering()
    assert axes.get_position().height > 0.8
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [str(name) for name in range(names)]
    list_names(axes, empty)
    assert len(empty.get_legend().get_texts()) == names


def test_matrix_shows_its_numbers_and_an_empty_diagonal(axes):
    draw_separation(axes, Separation(("a", "b"), np.array([[0, 0.25], [0.25, 0]])))
    assert [text.get_text() for text in axes.texts] == ["0.25", "0.25"]
    image = axes.images[0].get_array()
    assert np.ma.getmaskarray(image).tolist() == [[True, False], [False, True]] and image[0, 1] == 0.25
    assert [text.get_text() for text in axes.get_xticklabels()] == ["a", "b"]


def test_a_large_matrix_has_colors_only(axes):
    draw_separation(axes, Separation(tuple(range(30)), np.full((30, 30), 0.5)))
    assert not axes.texts and axes.images[0].get_array().shape == (30, 30)


def test_a_matrix_has_its_scale_beside_it_and_less_than_nothing_another_color(axes):
    draw_matrix(axes, np.array([[-0.5, 0.0], [0.5, 1.0]]), ["a", "b"], ["c", "d"], low=-1.0)
    _, scale = axes.figure.axes
    assert scale.get_ylim() == (-1, 1)
    below, zero, above, _ = axes.images[0].to_rgba(axes.images[0].get_array()).reshape(4, 4)
    assert zero[:3].min() > 0.9, "white is nothing"
    assert below[0] > below[2] and above[2] > above[0], "orange and purple"
    inks = [text.get_color() for text in axes.texts]
    assert inks == ["black", "black", "black", "white"]


@pytest.mark.parametrize(("count", "names"), [(1, 3), (2, 24), (3, 6), (3, 77), (4, 3), (4, 24), (4, 80), (5, 3)])
def test_matrices_fit_a_screen(count, names):
    figure, places = lay_out(count, names)
    assert len(places) == count
    assert figure.get_size_inches().max() < 18.5 and figure.get_size_inches().min() > 4


def project_slowly(response, height, width):
    def place(i, pixels, cells):
        center = min(max((i + 0.5) * cells / pixels - 0.5, 0), cells - 1)
        return int(center), min(int(center) + 1, cells - 1), center % 1

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
    with pytest.raises(InputError, match="`projection` must have shape .* Use `draw_projection`"):
        tint(photo, np.zeros((2, 2)))


def test_curves_carry_their_values(axes):
    places, values = np.array([1, 5, 10]), np.array([0.9, 0.8, 0.6])
    draw_curves(axes, places, {"cat": values, "$dog": values / 2}, styles=concept_styles(["cat", "$dog"]))
    assert [line.get_ydata().tolist() for line in axes.lines] == [values.tolist(), (values / 2).tolist()]
    assert [to_hex(line.get_color()) for line in axes.lines] == list(CONCEPT_COLORS[:2])
    axes.figure.canvas.draw()  # a dollar sign alone would be an error of mathematics
    with pytest.raises(InputError, match="`cat` must have shape"):
        draw_curves(axes, places, {"cat": values[:2]}, styles=concept_styles(["cat"]))


def test_points_of_places_without_an_order_are_not_joined(axes):
    values = {"early": np.array([0.2, 0.4, 0.6]), "late": np.array([0.1, 0.3, 0.5])}
    draw_points(axes, ["cat", "dog", "emu"], values, spreads={"late": np.full(3, 0.05)})
    early, late = axes.containers
    for drawn, (name, mine), shift in zip((early, late), values.items(), (-0.2, 0.2), strict=True):
        assert drawn.lines[0].get_xdata() == pytest.approx(np.arange(3) + shift)
        assert drawn.lines[0].get_ydata().tolist() == mine.tolist(), name
        assert drawn.lines[0].get_linestyle() == "None"
    ends = np.array([segment[:, 1] for segment in late.lines[2][0].get_segments()])
    np.testing.assert_allclose(ends, values["late"][:, None] + [-0.05, 0.05])
    assert not early.has_yerr and [text.get_text() for text in axes.get_xticklabels()] == ["cat", "dog", "emu"]
    with pytest.raises(InputError, match="`late` must have shape"):
        draw_points(axes, ["cat"], {"late": values["late"]})


def test_bars_of_a_place_stand_side_by_side(axes):
    draw_bars(axes, ["early", "late"], {"mean": np.array([0.2, 0.4]), "failed": np.array([0.1, 0.0])})
    assert [bar.get_height() for bar in axes.patches] == [0.2, 0.4, 0.1, 0.0]
    left = [bar.get_x() for bar in axes.patches]
    assert left == pytest.approx([-0.4, 0.6, 0.0, 1.0])


def test_tree_shows_merges_clusters_and_leaves(axes):
    # leaves 0..3 at 0, 1, 10, 14: (0 1) at 1, (2 3) at 4, all at 10
    links = np.array([[0.0, 1.0, 1.0, 2.0], [2.0, 3.0, 4.0, 2.0], [4.0, 5.0, 10.0, 4.0]])
    draw_tree(axes, links, np.array([7, 7, 8, 8]), ["cat", "cat", "dog", "cat"], styles=concept_styles(["cat", "dog"]))
    merges = [segment.tolist() for segment in axes.collections[0].get_segments()]
    assert merges == [
        [[0, 0], [0, 1], [1, 1], [1, 0]],
        [[2, 0], [2, 4], [3, 4], [3, 0]],
        [[0.5, 1], [0.5, 10], [2.5, 10], [2.5, 4]],
    ]
    colors = [to_hex(color) for color in axes.collections[0].get_colors()]
    assert len(set(colors)) == 3  # two clusters, and the merge above them
    assert sorted(bar.get_x() + bar.get_width() / 2 for bar in axes.containers[0]) == [0, 1, 3]  # the cats


def test_leaves_of_concepts_that_are_not_named_are_pale(axes):
    links = link(np.array([[0.0], [1.0], [10.0]]))
    draw_tree(axes, links, np.zeros(3, int), ["cat", "dog", "emu"], styles=concept_styles(["dog"]))
    dog, others = axes.containers
    assert (len(dog), len(others)) == (1, 2) and to_hex(dog[0].get_facecolor()) == CONCEPT_COLORS[0]
    assert {to_hex(bar.get_facecolor()) for bar in others} == {OTHERS}
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["dog", "2 other concepts"]


@pytest.mark.slow
def test_a_chain_of_three_thousand_merges_is_drawn(axes):
    n = 3000
    links = np.array([[0 if i == 0 else n + i - 1, i + 1, i + 1.0, i + 2] for i in range(n - 1)], float)
    draw_tree(axes, links, np.zeros(n, int), ["cat"] * n, styles=concept_styles(["cat"]))
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


def test_mixtures_color_their_regions_and_number_their_components(axes):
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(30, 2)), rng.normal(size=(30, 2)) + 20
    points, labels = np.vstack([left, right]), ["dog"] * 30 + ["cat"] * 30
    mixtures = fit_mixtures(points, labels, 1)
    draw_concept_regions(axes, points, mixtures, styles=concept_styles(["bird", "cat", "dog"]))
    regions = axes.images[0]
    shown = [to_hex(regions.cmap(regions.norm(regions.get_array()[row, column]))) for row, column in ((0, 0), (-1, -1))]
    assert shown == [CONCEPT_COLORS[2], CONCEPT_COLORS[1]]  # dogs lie lower left
    assert [to_hex(patch.get_edgecolor()) for patch in axes.patches] == [CONCEPT_COLORS[1], CONCEPT_COLORS[2]]
    assert [to_hex(text.get_color()) for text in axes.texts] == [CONCEPT_COLORS[1], CONCEPT_COLORS[2]]
    ellipse = axes.patches[list(mixtures).index("cat")]
    np.testing.assert_allclose(ellipse.center, right.mean(axis=0), atol=1e-6)
    sizes = np.sqrt(np.linalg.eigvalsh(np.cov(right.T, ddof=0)))
    np.testing.assert_allclose(sorted([ellipse.width / 2, ellipse.height / 2]), sizes, rtol=1e-4)
    assert [text.get_text() for text in axes.texts] == ["1", "1"]


def test_the_ground_of_a_concept_that_is_not_named_is_pale_and_many_have_no_ellipses(axes):
    rng = np.random.default_rng(0)
    labels = np.repeat([f"concept {place:02}" for place in range(13)], 8)
    points = rng.normal(size=(104, 2)) + 20 * np.repeat(np.arange(13), 8)[:, None]
    draw_concept_regions(axes, points, fit_mixtures(points, labels, 1), styles=concept_styles(["concept 00"]))
    regions = axes.images[0]
    shown = [to_hex(regions.cmap(regions.norm(regions.get_array()[place, place]))) for place in (0, -1)]
    assert shown == [CONCEPT_COLORS[0], OTHERS] and not axes.patches


def test_a_mixture_without_labels_colors_its_components(axes):
    rng = np.random.default_rng(0)
    points = np.vstack([rng.normal(size=(30, 2)), rng.normal(size=(30, 2)) + 20])
    mixture = fit_mixture(points, 2, outlier_weight=0.0)
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
    draw_tree(axes, links, np.repeat([0, 1], 4), ["cat"] * 8, styles=concept_styles(["cat"]))
    colors = [to_hex(color) for color in axes.collections[0].get_colors()]
    assert len(colors) == 7 and sorted(colors.count(color) for color in set(colors)) == [1, 3, 3]


def test_all_in_one_cluster_is_drawn(axes):
    links = link(np.arange(4.0)[:, None])
    draw_tree(axes, links, np.zeros(4, int), ["cat"] * 4, styles=concept_styles(["cat"]))
    assert len(set(map(to_hex, axes.collections[0].get_colors()))) == 1


@pytest.mark.slow
def test_pictures_of_many_concepts_stay_of_a_size():
    names = [f"concept {number}" for number in range(400)]
    figure = plot_matrices([NamedMatrix("separation", np.zeros((400, 400)), names)] * 2)
    assert max(figure.get_size_inches()) < 35 and not figure.axes[0].get_xticklabels()
    assert figure.axes[0].get_xlabel() == "400 names"
    values = {"late": np.linspace(1, 0, 400)}
    above, below = plot_iou(names, values, values, values).axes
    shown = [label.get_text() for label in below.get_xticklabels()]
    assert shown == [*names[:60], *names[-60:]] and "280 concepts in the middle are left out" in above.get_title()


def test_a_map_of_several_runs_has_a_marker_for_each(axes):
    points, labels, runs = np.arange(10.0).reshape(5, 2), ["dog", "cat", "dog", "emu", "dog"], ["a", "a", "b", "b", "a"]
    draw_map(axes, points, labels, styles=concept_styles(["cat", "dog"]), runs=runs)
    cat, dog, other_dog, first, second, others = axes.collections
    assert dog.get_offsets().tolist() == [[0, 1], [8, 9]] and other_dog.get_offsets().tolist() == [[4, 5]]
    shapes = [len(one.get_paths()[0].vertices) for one in (cat, dog, first, other_dog, second)]
    assert shapes[0] == shapes[1] == shapes[2] != shapes[3] == shapes[4]
    assert to_hex(dog.get_facecolor()[0]) == to_hex(other_dog.get_facecolor()[0])
    assert not len(first.get_offsets()) and others.get_offsets().tolist() == [[6, 7]]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["cat", "dog", "a", "b", "1 other concept"]


def test_numbers_of_components_do_not_lie_on_one_another(axes):
    points = np.random.default_rng(0).normal(size=(50, 2))
    gaussians = Gaussians(np.full(3, 1 / 3), np.zeros((3, 2)), np.stack([np.diag([1.0, 4.0])] * 3))
    mixture = Mixture(gaussians, gaussians, np.arange(3), np.zeros(3), np.zeros(50, int), np.full(3, 1 / 3))
    draw_component_regions(axes, points, mixture)
    places = np.array([word.xy for word in axes.texts])
    assert len(places) == 3 and min(np.linalg.norm(a - b) for a, b in itertools.combinations(places, 2)) > 1
    assert places[0].tolist() == [0, 0]
