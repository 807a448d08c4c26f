"""The steps of a study by name, and doing them for one layer or for many."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from loce_jax.atomic import check_writable
from loce_jax.checks import InputError, check_known
from loce_jax.foreign_text import for_file_name
from loce_jax.study.results.provenance import describe_origin
from loce_jax.study.results.step_result import METRICS, StepResult, write_metrics, write_result
from loce_jax.study.selection.layer_analysis import LayerAnalysis
from loce_jax.study.steps.clusters import study_clusters
from loce_jax.study.steps.compare import study_compare
from loce_jax.study.steps.confusion import study_confusion
from loce_jax.study.steps.label_errors import study_label_errors
from loce_jax.study.steps.map import study_map
from loce_jax.study.steps.outliers import study_outliers
from loce_jax.study.steps.quality import study_quality
from loce_jax.study.steps.retrieval import study_retrieval
from loce_jax.study.steps.separation import study_separation
from loce_jax.study.steps.stats import study_stats
from loce_jax.study.steps.subconcepts import study_subconcepts

ProgressCallback = Callable[[str, StepResult | str], None]


def _ignore(title: str, result: StepResult | str) -> None:
    """Report no progress."""


STEPS: dict[str, Callable[[LayerAnalysis], StepResult]] = {
    "clusters": study_clusters,
    "map": study_map,
    "separation": study_separation,
    "confusion": study_confusion,
    "retrieval": study_retrieval,
    "outliers": study_outliers,
    "subconcepts": study_subconcepts,
    "label_errors": study_label_errors,
    "quality": study_quality,
}


ALL_STEPS = ("stats", *STEPS, "compare")
"""Names of all steps: "stats" is of all layers together, "compare" of every two, the others of one layer each."""


def check_steps(names: Sequence[str]) -> tuple[str, ...]:
    """The steps called `names`, or all if empty.

    Raises:
        InputError: a name that is none of `ALL_STEPS`.

    >>> check_steps(["map", "stats"])
    ('map', 'stats')
    """
    check_known("step", names, ALL_STEPS)
    return tuple(names) or ALL_STEPS


def run_steps(
    analyses: Sequence[LayerAnalysis], steps: Iterable[str], *, report_progress: ProgressCallback = _ignore
) -> dict[str, dict[str, StepResult | str]]:
    """The result of each step for each analysis, or the message why it could not be done, by layer and step.

    Args:
        analyses: one per layer, or one of the joined layers.
        steps: names in `STEPS`.
        report_progress: called after each step with its title and its result.
    """
    found: dict[str, dict[str, StepResult | str]] = {}
    for analysis in analyses:
        mine = found[analysis.embeddings.name] = {}
        for name in steps:
            try:
                mine[name] = STEPS[name](analysis)
            except InputError as error:
                mine[name] = str(error)
            report_progress(f"{analysis.embeddings.name}: {name}", mine[name])
    return found


def analyze(
    analyses: Sequence[LayerAnalysis],
    out: Path,
    *,
    steps: Sequence[str] = (),
    report_progress: ProgressCallback = _ignore,
) -> Path:
    """Do steps for one run, and write ``metrics.json``, tables and pictures into `out`, in one folder per layer.

    A step that cannot be done is listed in the metrics with the reason; the others are done all the same.

    Args:
        analyses: one per layer, or one of the joined layers.
        out: the folder.
        steps: names in `ALL_STEPS`; all of them if empty.
        report_progress: called after each step with its title and its result.

    Raises:
        InputError: an unknown step, or a folder that cannot be written, before anything is computed.
    """
    steps = check_steps(steps)
    check_writable(out / METRICS)
    first = analyses[0]
    origin = describe_origin([first.run], first.selection, vars(first.options))
    loces = {
        each.embeddings.name: {"analyzed": len(each.embeddings.rows), "below_min_iou": each.embeddings.below_min_iou}
        for each in analyses
    }
    metrics: dict[str, Any] = {**origin, "loces": loces}
    if "stats" in steps:
        layers = tuple(dict.fromkeys(layer for each in analyses for layer in each.embeddings.layers))
        stats = study_stats(first.run, layers, first.selection.concepts)
        write_result(stats, out)
        report_progress("stats", stats)
        metrics |= stats.metrics
    found: dict[str, dict[str, Any]] = {}
    of_one_layer = [step for step in steps if step in STEPS]
    for layer, results in run_steps(analyses, of_one_layer, report_progress=report_progress).items():
        found[layer] = {}
        for step, result in results.items():
            found[layer][step] = {"not done": result} if isinstance(result, str) else result.metrics
            if isinstance(result, StepResult):
                write_result(result, out / for_file_name(layer))
    metrics["steps"] = found
    if "compare" in steps and len(analyses) > 1:
        metrics["compare"] = _compare(analyses, out, report_progress)
    return write_metrics(metrics, out / METRICS)


def _compare(analyses, out, report_progress):
    clusters, seed = analyses[0].options.clusters, analyses[0].seed
    views = {analysis.embeddings.name: analysis.embeddings for analysis in analyses}
    try:
        compared = study_compare(views, clusters, repeats=clusters.repeats, seed=seed)
    except InputError as error:
        report_progress("compare", str(error))
        return {"not done": str(error)}
    write_result(compared, out)
    report_progress("compare", compared)
    return compared.metrics
