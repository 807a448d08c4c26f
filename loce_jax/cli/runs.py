"""Commands that make, show and print runs."""

import functools as ft
import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import tyro

from loce_jax.checks import InputError
from loce_jax.cli.data_flags import DataFlags, DataLocation, DataOptionFlags, RunData, RunDataFlags
from loce_jax.cli.networks import LoadFlags
from loce_jax.cli.stopping import Stopped, stopping
from loce_jax.cli.terminal import say
from loce_jax.data.selection import DataOptions
from loce_jax.models.loading import LoadOptions
from loce_jax.pipeline.distributed.ray_cluster import RayOptions
from loce_jax.pipeline.distributed.ray_engine import run_on_ray
from loce_jax.pipeline.distributed.run_spec import RunSpec
from loce_jax.pipeline.distributed.shards import Shard, join_cluster, shard_from_environment
from loce_jax.pipeline.grain_reading import read_in_processes
from loce_jax.pipeline.reading import read_in_threads
from loce_jax.pipeline.resuming.retrying import MAX_FAILURES, TooManyFailures
from loce_jax.pipeline.run import RunOptions, run_plan
from loce_jax.pipeline.sources import scenes_source
from loce_jax.recipes import RECIPES, PaperRecipe, Recipe, RidgeRecipe
from loce_jax.store import open_run
from loce_jax.store.storage import is_url

RunFlag = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
DEMO_LAYERS = ("blocks.4", "blocks.10", "head")


@dataclass(frozen=True)
class SolverFlags(PaperRecipe, RidgeRecipe):  # pyright: ignore[reportIncompatibleVariableOverride]
    """Options of both recipes."""

    def __post_init__(self):
        """Nothing is checked before `chosen`, whose `InputError` the command line prints like any other."""

    def chosen(self, name: str) -> Recipe:
        """The recipe called `name` with its options; `InputError` for an option of the other one."""
        kind = RECIPES[name]
        own = [option.name for option in fields(kind)]
        for option in fields(self):
            value = getattr(self, option.name)
            if option.name not in own and value != option.default:
                raise InputError(
                    f"`{option.name}` is no option of the {name} recipe, but got {value!r}. Leave it out, or choose "
                    f"the other recipe; {name} has {', '.join(own)}."
                )
        return kind(**{option: getattr(self, option) for option in own})


@dataclass(frozen=True)
class RayFlags(RayOptions):
    """The Ray cluster."""

    def __post_init__(self):
        """Nothing is checked before `chosen`, as in `SolverFlags`."""

    def chosen(self) -> RayOptions:
        """The options; `InputError` for one out of its range."""
        return RayOptions(**vars(self))


@dataclass(frozen=True)
class Fit:
    """Solve one LoCE for every (image, concept) of a data set, and store them in a run folder.

    The same command continues a run that was interrupted.  The data set is `--data KIND PATH`, `--coco` with
    `--images`, or `--scenes`.
    """

    continues: ClassVar[bool] = True  # what is finished is kept

    out: str
    """Folder of the run, new or begun by the same command, or a URL such as s3://bucket/run."""
    layers: tuple[str, ...]
    """Names of the layers: those and the aliases that `loce layers` lists, -1 for the last, or globs ('blocks.*')."""
    model: str = "efficientnet-lite0"
    """Network: a built-in name, a checkpoint folder, a converted folder, `paper:NAME`, or a Hugging Face id."""
    dataset: DataFlags = field(default_factory=DataLocation)
    """The data set."""
    data: DataOptionFlags = field(default_factory=DataOptions)
    """Which images and masks are used, and how they are altered."""
    loading: LoadFlags = field(default_factory=LoadOptions)
    """How the network is loaded."""
    recipe: Literal["paper", "ridge"] = "paper"
    """Recipe: the paper's (steps of AdamW), or ridge, this project's logistic regression on whitened activations."""
    solver: SolverFlags = field(default_factory=SolverFlags)
    """Options of both recipes; each recipe has its own."""
    target: tuple[int, int] = (100, 100)
    """Height and width of the grid that masks are resized to."""
    iou: Literal["recipe", "uint8", "probability", "logit"] = "recipe"
    """Map that the IoU is measured on, at the photo's size; "recipe" means uint8 for paper and logit for ridge."""
    strict: bool = False
    """Stop at the first image or mask that cannot be used, instead of keeping it as a row with a status."""
    retry_failed: Annotated[bool, tyro.conf.FlagConversionOff] = True
    """Whether images and masks that could not be read in an earlier attempt are tried again."""
    max_failures: float = MAX_FAILURES
    """Share of the pairs that may fail to be read; beyond it the exit code is 4, and the run is kept."""
    verify: bool = False
    """Compare every file of the run with its checksum first; without it, records are compared, and lengths of files."""
    repair: bool = False
    """Recompute exactly what of the run is damaged, after comparing every file with its checksum."""
    memory: float | None = None
    """Main memory in GB that the process may take, not for Ray; if left out, 32 images go through together."""
    readers: int | None = None
    """Number of processes that read photos and masks (`loce_jax[grain]`); threads read them if left out."""
    worker: int | Literal["auto"] | None = None
    """Index of this worker, from 0, which does its shard only; 'auto' reads it from SLURM, Open MPI or Kubernetes."""
    num_workers: int | None = None
    """Number of workers that share the run."""
    distributed: bool = False
    """Join the processes of a TPU pod or of several hosts through jax.distributed, and share the run."""
    engine: Literal["local", "ray"] = "local"
    """Engine that computes the chunks: this process, or tasks of a Ray cluster (`loce_jax[ray]`)."""
    ray: RayFlags = field(default_factory=RayFlags)
    """The Ray cluster."""

    def __call__(self) -> None:
        """Run it."""
        spec = RunSpec(
            self.model,
            self.layers,
            self.dataset.source(self.data),
            self.loading.portable(),
            self.solver.chosen(self.recipe),
            self.target,
            self.iou,
        )
        shard = self._shard()
        if not self.distributed:
            self._fit_and_show(spec, shard)
            return
        with join_cluster(shard) as shard:
            self._fit(spec, shard)
        if shard.index == 0:
            self._show(shard)

    def _fit_and_show(self, spec, shard):
        try:
            self._fit(spec, shard)
        except (TooManyFailures, Stopped):
            if open_run(self.out).finished:
                self._show(shard)
            raise
        self._show(shard)

    def _fit(self, spec, shard):
        cluster = self.ray.chosen()
        if self.engine == "ray":
            if self.readers is not None:
                raise InputError("`--readers` is of this process, but tasks of Ray read in threads; leave it out.")
            self._do(ft.partial(run_on_ray, spec, self.out, cluster=cluster, options=self._options()), spec)
            return
        if shard:
            say(f"This is {shard}.")
        self._do(ft.partial(run_plan, spec.plan(), self.out, self._options(), shard=shard, read=self._read()), spec)

    def _do(self, work, spec):
        if not fit(work, spec) and not self.verify and not self.repair:
            say(
                f"Nothing was left to do. Records and lengths of files are as they were written; `loce show {self.out} "
                "--verify` compares all of their content."
            )

    def _options(self):
        return RunOptions(self.strict, self.memory, self.retry_failed, self.max_failures, self.verify, self.repair)

    def _read(self):
        return read_in_threads if self.readers is None else read_in_processes(self.readers)

    def _show(self, shard):
        run = open_run(self.out)
        if shard and not run.complete:
            say(
                f"{len(run.finished)} of {len(run.chunks)} chunks of the run are done. When all workers have ended, "
                "the same command without worker flags does what is missing."
            )
            return
        show(run)
        say()
        say(f"`loce report {self.out}{' --out PAGE.html' if is_url(self.out) else ''}` writes the page.")

    def _shard(self):
        """This process's shard as the flags say it; None for all of the run, or where JAX is to find out."""
        if self.engine == "ray" and (self.distributed or self.worker is not None or self.num_workers is not None):
            raise InputError(
                "`--engine ray` shares the work by itself; leave `--worker`, `--num-workers` and `--distributed` out."
            )
        if self.worker == "auto":
            return shard_from_environment(self.num_workers, os.environ)
        if self.worker is None and self.num_workers is None:
            return None
        if self.worker is None or self.num_workers is None:
            raise InputError("`--worker` and `--num-workers` go together: worker 0 to 3 of 4, for example.")
        return Shard(self.worker, self.num_workers, "--worker, --num-workers")


