"""Commands that analyze the embeddings of a run: all steps at once, or one step."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, ClassVar

import tyro

from loce_jax.cli.output import announce_selection, emit, open_analyses, report_progress, row_of
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

RunFlag = Annotated[str, tyro.conf.Positional]
Plain = tyro.conf.OmitArgPrefixes
Looking = Annotated[Selection, tyro.conf.OmitArgPrefixes]


@dataclass(frozen=True)
class Analyze:
    """Do all steps: statistics, clusters, map, separation, confusion, retrieval, outliers, sub-concepts, label errors.

    Writes metrics.json, tables (CSV, Markdown, LaTeX) and pictures, a folder a layer.
    """

    run: RunFlag
    """The run: a folder or a URL."""
    out: Path
    """The folder to write to."""
    selection: Looking = field(default_factory=Selection)
    """Which LoCEs."""
    steps: StudyOptions = field(default_factory=StudyOptions)
    """What each step does."""

    def __call__(self) -> None:
        """Run it."""
        from loce_jax.study.analyze import analyze  # noqa: PLC0415 - fast --help

        path = analyze(open_analyses(self.run, self.selection, self.steps), self.out, report_progress=report_progress)
        print(f"The numbers: {path}")


@dataclass(frozen=True)
class Step:
    """One step of `loce analyze`."""

    step: ClassVar[str]

    run: RunFlag
    """The run: a folder or a URL."""
    out: Path | None = None
    """Folder for tables and pictures; the tables are only printed if left out."""
    selection: Looking = field(default_factory=Selection)
    """Which LoCEs."""

    def __call__(self) -> None:
        """Run it."""
        from loce_jax.study.analyze import STEPS  # noqa: PLC0415 - fast --help

        run_step(self, STEPS[self.step])


@dataclass(frozen=True)
class Stats:
    """IoU and failures of every concept at every layer, and the best layer."""

    run: RunFlag
    """The run: a folder or a URL."""
    layers: tuple[str, ...] = ()
    """Layers; all if left out."""
    concepts: tuple[str, ...] = ()
    """Concepts; all if left out."""
    out: Path | None = None
    """Folder for tables and pictures; only printed if left out."""

    def __call__(self) -> None:
        """Run it."""
        from loce_jax.study.results.provenance import describe_origin  # noqa: PLC0415 - fast --help
        from loce_jax.study.steps.stats import study_stats  # noqa: PLC0415 - fast --help

        run = open_run(self.run)
        selection = Selection(layers=self.layers, concepts=self.concepts)
        found = study_stats(run, run.resolve(self.layers), self.concepts)
        emit(found, "stats", self.out, "", describe_origin([run], selection, {}))


@dataclass(frozen=True)
class Clusters(Step):
    """Cluster the LoCEs, adaptively as in the paper: purity, number of clusters, what lies in each, the tree."""

    step = "clusters"

    options: Plain[ClusterOptions] = field(default_factory=ClusterOptions)
    """What this step does."""


@dataclass(frozen=True)
class Map(Step):
    """Lay the LoCEs out in two dimensions, with Gaussian mixtures of each concept and of all."""

    step = "map"

    options: Plain[MapOptions] = field(default_factory=MapOptions)
    """What this step does."""


@dataclass(frozen=True)
class Separation(Step):
    """Measure how far apart concepts lie: separation, overlap, and both without the influence of outliers."""

    step = "separation"

    options: Plain[SeparationOptions] = field(default_factory=SeparationOptions)
    """What this step does."""


@dataclass(frozen=True)
class Confusion(Step):
    """Say in numbers what each concept is taken for."""

    step = "confusion"

    options: Plain[ConfusionOptions] = field(default_factory=ConfusionOptions)
    """What this step does."""
    clusters: Clustering = field(default_factory=Clustering)
    """How the LoCEs are clustered."""
    map: LayoutOptions = field(default_factory=LayoutOptions)
    """The map."""


@dataclass(frozen=True)
class Outliers(Step):
    """Show the strangest LoCEs of each concept."""

    step = "outliers"

    options: Plain[OutlierOptions] = field(default_factory=OutlierOptions)
    """What this step does."""


@dataclass(frozen=True)
class Subconcepts(Step):
    """Split each concept into sub-concepts, and list the attributes that differ between them."""

    step = "subconcepts"

    options: Plain[SubconceptOptions] = field(default_factory=SubconceptOptions)
    """What this step does."""
    map: MixtureOptions = field(default_factory=MixtureOptions)
    """The map."""


@dataclass(frozen=True)
class LabelErrors(Step):
    """List LoCEs that may carry the wrong label."""

    step = "label_errors"

    options: Plain[LabelErrorOptions] = field(default_factory=LabelErrorOptions)
    """What this step does."""


@dataclass(frozen=True)
class Quality(Step):
    """Compare distances within and between concepts, silhouette, and clusters with concepts."""

    step = "quality"

    options: Plain[QualityOptions] = field(default_factory=QualityOptions)
    """What this step does."""
    map: LayoutOptions = field(default_factory=LayoutOptions)
    """The map."""


@dataclass(frozen=True)
class Retrieval:
    """Judge how well LoCEs find their concept; with `--query`, show one's nearest and farthest."""

    step: ClassVar[str] = "retrieval"

    run: RunFlag
    """The run: a folder or a URL."""
    query: str | None = None
    """A LoCE: its row in the run's table, or IMAGE:CONCEPT."""
    shown: int = 6
    """With `--query`: how many at each end."""
    out: Path | None = None
    """Folder for tables and pictures; the tables are only printed if left out."""
    selection: Looking = field(default_factory=Selection)
    """Which LoCEs."""
    options: Plain[RetrievalOptions] = field(default_factory=RetrievalOptions)
    """What is judged."""

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
    """Set layers and runs side by side, on the (image, concept) pairs that all have: numbers and agreement."""

    runs: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Runs: folders or URLs. A layer that is asked for need not be in every run, but in one."""
    out: Path | None = None
    """Folder for tables and pictures; the tables are only printed if left out."""
    repeats: int = 50
    """How often purity is measured, each time on other LoCEs, the same ones of every view."""
    selection: Looking = field(default_factory=Selection)
    """Which LoCEs."""
    clusters: Plain[Clustering] = field(default_factory=Clustering)
    """How the LoCEs are clustered."""

    def __call__(self) -> None:
        """Run it."""
        from loce_jax.study.results.provenance import describe_origin, label_runs  # noqa: PLC0415 - fast --help
        from loce_jax.study.selection.embeddings import find_layers_of_all, load_views  # noqa: PLC0415 - fast --help
        from loce_jax.study.steps.compare import study_compare  # noqa: PLC0415 - fast --help

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

    options = StudyOptions()
    rest = {key: getattr(command, key) for key in ("clusters", "map") if hasattr(command, key)}
    chosen = {**rest, command.step: command.options}
    for key, values in chosen.items():
        options = replace(options, **{key: replace(getattr(options, key), **vars(values))})
    for analysis in open_analyses(command.run, command.selection, options):
        origin = describe_origin([analysis.run], command.selection, chosen)
        emit(step(analysis), file or command.step, command.out, analysis.embeddings.name, origin)
