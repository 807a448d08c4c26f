"""The pictures of `study_depth`: curves over depth and over k, and the matrices of the networks side by side."""

from collections.abc import Sequence

import numpy as np

from loce_jax.analysis.short_names import short_names
from loce_jax.plots.depth import Curve, plot_panels, sequential_styles
from loce_jax.plots.figures import NamedMatrix, plot_matrices
from loce_jax.plots.matrices import without_diagonal
from loce_jax.plots.palette import category_style
from loce_jax.study.results.figures import Figures

_MAX_NUMBERED = 4  # panels, beyond which numbers would make them too large
_DEPTHS = (-0.03, 1.03)


def depth_figures(measures: Sequence, concepts: Sequence[str], ks: Sequence[int]) -> Figures:
    """Figures of `LayerMeasures`, drawn when they are asked for."""
    networks = {one.where.network: [] for one in measures}
    for one in measures:
        networks[one.where.network].append(one)
    return Figures(
        {
            "separation_depth": lambda: _separation_depth(networks),
            "separation_panels": lambda: _separation_panels(networks, concepts),
            "precision_depth": lambda: _precision_depth(networks, ks),
            "precision_k": lambda: _precision_k(networks, ks),
        }
    )


def _separation_depth(networks):
    curves = {
        name: _curve(_depths(layers), [(*one.pairs, one.published_mean) for one in layers])
        for name, layers in networks.items()
    }
    styles = {name: category_style(place) for place, name in enumerate(networks)}
    title = "separation of every two concepts; band: middle half of the pairs"
    return plot_panels(
        {"": curves}, styles=styles, xlabel="relative depth", ylabel="mean separation", title=title, xs=_DEPTHS
    )


def _precision_depth(networks, ks):
    names = [f"k = {k}" for k in ks]
    panels = {
        network: {name: _over_depth(layers, place) for place, name in enumerate(names)}
        for network, layers in networks.items()
    }
    title = "mean precision of the k nearest (mAP@k); band: bootstrap interval over images"
    return plot_panels(
        panels,
        styles=sequential_styles(names),
        xlabel="relative depth",
        ylabel="mean precision",
        title=title,
        xs=_DEPTHS,
    )


def _over_depth(layers, place):
    parts = [(one.precision.value, one.precision.low, one.precision.high, one.published_precision) for one in layers]
    return _curve(_depths(layers), [[part[place] for part in every] for every in parts])


def _curve(xs, rows):
    """A curve of which each row is a value, the ends of its band, and what is published."""
    values, low, high, published = np.array(rows, np.float64).T
    return Curve(xs, values, low, high, published)


def _precision_k(networks, ks):
    order = np.argsort(ks)
    xs = np.array(ks, np.float64)[order]
    panels = {}
    for network, layers in networks.items():
        parts = [
            (one.precision.value, one.precision.low, one.precision.high, one.published_precision) for one in layers
        ]
        short = short_names([one.where.layer for one in layers])
        panels[network] = {
            name: Curve(xs, *(part[order] for part in every)) for name, every in zip(short, parts, strict=True)
        }
    title = "mean precision of the k nearest (mAP@k), by layer; band: bootstrap interval over images"
    return plot_panels(panels, xlabel="k", ylabel="mean precision", title=title)


def _separation_panels(networks, concepts):
    """A matrix a network: of the layer whose separation is published, or else of the greatest mean separation."""
    matrices = []
    for network, layers in networks.items():
        one = max(layers, key=lambda each: (each.published_separation is not None, each.pairs[0]))
        title = f"{network}: {short_names([each.where.layer for each in layers])[layers.index(one)]}"
        values = one.separation
        if one.published_separation is not None:
            values = np.tril(values) + np.triu(one.published_separation, 1)
            title = f"{title}\nbelow the diagonal: ours, above: published"
        matrices.append(NamedMatrix(title, without_diagonal(values), concepts))
    return plot_matrices(matrices, numbered=len(matrices) <= _MAX_NUMBERED)


def _depths(layers):
    return np.array([one.where.depth for one in layers])
