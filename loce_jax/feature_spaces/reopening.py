"""The network of a run, loaded again, with the preprocessing that the run had."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from loce_jax.checks import InputError, check_types
from loce_jax.models.base import Network
from loce_jax.models.loading import LoadOptions
from loce_jax.models.preprocess.description import Preprocess
from loce_jax.store import Run


def reopen_network(run: Run, model: str | None = None, loading: LoadOptions = LoadOptions()) -> Network:  # noqa: B008
    """The network that a run was made with.

    Args:
        run: the run; its plan says what the network was called, and how photos became its input.
        model: where the network is now, if that has changed; as `loce_jax.load_network` takes it.
        loading: weights of a ``paper:`` network; size, preprocessing and precision are the run's.

    Raises:
        InputError: there is no such network, or it is another one.
    """
    record = run.plan["model"]
    preprocess = _preprocess_from(record["preprocess"])
    name = record["name"] if model is None else model
    options = replace(loading, size=preprocess.size, dtype=record["dtype"])
    try:
        network = options.load_for_listing(name)
    except InputError as error:
        if model is not None:
            raise
        raise InputError(
            f"the network {name!r} of the run {str(run.storage)!r} cannot be loaded: {error} `model` says where "
            "it is now, by name or folder."
        ) from error
    if network.fingerprint != record["fingerprint"]:
        raise InputError(
            f"`model` must be the network that the run was made with, with the fingerprint {record['fingerprint']!r}, "
            f"but {name!r} has {network.fingerprint!r}: architecture or weights differ. Give the run's own."
        )
    return replace(network, preprocess=preprocess)


def reopen_one_of(run: Run, models: Sequence[str]) -> Network:
    """The run's network among those of several runs; where none of `models` is it, from where the run says it is.

    Raises:
        InputError: none of `models` is the network, and it is not where the run says.
    """
    for model in models:
        try:
            return reopen_network(run, model)
        except InputError:  # another run's
            continue
    return reopen_network(run)


def relative_depths(network: Network, layers: Sequence[str]) -> dict[str, float]:
    """For each of `layers` its depth, from 0 for the network's first layer to 1 for its last, in equal steps."""
    every = [layer.name for layer in network.layers()]
    return {layer: every.index(layer) / max(len(every) - 1, 1) for layer in layers}


def _preprocess_from(record: Mapping[str, Any]) -> Preprocess:
    """What a plan records, as `loce_jax.pipeline.plan.Plan.record` wrote it."""
    try:
        entries: dict[str, Any] = {name: tuple(one) if isinstance(one, list) else one for name, one in record.items()}
        found = Preprocess(**entries)
    except TypeError as error:
        raise InputError(
            f"`plan` must say how photos become input, but its `preprocess` is another: {error}."
        ) from error
    check_types(found)
    return found
