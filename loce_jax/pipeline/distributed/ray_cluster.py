"""A Ray cluster: connecting to one, and waiting for its tasks."""

import importlib.util
import logging
import os
import socket
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from loce_jax.checks import InputError, check_types, one_line


@dataclass(frozen=True)
class RayOptions:
    """The Ray cluster, and what it reserves for a task."""

    address: str | None = None
    """Address of the cluster; if left out, RAY_ADDRESS, else a cluster on this machine, started if need be."""
    cpus: float = 1.0
    """CPUs that Ray reserves for a task; JAX itself uses all that its process may use."""
    gpus: float = 0.0
    """GPUs that Ray reserves for a task."""
    retries: int = 3
    """Number of times that a chunk whose worker died is retried."""

    def __post_init__(self):
        check_types(self)
        for name, least in (("cpus", 0), ("gpus", 0), ("retries", -1)):
            if not getattr(self, name) >= least:
                raise InputError(f"`{name}` of Ray must be {least} or more, but got {getattr(self, name)}.")


def check_ray() -> None:
    """Raise `InputError` unless Ray is installed."""
    if importlib.util.find_spec("ray") is None:
        raise InputError(
            "`engine` can be 'ray' where Ray is installed, but it is not. `pip install \"loce_jax[ray]\"` brings it."
        )


@contextmanager
def connected(address: str | None) -> Iterator[Any]:
    """The module `ray`, connected to a cluster; one that was connected before is left as it is.

    Raises:
        InputError: no cluster answers at `address`.
    """
    import ray  # noqa: PLC0415 - an extra

    if ray.is_initialized():
        yield ray
        return
    _check_answers(address or os.environ.get("RAY_ADDRESS", ""))
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray.init(address, include_dashboard=False, logging_level=logging.WARNING, log_to_driver=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise InputError(f"`address` of Ray must be a cluster that answers, but Ray says: {one_line(error)}") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Raise `InputError` unless HOST:PORT accepts a connection; Ray itself would try for many minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:  # "auto", "local", or nothing
        return
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, ValueError, OverflowError) as error:
        raise InputError(
            f"`address` of Ray must be a cluster that answers, but at {address!r} none does: {one_line(error)}. "
            "`ray status` on its head shows the address; leave it out for this machine."
        ) from error


def finished(ray, cluster: RayOptions, work: Callable, names: Sequence[str], what: tuple) -> Generator[str, None, None]:
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
        raise OSError(f"Ray gave up a task: {one_line(error)}") from error
    finally:
        for left_over in waiting:
            ray.cancel(left_over)
