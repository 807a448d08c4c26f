"""Commands that analyze the embeddings of a run: all steps at once, or one step."""

import functools as ft
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, ClassVar

import tyro

from loce_jax.checks import InputError
from loce_jax.cli.data_flags import DataOptionFlags, RunData, RunDataFlags
from loce_jax.cli.depth import open_runs
from loce_jax.cli.output import announce_selection, check_out, emit, open_analyses, report_progress, row_of
from loce_jax.cli.runs import RunFlag
from loce_jax.cli.terminal import say
from loce_jax.data.selection import DataOptions
from loce_jax.store import open_run
from loce_jax.study.options import (
    Clustering,
    ClusterOptions,
    ConfusionOptions,
    LabelErrorOptions,
    LayoutOptions,
    MapOptions,
    MixtureOptions,
    OutlierOptions,
    QualityOptions,
    RetrievalOptions,
    Selection,
    SeparationOptions,
    StudyOptions,
    SubconceptOptions,
)

Unprefixed = tyro.conf.OmitArgPrefixes
SelectionFlags = Annotated[Selection, tyro.conf.OmitArgPrefixes]


@dataclass(frozen=True)
class Analyze:
    """Analyze a run: all steps, or those that `--steps` names, at every layer.

    Prints each step's headline numbers, and writes metrics.json, tables (CSV, Markdown, LaTeX) and pictures into one
    folder per layer. Steps: stats, clusters, map, separation, confusion, retrieval, outliers, subconcepts,
    label_errors, quality, compare.
    """

    run: RunFlag
    """Folder or URL of the run."""
    out: Path
    """Folder that is written to."""
    steps: tuple[str, ...] = ()
    """Names of the steps, such as `stats map`; all if left out."""
    run_data: RunDataFlags = field(default_factory=RunData)
    data: DataOptionFlags = field(default_factory=DataOptions)
    """Which images and masks the run used, if it does not say so."""
    selection: SelectionFlags = field(default_factory=Selection)
    options: Annotated[StudyOptions, tyro.conf.arg(name="")] = field(default_factory=StudyOptions)

    def __call__(self) -> None:
        """Run it."""
        from loce_jax.study.analyze import analyze, check_steps  # noqa: PLC0415 - fast --help

        steps = check_steps(self.steps)
        check_out(self.out)
        photos = ft.partial(self.run_data.open, options=self.data)
        analyses = open_analyses(self.run, photos, self.selection, self.options)
        path = analyze(analyses, self.out, steps=steps, report_progress=report_progress)
        say(f"Numbers: {path}")


@dataclass(frozen=True)
class Step:
    """One step of `loce analyze`."""

    step: ClassVar[str]

    run: RunFlag
    """Folder or URL of the run."""
    out: Path | None = None
    """Folder for tables and pictures; the tables are only printed if left out."""
    run_data: RunDataFlags = field(default_factory=RunData)
    data: DataOptionFlags = field(default_factory=DataOptions)
    """Which images and masks the run used, if it does not say so."""
    selection: SelectionFlags = field(default_factory=Selection)

    def __call__(self) -> None:
        """Run it."""
        from loce_jax.study.analyze import STEPS  # noqa: PLC0415 - fast --help

        run_step(self, STEPS[self.step])


@dataclass(frozen=True)
class Stats:
    """IoU and failures of every concept at every layer, and the best layer."""

    run: RunFlag
    """Folder or URL of the run."""
    layers: tuple[str, ...] = ()
    """Names of the layers; all if left out."""
    concepts: tuple[str, ...] = ()
    """Names of the concepts; all if left out."""
    out: Path | None = None
    """Folder for tables and pictures; the tables are only printed if left out."""

    def __call__(self) -> None:
        """Run it."""
        from loce_jax.study.results.provenance import describe_origin  # noqa: PLC0415 - fast --help
        from loce_jax.study.steps.stats import study_stats  # noqa: PLC0415 - fast --help

        check_out(self.out)
        run = open_run(self.run)
        selection = Selection(layers=self.layers, concepts=self.concepts)
        found = study_stats(run, run.resolve(self.layers), self.concepts)
        emit(found, "stats", self.out, "", describe_origin([run], selection, {}))


