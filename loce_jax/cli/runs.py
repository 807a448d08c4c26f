"""Commands that make, show and print runs."""

import functools as ft
import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Literal

import tyro

from loce_jax.checks import InputError
from loce_jax.cli.data_flags import DataFlags, DataNames, DataOptionFlags
from loce_jax.cli.networks import LoadingFlags
from loce_jax.cli.terminal import say
from loce_jax.data.selection import DataOptions
from loce_jax.models.loading import Loading
from loce_jax.pipeline.distributed.ray_cluster import RayOptions
from loce_jax.pipeline.distributed.ray_engine import run_on_ray
from loce_jax.pipeline.distributed.run_spec import RunSpec
from loce_jax.pipeline.distributed.shards import Shard, join_cluster, shard_from_environment
from loce_jax.pipeline.grain_reading import read_in_processes
from loce_jax.pipeline.reading import read_in_threads
from loce_jax.pipeline.run import run_plan
from loce_jax.pipeline.sources import scenes_source, source_from
from loce_jax.recipes import RECIPES, PaperRecipe, Recipe, RidgeRecipe
from loce_jax.store import open_run
from loce_jax.store.files import WHOLE
from loce_jax.store.storage import is_url

DEMO_LAYERS = ("blocks.4", "blocks.10", "head")


@dataclass(frozen=True)
class SolverFlags(PaperRecipe, RidgeRecipe):  # pyright: ignore[reportIncompatibleVariableOverride]
    """The recipe."""

    recipe: Annotated[Literal["paper", "ridge"], tyro.conf.arg(prefix_name=False)] = "paper"
    """The paper's, or ours: half-whitened ridge logistic regression.  Each has its own of the options below."""

    def __post_init__(self):
        """Nothing is checked before `chosen`, so that what is wrong is said like any other input that is."""

    def chosen(self) -> Recipe:
        """The recipe that was asked for; `InputError` for an option of the other one."""
        kind = RECIPES[self.recipe]
        own = [option.name for option in fields(kind)]
        for option in fields(self):
            value = getattr(self, option.name)
            if option.name not in ("recipe", *own) and value != option.default:
                raise InputError(
                    f"`{option.name}` has no meaning in the {self.recipe} recipe, but is {value!r}. Leave it out, or "
                    f"choose the other recipe; {self.recipe} has {', '.join(own)}."
                )
        return kind(**{name: getattr(self, name) for name in own})


