"""A merge tree with its clusters, over the concepts of its leaves.

Shapes: n embeddings, m = n - 1 merges.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int, Shaped
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from loce_jax.checks import check_shape
from loce_jax.foreign_text import for_picture, text_array
from loce_jax.plots.legends import list_names
from loce_jax.plots.names import count_others
from loce_jax.plots.palette import OTHERS, Style

_ABOVE, _CLUSTERS = "#c9c5c2", ("#3e3a38", "#8a8480")  # merges between clusters; neighbors in turn
_BAND = 0.06  # of the height, for the row of concepts under the leaves


def draw_tree(
    axes: Axes,
    links: Float[np.ndarray, "m 4"],
    clusters: Int[np.ndarray, " n"],
    labels: Sequence[str] | Shaped[np.ndarray, " n"],
    *,
    styles: Mapping[str, Style],
) -> Axes:
    """Draw SciPy's linkage matrix: merges inside a cluster dark, above the cut pale, concepts as a colored row.

    The concepts in `styles` (see `loce_jax.plots.palette.concept_styles`) are named and have these colors; others are
    pale.

    Trees of any depth can be drawn, because nothing here is recursive.
    """
    labels = np.asarray(labels)
    check_shape("labels", labels, (len(links) + 1,), meaning="one per leaf", fix="")
    check_shape("clusters", clusters, (len(links) + 1,), meaning="one per leaf", fix="")
    order = _leaves(links)
    position, height, owner = _positions(links, order, clusters)
    rank = {cluster: number for number, cluster in enumerate(dict.fromkeys(clusters[order].tolist()))}
    segments, colors = [], []
    for node, (left, right, top, _) in enumerate(links, start=len(labels)):
        a, b = int(left), int(right)
        segments.append([(position[a], height[a]), (position[a], top), (position[b], top), (position[b], height[b])])
        colors.append(_ABOVE if owner[node] is None else _CLUSTERS[rank[owner[node]] % len(_CLUSTERS)])
    axes.add_collection(LineCollection(segments, colors=colors, linewidths=0.9))
    tallest = max(float(links[:, 2].max()), 1e-12) if len(links) else 1.0
    unnamed = ~np.isin(labels, text_array(styles))
    bands = [(labels == concept, for_picture(concept), color) for concept, (color, _) in styles.items()]
    for members, name, color in [*bands, (unnamed, count_others(labels[unnamed]), OTHERS)]:
        mine = np.flatnonzero(members[order])
        if len(mine):
            bottom = np.full(len(mine), -_BAND * tallest)
            axes.bar(mine, -bottom, 1.0, bottom, color=color, label=name, linewidth=0)
    axes.set(xlim=(-0.5, len(labels) - 0.5), ylim=(-_BAND * tallest, 1.02 * tallest), xticks=[])
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    list_names(axes)
    return axes


def _leaves(links):
    """Leaves from left to right; the first branch of each merge is on the left."""
    n = len(links) + 1
    found, stack = [], [2 * n - 2]
    while stack:
        node = stack.pop()
        if node < n:
            found.append(node)
        else:
            stack += [int(links[node - n, 1]), int(links[node - n, 0])]
    return np.array(found)


def _positions(links, order, clusters):
    """Horizontal position and height of every node of the tree, and the one cluster that it lies in, if any."""
    position, height = np.empty(len(order) + len(links)), np.zeros(len(order) + len(links))
    position[order] = np.arange(len(order))
    owner: list[int | None] = [int(cluster) for cluster in clusters]
    for node, (left, right, top, _) in enumerate(links, start=len(order)):
        a, b = int(left), int(right)
        position[node], height[node] = (position[a] + position[b]) / 2, top
        owner.append(owner[a] if owner[a] == owner[b] else None)
    return position, height, owner
