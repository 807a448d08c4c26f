"""Do a plan's work, chunk by chunk: read, compute activations, solve, measure, store.

Reading runs ahead in threads, measuring and storing behind.  A chunk's result depends on the chunk alone, so a run
that was interrupted ends with the same bytes as one that was not.  A recipe that whitens needs the layers' statistics
first, so its run goes through the images twice.
"""

import functools as ft
import os
from collections import Counter
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from loce_jax.activations import Extract, make_extractor
from loce_jax.batch_sizes import IMAGES_PER_BATCH
from loce_jax.checks import CheckedOptions, InputError
from loce_jax.pipeline.distributed.shards import Shard
from loce_jax.pipeline.measure_chunk import measure_chunk, refuse_faults
from loce_jax.pipeline.memory import images_per_batch
from loce_jax.pipeline.pixels import doubting
from loce_jax.pipeline.plan import Plan, heed_problems
from loce_jax.pipeline.progress import Progress, offset_progress, report_chunks
from loce_jax.pipeline.reading import Read, SampleReader, read_in_threads
from loce_jax.pipeline.resuming.begin import begin
from loce_jax.pipeline.resuming.free_space import check_space
from loce_jax.pipeline.resuming.retrying import check_failures, check_share
from loce_jax.pipeline.solve_chunk import solve_chunk
from loce_jax.pipeline.statistics import (
    FirstPass,
    compute_parts,
    compute_statistics,
    hold_to_first_pass,
    read_first_pass,
)
from loce_jax.store import Run, RunWriter, open_run, open_storage


@dataclass(frozen=True)
class RunOptions(CheckedOptions):
    """How a plan is done, which changes no number of it.

    Attributes:
        strict: make the first image, mask or layer that cannot be used an error.
        memory: gigabytes (10**9 bytes) of main memory that the process may take; without it, images are worked on
            32 at a time.
        retry_failed: try again rows that could not be read in an earlier attempt.
        max_failures: share of the rows, 0 to 1, that may fail to be read.
        verify: compare all content of the run with its checksums before the work, and refuse what is damaged.
        repair: the same, but make anew what is damaged.
    """

    strict: bool = False
    memory: float | None = None
    retry_failed: bool = True
    max_failures: float = 1.0
    verify: bool = False
    repair: bool = False


def run_plan(
    plan: Plan,
    out: str | Path,
    options: RunOptions = RunOptions(),
    *,
    shard: Shard | None = None,
    progress: Progress | None = None,
    read: Read = read_in_threads,
) -> Run:
    """Do what is left of `plan`, or of a shard of it, and open the run.

    Args:
        plan: see `loce_jax.pipeline.plan.make_plan`.
        out: a new folder, or one in which an equal plan was started; or the URL of either, as text.
        options: how.
        shard: which part to do, beside others in the same run; without it all of it, alone.
        progress: called with the number of images done and of all images (of the shard), also once at the start.  A
            recipe that whitens has all images to go through before them; its images count twice.
        read: how photos and masks are read ahead; `loce_jax.pipeline.grain_reading.read_in_processes` returns
            another way.

    Raises:
        InputError: the folder cannot be used, is damaged, or has too little room; photos have changed; not a single
            pair could be solved, or `strict` found a fault, or memory is too little.
        TooManyFailures: more rows than allowed could not be read; the run is kept.
    """
    check_share(options.max_failures)
    heed_problems(plan, strict=options.strict)
    batch_size = images_per_batch(plan, options.memory)
    storage = open_storage(out)
    names = shard.select(list(plan.chunks)) if shard else list(plan.chunks)
    check_space(plan, storage, names)
    with RunWriter(storage, plan.record(), shared=shard is not None, repair=options.repair) as writer:
        remaining = begin(
            plan,
            writer,
            names,
            retry_failed=options.retry_failed,
            verify=options.verify,
            repair=options.repair,
        )
        extract = doubting(make_extractor(plan.network, plan.layers), plan.network)
        first = None
        if plan.recipe.needs_statistics:
            own, every = sum(len(plan.chunks[name]) for name in names), len(plan.dataset.items)
            do = ft.partial(compute_parts, plan, storage, extract, strict=options.strict, read=read)
            compute_statistics(plan, storage, do, shard=shard, progress=offset_progress(progress, after=own))
            first, progress = read_first_pass(plan, storage), offset_progress(progress, before=every)
        left = remaining.chunks(first.digest if first else "")
        finished = compute_chunks(
            plan, extract, left, writer, first, strict=options.strict, batch_size=batch_size, read=read
        )
        report_chunks(plan, names, left, finished, progress)
        writer.finish()
    return open_checked(out, options.max_failures)


def compute_chunks(  # noqa: PLR0913
    plan: Plan,
    extract: Extract,
    names: Sequence[str],
    writer: RunWriter,
    first: FirstPass | None = None,
    *,
    strict: bool = False,
    batch_size: int = IMAGES_PER_BATCH,
    read: Read = read_in_threads,
) -> Generator[str, None, None]:
    """Do the chunks called `names`, `batch_size` images at a time; yields each name when it is stored.

    A recipe that whitens needs the `first` pass.  A chunk that is being solved or stored when the caller stops asking
    for more is stored.
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
            photos = {image.samples[0].item.image: image.photo for image in images if image.photo and image.samples}
            writer.write(name, rows, layers, photos=photos, statistics=first.digest if first else "")
            return name

        last: Future[str] | None = None
        for name, images in read(SampleReader.for_plan(plan), wanted):
            held = hold_to_first_pass(first, images) if first else images
            solutions, batch_size = solve_chunk(plan, held, extract, batch_size, first.statistics if first else None)
            before, last = last, finisher.submit(finish, name, held, solutions)
            if before:
                yield before.result()
        if last:
            yield last.result()


def open_checked(out: str | Path, max_failures: float) -> Run:
    """The run at `out`.

    Raises:
        TooManyFailures: it is complete, and more rows than allowed could not be read.
        InputError: it is complete, and not a single pair could be solved.
    """
    run = open_run(out)
    if run.complete:
        check_failures(run, max_failures)
        status = np.stack([run.column("status", layer) for layer in run.layers])
        if not np.any(np.all(status == "ok", axis=0)):
            counts = ", ".join(f"{n} {word}" for word, n in Counter(run.table["status"].tolist()).most_common())
            raise InputError(f"`data` must hold a usable pair of image and concept, but none is: {counts}.")
    return run
