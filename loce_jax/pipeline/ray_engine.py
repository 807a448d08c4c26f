"""A run on a Ray cluster: one Ray task a chunk, ahead of them one a part of a first pass.

Ray places the tasks, and starts them again when a worker dies.

What travels is a `RunSpec`, a few plain values, and the names of chunks; every Ray worker loads the network and opens
the data set itself, once, and writes what it finds where the run lies.  So `loce_jax`, the images, the network's folder
and the run must be found under the same names on every machine.
"""

import functools as ft
import importlib.util
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from loce_jax.activations import Extract, make_extractor
from loce_jax.checks import InputError
from loce_jax.models.loading import Loading
from loce_jax.pipeline.plan import Plan, make_plan
from loce_jax.pipeline.progress import Progress, offset_progress, report_chunks
from loce_jax.pipeline.run import compute_chunks, open_checked
from loce_jax.pipeline.sources import Source
from loce_jax.pipeline.statistics import compute_parts, compute_statistics, parts_of, read_statistics
from loce_jax.recipes import PaperRecipe, Projection, Recipe
from loce_jax.statistics import Statistics
from loce_jax.store import Run, RunWriter, open_storage
from loce_jax.store.files import WHOLE
from loce_jax.store.statistics import missing_parts


@dataclass(frozen=True)
class RayOptions:
    """Which cluster, and what a task asks of it."""

    address: str | None = None
    """Address of the cluster; if left out, RAY_ADDRESS, else a cluster on this machine, started if need be."""
    cpus: float = 1.0
    """CPUs that Ray reserves for a task; JAX itself uses all that its process may use."""
    gpus: float = 0.0
    """GPUs that Ray reserves for a task."""
    retries: int = 3
    """How often a chunk whose worker died is tried again."""

    def __post_init__(self):
        for name, least in (("cpus", 0), ("gpus", 0), ("retries", -1)):
            if not getattr(self, name) >= least:
                raise InputError(f"`{name}` of Ray must be {least} or more, but got {getattr(self, name)}.")


@dataclass(frozen=True)
class RunSpec:
    """What another process needs to make the same plan, as plain values.

    Attributes:
        model, loading: the network's name, and how it is loaded.
        layers: names of layers, as `Network.resolve` takes them.
        source: where the images come from.
        recipe: the solver's recipe.
        target, iou: as `make_plan` takes them.
    """

    model: str
    layers: tuple[str, ...]
    source: Source
    loading: Loading = Loading()
    recipe: Recipe = PaperRecipe()
    target: tuple[int, int] = (100, 100)
    iou: Literal["recipe"] | Projection = "recipe"

    def plan(self) -> Plan:
        """Load the network and settle the work."""
        network = self.loading.load(self.model)
        return make_plan(network, self.layers, self.source, self.recipe, target=self.target, iou=self.iou)


