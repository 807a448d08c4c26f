"""What `bench_quality` says about a cloud of LoCEs, and how sure it is.

Letters: r rows, q measures, n photos, d draws, h x w grid cells, th x tw the target's grid.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from quality_data import Rows

from loce_jax.analysis.clustering import cluster
from loce_jax.analysis.overlap import overlap_ratio
from loce_jax.analysis.purity import cluster_purity
from loce_jax.analysis.quality import describe_quality
from loce_jax.analysis.retrieval import precision_at
from loce_jax.resampling import bilinear_matrix
from loce_jax.solver import overlap

KS = (1, 5, 10, 40)
SMALL, LARGE = 0.05, 0.2  # shares of the photo
DRAWS = 1000


def iou_of(responses: Float[np.ndarray, "r h w"], targets: Float[np.ndarray, "r th tw"]) -> Float[np.ndarray, " r"]:
    """IoU of ``response > 0`` and ``target > 0.5`` on the target's grid, the response resized bilinearly.

    Rows that are not finite count as failures.
    """
    rows, columns = (bilinear_matrix(*ab) for ab in zip(responses.shape[1:], targets.shape[1:], strict=True))
    return np.array(
        [
            overlap((rows @ response @ columns.T > 0).astype(float), target > 0.5)
            for response, target in zip(responses, targets, strict=True)
        ]
    )


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
        vectors: None for a recipe without vectors of its own for each row; rows of NaN are left out.
        responses: see `iou_of`.
        enough: rows that a concept needs for its rows to ask for their own kind.
    """
    iou = iou_of(responses, rows.targets)
    found = {
        "iou": iou,
        "failures": (iou == 0).astype(float),
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
            values = np.full(len(good), np.nan)
            values[good] = column
            found[f"{name}{k}"] = np.where(asking, values, np.nan)
    return Measured(found, _describe(vectors[asking], rows.concepts[asking]))


def _describe(vectors, concepts):
    """Numbers that are of a cloud and of no row; lengths of vectors are a recipe's own affair, so all are made 1."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = vectors / np.where(lengths > 0, lengths, 1)
    clusters = cluster(vectors, concepts).labels
    matrix = overlap_ratio(vectors, concepts).matrix
    return {
        "purity": cluster_purity(clusters, concepts),
        "clusters": int(clusters.max()) + 1,
        "overlap": float(matrix[~np.eye(len(matrix), dtype=bool)].mean()),
        "silhouette": describe_quality(vectors, concepts, clusters).silhouette,
    }


def draws_of(rows: Rows, draws: int = DRAWS, seed: int = 0) -> Int[np.ndarray, "d r"]:
    """How often each row is drawn, when photos are drawn with replacement; the first draw is every row once."""
    n = int(rows.photos.max()) + 1
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=draws)
    return np.concatenate([np.ones((1, n), int), counts])[:, rows.photos]


def average(
    name: str, values: Float[np.ndarray, " r"], concepts: Sequence | np.ndarray, drawn: Int[np.ndarray, "d r"]
) -> Float[np.ndarray, " d"]:
    """A measure's mean in every draw: of IoU over the rows, of precision over the means of the concepts."""
    there = ~np.isnan(values)
    labels = np.asarray(concepts)[there] if name.startswith("p") else np.zeros(there.sum(), int)
    member = (labels[:, None] == np.unique(labels)).astype(float)
    weights = drawn[:, there].astype(float)
    with np.errstate(invalid="ignore"):
        means = (weights * values[there]) @ member / (weights @ member)
    return np.nanmean(means, axis=1) if means.size else np.full(len(drawn), np.nan)


def interval(draws: Float[np.ndarray, " d"]) -> tuple[float, float, float]:
    """The measured mean and its 95 % interval, by the percentiles of the draws."""
    low, high = np.nanpercentile(draws[1:], (2.5, 97.5))
    return float(draws[0]), float(low), float(high)
