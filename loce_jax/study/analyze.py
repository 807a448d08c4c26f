"""The steps of a study by name, and doing them for one layer or for many."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from loce_jax.checks import InputError
from loce_jax.study.results.provenance import describe_origin
from loce_jax.study.results.step_result import METRICS, Outcome, safe, write_metrics, write_outcome
from loce_jax.study.selection.layer_analysis import Subject
from loce_jax.study.steps.clusters import study_clusters
from loce_jax.study.steps.compare import study_compare
from loce_jax.study.steps.confusion import study_confusion
from loce_jax.study.steps.label_errors import study_suspects
from loce_jax.study.steps.map import study_map
from loce_jax.study.steps.outliers import study_outliers
from loce_jax.study.steps.quality import study_quality
from loce_jax.study.steps.retrieval import study_retrieval
from loce_jax.study.steps.separation import study_separation
from loce_jax.study.steps.stats import study_stats
from loce_jax.study.steps.subconcepts import study_subconcepts

Tell = Callable[[str, Outcome | str], None]
STEPS: dict[str, Callable[[Subject], Outcome]] = {
    "clusters": study_clusters,
    "map": study_map,
    "separation": study_separation,
    "confusion": study_confusion,
    "retrieval": study_retrieval,
    "outliers": study_outliers,
    "subconcepts": study_subconcepts,
    "suspects": study_suspects,
    "quality": study_quality,
}


def do_steps(
    subjects: Sequence[Subject], steps: Iterable[str], *, tell: Tell = lambda title, found: None
) -> dict[str, dict[str, Outcome | str]]:
    """What each step found of each subject, or why it could not be done, by layer and step.

    Args:
        subjects: the LoCEs, a subject a layer.
        steps: names of those to do.
        tell: is told after each step.
    """
    found: dict[str, dict[str, Outcome | str]] = {}
    for subject in subjects:
        mine = found[subject.cloud.name] = {}
        for name in steps:
            try:
                mine[name] = STEPS[name](subject)
            except InputError as error:
                mine[name] = str(error)
            tell(f"{subject.cloud.name}: {name}", mine[name])
    return found


def analyze(
    subjects: Sequence[Subject],
    out: Path,
    *,
    steps: Iterable[str] = tuple(STEPS),
    tell: Tell = lambda title, found: None,
) -> Path:
    """The whole study of one run into the folder `out`: ``metrics.json``, tables and pictures, a folder a layer.

    A step that cannot be done says why in the metrics; the others are done all the same.
    """
    first = subjects[0]
    layers = tuple(dict.fromkeys(layer for subject in subjects for layer in subject.cloud.layers))
    stats = study_stats(first.run, layers, first.look.concepts)
    write_outcome(stats, out)
    tell("stats", stats)
    found: dict[str, dict[str, Any]] = {}
    for layer, outcomes in do_steps(subjects, steps, tell=tell).items():
        found[layer] = {}
        for step, outcome in outcomes.items():
            found[layer][step] = {"not done": outcome} if isinstance(outcome, str) else outcome.metrics
            if isinstance(outcome, Outcome):
                write_outcome(outcome, out / safe(layer))
    loces = {
        subject.cloud.name: {"looked_at": len(subject.cloud.rows), "below_min_iou": subject.cloud.below}
        for subject in subjects
    }
    origin = describe_origin([first.run], first.look, vars(first.options))
    metrics = {**origin, "loces": loces, **stats.metrics, "steps": found}
    if len(subjects) > 1:
        metrics["compare"] = _compare(subjects, out, tell)
    return write_metrics(metrics, out / METRICS)


def _compare(subjects, out, tell):
    clusters, seed = subjects[0].options.clusters, subjects[0].seed
    clouds = {subject.cloud.name: subject.cloud for subject in subjects}
    try:
        compared = study_compare(clouds, clusters, repeats=clusters.repeats, seed=seed)
    except InputError as error:
        tell("compare", str(error))
        return {"not done": str(error)}
    write_outcome(compared, out)
    tell("compare", compared)
    return compared.metrics