def run_on_ray(
    spec: RunSpec,
    out: str,
    *,
    cluster: RayOptions = RayOptions(),
    strict: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Do what is left of a spec's run as Ray tasks and open the finished run; see `loce_jax.pipeline.run.run_plan`.

    A cluster that is already connected (``ray.init``) is used, and left as it is.  Relative paths start
    from the present working directory, on every machine.

    Raises:
        InputError: Ray is not installed or cannot be reached, or as `run_plan` does.
        OSError: a chunk's workers died more often than `RayOptions.retries`.
    """
    check_ray()
    with _connected(cluster.address) as ray:  # first: a process in which JAX runs should not start others
        plan = spec.plan()
        with RunWriter(open_storage(out), plan.record(), shared=True) as writer:
            names = list(plan.chunks)
            left = [name for name in names if name not in writer.done]
            what = spec, out, os.getcwd(), strict
            if plan.recipe.needs_statistics:
                parts, every = parts_of(plan), len(plan.dataset.items)

                def do(names):
                    for name in _finished(ray, cluster, do_part_on_ray, names, what):
                        yield from parts[name]

                compute_statistics(plan, writer.storage, do, progress=offset_progress(progress, after=every))
                progress = offset_progress(progress, before=every)
            finished = _finished(ray, cluster, do_chunk_on_ray, left, what)
            report_chunks(plan, names, left, finished, progress)
    return open_checked(out)


def check_ray() -> None:
    """Raise `InputError` unless Ray is installed."""
    if importlib.util.find_spec("ray") is None:
        raise InputError(
            "`engine` can be 'ray' where Ray is installed, but it is not. `pip install \"loce_jax[ray]\"` brings it."
        )


@contextmanager
def _connected(address: str | None) -> Iterator[Any]:
    import ray  # noqa: PLC0415 - an extra

    if ray.is_initialized():
        yield ray
        return
    _check_answers(address or os.environ.get("RAY_ADDRESS", ""))
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray.init(address, include_dashboard=False, logging_level=logging.WARNING, log_to_driver=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise InputError(f"`address` of Ray must be a cluster that answers, but Ray says: {_line(error)}") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Somebody listens at HOST:PORT; Ray itself would try for many minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:  # "auto", "local", or nothing
        return
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, ValueError, OverflowError) as error:
        raise InputError(
            f"`address` of Ray must be a cluster that answers, but at {address!r} nobody does: {_line(error)}. "
            "`ray status` on its head shows the address; leave it out for this machine."
        ) from error


def _finished(ray, cluster: RayOptions, work: Callable, names: Sequence[str], what: tuple) -> Iterator[str]:
    """The `names` as the tasks ``work(name, *what)`` end.  Errors that will not go away by themselves end the run."""
    task = ray.remote(
        num_cpus=cluster.cpus,
        num_gpus=cluster.gpus,
        max_retries=cluster.retries,
        retry_exceptions=[OSError],
        max_calls=0,  # else Ray ends a worker with a GPU after each task, and its compiled functions
    )(work)
    waiting = {task.remote(name, *what): name for name in names}
    try:
        while waiting:
            (ready, *_), _ = ray.wait(list(waiting), num_returns=1)
            name = waiting.pop(ready)
            ray.get(ready)
            yield name
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    except ray.exceptions.RayError as error:
        raise OSError(f"Ray gave up a task: {_line(error)}") from error
    finally:
        for left_over in waiting:
            ray.cancel(left_over)


@contextmanager
def _to_its_end() -> Iterator[None]:
    """Ray cancels by an interrupt, which in the middle of an import would spoil the worker for every later task."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@_to_its_end()
def do_part_on_ray(name: str, spec: RunSpec, out: str, folder: str, strict: bool) -> None:
    """One Ray task of a first pass: part `name`, of a spec made in `folder`."""
    plan, extract = _ready(spec, folder)
    with RunWriter(open_storage(out), plan.record(), shared=True) as writer:
        if missing_parts(writer.storage, [name]):
            for _ in compute_parts(plan, writer.storage, extract, [name], strict=strict):
                pass


@_to_its_end()
def do_chunk_on_ray(name: str, spec: RunSpec, out: str, folder: str, strict: bool) -> None:
    """One Ray task, the same work as a single process does: chunk `name` of a spec made in `folder`."""
    plan, extract = _ready(spec, folder)
    with RunWriter(open_storage(out), plan.record(), shared=True) as writer:
        if name not in writer.done:
            statistics = _statistics(spec, out, writer.storage.read(WHOLE)) if spec.recipe.needs_statistics else None
            for _ in compute_chunks(plan, extract, [name], writer, statistics, strict=strict):
                pass


def _ready(spec: RunSpec, folder: str) -> tuple[Plan, Extract]:
    """The plan and its compiled network, in the folder where the spec was made."""
    if Path(folder).is_dir():
        os.chdir(folder)
    return _prepared(spec)


@ft.lru_cache(maxsize=1)
def _prepared(spec):
    """The same, once a process."""
    plan = spec.plan()
    return plan, make_extractor(plan.network, plan.layers)


@ft.lru_cache(maxsize=1)
def _statistics(spec: RunSpec, out: str, _checksums: bytes) -> dict[str, Statistics]:
    """The run's statistics, once a process as long as they have these checksums."""
    return read_statistics(_prepared(spec)[0], open_storage(out))


def _line(error):
    return " ".join(str(error).split())
