"""Colors and markers of concepts, the same in every picture and on the page.  No Matplotlib here.

The colors stay apart under each common kind of color blindness, the first eight best; after each eight the marker
changes.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

Style = tuple[str, str]
"""Color (``"#rrggbb"``) and marker (Matplotlib's letter)."""

CONCEPT_COLORS = (
    *("#1845fb", "#ff5e02", "#c91f16", "#c849a9", "#adad7d", "#86c8dd", "#578dff", "#656364"),
    *("#690096", "#78001e", "#f0c369", "#69005a", "#a5a5f0", "#96694b", "#d287a5", "#2d00b4"),
    *("#a5e100", "#a54bc3", "#e1784b", "#0f6987", "#4b2d3c", "#783cd2", "#96000f", "#789678"),
)
"""The first eight: Petroff, "Accessible Color Sequences for Data Visualization", 2021 (arXiv 2107.02270).  Each of the
others is the one farthest from all before it, from white and from `OTHERS`, by the smallest distance over the
kinds of color vision."""

OTHERS = "#d4d4d4"
"""Concepts that are not named in a picture."""

NEUTRAL = "#656364"
"""What is of no concept, such as the marker of a run in a legend."""

_SAME_MARKER = 8
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""Matplotlib's letters; the page draws the same shapes."""
_RUN_MARKERS = ("o", "^", "s", "D", "v", "P", "X")  # circle and triangle are told apart best at a point's size

SEQUENTIAL = ("#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725")
"""Low to high at equal steps: viridis (Smith & van der Walt, 2015), even in lightness, safe for color-blind eyes."""

PROJECTION = "#ff6a00"
"""Color of an embedding's projection."""


def concept_styles(concepts: Sequence[str], labels: Iterable[str] = ()) -> dict[str, Style]:
    """Color and marker of every concept of a run, whichever of them a picture shows.

    The 24 concepts with the most rows have a color each, in the given order; the others share these colors, with
    other markers.  The 169th has color and marker of the first.

    Args:
        concepts: all concepts of the run, in the data set's order.
        labels: the concept of each row of the run.

    >>> concept_styles(["cat", "dog"])
    {'cat': ('#1845fb', 'o'), 'dog': ('#ff5e02', 'o')}
    """
    counts = Counter(labels)
    largest = set(sorted(concepts, key=lambda concept: -counts[concept])[: len(CONCEPT_COLORS)])
    ordered = sorted(concepts, key=lambda concept: concept not in largest)
    styles = {concept: category_style(index) for index, concept in enumerate(ordered)}
    return {concept: styles[concept] for concept in concepts}


def category_style(index: int) -> Style:
    """Color and marker of the category with this index, such as a layer; together they repeat after 168.

    >>> category_style(0), category_style(8), category_style(24)
    (('#1845fb', 'o'), ('#690096', 's'), ('#1845fb', 'D'))
    """
    return CONCEPT_COLORS[index % len(CONCEPT_COLORS)], MARKERS[index // _SAME_MARKER % len(MARKERS)]


def run_markers(runs: Iterable[str]) -> dict[str, str]:
    """A marker for each run, in the order in which they occur; after seven they repeat.

    >>> run_markers(["coco", "capybara", "coco"])
    {'coco': 'o', 'capybara': '^'}
    """
    return {run: _RUN_MARKERS[place % len(_RUN_MARKERS)] for place, run in enumerate(dict.fromkeys(runs))}


def rgb(color: str) -> tuple[int, int, int]:
    """Red, green and blue, 0 to 255, of ``"#rrggbb"``.

    >>> rgb("#ff6a00")
    (255, 106, 0)
    """
    red, green, blue = bytes.fromhex(color[1:])
    return red, green, blue
