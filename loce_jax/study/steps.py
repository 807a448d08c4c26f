"""The steps of a study by name, and doing them for one layer or for many."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from loce_jax.checks import InputError
from loce_jax.report.recipe import name_recipe
from loce_jax.study.clusters import study_clusters
from loce_jax.study.compare import study_compare
from loce_jax.study.confusion import study_confusion
from loce_jax.study.map import study_map
from loce_jax.study.outcome import METRICS, Outcome, safe, write_metrics, write_outcome
from loce_jax.study.outliers import study_outliers
from loce_jax.study.quality import study_quality
from loce_jax.study.retrieval import study_retrieval
from loce_jax.study.separation import study_separation
from loce_jax.study.stats import study_stats
from loce_jax.study.subconcepts import study_subconcepts
from loce_jax.study.subject import Subject
from loce_jax.study.suspects import study_suspects

Tell = Callable[[str, Outcome | str], None]
STEPS: dict[str, Callable[[Subject, Any], Outcome]] = {
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
    subjects: Sequence[Subject], options: Mapping[str, Any], *, tell: Tell = lambda title, found: None
) -> dict[str, dict[str, Outcome | str]]:
    """What each step found of each subject, or why it could not be done, by layer and step.

    Args:
        subjects: the LoCEs, a subject a layer.
        options: of the steps to do, by name.
        tell: is told after each step.
    """
    found: dict[str, dict[str, Outcome | str]] = {}
    for subject in subjects:
        mine = found[subject.cloud.name] = {}
        for name, chosen in options.items():
            try:
                mine[name] = STEPS[name](subject, chosen)
            except InputError as error:
                mine[name] = str(error)
            tell(f"{subject.cloud.name}: {name}", mine[name])
    return found


def analyse(
    subjects: Sequence[Subject],
    options: Mapping[str, Any],
    out: Path,
    *,
    tell: Tell = lambda title, found: None,
) -> Path:
    """The whole study of one run into the folder `out`: ``metrics.json``, tables and pictures, a folder a layer.

    A step that cannot be done says why in the metrics; the others are done all the same.
    """
    run, seed = subjects[0].run, subjects[0].seed
    said = {"run": str(run.place), "model": run.plan["model"]["name"], "recipe": name_recipe(run.plan), "seed": seed}
    stats = study_stats(run, run.layers)
    write_outcome(stats, out)
    tell("stats", stats)
    steps: dict[str, dict[str, Any]] = {}
    for layer, outcomes in do_steps(subjects, options, tell=tell).items():
        steps[layer] = {}
        for step, outcome in outcomes.items():
            steps[layer][step] = {"not done": outcome} if isinstance(outcome, str) else outcome.metrics
            if isinstance(outcome, Outcome):
                write_outcome(outcome, out / safe(layer))
    metrics = {**said, **stats.metrics, "steps": steps}
    if len(subjects) > 1:
        clouds = {subject.cloud.name: subject.cloud for subject in subjects}
        compared = study_compare(clouds, repeats=options["clusters"].repeats, seed=seed)
        write_outcome(compared, out)
        tell("compare", compared)
        metrics["compare"] = compared.metrics
    return write_metrics(metrics, out / METRICS)
