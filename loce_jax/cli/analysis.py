"""Commands that ask what the cloud of vectors says: everything at once, or one step."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import tyro

from loce_jax.cli.output import announce, give, look_at, row_of, tell
from loce_jax.store import open_run
from loce_jax.study import options as choices

RunFlag = Annotated[str, tyro.conf.Positional]
Plain = tyro.conf.OmitArgPrefixes
Looking = Annotated[choices.Look, tyro.conf.OmitArgPrefixes]


@dataclass(frozen=True)
class Analyze:
    """Ask everything: statistics, clusters, map, separation, confusion, retrieval, outliers, sub-concepts, suspects.

    Writes metrics.json, tables (CSV, Markdown, LaTeX) and pictures, a folder a layer.
    """

    run: RunFlag
    """The run: a folder or a URL."""
    out: Path
    """The folder to write to."""
    look: Looking = field(default_factory=choices.Look)
    """Which LoCEs."""
    steps: choices.StudyOptions = field(default_factory=choices.StudyOptions)
    """What each step does."""

    def __call__(self) -> None:
        """Run it."""
        from loce_jax.study.analyze import analyze  # noqa: PLC0415 - fast --help

        path = analyze(look_at(self.run, self.look, self.steps), self.out, tell=tell)
        print(f"The numbers: {path}")


@dataclass(frozen=True)
class Step:
    """One step of `loce analyze`, named like its command."""

    run: RunFlag
    """The run: a folder or a URL."""
    out: Path | None = None
    """Folder for tables and pictures; the tables are only printed if left out."""
    look: Looking = field(default_factory=choices.Look)
    """Which LoCEs."""

    def __call__(self) -> None:
        """Run it."""
        from loce_jax.study.analyze import STEPS  # noqa: PLC0415 - fast --help

        name = type(self).__name__.lower()
        answer(self, name, STEPS[name])


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
        look = choices.Look(layers=self.layers, concepts=self.concepts)
        found = study_stats(run, run.resolve(self.layers), self.concepts)
        give(found, "stats", self.out, "", describe_origin([run], look, {}))


@dataclass(frozen=True)
class Clusters(Step):
    """Cluster the LoCEs, adaptively as in the paper: purity, number of clusters, what lies in each, the tree."""

    options: Plain[choices.ClusterOptions] = field(default_factory=choices.ClusterOptions)
    """What this step does."""


@dataclass(frozen=True)
class Map(Step):
    """Lay the LoCEs out in two dimensions, with Gaussian mixtures of each concept and of all."""

    options: Plain[choices.MapOptions] = field(default_factory=choices.MapOptions)
    """What this step does."""


@dataclass(frozen=True)
class Separation(Step):
    """Measure how far apart concepts lie: separation, overlap, and both without the influence of outliers."""

    options: Plain[choices.SeparationOptions] = field(default_factory=choices.SeparationOptions)
    """What this step does."""


@dataclass(frozen=True)
class Confusion(Step):
    """Say in numbers what each concept is taken for."""

    options: Plain[choices.ConfusionOptions] = field(default_factory=choices.ConfusionOptions)
    """What this step does."""
    clusters: choices.Clustering = field(default_factory=choices.Clustering)
    """How the LoCEs are clustered."""
    map: choices.Layout = field(default_factory=choices.Layout)
    """The map."""


@dataclass(frozen=True)
class Outliers(Step):
    """Show the strangest LoCEs of each concept."""

    options: Plain[choices.OutlierOptions] = field(default_factory=choices.OutlierOptions)
    """What this step does."""


@dataclass(frozen=True)
class Subconcepts(Step):
    """Find whether a concept is one cloud or several, and what tells the parts apart."""

    options: Plain[choices.SubconceptOptions] = field(default_factory=choices.SubconceptOptions)
    """What this step does."""
    map: choices.Mixing = field(default_factory=choices.Mixing)
    """The map."""


@dataclass(frozen=True)
class Suspects(Step):
    """List LoCEs that may carry the wrong label."""

    options: Plain[choices.SuspectOptions] = field(default_factory=choices.SuspectOptions)
    """What this step does."""


@dataclass(frozen=True)
class Quality(Step):
    """Compare distances within and between concepts, silhouette, and clusters with concepts."""

    options: Plain[choices.QualityOptions] = field(default_factory=choices.QualityOptions)
    """What this step does."""
    map: choices.Layout = field(default_factory=choices.Layout)
    """The map."""


@dataclass(frozen=True)
class Retrieve:
    """Judge how well LoCEs find their concept; with `--query`, show one's nearest and farthest."""

    run: RunFlag
    """The run: a folder or a URL."""
    query: str | None = None
    """A LoCE: its row in the run's table, or IMAGE:CONCEPT."""
    shown: int = 6
    """With `--query`: how many at each end."""
    out: Path | None = None
    """Folder for tables and pictures; the tables are only printed if left out."""
    look: Looking = field(default_factory=choices.Look)
    """Which LoCEs."""
    options: Plain[choices.RetrievalOptions] = field(default_factory=choices.RetrievalOptions)
    """What is judged."""

    def __call__(self) -> None:
        """Run it."""
        from loce_jax.study.steps.retrieval import study_query, study_retrieval  # noqa: PLC0415 - fast --help

        if self.query is None:
            answer(self, "retrieval", study_retrieval)
            return
        row = row_of(open_run(self.run), self.query)
        answer(self, "retrieval", lambda subject: study_query(subject, row, shown=self.shown), file=f"query_{row}")


