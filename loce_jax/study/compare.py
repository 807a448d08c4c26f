"""Layers and runs side by side, on the (image, concept) pairs that all of them have."""

from collections.abc import Callable, Mapping

import numpy as np

from loce_jax.analysis.clustering import RELAXED
from loce_jax.analysis.comparison import align, distance_agreement, linear_cka, neighbour_agreement, rank_agreement
from loce_jax.analysis.names import short_names
from loce_jax.analysis.quality import describe_quality
from loce_jax.analysis.repeats import repeat
from loce_jax.analysis.retrieval import precision_at
from loce_jax.analysis.separation import pairwise_separation
from loce_jax.analysis.tables import Table
from loce_jax.checks import InputError
from loce_jax.plots.matrices import draw_matrix, lay_out
from loce_jax.study.cloud import Cloud
from loce_jax.study.outcome import Outcome

_K = 10


def study_compare(views: Mapping[str, Cloud], *, repeats: int = 50, seed: int = 0) -> Outcome:
    """The same numbers for every view, and how far every two agree: in IoU, distances, geometry and neighbours.

    Args:
        views: LoCEs by name, such as "run: layer"; at least two.
        repeats: how often purity is measured, on random LoCEs that are the same of every view.
        seed: of everything random.

    Raises:
        InputError: fewer than two views, or no pair that all have.
    """
    if len(views) < 2:
        raise InputError(f"`views` must be at least two layers or runs to compare, but got {len(views)}. Name another.")
    clouds, missing = _on_common_pairs(views)
    names = list(clouds)
    agreements: dict[str, Callable[[Cloud, Cloud], float]] = {
        "IoU rank (Spearman)": lambda a, b: rank_agreement(a.iou, b.iou).spearman,
        "distances (RSA, Spearman)": lambda a, b: distance_agreement(a.vectors, b.vectors, seed=seed).spearman,
        "CKA (linear, unbiased)": lambda a, b: linear_cka(a.vectors, b.vectors, unbiased=True),
        f"{_K} neighbours (Jaccard)": lambda a, b: neighbour_agreement(a.vectors, b.vectors, _K),
    }
    matrices = {title: _pairwise(list(clouds.values()), measure) for title, measure in agreements.items()}
    numbers = {name: _numbers(cloud, seed) for name, cloud in clouds.items()}
    labels = next(iter(clouds.values())).labels
    repeated = repeat({name: cloud.vectors for name, cloud in clouds.items()}, labels, RELAXED, seeds=repeats)
    for row, purity, clusters, spread in zip(numbers.values(), *repeated.mean(), repeated.std()[0], strict=True):
        row |= {"purity": float(purity), "purity std": float(spread), "clusters": float(clusters)}
    columns = tuple(next(iter(numbers.values())))
    table = Table("Side by side", ("view", *columns), tuple((name, *row.values()) for name, row in numbers.items()))
    pairs = tuple(
        (names[i], names[j], *(float(matrix[i, j]) for matrix in matrices.values()))
        for i in range(len(names))
        for j in range(i)
    )
    metrics = {
        "pairs": len(next(iter(clouds.values())).rows),
        "missing": missing,
        "views": numbers,
        "agreement": {title: {"views": names, "matrix": matrix} for title, matrix in matrices.items()},
    }
    agreement = Table("Agreement of every two", ("view", "with", *matrices), pairs)
    return Outcome(metrics, {"side_by_side": table, "agreement": agreement}, {"agreement": _draw(matrices, names)})


def _on_common_pairs(views):
    """Every view's rows of the pairs that all have, in the first one's order; and how many each has besides."""
    keys = {name: list(zip(cloud.images.tolist(), cloud.labels.tolist(), strict=True)) for name, cloud in views.items()}
    everywhere = set.intersection(*map(set, keys.values()))
    if not everywhere:
        raise InputError(
            "`views` must share (image, concept) pairs, because rows are compared one by one, but no pair is in all of "
            f"{', '.join(views)}. Fit them on the same images."
        )
    first = [key for key in next(iter(keys.values())) if key in everywhere]
    clouds = {}
    for name, cloud in views.items():
        rows = align(first, keys[name]).second
        clouds[name] = Cloud(
            cloud.layers,
            cloud.vectors[rows],
            cloud.widths,
            cloud.rows[rows],
            cloud.labels[rows],
            cloud.images[rows],
            cloud.iou[rows],
            tuple(concept for concept in cloud.concepts if concept in {label for _, label in first}),
        )
    return clouds, {name: len(mine) - len(first) for name, mine in keys.items()}


def _numbers(cloud, seed):
    """One view's row of the table."""
    retrieved = precision_at(cloud.vectors, cloud.labels, (1, _K))
    separation = pairwise_separation(cloud.vectors, cloud.labels).matrix
    k = len(separation)
    quality = describe_quality(cloud.vectors, cloud.labels, seed=seed)
    return {
        "mean IoU": float(cloud.iou.mean()),
        "failures": float((cloud.iou == 0).mean()),
        **{f"precision@{n}": float(value) for n, value in zip((1, _K), retrieved.precision.macro, strict=True)},
        "mean separation": float(separation[np.triu_indices(k, 1)].mean()) if k > 1 else np.nan,
        "separability": quality.centroids.separability,
        "silhouette": quality.silhouette,
    }


def _pairwise(clouds, measure):
    matrix = np.ones((len(clouds), len(clouds)))
    for i, first in enumerate(clouds):
        for j in range(i):
            matrix[i, j] = matrix[j, i] = measure(first, clouds[j])
    return matrix


def _draw(matrices, names):
    short = _labels(names)
    figure, places = lay_out(len(matrices), len(names), letters=max(map(len, short)))
    for axes, (title, matrix) in zip(places, matrices.items(), strict=True):
        draw_matrix(axes, matrix, short, short, low=-1.0 if np.nanmin(matrix) < 0 else 0.0)
        axes.set_title(title, fontsize=10)
    return figure


def _labels(names):
    """Names of views for a picture; of "run: layer" each part is shortened by itself, a run to the end of its path."""
    runs, layers = zip(*(name.rpartition(": ")[::2] for name in names), strict=True)
    ends = {run: run.rpartition("/")[2] for run in runs}
    if len(set(ends.values())) < len(ends):
        ends = {run: run for run in runs}
    short = dict(zip(dict.fromkeys(layers), short_names(list(dict.fromkeys(layers))), strict=True))
    return [f"{ends[run]}: {short[layer]}" if run else short[layer] for run, layer in zip(runs, layers, strict=True)]