@dataclass(frozen=True)
class Demo:
    """Run an example: the built-in scenes, an ImageNet network, three layers, and the page."""

    continues: ClassVar[bool] = True

    out: Path = Path("loce_demo")
    """Folder of the run."""

    def __call__(self) -> None:
        """Run it."""
        spec = RunSpec("efficientnet-lite0", DEMO_LAYERS, scenes_source())
        fit(ft.partial(run_plan, spec.plan(), self.out), spec)
        show(open_run(self.out))
        Report(str(self.out))()


@dataclass(frozen=True)
class Show:
    """Print a run's numbers: LoCEs, mean and median IoU and the share of failures per concept and layer."""

    run: RunFlag
    """Folder or URL of the run."""
    verify: bool = False
    """Check every stored file against its checksum, too."""

    def __call__(self) -> None:
        """Run it."""
        run = open_run(self.run)
        if self.verify:
            run.verify()
        show(run)


@dataclass(frozen=True)
class Report:
    """Write a run's page: one self-contained HTML file."""

    run: RunFlag
    """Folder or URL of the run."""
    out: Path | None = None
    """HTML file that is written; `report.html` in the run folder if left out; required for a URL."""
    studies: tuple[Path, ...] = ()
    """Folders that `loce concepts`, `spaces`, `tcav`, ... wrote about this run, in one folder or one per layer: each
    becomes a section of the page."""
    run_data: RunDataFlags = field(default_factory=RunData)
    data: DataOptionFlags = field(default_factory=DataOptions)
    """Which images and masks the run used, if it does not say so."""

    def __call__(self) -> None:
        """Run it."""
        from loce_jax.cli.console import progress  # noqa: PLC0415 - fast --help
        from loce_jax.report.page import write_report  # noqa: PLC0415 - fast --help

        if self.out is None and is_url(self.run):
            raise InputError("`out` must name a local file for the page of a remote run. Add `--out page.html`.")
        run = open_run(self.run)
        dataset = self.run_data.open(run, self.data)
        with progress("photographs") as report_progress:
            out = self.out or run.path / "report.html"
            page = write_report(run, dataset, out, studies=self.studies, report_progress=report_progress)
        say(f"The page: {page}")


def fit(work, spec):
    """Do `work` for `spec`, a function of a progress callback, with a progress display; whether any was left to do."""
    from loce_jax.cli.console import progress  # noqa: PLC0415 - fast --help

    unit = "images, each read twice" if spec.recipe.needs_statistics else "images"
    left = []

    def note(done, total):
        left.append(total - done)
        report(done, total)

    with progress(unit) as report, stopping() as watched:
        work(progress=watched(note))
    return any(left)


def show(run):
    """Print the numbers of a run."""
    from loce_jax.cli.console import print_run  # noqa: PLC0415 - fast --help

    print_run(run)