@dataclass(frozen=True)
class Compare:
    """Set layers and runs side by side, on the (image, concept) pairs that all have: numbers and agreement."""

    runs: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Runs: folders or URLs. A layer that is asked for need not be in every run, but in one."""
    out: Path | None = None
    """Folder for tables and pictures; the tables are only printed if left out."""
    repeats: int = 50
    """How often purity is measured, each time on other LoCEs, the same ones of every view."""
    look: Looking = field(default_factory=choices.Look)
    """Which LoCEs."""
    clusters: Plain[choices.Clustering] = field(default_factory=choices.Clustering)
    """How the LoCEs are clustered."""

    def __call__(self) -> None:
        """Run it."""
        from loce_jax.report.recipe import tell_apart  # noqa: PLC0415 - fast --help
        from loce_jax.study.results.provenance import describe_origin  # noqa: PLC0415 - fast --help
        from loce_jax.study.selection.embeddings import find_layers_of_all, gather_all  # noqa: PLC0415 - fast --help
        from loce_jax.study.steps.compare import study_compare  # noqa: PLC0415 - fast --help

        runs = {name: open_run(name) for name in self.runs}
        named = tell_apart({name: run.plan for name, run in runs.items()})
        views = {
            f"{named[name]}: {cloud.name}" if len(runs) > 1 else cloud.name: cloud
            for name, layers in find_layers_of_all(runs, self.look.layers).items()
            for cloud in gather_all(runs[name], layers, self.look)
        }
        for name, cloud in views.items():
            announce(name, cloud, self.look)
        found = study_compare(views, self.clusters, repeats=self.repeats, seed=self.look.seed)
        origin = describe_origin([*runs.values()], self.look, {"clusters": self.clusters})
        give(found, "compare", self.out, "", {**origin, "repeats": self.repeats})


def answer(command, name, step, *, file=None):
    """Do the step called `name` with the options of `command`, its own and those of what it rests on, and give it."""
    from loce_jax.study.results.provenance import describe_origin  # noqa: PLC0415 - fast --help

    options = choices.StudyOptions()
    rest = {key: getattr(command, key) for key in ("clusters", "map") if hasattr(command, key)}
    chosen = {**rest, name: command.options}
    for key, values in chosen.items():
        options = replace(options, **{key: replace(getattr(options, key), **vars(values))})
    for subject in look_at(command.run, command.look, options):
        origin = describe_origin([subject.run], command.look, chosen)
        give(step(subject), file or type(command).__name__.lower(), command.out, subject.cloud.name, origin)
