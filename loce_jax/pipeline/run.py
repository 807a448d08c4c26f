"""Do a plan's work, chunk by chunk: read, look through the network, solve, measure, store.

Reading runs ahead in threads, measuring and storing behind.  A chunk's result depends on the chunk alone, so a run
that was interrupted ends with the same bytes as one that was not.  A recipe that whitens needs the layers' statistics
first, so its run goes through the images twice.
"""

import functools as ft
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from loce_jax.activations import Extract, make_extractor
from loce_jax.batch_sizes import IMAGES_PER_BATCH
from loce_jax.checks import InputError
from loce_jax.pipeline.distributed.shards import Shard
from loce_jax.pipeline.measure_chunk import measure_chunk, refuse_faults
from loce_jax.pipeline.memory import images_per_batch
from loce_jax.pipeline.plan import Plan
from loce_jax.pipeline.progress import Progress, offset_progress, report_chunks
from loce_jax.pipeline.reading import Read, SampleReader, read_in_threads
from loce_jax.pipeline.solve_chunk import solve_chunk
from loce_jax.pipeline.statistics import compute_parts, compute_statistics, read_statistics
from loce_jax.statistics import Statistics
from loce_jax.store import Run, RunWriter, open_run, open_storage


def run_plan(  # noqa: PLR0913 - what to do, where, and five ways to differ from the usual
    plan: Plan,
    out: str | Path,
    *,
    shard: Shard | None = None,
    strict: bool = False,
    memory: float | None = None,
    progress: Progress | None = None,
    read: Read = read_in_threads,
) -> Run:
    """Do what is left of `plan`, or of a shard of it, and open the run.

    Args:
        plan: see `loce_jax.pipeline.plan.make_plan`.
        out: a new folder, or one in which an equal plan was started; or the URL of either, as text.
        shard: which part to do, beside others in the same run; without it all of it, alone.
        strict: make the first image, mask or layer that cannot be used an error.
        memory: gigabytes (10**9 bytes) of main memory that the process may take; without it, images are worked on
            32 at a time.
        progress: called with the number of images done and of all images (of the shard), also once at the start.  A
            recipe that whitens has all images to go through before them; its images count twice.
        read: how photos and masks are read ahead; `loce_jax.pipeline.grain_reading.read_in_processes` returns
            another way.

    Raises:
        InputError: the folder cannot be used, or not a single pair could be solved, or `strict` found a fault, or
            `memory` is too little.
    """
    batch_size = images_per_batch(plan, memory)
    with RunWriter(open_storage(out), plan.record(), shared=shard is not None) as writer:
        names = shard.select(list(plan.chunks)) if shard else list(plan.chunks)
        left = [name for name in names if name not in writer.done]
        extract = make_extractor(plan.network, plan.layers)
        statistics = None
        if plan.recipe.needs_statistics:
            own, every = sum(len(plan.chunks[name]) for name in names), len(plan.dataset.items)
            do = ft.partial(compute_parts, plan, writer.storage, extract, strict=strict, read=read)
            compute_statistics(plan, writer.storage, do, shard=shard, progress=offset_progress(progress, after=own))
            statistics, progress = read_statistics(plan, writer.storage), offset_progress(progress, before=every)
        options = {"strict": strict, "batch_size": batch_size, "read": read}
        finished = compute_chunks(plan, extract, left, writer, statistics, **options)
        report_chunks(plan, names, left, finished, progress)
    return open_checked(out)


def compute_chunks(  # noqa: PLR0913
    plan: Plan,
    extract: Extract,
    names: Sequence[str],
    writer: RunWriter,
    statistics: Mapping[str, Statistics] | None = None,
    *,
    strict: bool = False,
    batch_size: int = IMAGES_PER_BATCH,
    read: Read = read_in_threads,
) -> Iterator[str]:
    """Do the chunks called `names`, `batch_size` images at a time; yields each name when it is stored.

    A recipe that whitens needs each layer's `statistics`.
    """
    wanted = {name: plan.chunks[name] for name in names}
    with (
        threadpool_limits(1, "blas"),  # its threads would wait for cores that ours already use
        ThreadPoolExecutor(os.cpu_count()) as helpers,
        ThreadPoolExecutor(1) as finisher,
    ):

        def finish(name, images, solutions):
            rows, layers = measure_chunk(plan, images, solutions, helpers)
            if strict:
                refuse_faults(rows, layers)
            writer.write(name, rows, layers)
            return name

        last: Future[str] | None = None
        for name, images in read(SampleReader.for_plan(plan), wanted):
            solutions, together = solve_chunk(plan, images, extract, batch_size, statistics)
            if last:
                yield last.result()
            last = finisher.submit(finish, name, images, solutions)
        if last:
            yield last.result()


def open_checked(out: str | Path) -> Run:
    """The run at `out`; `InputError` if it is complete and not a single pair could be solved."""
    run = open_run(out)
    if run.complete and not np.any(run.table["status"] == "ok"):
        counts = ", ".join(f"{n} {word}" for word, n in Counter(run.table["status"].tolist()).most_common())
        raise InputError(f"`data` must hold a usable pair of image and concept, but none is: {counts}.")
    return run
