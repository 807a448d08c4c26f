"""A mixture over a map: who is likeliest where, and each component's ellipse with its number.

Letters: n points, g steps of a grid.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Ellipse
from matplotlib.patheffects import withStroke

from loce_jax.analysis.mixtures import Gaussians, Mixture, decision_map, ellipses, grid, likeliest_component
from loce_jax.plots.palette import concept_style

_INK, _SEEN_ON_ANY_GROUND = "#1d1b1a", withStroke(linewidth=3, foreground="white")
_FADED = 0.16
_STEPS = 200
_MOST_ELLIPSES = 24  # concepts
_MARGIN = 0.05  # of the longer side


def draw_concept_regions(
    axes: Axes, points: Float[np.ndarray, "n 2"], mixtures: Mapping[str, Mixture], *, concepts: Sequence[str]
) -> Axes:
    """Behind a map of `points`: the concept that is densest at each place, and the ellipses of all kept components.

    With more than 24 concepts the ellipses would hide the map, and are left out.

    Ellipses are at one standard deviation; their numbers are the components' in `Mixture.full`, counted from 1.
    """
    places = [list(concepts).index(concept) for concept in mixtures]
    _draw_regions(axes, points, lambda where: decision_map(mixtures, where), places)
    for mixture in mixtures.values() if len(mixtures) <= _MOST_ELLIPSES else ():
        _draw_ellipses(axes, mixture.kept, mixture.components)
    return axes


def draw_component_regions(axes: Axes, points: Float[np.ndarray, "n 2"], mixture: Mixture) -> Axes:
    """The same for one mixture fitted without labels: colours are components."""
    everyone = list(range(len(mixture.full.weights)))
    _draw_regions(axes, points, lambda where: likeliest_component(mixture.full, where), everyone)
    _draw_ellipses(axes, mixture.full, np.array(everyone))
    return axes


def _draw_regions(axes, points, decide, places):
    if not len(points):
        return
    where = grid(points, _STEPS, margin=_MARGIN * float(np.ptp(points, axis=0).max()) or 1.0)
    likeliest = decide(where).reshape(_STEPS, _STEPS)
    colours = ListedColormap([concept_style(place)[0] for place in places])
    corners = (*where[[0, -1], 0], *where[[0, -1], 1])
    shown = np.ma.masked_less(likeliest, 0)
    axes.imshow(shown, cmap=colours, vmin=-0.5, vmax=len(places) - 0.5, alpha=_FADED, origin="lower", extent=corners)
    axes.set(xlim=corners[:2], ylim=corners[2:])
    axes.set_aspect("equal", adjustable="box")


def _draw_ellipses(axes: Axes, gaussians: Gaussians, numbers: Int[np.ndarray, " k"]):
    found = ellipses(gaussians)
    for number, centre, (width, height), angle in zip(numbers, found.centres, found.lengths, found.angles, strict=True):
        shape = Ellipse(tuple(centre), width, height, angle=angle, fill=False, edgecolor=_INK, linewidth=1.4, zorder=3)
        shape.set_path_effects([_SEEN_ON_ANY_GROUND])
        axes.add_patch(shape)
        number = axes.annotate(str(number + 1), centre, ha="center", va="center", fontsize=9, color=_INK, weight="bold")
        number.set_path_effects([_SEEN_ON_ANY_GROUND])