@dataclass(frozen=True)
class Clusters(Step):
    """Cluster the LoCEs, adaptively as in the paper: purity, number of clusters, their concepts, the tree."""

    step = "clusters"

    clusters: Unprefixed[ClusterOptions] = field(default_factory=ClusterOptions)


@dataclass(frozen=True)
class Map:
    """Embed the LoCEs in two dimensions (UMAP), with Gaussian mixtures of each concept and of all.

    Several runs of one network and recipe, such as of two data sets, are pooled: one map of all their LoCEs, at each
    layer that all of them have. Colors are concepts, markers are runs.
    """

    step: ClassVar[str] = "map"

    runs: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN [RUN ...]")]
    """Folders or URLs of the runs; of several, all of one network and recipe."""
    apart: bool = False
    """A concept that several runs have is one concept in each, NAME (RUN), instead of one in all."""
    out: Path | None = None
    """Folder for tables and pictures; the tables are only printed if left out."""
    run_data: RunDataFlags = field(default_factory=RunData)
    data: DataOptionFlags = field(default_factory=DataOptions)
    """Which images and masks the run used, if it does not say so."""
    selection: SelectionFlags = field(default_factory=Selection)
    map: Unprefixed[MapOptions] = field(default_factory=MapOptions)
    clusters: Clustering = field(default_factory=Clustering)

    def __call__(self) -> None:
        """Run it."""
        from loce_jax.study.results.provenance import describe_origin  # noqa: PLC0415 - fast --help
        from loce_jax.study.selection.layer_analysis import analyze_pool  # noqa: PLC0415 - fast --help
        from loce_jax.study.steps.map import study_map  # noqa: PLC0415 - fast --help

        if len(self.runs) == 1:
            run_step(self, study_map)
            return
        if self.run_data != RunData() or self.data != DataOptions():
            raise InputError("`data` and `images` say where one run's data are, and a map of several needs none.")
        check_out(self.out)
        runs = open_runs(self.runs)
        options, chosen = _options_of(self)
        analyses = analyze_pool(runs, self.selection, options, apart=self.apart)
        say(f"{sum(len(run.table['concept']) for run in runs.values())} rows of {len(runs)} runs")
        origin = describe_origin([*runs.values()], self.selection, chosen)
        for analysis in analyses:
            announce_selection(analysis.embeddings.name, analysis.embeddings, self.selection)
            emit(study_map(analysis), self.step, self.out, analysis.embeddings.name, {**origin, "apart": self.apart})


@dataclass(frozen=True)
class Separation(Step):
    """Measure how far apart concepts lie: separation, overlap, and both without the influence of outliers."""

    step = "separation"

    separation: Unprefixed[SeparationOptions] = field(default_factory=SeparationOptions)


@dataclass(frozen=True)
class Confusion(Step):
    """Measure which concepts are confused with which."""

    step = "confusion"

    confusion: Unprefixed[ConfusionOptions] = field(default_factory=ConfusionOptions)
    clusters: Clustering = field(default_factory=Clustering)
    map: LayoutOptions = field(default_factory=LayoutOptions)


@dataclass(frozen=True)
class Outliers(Step):
    """List the outliers of each concept: its LoCEs with the highest outlier scores."""

    step = "outliers"

    outliers: Unprefixed[OutlierOptions] = field(default_factory=OutlierOptions)


@dataclass(frozen=True)
class Subconcepts(Step):
    """Split each concept into sub-concepts, and list the attributes that differ between them."""

    step = "subconcepts"

    subconcepts: Unprefixed[SubconceptOptions] = field(default_factory=SubconceptOptions)
    map: MixtureOptions = field(default_factory=MixtureOptions)


@dataclass(frozen=True)
class LabelErrors(Step):
    """List LoCEs that may carry the wrong label."""

    step = "label_errors"

    label_errors: Unprefixed[LabelErrorOptions] = field(default_factory=LabelErrorOptions)


@dataclass(frozen=True)
class Quality(Step):
    """Compare distances within and between concepts, silhouette, and clusters with concepts."""

    step = "quality"

    quality: Unprefixed[QualityOptions] = field(default_factory=QualityOptions)
    map: LayoutOptions = field(default_factory=LayoutOptions)


