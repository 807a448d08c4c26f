"""Shards of a run for workers that do not communicate: worker i of n does the chunks i, i + n, i + 2 n, ...

A shard is of the whole plan's list, so that a worker that is started again does the same one; chunks that are done are
skipped.  Which worker a process is comes from flags, from the variables of a cluster, or from `jax.distributed`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import jax

from loce_jax.checks import InputError, one_line


@dataclass(frozen=True)
class Shard:
    """Part `index` of `count` equal parts; `origin` says where that was read.

    >>> Shard(1, 3).select(["00000", "00001", "00002", "00003", "00004"])
    ['00001', '00004']
    """

    index: int
    count: int
    origin: str = "given as numbers"

    def __post_init__(self):
        if self.count < 1:
            raise InputError(
                f"`num_workers` must be at least 1, but got {self.count} ({self.origin}). It is how many workers share "
                "the run."
            )
        if not 0 <= self.index < self.count:
            raise InputError(
                f"`worker` must be a number from 0 to {self.count - 1} for {self.count} workers, but got {self.index} "
                f"({self.origin}). Number the workers from 0, without gaps."
            )

    def select(self, chunks: Sequence[str]) -> list[str]:
        """The chunks that belong to this shard."""
        return list(chunks[self.index :: self.count])

    def __str__(self):
        return f"worker {self.index} of {self.count} ({self.origin})"


def shard_from_environment(count: int | None, environment: Mapping[str, str]) -> Shard:
    """The shard that the cluster's variables give this process.

    Args:
        count: the number of workers, where the cluster does not say it, as in a Kubernetes indexed job.
        environment: ``os.environ``.

    Raises:
        InputError: none of the variables are set, or they do not fit together or to `count`.

    >>> print(shard_from_environment(None, {"OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_SIZE": "8"}))
    worker 2 of 8 (OMPI_COMM_WORLD_RANK)
    """
    for read in (_slurm_array, _open_mpi, _slurm_step):
        if shard := read(environment):
            if count not in (None, shard.count):
                raise InputError(
                    f"`num_workers` must agree with {shard.origin}, which counts {shard.count} workers, but got "
                    f"{count}. Leave it out."
                )
            return shard
    if "JOB_COMPLETION_INDEX" in environment:
        if count is None:
            raise InputError(
                "`num_workers` must be given in a Kubernetes indexed job, which gives a worker its index "
                "(JOB_COMPLETION_INDEX) but not how many there are. Give it the job's `completions`."
            )
        return Shard(_number(environment, "JOB_COMPLETION_INDEX"), count, "JOB_COMPLETION_INDEX")
    raise InputError(
        "`worker` can be 'auto' in a SLURM array, under `srun` or `mpirun` with several tasks, or in a Kubernetes "
        "indexed job, but none of SLURM_ARRAY_TASK_ID, SLURM_NTASKS above 1, OMPI_COMM_WORLD_SIZE above 1 and "
        "JOB_COMPLETION_INDEX is set. Give `worker` and `num_workers` as numbers."
    )


def _slurm_array(environment):
    if "SLURM_ARRAY_TASK_ID" not in environment:
        return None
    task, first, last, count, step = (
        _number(environment, f"SLURM_ARRAY_TASK_{name}") for name in ("ID", "MIN", "MAX", "COUNT", "STEP")
    )
    if step < 1 or (last - first) % step or (last - first) // step + 1 != count or (task - first) % step:
        raise InputError(
            f"a SLURM array must be evenly spaced to share a run, but task {task} is one of {count} from {first} to "
            f"{last} in steps of {step}. Submit it as `--array=0-{count - 1}`."
        )
    return Shard((task - first) // step, count, "SLURM_ARRAY_TASK_ID")


def _open_mpi(environment):
    return _several(environment, "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE")


def _slurm_step(environment):
    return _several(environment, "SLURM_PROCID", "SLURM_NTASKS")


def _several(environment, index, count):
    """The shard that two variables name; None where they are not set, or are of a single process."""
    if index not in environment or count not in environment or _number(environment, count) == 1:
        return None
    return Shard(_number(environment, index), _number(environment, count), index)


def _number(environment, name):
    text = environment.get(name, "")
    if not text.isascii() or not text.isdigit():
        raise InputError(f"{name} must be a whole number, but is {text!r}. Give `worker` and `num_workers` instead.")
    return int(text)


@contextmanager
def join_cluster(shard: Shard | None) -> Iterator[Shard]:
    """Join the processes of a TPU pod or of several hosts through `jax.distributed`; leave when all are done.

    Must come before any device is used.  Devices stay local to a process, and nothing is communicated but the end.
    If a process dies, JAX ends the others within its heartbeat; what is finished is kept.

    Args:
        shard: which process this is, where JAX cannot find out itself; ``JAX_COORDINATOR_ADDRESS`` then says where
            process 0 listens.

    Raises:
        InputError: JAX finds no cluster, or cannot connect.
    """
    count, index = (shard.count, shard.index) if shard else (None, None)
    try:
        jax.distributed.initialize(num_processes=count, process_id=index)
    except (ValueError, RuntimeError) as error:
        raise InputError(
            f"`distributed` must find its cluster, but jax.distributed says: {one_line(error)} Where "
            "it cannot find out itself, set JAX_COORDINATOR_ADDRESS=HOST:PORT and give `worker` and `num_workers`."
        ) from error
    try:
        yield Shard(jax.process_index(), jax.process_count(), "jax.distributed")
    except Exception:
        _leave()  # the others finish their shards
        raise
    _leave()


def _leave():
    from jax.experimental.multihost_utils import sync_global_devices  # noqa: PLC0415 - only here

    sync_global_devices("every shard is done")
    jax.distributed.shutdown()