@dataclass(frozen=True)
class Fit:
    """Solve one LoCE for every (image, concept) of a data set, and store them in a run folder.

    Killed and started again with the same flags, it continues.  The data are `--data KIND PATH`,
    `--coco` with `--images`, or `--scenes`.
    """

    out: str
    """The run: a new folder, or one that the same command began; or a URL such as s3://bucket/run."""
    layers: tuple[str, ...]
    """Layers to read: names or aliases that `loce layers` lists, indices such as -1, or globs such as 'blocks.*'."""
    model: str = "efficientnet-lite0"
    """Name of an embedded network, a checkpoint folder, one that `loce convert` wrote, `paper:NAME`, or a hub's id."""
    names: DataFlags = field(default_factory=DataNames)
    """The data set."""
    data: DataOptionFlags = field(default_factory=DataOptions)
    """Which images and masks are used, and how they are altered."""
    loading: LoadingFlags = field(default_factory=Loading)
    """How the network is loaded."""
    solver: SolverFlags = field(default_factory=SolverFlags)
    """The recipe's own options."""
    target: tuple[int, int] = (100, 100)
    """Height and width of the grid that masks are resized to."""
    iou: Literal["recipe", "uint8", "probability", "logit"] = "recipe"
    """Map that the IoU is measured on, at the photo's own size; "recipe" is uint8 for paper and logit for ridge."""
    strict: bool = False
    """Whether to stop at the first image or mask that cannot be used, instead of keeping it as a row with a status."""
    memory: float | None = None
    """Gigabytes of main memory that the process may take, without `--engine`; 32 images together if left out."""
    readers: int | None = None
    """Processes that read photos and masks; threads of this process if left out.  Needs `loce_jax[grain]`."""
    worker: int | Literal["auto"] | None = None
    """Number of this worker, from 0, which does its shard only; 'auto' reads it from SLURM, Open MPI or Kubernetes."""
    num_workers: int | None = None
    """Number of workers that share the run."""
    distributed: bool = False
    """Whether to join the processes of a TPU pod or of several hosts through jax.distributed, and share the run."""
    engine: Literal["local", "ray"] = "local"
    """Engine that does the chunks: this process, or tasks of a Ray cluster, which need `loce_jax[ray]`."""
    ray: RayOptions = field(default_factory=RayOptions)
    """The Ray cluster."""

    def __call__(self) -> None:
        """Run it."""
        spec = RunSpec(
            self.model,
            self.layers,
            self.names.source(self.data),
            self.loading,
            self.solver.chosen(),
            self.target,
            self.iou,
        )
        shard = self._shard()
        if not self.distributed:
            self._fit(spec, shard)
            self._show(shard)
            return
        with join_cluster(shard) as shard:
            self._fit(spec, shard)
        if shard.index == 0:
            self._show(shard)

    def _fit(self, spec, shard):
        if self.engine == "ray":
            if self.readers is not None:
                raise InputError("`--readers` is of this process, but tasks of Ray read in threads; leave it out.")
            fit(ft.partial(run_on_ray, spec, self.out, cluster=self.ray, strict=self.strict), spec)
            return
        if shard:
            say(f"This is {shard}.")
        options = {"shard": shard, "strict": self.strict, "memory": self.memory, "read": self._read()}
        fit(ft.partial(run_plan, spec.plan(), self.out, **options), spec)

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
    """Run an example: embedded scenes, an ImageNet network, three layers, and the page."""

    out: Path = Path("loce_demo")
    """The run folder."""

    def __call__(self) -> None:
        """Run it."""
        spec = RunSpec("efficientnet-lite0", DEMO_LAYERS, scenes_source())
        fit(ft.partial(run_plan, spec.plan(), self.out), spec)
        show(open_run(self.out))
        Report(str(self.out))()


@dataclass(frozen=True)
class Show:
    """Print a run's numbers: LoCEs, mean and median IoU and the share of failures per concept and layer."""

    run: Annotated[str, tyro.conf.Positional]
    """The run: a folder or a URL."""
    verify: bool = False
    """Also check every stored file against its checksum."""

    def __call__(self) -> None:
        """Run it."""
        run = open_run(self.run)
        if self.verify and (damaged := run.damaged()):
            raise InputError(
                f"{len(damaged)} stored files are damaged or missing: {', '.join(damaged[:8])}. Delete the files of "
                f"the same number in `chunks`, or {WHOLE} for statistics, and run the same `loce fit` again."
            )
        show(run)


@dataclass(frozen=True)
class Report:
    """Write a run's page: one self-contained HTML file."""

    run: Annotated[str, tyro.conf.Positional]
    """The run: a folder or a URL; the images must still be where they were."""
    out: Path | None = None
    """The file to write; `report.html` in the run folder if left out, needed for a URL."""

    def __call__(self) -> None:
        """Run it."""
        from loce_jax.report.page import write_report  # noqa: PLC0415 - fast --help

        if self.out is None and is_url(self.run):
            raise InputError("`out` must name a local file for the page of a remote run. Add `--out page.html`.")
        run = open_run(self.run)
        dataset = source_from(run.plan["data"]["source"]).open()
        page = write_report(run, dataset, self.out or run.path / "report.html")
        say(f"The page: {page}")


def fit(work, spec):
    """Do `work` for `spec`, a function of a progress callback, with a progress display."""
    from loce_jax.cli.console import progress  # noqa: PLC0415 - fast --help

    with progress("images, each read twice" if spec.recipe.needs_statistics else "images") as report:
        work(progress=report)


def show(run):
    """Print the numbers of a run."""
    from loce_jax.cli.console import print_run  # noqa: PLC0415 - fast --help

    print_run(run)
