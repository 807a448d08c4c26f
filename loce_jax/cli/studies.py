"""Commands that ask what the cloud of vectors says: everything at once, or one step."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from loce_jax.checks import InputError
from loce_jax.pipeline.sources import source_from
from loce_jax.store import Run, open_run
from loce_jax.study import options as choices

RunFlag = Annotated[str, tyro.conf.Positional]
Plain = tyro.conf.OmitArgPrefixes


@dataclass(frozen=True)
class Look:
    """Which LoCEs, and where the answers go."""

    layers: tuple[str, ...] = ()
    """Layers, each by itself: whole names, ends of names, or globs; all if left out."""
    joined: Literal["raw", "normalised"] | None = None
    """Join the layers' vectors to multi-layer LoCEs, as they are or each scaled to length 1."""
    concepts: tuple[str, ...] = ()
    """Concepts; all if left out."""
    seed: int = 0
    """Of everything random."""

    def subjects(self, name: str) -> list:
        """The LoCEs to look at of the run called `name`: a subject a layer, or one of all."""
        from loce_jax.study.cloud import find_layers, gather  # noqa: PLC0415 - fast --help
        from loce_jax.study.subject import Subject  # noqa: PLC0415 - fast --help

        run = open_run(name)
        layers = find_layers(run, self.layers)
        groups = [layers] if self.joined else [(layer,) for layer in layers]
        clouds = [
            gather(run, group, concepts=self.concepts, normalised=self.joined == "normalised") for group in groups
        ]
        photos = photos_of(run)
        return [Subject(run, cloud, photos, self.seed) for cloud in clouds]


Looking = Annotated[Look, tyro.conf.OmitArgPrefixes]


@dataclass(frozen=True)
class Analyze:
    """Ask everything: statistics, clusters, map, separation, confusion, retrieval, outliers, sub-concepts, suspects.

    Writes metrics.json, tables (CSV, Markdown, LaTeX) and pictures, a folder a layer.
    """

    run: RunFlag
    """The run: a folder or a URL."""
    out: Path
    """The folder to write to."""
    look: Looking = field(default_factory=Look)
    """Which LoCEs."""
    steps: choices.StudyOptions = field(default_factory=choices.StudyOptions)
    """What each step does."""

    def __call__(self) -> None:
        """Run it."""
        from loce_jax.study.steps import analyse  # noqa: PLC0415 - fast --help

        path = analyse(self.look.subjects(self.run), vars(self.steps), self.out, tell=tell)
        print(f"The numbers: {path}")


@dataclass(frozen=True)
class Step:
    """One step of `loce analyze`, named like its command."""

    run: RunFlag
    """The run: a folder or a URL."""
    out: Path | None = None
    """Folder for tables and pictures; the tables are only printed if left out."""
    look: Looking = field(default_factory=Look)
    """Which LoCEs."""

    def __call__(self) -> None:
        """Run it."""
        from loce_jax.study.steps import STEPS  # noqa: PLC0415 - fast --help

        name = type(self).__name__.lower()
        step = STEPS[name]
        for subject in self.look.subjects(self.run):
            give(name, subject.cloud.name, step(subject, vars(self)["options"]), self.out)


@dataclass(frozen=True)
class Stats:
    """IoU and failures of every concept at every layer, and the best layer."""

    run: RunFlag
    """The run: a folder or a URL."""
    layers: tuple[str, ...] = ()
    """Layers; all if left out."""
    out: Path | None = None
    """Folder for tables and pictures; only printed if left out."""

    def __call__(self) -> None:
        """Run it."""
        from loce_jax.study.cloud import find_layers  # noqa: PLC0415 - fast --help
        from loce_jax.study.stats import study_stats  # noqa: PLC0415 - fast --help

        run = open_run(self.run)
        give("stats", "", study_stats(run, find_layers(run, self.layers)), self.out)


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
    look: Looking = field(default_factory=Look)
    """Which LoCEs."""
    options: Plain[choices.RetrievalOptions] = field(default_factory=choices.RetrievalOptions)
    """What is judged."""

    def __call__(self) -> None:
        """Run it."""
        from loce_jax.study.retrieval import study_query, study_retrieval  # noqa: PLC0415 - fast --help

        row = None if self.query is None else row_of(open_run(self.run), self.query)
        for subject in self.look.subjects(self.run):
            if row is None:
                found = study_retrieval(subject, self.options)
            else:
                found = study_query(subject, row, shown=self.shown, other_images=self.options.other_images)
            give("retrieve" if row is None else f"query_{row}", subject.cloud.name, found, self.out)


@dataclass(frozen=True)
class Compare:
    """Set layers and runs side by side, on the (image, concept) pairs that all have: numbers and agreement."""

    runs: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Runs: folders or URLs."""
    layers: tuple[str, ...] = ()
    """Layers of every run, whole names, ends or globs; all if left out."""
    concepts: tuple[str, ...] = ()
    """Concepts; all if left out."""
    out: Path | None = None
    """Folder for tables and pictures; the tables are only printed if left out."""
    repeats: int = 50
    """How often purity is measured, each time on other LoCEs, the same ones of every view."""
    seed: int = 0
    """Of everything random."""

    def __call__(self) -> None:
        """Run it."""
        from loce_jax.report.recipe import tell_apart  # noqa: PLC0415 - fast --help
        from loce_jax.study.cloud import find_layers, gather  # noqa: PLC0415 - fast --help
        from loce_jax.study.compare import study_compare  # noqa: PLC0415 - fast --help

        runs = {name: open_run(name) for name in self.runs}
        named = tell_apart({name: run.plan for name, run in runs.items()})
        views = {
            f"{named[name]}: {layer}" if len(runs) > 1 else layer: gather(run, [layer], concepts=self.concepts)
            for name, run in runs.items()
            for layer in find_layers(run, self.layers)
        }
        give("compare", "", study_compare(views, repeats=self.repeats, seed=self.seed), self.out)


def photos_of(run: Run):
    """The run's photographs; none, with a word of warning, if its data set cannot be opened any more."""
    from loce_jax.study.photos import Photos  # noqa: PLC0415 - fast --help

    try:
        return Photos(run, source_from(run.plan["data"]["source"]).open())
    except (InputError, OSError) as error:
        print(f"loce: there will be no photographs: {error}", file=sys.stderr)
        return Photos(run, None)


def row_of(run: Run, query: str) -> int:
    """The row of the run's table that `query` names."""
    if query.isdecimal():
        return int(query)
    image, _, concept = query.rpartition(":")
    rows = run.select(image=image, concept=concept)
    if not len(rows):
        raise InputError(
            f"`query` must be a row of the run's table or IMAGE:CONCEPT, but got {query!r}, which is in no row. "
            f"The first row is {run.table['image'][0]}:{run.table['concept'][0]}."
        )
    return int(rows[0])


def tell(title, outcome):
    """A line for each step that is done, or for why it is not."""
    print(f"{title}: not done, {outcome}" if isinstance(outcome, str) else title, flush=True)


def give(name, layer, outcome, out):
    """Print the tables; if there is a folder, write them, the pictures, and the numbers as NAME.json."""
    from loce_jax.console import print_table  # noqa: PLC0415 - fast --help
    from loce_jax.study.outcome import safe, write_metrics, write_outcome  # noqa: PLC0415 - fast --help

    if layer:
        print(f"\n{layer}")
    for table in outcome.tables.values():
        print_table(table)
    if out:
        folder = out / safe(layer) if layer else out
        for path in [*write_outcome(outcome, folder), write_metrics(outcome.metrics, folder / f"{name}.json")]:
            print(path)
