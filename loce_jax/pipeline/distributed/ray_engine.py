"""A run on a Ray cluster: one Ray task per chunk, and before them one per part of a first pass.

Ray schedules the tasks, and starts them again when a worker dies.

What travels is a `RunSpec`, a few plain values, and the names of chunks; every Ray worker loads the network and opens
the data set itself, once, and writes its results into the run.  So `loce_jax`, the images, the network's folder
and the run must be found under the same names on every machine.
"""

import functools as ft
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loce_jax.activations import Extract, make_extractor
from loce_jax.pipeline.distributed.ray_cluster import RayOptions, check_ray, connected, finished
from loce_jax.pipeline.distributed.run_spec import RunSpec
from loce_jax.pipeline.pixels import doubting
from loce_jax.pipeline.plan import Plan, heed_problems
from loce_jax.pipeline.progress import Progress, offset_progress, report_chunks
from loce_jax.pipeline.resuming.begin import begin
from loce_jax.pipeline.resuming.free_space import check_space
from loce_jax.pipeline.run import RunOptions, compute_chunks, open_checked
from loce_jax.pipeline.statistics import FirstPass, compute_parts, compute_statistics, parts_of, read_first_pass
from loce_jax.store import Run, RunWriter, open_storage
from loce_jax.store.files import WHOLE
from loce_jax.store.statistics import missing_parts, whole_digest


def run_on_ray(
    spec: RunSpec,
    out: str,
    *,
    cluster: RayOptions = RayOptions(),  # noqa: B008 - frozen
    options: RunOptions = RunOptions(),  # noqa: B008 - frozen
    progress: Progress | None = None,
) -> Run:
    """Do what is left of a spec's run as Ray tasks and open the finished run; see `loce_jax.pipeline.run.run_plan`.

    A cluster that is already connected (``ray.init``) is used, and left as it is.  Relative paths start
    from the present working directory, on every machine.

    `RunOptions.memory` has no meaning here.

    Raises:
        InputError: Ray is not installed or cannot be reached, or as `run_plan` does.
        OSError: a chunk's workers died more often than `RayOptions.retries`.
    """
    check_ray()
    with connected(cluster.address) as ray:  # first: a process in which JAX runs should not start others
        plan = spec.plan()
        heed_problems(plan, strict=options.strict)
        storage, names = open_storage(out), list(plan.chunks)
        check_space(plan, storage, names)
        with RunWriter(storage, plan.record(), shared=True, repair=options.repair) as writer:
            remaining = begin(
                plan,
                writer,
                names,
                retry_failed=options.retry_failed,
                verify=options.verify,
                repair=options.repair,
            )
            what, statistics = (spec, out, os.getcwd(), options.strict), ""
            if plan.recipe.needs_statistics:
                parts, every = parts_of(plan), len(plan.dataset.items)

                def do(names):
                    for name in finished(ray, cluster, do_part_on_ray, names, what):
                        yield from parts[name]

                compute_statistics(plan, writer.storage, do, progress=offset_progress(progress, after=every))
                progress = offset_progress(progress, before=every)
                statistics = whole_digest(writer.storage, plan.record())
            left = remaining.chunks(statistics)
            ended = finished(ray, cluster, do_chunk_on_ray, left, what)
            report_chunks(plan, names, left, ended, progress)
            writer.finish()
    return open_checked(out, options.max_failures)


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
        first = _first_pass(spec, out, writer.storage.read(WHOLE)) if spec.recipe.needs_statistics else None
        for _ in compute_chunks(plan, extract, [name], writer, first, strict=strict):
            pass


def _ready(spec: RunSpec, folder: str) -> tuple[Plan, Extract]:
    """The plan and its compiled network, in the folder where the spec was made."""
    if Path(folder).is_dir():
        os.chdir(folder)
    return _prepared(spec)


@ft.lru_cache(maxsize=1)
def _prepared(spec):
    """The same, once per process."""
    plan = spec.plan()
    return plan, doubting(make_extractor(plan.network, plan.layers), plan.network)


@ft.lru_cache(maxsize=1)
def _first_pass(spec: RunSpec, out: str, _record: bytes) -> FirstPass:
    """What the first pass stored, once per process as long as this is its record."""
    return read_first_pass(_prepared(spec)[0], open_storage(out))
