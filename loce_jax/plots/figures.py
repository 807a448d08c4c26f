"""Whole figures: several Axes side by side, from finished numbers.

Shapes: n embeddings, x values of k, k concepts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Num, Shaped
from matplotlib.figure import Figure

from loce_jax.foreign_text import for_picture
from loce_jax.plots.curves import draw_bars, draw_curves, draw_points
from loce_jax.plots.matrices import MAX_NAMED, draw_matrix, lay_out
from loce_jax.plots.palette import Style
from loce_jax.plots.strips import Tile, draw_strip
from loce_jax.plots.trees import draw_tree


@dataclass(frozen=True)
class Strip:
    """One row of photographs.

    Attributes:
        title: text left of the row.
        tiles: photographs from left to right.
        note: text above the first photograph.
    """

    title: str
    tiles: Sequence[Tile]
    note: str = ""


@dataclass(frozen=True, eq=False)
class NamedMatrix:
    """One matrix of a figure.

    Attributes:
        title: text above it.
        values: the matrix; NaN stays empty.
        names: names of its rows and columns.
        low: value of the darkest color.
        high: value of the brightest color.
    """

    title: str
    values: Float[np.ndarray, "k k"]
    names: Sequence[str]
    low: float = 0.0
    high: float = 1.0


def plot_strips(strips: Sequence[Strip], columns: int, *, title: str = "") -> Figure:
    """Rows of at most `columns` photographs, one below the other."""
    figure = Figure(figsize=(1.4 * columns + 0.7, 1.65 * len(strips) + 0.3), layout="constrained")
    grid = figure.subplots(len(strips), columns, squeeze=False)
    for axes, strip in zip(grid, strips, strict=True):
        draw_strip(list(axes), strip.tiles, title=strip.title)
        if strip.note:
            axes[0].set_title(strip.note, fontsize=7, loc="left")
    if title:
        figure.suptitle(title, fontsize=10)
    return figure


def plot_matrices(matrices: Sequence[NamedMatrix], *, numbered: bool = True) -> Figure:
    """Matrices side by side, each under its title, with or without numbers in the cells."""
    names = [for_picture(name) for matrix in matrices for name in matrix.names]
    size = max((len(matrix.names) for matrix in matrices), default=0)
    figure, every = lay_out(len(matrices), size, letters=max([12, *map(len, names)]), numbered=numbered)
    for axes, matrix in zip(every, matrices, strict=True):
        draw_matrix(
            axes, matrix.values, matrix.names, matrix.names, low=matrix.low, high=matrix.high, numbered=numbered
        )
        axes.set_title(matrix.title, fontsize=10)
    return figure


def plot_iou(
    concepts: Sequence[str],
    means: Mapping[str, Float[np.ndarray, " k"]],
    spreads: Mapping[str, Float[np.ndarray, " k"]],
    failures: Mapping[str, Float[np.ndarray, " k"]],
) -> Figure:
    """Mean IoU and share of failures of each concept at each layer, the best concept first.

    Of more than 120 concepts, the best 60 and the worst 60 are drawn.

    Args:
        concepts: names, k.
        means: mean IoU, by layer.
        spreads: standard deviations of the IoU, by layer.
        failures: shares of LoCEs whose IoU is 0, by layer.
    """
    best_first = np.argsort(-np.mean(list(means.values()), axis=0), kind="stable")
    left_out = len(best_first) - MAX_NAMED
    if left_out > 0:
        best_first = np.concatenate([best_first[: MAX_NAMED // 2], best_first[-MAX_NAMED // 2 :]])
    concepts = [str(concepts[index]) for index in best_first]
    means, spreads, failures = (
        {layer: values[best_first] for layer, values in each.items()} for each in (means, spreads, failures)
    )
    figure = Figure(figsize=(min(16, max(7, 3 + 0.2 * len(concepts))), 7.5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    draw_points(above, concepts, means, spreads=spreads)
    between = f"; {left_out:,} concepts in the middle are left out" if left_out > 0 else ""
    above.set(title=f"mean IoU, line: one standard deviation to both sides{between}", ylabel="IoU", ylim=(0, 1))
    draw_bars(below, concepts, failures)
    below.set(title="failures (IoU 0)", ylabel="share of LoCEs", ylim=(0, 1))
    below.get_legend().remove()
    return figure


def plot_estimates(
    categories: Sequence[str],
    estimates: Mapping[str, tuple[Num[np.ndarray, " _"], Num[np.ndarray, " _"], Num[np.ndarray, " _"]]],
    *,
    title: str,
    label: str,
) -> Figure:
    """Values from 0 to 1 with intervals, of each name in `estimates` at each category, the best category first.

    Of more than 120 categories, the best 120 are drawn.

    Args:
        categories: such as concepts.
        estimates: by name: values, and the lower and upper ends of their intervals; NaN is left out.
        title: above the picture.
        label: of the vertical axis.
    """
    every = np.ma.masked_invalid([values for values, _, _ in estimates.values()])
    best = np.argsort(-every.mean(axis=0).filled(-1.0), kind="stable")[:MAX_NAMED]
    named = [str(categories[index]) for index in best]
    points = {name: values[best] for name, (values, _, _) in estimates.items()}
    lines = {name: np.stack([v - low, high - v])[:, best] for name, (v, low, high) in estimates.items()}
    figure = Figure(figsize=(min(16, max(7, 3 + 0.12 * len(named) * len(points))), 4.5), layout="constrained")
    axes = draw_points(figure.subplots(), named, points, spreads=lines)
    axes.set(title=title, ylabel=label, ylim=(0, 1))
    return figure


def plot_retrieval(
    ks: Sequence[int],
    means: Mapping[str, Num[np.ndarray, " x"]],
    curves: Mapping[str, Mapping[str, Num[np.ndarray, " x"]]],
    *,
    styles: Mapping[str, Style],
) -> Figure:
    """Two scores over k: a dashed line for the mean over concepts, and a line for each concept.

    Args:
        ks: lengths of the lists.
        means: means over the concepts, by the name of the score.
        curves: by the name of the score, and by concept.
        styles: color and marker of each concept.
    """
    figure = Figure(figsize=(12, 4.8), layout="constrained")
    every = figure.subplots(1, len(means), sharey=True, squeeze=False)[0]
    for axes, (title, mean) in zip(every, means.items(), strict=True):
        axes.plot(ks, mean, color="black", linewidth=2.2, linestyle="--", label="mean over concepts")
        draw_curves(axes, np.array(ks), curves[title], styles=styles)
        axes.set(title=f"mean {title} @ k", xlabel="k")
    for axes in every[:-1]:
        axes.get_legend().remove()
    every[0].set_ylim(bottom=0)
    return figure


def plot_tree(
    links: Float[np.ndarray, "m 4"],
    clusters: Int[np.ndarray, " n"],
    labels: Shaped[np.ndarray, " n"],
    *,
    styles: Mapping[str, Style],
    title: str,
) -> Figure:
    """A merge tree on a figure of its own; see `draw_tree`."""
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    axes = figure.subplots()
    draw_tree(axes, links, clusters, labels, styles=styles)
    axes.set(title=title, ylabel="height of the merge")
    return figure
