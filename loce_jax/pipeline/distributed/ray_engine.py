"""A run on a Ray cluster: one Ray task a chunk, ahead of them one a part of a first pass.

Ray places the tasks, and starts them again when a worker dies.

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
from loce_jax.pipeline.plan import Plan
from loce_jax.pipeline.progress import Progress, offset_progress, report_chunks
from loce_jax.pipeline.run import compute_chunks, open_checked
from loce_jax.pipeline.statistics import compute_parts, compute_statistics, parts_of, read_statistics
from loce_jax.statistics import Statistics
from loce_jax.store import Run, RunWriter, open_storage
from loce_jax.store.files import WHOLE
from loce_jax.store.statistics import missing_parts


def run_on_ray(
    spec: RunSpec,
    out: str,
    *,
    cluster: RayOptions = RayOptions(),  # noqa: B008 - frozen
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
    with connected(cluster.address) as ray:  # first: a process in which JAX runs should not start others
        plan = spec.plan()
        with RunWriter(open_storage(out), plan.record(), shared=True) as writer:
            names = list(plan.chunks)
            left = [name for name in names if name not in writer.done]
            what = spec, out, os.getcwd(), strict
            if plan.recipe.needs_statistics:
                parts, every = parts_of(plan), len(plan.dataset.items)

                def do(names):
                    for name in finished(ray, cluster, do_part_on_ray, names, what):
                        yield from parts[name]

                compute_statistics(plan, writer.storage, do, progress=offset_progress(progress, after=every))
                progress = offset_progress(progress, before=every)
            ended = finished(ray, cluster, do_chunk_on_ray, left, what)
            report_chunks(plan, names, left, ended, progress)
    return open_checked(out)


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
