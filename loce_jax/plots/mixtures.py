"""Gaussian mixtures on a map: decision regions, and each component's ellipse with its number.

Shapes: n points, g steps of a grid.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Ellipse
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation

from loce_jax.analysis.mixtures.decision import decision_map, make_grid
from loce_jax.analysis.mixtures.density import Gaussians, likeliest_component
from loce_jax.analysis.mixtures.ellipses import find_ellipses
from loce_jax.analysis.mixtures.fit import Mixture
from loce_jax.plots.palette import OTHERS, Style, category_style

_WHITE_OUTLINE = withStroke(linewidth=3, foreground="white")
_FADED = 0.3
_STEPS = 200
_MAX_ELLIPSES = 12  # concepts
_ROOM = 0.035  # of the longer side, for a number
_MARGIN = 0.05  # of the longer side


def draw_concept_regions(
    axes: Axes, points: Float[np.ndarray, "n 2"], mixtures: Mapping[str, Mixture], *, styles: Mapping[str, Style]
) -> Axes:
    """Behind a map of `points`: decision regions of the concepts, and the ellipses of all kept components.

    The concepts in `styles` are those named on the map; the region of another is pale.  Ellipses are at one standard
    deviation, in their concept's color; their numbers are the components' in `Mixture.full`, counted from 1.  With
    more than 12 concepts they would hide the map, and are left out.
    """
    colors = [styles[concept][0] if concept in styles else OTHERS for concept in mixtures]
    _draw_regions(axes, points, lambda where: decision_map(mixtures, where), colors)
    for mixture, color in zip(mixtures.values(), colors, strict=True) if len(mixtures) <= _MAX_ELLIPSES else ():
        _draw_ellipses(axes, mixture.kept, mixture.components, [color] * len(mixture.components))
    return axes


def draw_component_regions(axes: Axes, points: Float[np.ndarray, "n 2"], mixture: Mixture) -> Axes:
    """Behind a map of `points`: the likeliest component of one mixture fitted without labels, and all ellipses."""
    components = np.arange(len(mixture.full.weights))
    colors = [category_style(int(component))[0] for component in components]
    _draw_regions(axes, points, lambda where: likeliest_component(mixture.full, where), colors)
    _draw_ellipses(axes, mixture.full, components, colors)
    return axes


def _draw_regions(axes, points, decide, colors):
    if not len(points):
        return
    where = make_grid(points, _STEPS, margin=_MARGIN * float(np.ptp(points, axis=0).max()) or 1.0)
    likeliest = decide(where).reshape(_STEPS, _STEPS)
    corners = (*where[[0, -1], 0], *where[[0, -1], 1])
    shown = np.ma.masked_less(likeliest, 0)
    scale = {"cmap": ListedColormap(colors), "vmin": -0.5, "vmax": len(colors) - 0.5}
    axes.imshow(shown, **scale, alpha=_FADED, origin="lower", extent=corners)
    axes.set(xlim=corners[:2], ylim=corners[2:])
    axes.set_aspect("equal", adjustable="box")


def _draw_ellipses(axes: Axes, gaussians: Gaussians, numbers: Int[np.ndarray, " k"], colors: Sequence[str]):
    found = find_ellipses(gaussians)
    for number, color, center, (width, height), angle in zip(
        numbers, colors, found.centers, found.lengths, found.angles, strict=True
    ):
        shape = Ellipse(tuple(center), width, height, angle=angle, fill=False, edgecolor=color, linewidth=2, zorder=3)
        style = {"ha": "center", "va": "center", "fontsize": 10, "weight": "bold", "color": color, "zorder": 4}
        word = axes.annotate(str(number + 1), _free_place(axes, center, width, angle), **style)
        for drawn in (axes.add_patch(shape), word):
            drawn.set_path_effects([_WHITE_OUTLINE])


def _free_place(axes, center, length, angle):
    """The center of an ellipse or, where another's number is there, an end of its first axis, or what is between."""
    taken = np.array([word.xy for word in axes.texts if isinstance(word, Annotation)]).reshape(-1, 2)
    room = _ROOM * max(np.ptp(axes.get_xlim()), np.ptp(axes.get_ylim()))
    along = length / 2 * np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    places = center + np.outer([0, 1, -1, 0.5, -0.5], along)
    free = [place for place in places if (np.linalg.norm(taken - place, axis=1) > room).all()]
    return tuple(free[0] if free else center)
