"""Numbers that compare encoders, in the space of the vectors and on the map."""

from dataclasses import asdict

from loce_jax.analysis.quality import describe_quality
from loce_jax.analysis.tables import Table
from loce_jax.study.options import QualityOptions
from loce_jax.study.outcome import Outcome
from loce_jax.study.subject import Subject


def study_quality(subject: Subject, _: QualityOptions) -> Outcome:
    """Distances, separability, silhouette and agreement of clusters with concepts, in both spaces."""
    cloud = subject.cloud
    spaces = {"vectors": cloud.vectors, "map": subject.map().points}
    found = {name: describe_quality(points, cloud.labels, seed=subject.seed) for name, points in spaces.items()}
    metrics = {name: _numbers(quality) for name, quality in found.items()}
    names = list(metrics["vectors"])
    rows = tuple((name, *(metrics[space][name] for space in spaces)) for name in names)
    within = tuple(
        (
            concept,
            *(
                float(value)
                for quality in found.values()
                for value in (quality.pairs.within[i], quality.centroids.within[i])
            ),
        )
        for i, concept in enumerate(found["vectors"].concepts)
    )
    return Outcome(
        metrics,
        {
            "quality": Table("Quality of the cloud", ("number", *spaces), rows),
            "within": Table(
                "Distances within concepts",
                ("concept", "vectors: pairs", "vectors: to the mean", "map: pairs", "map: to the mean"),
                within,
            ),
        },
    )


def _numbers(quality):
    spreads = {"pairs": quality.pairs, "centroids": quality.centroids}
    return {
        **{f"between ({name})": spread.between for name, spread in spreads.items()},
        **{f"separability ({name})": spread.separability for name, spread in spreads.items()},
        "silhouette": quality.silhouette,
        **asdict(quality.agreement),
    }
