"""The measures of `bench_quality` on LoCEs, and their bootstrap intervals.

Letters: r rows, q measures, n photos, d draws, h x w grid cells, th x tw the target's grid.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from quality_data import Rows
from scipy.spatial.distance import cdist
from sklearn.metrics import silhouette_samples

from loce_jax.analysis.clustering.cut import cluster
from loce_jax.analysis.metrics.retrieval import precision_at
from loce_jax.analysis.metrics.separation import pairwise_separation
from loce_jax.resampling import bilinear_matrix
from loce_jax.solver import mask_iou

KS = (1, 5, 10, 40)
SMALL, LARGE = 0.05, 0.2  # shares of the photo
DRAWS = 1000
ANIMALS = ("bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe")


def iou_of(responses: Float[np.ndarray, "r h w"], targets: Float[np.ndarray, "r th tw"]) -> Float[np.ndarray, " r"]:
    """IoU of ``response > 0`` and ``target > 0.5`` on the target's grid, the response resized bilinearly.

    NaN where the response is.
    """
    rows, columns = (bilinear_matrix(*ab) for ab in zip(responses.shape[1:], targets.shape[1:], strict=True))
    iou = [
        mask_iou((rows @ response @ columns.T > 0).astype(float), target > 0.5)
        for response, target in zip(responses, targets, strict=True)
    ]
    return np.where(np.isfinite(responses).all(axis=(1, 2)), iou, np.nan)


@dataclass(frozen=True, eq=False)
class Measured:
    """Measures per row, and of all rows together.

    Attributes:
        rows: NaN where a row is not counted: its area is out of range, or its concept has too few rows for queries.
        whole: the number of clusters; where there are capybaras, their separation from the animals, and the number of
            animals.
    """

    rows: Mapping[str, Float[np.ndarray, " r"]]
    whole: Mapping[str, float]


def measure(
    vectors: Float[np.ndarray, "r c"] | None, responses: Float[np.ndarray, "r h w"], rows: Rows, *, min_rows: int
) -> Measured:
    """IoU of every row; of the vectors, where there are any, precision, clusters, overlap and silhouette.

    Neighbors and clusters are those of all rows, whichever rows are drawn later.  Clusters, overlap and silhouette are
    of vectors of length 1, because lengths of two recipes cannot be compared.

    Args:
        vectors: None for a recipe without a vector per row; rows of NaN are left out.
        responses: see `iou_of`.
        rows: concepts, groups and targets.
        min_rows: number of rows of a concept from which its rows are queries.
    """
    iou = iou_of(responses, rows.targets)
    found = {
        "iou": iou,
        "iou_median": iou,
        "failures": np.where(np.isnan(iou), np.nan, iou == 0),
        "iou_small": np.where(rows.areas < SMALL, iou, np.nan),
        "iou_large": np.where(rows.areas > LARGE, iou, np.nan),
    }
    if vectors is None:
        return Measured(found, {})
    good = np.isfinite(vectors).all(axis=1)
    names, counts = np.unique(rows.concepts, return_counts=True)
    queries = good & np.isin(rows.concepts, names[counts >= min_rows])
    exclusions = {"p": None, "p_other": rows.groups[good]}
    for name, groups in exclusions.items():
        scores = precision_at(vectors[good], rows.concepts[good], KS, groups=groups).precision.per_query
        for k, column in zip(KS, scores.T, strict=True):
            found[f"{name}{k}"] = np.where(queries, _spread(good, column), np.nan)
    whole: dict[str, float] = {}
    if len(np.unique(rows.concepts[queries])) > 1:
        points, concepts = _unit(vectors[queries]), rows.concepts[queries]
        clusters = cluster(points, concepts).labels
        whole["clusters"] = int(clusters.max()) + 1
        found["purity"] = _spread(queries, in_majority(clusters, concepts))
        found["overlap"] = _spread(queries, nearer_concepts(points, concepts))
        found["silhouette"] = _spread(queries, silhouette_samples(points, concepts))
    if "capybara" in rows.concepts:
        kept = good & np.isin(rows.concepts, ("capybara", *ANIMALS))
        animals = separate_animals(_unit(vectors[kept]), rows.concepts[kept])
        found |= {name: _spread(kept, values) for name, values in animals.rows.items()}
        whole |= animals.whole
    return Measured(found, whole)


def _spread(kept, values):
    """The values of the rows that are kept, among NaN for the others."""
    every = np.full(kept.shape, np.nan)
    every[kept] = values
    return every


def in_majority(clusters: Int[np.ndarray, " r"], concepts: Shaped[np.ndarray, " r"]) -> Bool[np.ndarray, " r"]:
    """Whether a row is of its cluster's most common concept: the first of them, in order, where two are as common.

    The mean is the clusters' purity.
    """
    names, codes = np.unique(concepts, return_inverse=True)
    counts = np.zeros((int(clusters.max()) + 1, len(names)), int)
    np.add.at(counts, (clusters, codes), 1)
    return counts.argmax(axis=1)[clusters] == codes


def nearer_concepts(points: Float[np.ndarray, "r c"], concepts: Shaped[np.ndarray, " r"]) -> Float[np.ndarray, " r"]:
    """The share of the other concepts that are strictly nearer to a row than the nearest other row of its own.

    The mean over a concept's rows, and then over the concepts, is the mean of `overlap_ratio` off its diagonal; a
    concept of one row is NaN.
    """
    distances = cdist(points, points)
    np.fill_diagonal(distances, np.inf)
    nearest = np.array([distances[:, concepts == name].min(axis=1) for name in np.unique(concepts)])
    own = np.where(np.unique(concepts)[:, None] == concepts, nearest, np.inf).min(axis=0)
    return np.where(np.isfinite(own), (nearest < own).mean(axis=0) * len(nearest) / (len(nearest) - 1), np.nan)


def separate_animals(points: Float[np.ndarray, "r c"], concepts: Shaped[np.ndarray, " r"]) -> Measured:
    """How far capybaras are from the other animals, all of these as one concept.

    Separation is 0 to about 1, higher is better; the overlaps are shares of capybaras that are nearer to an animal than
    to another capybara, and the other way round.
    """
    animals = concepts != "capybara"
    labels = np.where(animals, "other", "capybara")
    nearer = nearer_concepts(points, labels)
    rows = {
        "capybara_overlap": np.where(animals, np.nan, nearer),
        "animals_overlap": np.where(animals, nearer, np.nan),
        "capybara_silhouette": silhouette_samples(points, labels),
    }
    separation = float(pairwise_separation(points, labels).matrix[0, 1])
    return Measured(rows, {"animals": int(animals.sum()), "capybara_separation": separation})


def compare_cosine(vectors: Float[np.ndarray, "r c"], others: Float[np.ndarray, "r c"]) -> Float[np.ndarray, " r"]:
    """Cosine of each vector with the one of the same row in `others`; NaN where either is."""
    return np.einsum("rc,rc->r", _unit(vectors), _unit(others))


def _unit(vectors):
    """Vectors of length 1; those of zeros stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


