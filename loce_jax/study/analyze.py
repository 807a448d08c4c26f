"""The steps of a study by name, and doing them for one layer or for many."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from loce_jax.checks import InputError
from loce_jax.study.results.provenance import describe_origin
from loce_jax.study.results.step_result import METRICS, StepResult, safe_file_name, write_metrics, write_result
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


def run_steps(
    analyses: Sequence[LayerAnalysis],
    steps: Iterable[str],
    *,
    report_progress: ProgressCallback = lambda title, found: None,
) -> dict[str, dict[str, StepResult | str]]:
    """What each step found of each analysis, or why it could not be done, by layer and step.

    Args:
        analyses: one per layer, or one for the joined layers.
        steps: names of those to do.
        report_progress: is told after each step.
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
    steps: Iterable[str] = tuple(STEPS),
    report_progress: ProgressCallback = lambda title, found: None,
) -> Path:
    """The whole study of one run into the folder `out`: ``metrics.json``, tables and pictures, a folder a layer.

    A step that cannot be done says why in the metrics; the others are done all the same.
    """
    first = analyses[0]
    layers = tuple(dict.fromkeys(layer for analysis in analyses for layer in analysis.embeddings.layers))
    stats = study_stats(first.run, layers, first.selection.concepts)
    write_result(stats, out)
    report_progress("stats", stats)
    found: dict[str, dict[str, Any]] = {}
    for layer, results in run_steps(analyses, steps, report_progress=report_progress).items():
        found[layer] = {}
        for step, result in results.items():
            found[layer][step] = {"not done": result} if isinstance(result, str) else result.metrics
            if isinstance(result, StepResult):
                write_result(result, out / safe_file_name(layer))
    loces = {
        analysis.embeddings.name: {
            "looked_at": len(analysis.embeddings.rows),
            "below_min_iou": analysis.embeddings.below_min_iou,
        }
        for analysis in analyses
    }
    origin = describe_origin([first.run], first.selection, vars(first.options))
    metrics = {**origin, "loces": loces, **stats.metrics, "steps": found}
    if len(analyses) > 1:
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