@dataclass(frozen=True)
class Retrieval:
    """Measure how well LoCEs retrieve others of their concept; with `--query`, list one's nearest and farthest."""

    step: ClassVar[str] = "retrieval"

    run: RunFlag
    """Folder or URL of the run."""
    query: str | None = None
    """LoCE to search for: its row in the run's table, or IMAGE:CONCEPT."""
    shown: int = 6
    """Number of nearest and of farthest LoCEs, with `--query`."""
    out: Path | None = None
    """Folder for tables and pictures; the tables are only printed if left out."""
    run_data: RunDataFlags = field(default_factory=RunData)
    data: DataOptionFlags = field(default_factory=DataOptions)
    """Which images and masks the run used, if it does not say so."""
    selection: SelectionFlags = field(default_factory=Selection)
    retrieval: Unprefixed[RetrievalOptions] = field(default_factory=RetrievalOptions)

    def __call__(self) -> None:
        """Run it."""
        from loce_jax.study.steps.retrieval import study_query, study_retrieval  # noqa: PLC0415 - fast --help

        if self.query is None:
            run_step(self, study_retrieval)
            return
        row = row_of(open_run(self.run), self.query)
        run_step(self, lambda layer: study_query(layer, row, shown=self.shown), file=f"query_{row}")


@dataclass(frozen=True)
class Compare:
    """Compare layers and runs on the (image, concept) pairs that all of them have: measures and agreement."""

    runs: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN [RUN ...]")]
    """Folders or URLs of the runs. Every layer named must be in at least one of them."""
    out: Path | None = None
    """Folder for tables and pictures; the tables are only printed if left out."""
    repeats: int = 50
    """Number of random draws of LoCEs that purity is averaged over; the draws are the same for all layers and runs."""
    selection: SelectionFlags = field(default_factory=Selection)
    clusters: Unprefixed[Clustering] = field(default_factory=Clustering)

    def __call__(self) -> None:
        """Run it."""
        from loce_jax.study.results.provenance import describe_origin, label_runs  # noqa: PLC0415 - fast --help
        from loce_jax.study.selection.embeddings import find_layers_of_all, load_views  # noqa: PLC0415 - fast --help
        from loce_jax.study.steps.compare import study_compare  # noqa: PLC0415 - fast --help

        check_out(self.out)
        runs = {name: open_run(name) for name in self.runs}
        named = label_runs({name: run.recipe for name, run in runs.items()})
        views = {
            f"{named[name]}: {embeddings.name}" if len(runs) > 1 else embeddings.name: embeddings
            for name, layers in find_layers_of_all(runs, self.selection.layers).items()
            for embeddings in load_views(runs[name], layers, self.selection)
        }
        for name, embeddings in views.items():
            announce_selection(name, embeddings, self.selection)
        found = study_compare(views, self.clusters, repeats=self.repeats, seed=self.selection.seed)
        origin = describe_origin([*runs.values()], self.selection, {"clusters": self.clusters})
        emit(found, "compare", self.out, "", {**origin, "repeats": self.repeats})


def run_step(command, step, *, file=None):
    """Do `step` with the options of `command`, its own and those of the steps it depends on, and emit its result."""
    from loce_jax.study.results.provenance import describe_origin  # noqa: PLC0415 - fast --help

    check_out(command.out)
    options, chosen = _options_of(command)
    photos = ft.partial(command.run_data.open, options=command.data)
    run = command.runs[0] if hasattr(command, "runs") else command.run
    for analysis in open_analyses(run, photos, command.selection, options):
        origin = describe_origin([analysis.run], command.selection, chosen)
        emit(step(analysis), file or command.step, command.out, analysis.embeddings.name, origin)


def _options_of(command):
    """Options of all steps, with those that `command` has in their places; and the latter by name."""
    options = StudyOptions()
    chosen = {key: getattr(command, key) for key in vars(options) if hasattr(command, key)}
    for key, values in chosen.items():
        options = replace(options, **{key: replace(getattr(options, key), **vars(values))})
    return options, chosen
