"""Cluster-quality measures, of the vectors and of the map, by which layers and networks are compared."""

from dataclasses import asdict

import numpy as np

from loce_jax.analysis.metrics.quality import Quality, describe_quality
from loce_jax.analysis.tables import Table
from loce_jax.study.results.step_result import StepResult
from loce_jax.study.selection.layer_analysis import LayerAnalysis


def study_quality(analysis: LayerAnalysis) -> StepResult:
    """Distances, separability, silhouette and agreement of clusters with concepts, in both spaces."""
    embeddings = analysis.embeddings
    spaces = {"vectors": embeddings.vectors, "map": analysis.map.points}
    found = {name: describe_quality(points, embeddings.labels, seed=analysis.seed) for name, points in spaces.items()}
    numbers = {name: _numbers(quality) for name, quality in found.items()}
    rows = tuple((name, *(numbers[space][name] for space in spaces)) for name in numbers["vectors"])
    concepts = found["vectors"].concepts
    columns = [values for quality in found.values() for values in (quality.pairs.within, quality.centroids.within)]
    within = tuple((name, *map(float, values)) for name, *values in zip(concepts, *columns, strict=True))
    heads = ("concept", "vectors: pairs", "vectors: to the mean", "map: pairs", "map: to the mean")
    return StepResult(
        {name: {**numbers[name], **_details(quality)} for name, quality in found.items()},
        {
            "quality": Table("Quality of the embeddings", ("number", *spaces), rows),
            "within": Table("Distances within concepts", heads, within),
        },
        headline=numbers,
    )


def _numbers(quality: Quality):
    spreads = {"pairs": quality.pairs, "centroids": quality.centroids}
    return {
        **{f"within ({name})": _mean(spread.within) for name, spread in spreads.items()},
        **{f"between ({name})": spread.between for name, spread in spreads.items()},
        **{f"separability ({name})": spread.separability for name, spread in spreads.items()},
        "silhouette": quality.silhouette,
        **asdict(quality.agreement),
        "clusterer": f"mixture, {quality.clusterer} covariances",
        "sampled": "yes" if quality.sampled else "no",
    }


def _details(quality: Quality):
    """What differs from concept to concept."""
    return {
        "within": {
            str(concept): {"pairs": pairs, "centroids": centroids}
            for concept, pairs, centroids in zip(
                quality.concepts, quality.pairs.within, quality.centroids.within, strict=True
            )
        }
    }


def _mean(within):
    """Over the concepts, each counting the same; without those of one vector."""
    there = within[np.isfinite(within)]
    return float(there.mean()) if len(there) else float("nan")