def draws_of(rows: Rows, draws: int = DRAWS, seed: int = 0) -> Int[np.ndarray, "d r"]:
    """Bootstrap over photos: how often each row is drawn; the first draw is every row once."""
    n = int(rows.photos.max()) + 1
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=draws)
    return np.concatenate([np.ones((1, n), int), counts])[:, rows.photos]


def summarize(
    name: str, values: Float[np.ndarray, " r"], rows: Rows, drawn: Int[np.ndarray, "d r"]
) -> Float[np.ndarray, " d"]:
    """A measure in every draw.

    The median of "iou_median"; of precision ("p10", ...) and "overlap" the mean over the means of the concepts; else
    the mean over the rows.
    """
    there = ~np.isnan(values)
    values, drawn = values[there], drawn[:, there]
    if name == "iou_median":
        return _median(values, drawn)
    by_concept = name == "overlap" or re.fullmatch(r"p(_other)?\d+", name)
    labels = rows.concepts[there] if by_concept else np.zeros(len(values))
    member = (labels[:, None] == np.unique(labels)).astype(float)
    weights = drawn.astype(float)
    counts = weights @ member
    means = (weights * values) @ member / np.where(counts > 0, counts, 1)
    with np.errstate(invalid="ignore"):  # a draw may hold no row that is counted
        return (means * (counts > 0)).sum(axis=1) / (counts > 0).sum(axis=1)


def _median(values, drawn):
    order = np.argsort(values)
    values, below = values[order], np.cumsum(drawn[:, order], axis=1)
    n = below[:, -1:]
    middle = [(below < half).sum(axis=1) for half in ((n + 1) // 2, n // 2 + 1)]  # of an even number there are two
    return np.where(n[:, 0] > 0, np.append(values, np.nan)[middle].mean(axis=0), np.nan)


def differ(
    name: str,
    values: Float[np.ndarray, " r"],
    base: Float[np.ndarray, " r"],
    rows: Rows,
    drawn: Int[np.ndarray, "d r"],
) -> Float[np.ndarray, " d"]:
    """Paired difference of a measure between `values` and `base` in every draw, over the rows that have both."""
    both = ~np.isnan(values + base)
    own, others = (summarize(name, np.where(both, each, np.nan), rows, drawn) for each in (values, base))
    return own - others


def interval(draws: Float[np.ndarray, " d"]) -> tuple[float, float, float]:
    """The measured mean and its 95 % bootstrap interval (percentiles of the draws)."""
    if not np.isfinite(draws).any():
        return np.nan, np.nan, np.nan
    low, high = np.nanpercentile(draws[1:], (2.5, 97.5))
    return float(draws[0]), float(low), float(high)
