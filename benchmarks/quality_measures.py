"""What `bench_quality` says about a cloud of LoCEs, and how sure it is.

Letters: r rows, q measures, n photos, d draws, h x w grid cells, th x tw the target's grid.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from quality_data import Rows

from loce_jax.analysis.clustering import cluster
from loce_jax.analysis.overlap import overlap_ratio
from loce_jax.analysis.purity import cluster_purity
from loce_jax.analysis.quality import describe_quality
from loce_jax.analysis.retrieval import precision_at
from loce_jax.analysis.separation import pairwise_separation
from loce_jax.resampling import bilinear_matrix
from loce_jax.solver import overlap

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
        overlap((rows @ response @ columns.T > 0).astype(float), target > 0.5)
        for response, target in zip(responses, targets, strict=True)
    ]
    return np.where(np.isfinite(responses).all(axis=(1, 2)), iou, np.nan)


@dataclass(frozen=True, eq=False)
class Measured:
    """Each row's numbers, and numbers of the whole cloud.

    Attributes:
        rows: NaN where a row has no say: an area out of range, or a concept with too few rows to be looked for.
        whole: purity (and its number of clusters), overlap, silhouette.
    """

    rows: Mapping[str, Float[np.ndarray, " r"]]
    whole: Mapping[str, float]


def measure(
    vectors: Float[np.ndarray, "r c"] | None, responses: Float[np.ndarray, "r h w"], rows: Rows, *, enough: int
) -> Measured:
    """IoU of every row; of the vectors, where there are any, what the cloud of them says.

    Args:
        rows: what was to be found.
        vectors: None for a recipe without vectors of its own for each row; rows of NaN are left out.
        responses: see `iou_of`.
        enough: rows that a concept needs for its rows to ask for their own kind.
    """
    iou = iou_of(responses, rows.targets)
    found = {
        "iou": iou,
        "failures": np.where(np.isnan(iou), np.nan, iou == 0),
        "iou_small": np.where(rows.areas < SMALL, iou, np.nan),
        "iou_large": np.where(rows.areas > LARGE, iou, np.nan),
    }
    if vectors is None:
        return Measured(found, {})
    good = np.isfinite(vectors).all(axis=1)
    names, counts = np.unique(rows.concepts, return_counts=True)
    asking = good & np.isin(rows.concepts, names[counts >= enough])
    ways = {"p": None, "p_other": rows.groups[good]}
    for name, groups in ways.items():
        scores = precision_at(vectors[good], rows.concepts[good], KS, images=groups).precision.per_query
        for k, column in zip(KS, scores.T, strict=True):
            values = np.full(iou.shape, np.nan)
            values[good] = column
            found[f"{name}{k}"] = np.where(asking, values, np.nan)
    several = len(np.unique(rows.concepts[asking])) > 1
    return Measured(found, _describe(vectors[asking], rows.concepts[asking]) if several else {})


def _describe(vectors, concepts):
    """Numbers that are of a cloud and of no row; lengths of vectors are a recipe's own affair, so all are made 1."""
    vectors = _unit(vectors)
    clusters = cluster(vectors, concepts).labels
    matrix = overlap_ratio(vectors, concepts).matrix
    return {
        "purity": cluster_purity(clusters, concepts),
        "clusters": int(clusters.max()) + 1,
        "overlap": float(matrix[~np.eye(len(matrix), dtype=bool)].mean()),
        "silhouette": describe_quality(vectors, concepts, clusters).silhouette,
    }


def separate_animals(vectors: Float[np.ndarray, "r c"], rows: Rows) -> dict[str, float]:
    """How far capybaras are from COCO's animals, all of these as one concept, on vectors of length 1.

    Separation is 0 to about 1, higher is better; the overlaps are shares of capybaras that are nearer to an animal than
    to another capybara, and the other way round.
    """
    kept = np.isin(rows.concepts, ("capybara", *ANIMALS)) & np.isfinite(vectors).all(axis=1)
    labels = np.where(rows.concepts[kept] == "capybara", "capybara", "other")
    points = _unit(vectors[kept])
    (_, astray), (mixed, _) = overlap_ratio(points, labels).matrix
    return {
        "animals": int((labels == "other").sum()),
        "capybara_separation": float(pairwise_separation(points, labels).matrix[0, 1]),
        "capybara_overlap": float(astray),
        "animals_overlap": float(mixed),
        "capybara_silhouette": describe_quality(points, labels, labels).silhouette,
    }


def compare_cosine(vectors: Float[np.ndarray, "r c"], others: Float[np.ndarray, "r c"]) -> Float[np.ndarray, " r"]:
    """Cosine of each vector with its other; NaN where either is."""
    return np.einsum("rc,rc->r", _unit(vectors), _unit(others))


def _unit(vectors):
    """Vectors of length 1; those of zeros stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


def draws_of(rows: Rows, draws: int = DRAWS, seed: int = 0) -> Int[np.ndarray, "d r"]:
    """How often each row is drawn, when photos are drawn with replacement; the first draw is every row once."""
    n = int(rows.photos.max()) + 1
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=draws)
    return np.concatenate([np.ones((1, n), int), counts])[:, rows.photos]


def average(
    name: str, values: Float[np.ndarray, " r"], rows: Rows, drawn: Int[np.ndarray, "d r"]
) -> Float[np.ndarray, " d"]:
    """A measure's mean in every draw: of precision ("p...") over the means of the concepts, else over the rows."""
    there = ~np.isnan(values)
    labels = np.where(name.startswith("p"), rows.concepts, "")[there]
    member = (labels[:, None] == np.unique(labels)).astype(float)
    weights = drawn[:, there].astype(float)
    counts = weights @ member
    means = (weights * values[there]) @ member / np.where(counts > 0, counts, 1)
    with np.errstate(invalid="ignore"):  # a draw may hold no row that has a say
        return (means * (counts > 0)).sum(axis=1) / (counts > 0).sum(axis=1)


def interval(draws: Float[np.ndarray, " d"]) -> tuple[float, float, float]:
    """The measured mean and its 95 % interval, by the percentiles of the draws."""
    if not np.isfinite(draws).any():
        return np.nan, np.nan, np.nan
    low, high = np.nanpercentile(draws[1:], (2.5, 97.5))
    return float(draws[0]), float(low), float(high)
